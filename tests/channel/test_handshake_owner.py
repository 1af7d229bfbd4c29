"""The owner's handshake as transcripts: who shows what, in which order, and what is never confused."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.attestation import binding
from runtime.attestation.binding import Direction, Label
from runtime.channel.handshake import Appraise, CheckOwner, Collect, Established, Handshake, Send, Sign
from runtime.channel.hello import Side
from runtime.channel.messages import Kind, Message
from runtime.errors import PeerError
from tests.channel.test_handshake import NOW, SPKI, Pair, export, own_hello, sent, side

SPKI_OWNER = b"owner key" * 9


def owner_side(meets: Side = Side.SERVER, **changes: Any) -> Handshake:
    return Handshake(
        hello=own_hello(Side.OWNER, **({"settings_digest": bytes(32)} | changes)),
        meets=(meets,),
        spki_own=SPKI_OWNER,
        spki_peer=SPKI[meets],
        export=export,
        now=NOW,
    )


def answering(which: Side, meets: tuple[Side, ...], **changes: Any) -> Handshake:
    return Handshake(
        hello=own_hello(which, **changes),
        meets=meets,
        spki_own=SPKI[which],
        spki_peer=SPKI_OWNER,
        export=export,
        now=NOW,
    )


def signed(which: Side, **changes: Any) -> tuple[Handshake, Handshake, Sign, CheckOwner]:
    """Go on until the member has the owner's signature to check."""
    owner, member = owner_side(which, **changes), answering(which, (Side.CLIENT, Side.OWNER), **changes)
    if which is Side.CLIENT:
        member = answering(which, (Side.OWNER,), **changes)
    [hello_out] = sent(owner.start())
    assert member.start() == []
    [hello_in] = sent(member.receive(hello_out))
    [sign] = owner.receive(hello_in)
    assert isinstance(sign, Sign)
    [signature] = sent(owner.evidence_collected(b"s" * 64))
    assert signature == Message(Kind.SIGNATURE, b"s" * 64)
    [check] = member.receive(signature)
    assert isinstance(check, CheckOwner)
    assert (check.signature, check.binder) == (b"s" * 64, sign.binder)
    return owner, member, sign, check


@pytest.mark.parametrize("which", [Side.SERVER, Side.CLIENT])
def test_the_owners_whole_transcript(which: Side) -> None:
    """The owner proves itself first; the member collects only after that."""
    owner, member, sign, _ = signed(which)
    [collect] = member.appraised()
    assert isinstance(collect, Collect)
    assert collect.binder != sign.binder
    [evidence] = sent(member.evidence_collected(b"evidence"))
    [appraise] = owner.receive(evidence)
    assert isinstance(appraise, Appraise)
    assert appraise.bound.binder == collect.binder
    assert appraise.bound.settings_digest == own_hello(which).settings_digest
    [confirm] = sent(owner.appraised())
    answer, done = member.receive(confirm)
    assert isinstance(answer, Send)
    assert isinstance(done, Established)
    [owners] = owner.receive(answer.message)
    assert isinstance(owners, Established)
    assert owners.session == done.session


def test_the_binders_of_owner_and_session_are_never_the_same() -> None:
    """Same exporter, nonces and keys as far as can be: label, direction, role and epoch keep them apart."""
    _, _, to_server, _ = signed(Side.SERVER)
    _, _, to_client, _ = signed(Side.CLIENT)
    _, _, later, _ = signed(Side.SERVER, epoch=1)
    pair = Pair()
    client, _ = pair.to_evidence()
    assert len({to_server.binder, to_client.binder, later.binder, client.binder}) == 4


@pytest.mark.parametrize("which", [Side.SERVER, Side.CLIENT])
def test_each_binder_says_whom_it_is_for(monkeypatch: pytest.MonkeyPatch, which: Side) -> None:
    """What docs/protocol.md §5 lists; both ends would agree on a wrong one just as well."""
    uses: list[tuple[Label, Direction]] = []
    honest = binding.binder

    def noted(**parts: Any) -> bytes:
        uses.append((parts["label"], parts["direction"]))
        return honest(**parts)

    monkeypatch.setattr(binding, "binder", noted)
    _, member, _, _ = signed(which)
    assert set(uses) == {(Label.OWNER, Direction.OWNER_TO_MEMBER)}
    uses.clear()
    member.appraised()
    assert uses == [(Label.OWNER, Direction.MEMBER_TO_OWNER)]


def test_a_member_shows_evidence_and_an_owner_signs() -> None:
    owner, member = owner_side(), answering(Side.SERVER, (Side.CLIENT, Side.OWNER))
    [hello_out] = sent(owner.start())
    member.start()
    member.receive(hello_out)
    with pytest.raises(PeerError, match="an owner signs"):
        member.receive(Message(Kind.EVIDENCE, b"e"))
    client, server = side(Side.CLIENT), side(Side.SERVER)
    [hello_out] = sent(client.start())
    server.start()
    server.receive(hello_out)
    with pytest.raises(PeerError, match="a member shows evidence"):
        server.receive(Message(Kind.SIGNATURE, b"s" * 64))


@pytest.mark.parametrize(("answers", "meets"), [(Side.SERVER, (Side.CLIENT,)), (Side.CLIENT, (Side.SERVER,))])
def test_who_meets_members_only_takes_no_owner(answers: Side, meets: tuple[Side, ...]) -> None:
    member = answering(answers, meets)
    member.start()
    [hello_out] = sent(owner_side(answers).start())
    with pytest.raises(PeerError, match="says it is an owner"):
        member.receive(hello_out)


def test_an_owner_has_no_settings() -> None:
    member = answering(Side.SERVER, (Side.OWNER,))
    member.start()
    [hello_out] = sent(owner_side(settings_digest=b"\x01" * 32).start())
    with pytest.raises(PeerError, match="is not zero"):
        member.receive(hello_out)
