"""The handshake as transcripts: what arrives, and what it does next. No sockets, no clock."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.channel import hello
from runtime.channel.handshake import Appraise, Collect, Established, Handshake, Send, Step
from runtime.channel.hello import Format, Hello, Side
from runtime.channel.messages import Kind, Message
from runtime.errors import MalformedError, PeerError, TunnelError

NOW = 1_800_000_000
SPKI = {Side.CLIENT: b"client key" * 9, Side.SERVER: b"server key" * 9}
EVIDENCE = {Side.CLIENT: b"client evidence", Side.SERVER: b"server evidence"}


def export(label: bytes, context: bytes) -> bytes:
    """Stands for the TLS exporter: the same at both ends of one connection."""
    return hmac.digest(b"one tls connection", label + b"\0" + context, "sha256")


def own_hello(which: Side, **changes: Any) -> Hello:
    values: dict[str, Any] = {
        "side": which,
        "epoch": 0,
        "nonce": bytes([which]) * 32,
        "time": NOW,
        "document_version": 3,
        "document_digest": b"\xdd" * 32,
        "settings_digest": bytes([which + 16]) * 32,
        "formats": (Format.SEV_SNP,),
    }
    return Hello(**(values | changes))


def side(which: Side, **changes: Any) -> Handshake:
    return Handshake(
        hello=own_hello(which, **changes),
        meets=(which.other,),
        spki_own=SPKI[which],
        spki_peer=SPKI[which.other],
        export=export,
        now=NOW,
    )


def sent(steps: list[Step]) -> list[Message]:
    return [step.message for step in steps if isinstance(step, Send)]


class Pair:
    """Both sides; messages are passed by hand."""

    def __init__(self, client: Handshake | None = None, server: Handshake | None = None) -> None:
        self.client, self.server = client or side(Side.CLIENT), server or side(Side.SERVER)

    def to_evidence(self) -> tuple[Collect, Message]:
        """Hellos exchanged: the client is asked to collect."""
        [client_hello] = sent(self.client.start())
        assert self.server.start() == []
        [server_hello] = sent(self.server.receive(client_hello))
        [collect] = self.client.receive(server_hello)
        assert isinstance(collect, Collect)
        return collect, server_hello

    def to_confirmation(self) -> tuple[Appraise, Appraise, Message]:
        """Evidence exchanged and accepted on both sides: the client has confirmed."""
        self.to_evidence()
        [client_evidence] = sent(self.client.evidence_collected(EVIDENCE[Side.CLIENT]))
        [at_server] = self.server.receive(client_evidence)
        assert isinstance(at_server, Appraise)
        [collect] = self.server.appraised()
        assert isinstance(collect, Collect)
        [server_evidence] = sent(self.server.evidence_collected(EVIDENCE[Side.SERVER]))
        [at_client] = self.client.receive(server_evidence)
        assert isinstance(at_client, Appraise)
        [confirm] = sent(self.client.appraised())
        return at_server, at_client, confirm


def test_the_whole_transcript() -> None:
    pair = Pair()
    at_server, at_client, confirm = pair.to_confirmation()
    assert (at_server.evidence, at_client.evidence) == (EVIDENCE[Side.CLIENT], EVIDENCE[Side.SERVER])
    assert at_server.bound.settings_digest == own_hello(Side.CLIENT).settings_digest
    assert at_server.bound.binder != at_client.bound.binder
    assert confirm.kind is Kind.CONFIRM
    answer, server_done = pair.server.receive(confirm)
    assert isinstance(answer, Send)
    assert isinstance(server_done, Established)
    [client_done] = pair.client.receive(answer.message)
    assert isinstance(client_done, Established)
    assert (client_done.session, client_done.join_secret) == (server_done.session, server_done.join_secret)
    assert (len(client_done.session), len(client_done.join_secret)) == (16, 32)


def test_what_is_collected_is_what_the_peer_appraises() -> None:
    pair = Pair()
    collect, _ = pair.to_evidence()
    [evidence] = sent(pair.client.evidence_collected(b"e"))
    [appraise] = pair.server.receive(evidence)
    assert isinstance(appraise, Appraise)
    assert appraise.bound.binder == collect.binder
    [server_collect] = pair.server.appraised()
    assert isinstance(server_collect, Collect)
    [server_evidence] = sent(pair.server.evidence_collected(b"f"))
    [client_appraise] = pair.client.receive(server_evidence)
    assert isinstance(client_appraise, Appraise)
    assert client_appraise.bound.binder == server_collect.binder


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"side": Side.CLIENT}, "role"),
        ({"epoch": 1}, "epoch"),
        ({"time": NOW + 301}, "clock_skew"),
        ({"time": NOW - 301}, "clock_skew"),
        ({"nonce": b"\x01" * 32}, "reflected"),
        ({"formats": ()}, "malformed"),
        ({"document_digest": b"\xee" * 32}, "document_conflict"),
    ],
)
def test_a_hello_that_does_not_fit_is_refused(changes: dict[str, Any], code: str) -> None:
    client = side(Side.CLIENT)
    client.start()
    with pytest.raises(TunnelError) as caught:
        client.receive(Message(Kind.HELLO, hello.encode(own_hello(Side.SERVER, **changes))))
    assert caught.value.code == code


def test_an_unknown_format_alone_is_no_format_in_common() -> None:
    client = side(Side.CLIENT)
    client.start()
    raw = bytearray(hello.encode(own_hello(Side.SERVER)))
    raw[-1] = 200
    with pytest.raises(PeerError, match="formats"):
        client.receive(Message(Kind.HELLO, bytes(raw)))


@pytest.mark.parametrize(
    "changes", [{"time": NOW + 300}, {"document_version": 4, "document_digest": b"\xee" * 32}]
)
def test_a_hello_that_differs_within_bounds_is_taken(changes: dict[str, Any]) -> None:
    Pair(server=side(Side.SERVER, **changes)).to_evidence()


def test_our_own_evidence_is_not_the_peers() -> None:
    pair = Pair()
    pair.to_evidence()
    [evidence] = sent(pair.client.evidence_collected(b"e"))
    with pytest.raises(PeerError, match="reflected"):
        pair.client.receive(evidence)


@pytest.mark.parametrize("kind", [Kind.EVIDENCE, Kind.CONFIRM, Kind.CONTROL])
def test_nothing_may_come_before_the_hello(kind: Kind) -> None:
    server = side(Side.SERVER)
    server.start()
    with pytest.raises(PeerError, match="out_of_turn"):
        server.receive(Message(kind, b"x"))


@pytest.mark.parametrize("kind", [Kind.HELLO, Kind.CONFIRM, Kind.CONTROL])
def test_nothing_may_come_instead_of_evidence(kind: Kind) -> None:
    pair = Pair()
    pair.to_evidence()
    payload = hello.encode(own_hello(Side.CLIENT)) if kind is Kind.HELLO else b"x" * 32
    with pytest.raises(PeerError, match="out_of_turn"):
        pair.server.receive(Message(kind, payload))


def test_a_confirmation_cannot_come_before_our_own_appraisal() -> None:
    """The server may not be led past its appraisal: a client that skips evidence gets nothing."""
    pair = Pair()
    pair.to_evidence()
    [evidence] = sent(pair.client.evidence_collected(b"e"))
    pair.server.receive(evidence)
    with pytest.raises(PeerError, match="out_of_turn"):
        pair.server.receive(Message(Kind.CONFIRM, bytes(32)))


def test_our_own_confirmation_is_not_the_peers() -> None:
    pair = Pair()
    _, _, confirm = pair.to_confirmation()
    with pytest.raises(PeerError, match="confirm"):
        pair.client.receive(confirm)


def test_a_finished_handshake_takes_nothing_more() -> None:
    pair = Pair()
    _, _, confirm = pair.to_confirmation()
    pair.server.receive(confirm)
    with pytest.raises(PeerError, match="out_of_turn"):
        pair.server.receive(confirm)


@pytest.mark.parametrize(("payload", "code"), [(b"busy", "busy"), (b"\xff\x00", "refused"), (b"", "refused")])
def test_a_refusal_says_who_refused(payload: bytes, code: str) -> None:
    client = side(Side.CLIENT)
    client.start()
    with pytest.raises(PeerError) as caught:
        client.receive(Message(Kind.REFUSED, payload))
    assert (caught.value.code, caught.value.remote) == (code, True)


def test_steps_out_of_turn_are_our_own_bug_and_say_so() -> None:
    client = side(Side.CLIENT)
    for call in (client.appraised, lambda: client.evidence_collected(b"e"), lambda: client.peer_hello):
        with pytest.raises(PeerError, match="out_of_turn"):
            call()


CHANGES: list[dict[str, Any]] = [
    {"epoch": 1},
    {"nonce": b"\x09" * 32},
    {"time": NOW + 1},
    {"document_version": 4},
    {"settings_digest": b"\x07" * 32},
]


@pytest.mark.parametrize("changes", CHANGES)
def test_everything_in_the_hellos_reaches_the_binder_and_the_confirmation(changes: dict[str, Any]) -> None:
    base = Pair()
    other = Pair(side(Side.CLIENT, **changes), side(Side.SERVER, epoch=changes.get("epoch", 0)))
    a, b, c = base.to_confirmation()
    x, y, z = other.to_confirmation()
    assert a.bound.binder != x.bound.binder
    assert b.bound.binder != y.bound.binder
    assert c.payload != z.payload


def test_another_connection_is_another_binder_confirmation_and_secret() -> None:
    def other_export(label: bytes, context: bytes) -> bytes:
        return sha256(export(label, context)).digest()

    def made(which: Side) -> Handshake:
        return Handshake(
            hello=own_hello(which),
            meets=(which.other,),
            spki_own=SPKI[which],
            spki_peer=SPKI[which.other],
            export=other_export,
            now=NOW,
        )

    here, there = Pair().to_confirmation(), Pair(made(Side.CLIENT), made(Side.SERVER)).to_confirmation()
    assert here[0].bound.binder != there[0].bound.binder
    assert here[2].payload != there[2].payload


def test_other_keys_are_another_binder() -> None:
    def made(which: Side) -> Handshake:
        keys = {Side.CLIENT: SPKI[Side.CLIENT], Side.SERVER: b"stolen" * 15}
        return Handshake(
            hello=own_hello(which),
            meets=(which.other,),
            spki_own=keys[which],
            spki_peer=keys[which.other],
            export=export,
            now=NOW,
        )

    here, there = Pair().to_confirmation(), Pair(made(Side.CLIENT), made(Side.SERVER)).to_confirmation()
    assert here[0].bound.binder != there[0].bound.binder
    assert here[1].bound.binder != there[1].bound.binder


@given(
    messages=st.lists(
        st.builds(
            Message,
            st.sampled_from(list(Kind)),
            st.binary(max_size=200) | st.just(hello.encode(own_hello(Side.CLIENT))),
        )
    )
)
def test_whatever_arrives_is_taken_or_refused_by_our_error(messages: list[Message]) -> None:
    server = side(Side.SERVER)
    server.start()
    try:
        for message in messages:
            for step in server.receive(message):
                assert not isinstance(step, Established)
    except (PeerError, MalformedError):
        pass
