"""Defences against peers that send too much, or nothing. Pure."""

from __future__ import annotations

from tests.broken.entry import Break

STRANGERS = "tests/channel/test_transport_strangers.py"
TRANSPORT = "tests/channel/test_transport.py"

BREAKS: tuple[Break, ...] = (
    Break(
        name="who has not attested fills memory while an appraisal waits",
        file="runtime/channel/transport.py",
        old="        self._most_unread = 1  #",
        new="        self._most_unread = 1 << 40  #",
        tests=(f"{STRANGERS}::test_until_both_confirmed_one_message_waits_and_the_rest_is_the_senders",),
    ),
    Break(
        name="an established session's unread messages without a bound",
        file="runtime/channel/transport.py",
        old="self._most_unread = self._full, self.limits.unread_bytes",
        new="self._most_unread = self._full, 1 << 40",
        tests=(f"{TRANSPORT}::test_whoever_reads_slowly_makes_the_sender_wait_and_the_reader_keeps_little",),
    ),
    Break(
        name="messages of no bytes cost nothing",
        file="runtime/channel/transport.py",
        old="    return len(message.payload) + _MESSAGE_COST",
        new="    return len(message.payload)",
        tests=(f"{TRANSPORT}::test_messages_of_no_bytes_are_bounded_too",),
    ),
    Break(
        name="answers of TLS pile up for a stranger who reads none",
        file="runtime/channel/transport.py",
        old="        if waiting > _MOST_UNREAD_ANSWERS:  #",
        new="        if False:  #",
        tests=(f"{TRANSPORT}::test_answers_of_tls_do_not_pile_up_for_a_peer_that_reads_none",),
    ),
    Break(
        name="a peer that takes no message holds whoever sends",
        file="runtime/channel/transport.py",
        old='            async with deadline(self.limits, "send_s", "the peer read nothing"):',
        new="            if True:",
        tests=(f"{TRANSPORT}::test_a_peer_that_takes_no_message_in_time_is_let_go",),
    ),
    Break(
        name="a platform that gives no evidence holds the connection",
        file="runtime/channel/exchange.py",
        old='        async with deadline(self._party.limits, "collect_s", "the platform gave no evidence"):',
        new="        if True:",
        tests=("tests/channel/test_session.py::test_a_platform_that_gives_no_evidence_in_time_ends_it",),
    ),
    Break(
        name="a client that does not attest again stays",
        file="runtime/tunnel/live_session.py",
        old='            async with deadline(self._limits, "late_s", "the client did not attest again"):',
        new="            if True:",
        tests=(
            "tests/tunnel/test_live_session.py::test_a_client_that_does_not_attest_again_when_asked_is_let_go",
        ),
    ),
    Break(
        name="the loop reads a fleet document while sessions wait",
        file="runtime/web/documents.py",
        old="await asyncio.to_thread(self._read, envelope)",
        new="self._read(envelope)",
        tests=("tests/web/test_documents.py::test_sessions_go_on_while_a_large_document_is_read",),
    ),
    Break(
        name="the document in force read at every poll",
        file="runtime/web/documents.py",
        old="            if self._current is None or envelope != self._current.envelope:",
        new="            if True:",
        tests=("tests/web/test_documents.py::test_the_document_in_force_is_not_read_again",),
    ),
    Break(
        name="a peer's appraisal reads the document",
        file="runtime/channel/appraiser.py",
        old="            self._pool.submit(verifier.prepare, document)",
        new="            pass",
        tests=(
            "tests/channel/test_appraiser.py::test_a_document_is_read_when_it_comes_into_force_and_by_each_process",
        ),
    ),
    Break(
        name="the loop reads an endorsements bundle while sessions wait",
        file="runtime/attestation/endorsements/published.py",
        old="await asyncio.to_thread(bundle.read, await _body(response))",
        new="bundle.read(await _body(response))",
        tests=(
            "tests/attestation/endorsements/test_published.py::test_sessions_go_on_while_a_large_bundle_is_read",
        ),
    ),
    Break(
        name="a client forgets the document that arrives while it joins",
        file="runtime/tunnel/supervisor.py",
        old="        documents = DocumentExchange(session, self._party.documents, self._limits)\n",
        new=(
            "        documents = DocumentExchange(session, self._party.documents, self._limits)\n"
            "        self._again.clear()\n"
        ),
        tests=(
            "tests/tunnel/test_supervisor.py::"
            "test_a_document_that_arrives_while_data_connections_are_joined_is_not_forgotten",
        ),
    ),
)
