"""Defences of the tunnel itself. Pure."""

from __future__ import annotations

from tests.broken.entry import Break

DOCUMENTS = "tests/tunnel/test_live_session_documents.py"

BREAKS: tuple[Break, ...] = (
    Break(
        name="join proof without the client's Finished: a stolen data key",
        file="runtime/tunnel/join.py",
        old="    parts = (_LABEL, direction.value, session, *numbers, certificate_sha256, finished, terms.encode())",
        new="    parts = (_LABEL, direction.value, session, *numbers, certificate_sha256, terms.encode())",
        tests=("tests/tunnel/test_data.py", "tests/tunnel/test_join.py"),
    ),
    Break(
        name="join proof without the terms: who stands between could give credit for another",
        file="runtime/tunnel/join.py",
        old="    parts = (_LABEL, direction.value, session, *numbers, certificate_sha256, finished, terms.encode())",
        new="    parts = (_LABEL, direction.value, session, *numbers, certificate_sha256, finished)",
        tests=("tests/tunnel/test_join.py",),
    ),
    Break(
        name="join proof not compared",
        file="runtime/tunnel/join.py",
        old="    if not hmac.compare_digest(got, want):",
        new="    if False:",
        tests=("tests/tunnel/test_join.py",),
    ),
    Break(
        name="counter used twice: a replayed join",
        file="runtime/tunnel/switchboard.py",
        old="        self._ledger.use(join.session, epoch=join.epoch, worker=join.worker, counter=join.counter)\n",
        new="",
        tests=("tests/tunnel/test_data.py", "tests/tunnel/test_switchboard.py"),
    ),
    Break(
        name="data certificate not pinned",
        file="runtime/tunnel/data.py",
        old="        if not hmac.compare_digest(digest, self._ticket.certificate_sha256):",
        new="        if False:",
        tests=("tests/tunnel/test_data.py",),
    ),
    Break(
        name="a client serves what it was not granted",
        file="runtime/tunnel/data.py",
        old="        if self._granted.isdisjoint(patterns):",
        new="        if False:",
        tests=("tests/tunnel/test_data.py", "tests/tunnel/test_relay.py"),
    ),
    Break(
        name="a server grants what the document does not",
        file="runtime/tunnel/live_session.py",
        old="        self.granted = tuple(name for name in self._offered if member.may_publish(name))",
        new="        self.granted = self._offered",
        tests=("tests/tunnel/test_server.py",),
    ),
    Break(
        name="visitors are sent to a client that does not serve the hostname yet",
        file="runtime/tunnel/live_session.py",
        old="        self._route(tuple(name for name in self.granted if name in self.routed))",
        new="        self._route(self.granted)",
        tests=("tests/tunnel/test_live_session.py",),
    ),
    Break(
        name="an answer that was overtaken counts as served",
        file="runtime/tunnel/live_session.py",
        old="        if n == self._answers:",
        new="        if n:",
        tests=("tests/tunnel/test_live_session.py",),
    ),
    Break(
        name="an answer that was overtaken is put in force by the client",
        file="runtime/tunnel/supervisor.py",
        old="                case Answer(n=n) if n <= newest:",
        new="                case Answer(n=n) if n < 0:",
        tests=("tests/tunnel/test_supervisor.py::test_an_answer_that_was_overtaken_is_not_put_in_force",),
    ),
    Break(
        name="a document that comes while a session is being made is not applied to it",
        file="runtime/tunnel/live_session.py",
        old="        self._catch_up()\n",
        new="",
        tests=(
            f"{DOCUMENTS}::test_a_member_dropped_while_it_was_attesting_gets_no_session",
            f"{DOCUMENTS}::test_an_image_revoked_while_it_was_attesting_is_asked_for_again",
        ),
    ),
    Break(
        name="an epoch begun under the old document answers what is asked for the new one",
        file="runtime/tunnel/live_session.py",
        old="            if self.session.under.version >= self._asked:",
        new="            if True:",
        tests=(f"{DOCUMENTS}::test_an_epoch_begun_under_the_old_document_is_no_answer_for_the_new_one",),
    ),
    Break(
        name="a hostname is withdrawn only once the client has attested",
        file="runtime/tunnel/live_session.py",
        old="        if left != self.routed:",
        new="        if False:",
        tests=(f"{DOCUMENTS}::test_a_hostname_withdrawn_while_an_attestation_is_waited_for_goes_at_once",),
    ),
    Break(
        name="a hostname that only a worker would choke on",
        file="runtime/tunnel/session_messages.py",
        old="        return isinstance(item, str) and normal_pattern(item) == item",
        new="        return isinstance(item, str)",
        tests=("tests/tunnel/test_session_messages.py",),
    ),
    Break(
        name="a worker that listens with nobody to serve",
        file="runtime/tunnel/switchboard.py",
        old="            self._on_serving(not before)",
        new="            self._on_serving(True)",
        tests=("tests/tunnel/test_doors.py",),
    ),
    Break(
        name="visitors' addresses in a log that was not to have them",
        file="runtime/tunnel/access_log.py",
        old="""        if self._addresses:
            fields["visitor"] = str(request.visitor)""",
        new="""        if True:
            fields["visitor"] = str(request.visitor)""",
        tests=("tests/tunnel/test_access_log.py",),
    ),
    Break(
        name="a request id that a visitor's hello decides",
        file="runtime/tunnel/relay.py",
        old="                request_id=new_request_id(),",
        new="                request_id=hello.raw[11:27],",
        tests=("tests/tunnel/test_access_log.py",),
    ),
    Break(
        name="an older fleet document accepted",
        file="runtime/web/documents.py",
        old="            if document.version < now.version:",
        new="            if False:",
        tests=("tests/web/test_documents.py",),
    ),
)
