"""Defences of the attested channel and of who may use it. Pure."""

from __future__ import annotations

from tests.broken.entry import Break

SESSION = "tests/channel/test_session.py"
ATTACKS = "tests/channel/test_attacks.py"
HANDSHAKE = "tests/channel/test_handshake.py"

BREAKS: tuple[Break, ...] = (
    Break(
        name="binder without the exporter: a relayed handshake",
        file="runtime/channel/handshake.py",
        old="exporter=self._export(EXPORT_BIND, self._context()),",
        new="exporter=bytes(32),",
        tests=(
            f"{ATTACKS}::test_a_relayed_handshake_is_refused_even_with_both_channel_keys_stolen",
            f"{HANDSHAKE}::test_another_connection_is_another_binder_confirmation_and_secret",
        ),
    ),
    Break(
        name="binder without the Attester's key: evidence of another key",
        file="runtime/channel/handshake.py",
        old="spki_attester=spki[about],",
        new='spki_attester=b"any",',
        tests=(f"{HANDSHAKE}::test_other_keys_are_another_binder",),
    ),
    Break(
        name="a server that does not wait for the client's confirmation",
        file="runtime/channel/handshake.py",
        old="        return [Send(Message(Kind.SIGNATURE if self._side is Side.OWNER else Kind.EVIDENCE, evidence))]",
        new=(
            "        done = Established(session=bytes(16), epoch=0, join_secret=bytes(32), peer_hello=self.peer_hello)\n"
            "        early: list[Step] = [done] if self._side is Side.SERVER else []\n"
            "        return [Send(Message(Kind.EVIDENCE, evidence)), *early]"
        ),
        tests=(f"{SESSION}::test_one_side_that_never_confirms_gets_nothing",),
    ),
    Break(
        name="confirmation not compared",
        file="runtime/channel/handshake.py",
        old="        if not hmac.compare_digest(payload, self._mac(self.peer_hello.side)):",
        new="        if False:",
        tests=(f"{SESSION}::test_a_wrong_confirmation_ends_it",),
    ),
    Break(
        name="our own evidence accepted as the peer's",
        file="runtime/channel/handshake.py",
        old="        if payload == self._evidence.get(self._side):",
        new="        if False:",
        tests=(f"{HANDSHAKE}::test_our_own_evidence_is_not_the_peers",),
    ),
    Break(
        name="clocks not compared",
        file="runtime/channel/handshake.py",
        old="        if abs(peer.time - self._now) > MAX_SKEW_S:",
        new="        if False:",
        tests=(f"{SESSION}::test_a_wrong_clock_is_named",),
    ),
    Break(
        name="two documents of one version accepted",
        file="runtime/channel/handshake.py",
        old="        if same_version and peer.document_digest != self._own.document_digest:",
        new="        if False:",
        tests=(f"{SESSION}::test_two_documents_of_one_version_are_refused",),
    ),
    Break(
        name="the peer is told why",
        file="runtime/channel/messages.py",
        old='    return code if code in PUBLIC_CODES else _KIND_OF_LIMIT.get(code, "refused")',
        new="    return code + code",
        tests=(f"{SESSION}::test_the_peer_learns_a_code_and_nothing_else",),
    ),
    Break(
        name="a clock that can be turned back",
        file="runtime/clock.py",
        old="        return int(max(self._wall(), self._floor + self._monotonic() - self._floor_at))",
        new="        return int(self._wall())",
        tests=("tests/test_clock.py",),
    ),
)
