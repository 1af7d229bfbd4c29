"""Keys, quotes, registers and capabilities of a real software TPM; and a TPM that puts us off or lies."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from runtime.attestation.attester.tpm import commands, keys, wire
from runtime.attestation.attester.tpm.commands import Tpm
from runtime.attestation.attester.tpm.wire import Code, TpmError, sized
from runtime.attestation.tees.tpm import attest, public, signature
from runtime.errors import MalformedError
from tests.fakes import swtpm

OK = struct.pack(">HII", wire.ST_NO_SESSIONS, 10, 0)


class Script:
    """A device that answers with these responses, one after the other."""

    def __init__(self, *answers: bytes) -> None:
        self.answers, self.sent = list(answers), list[bytes]()

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def present(self) -> bool:
        return True

    def exchange(self, command: bytes) -> bytes:
        self.sent.append(command)
        return self.answers.pop(0)


def answer(parameters: bytes) -> bytes:
    return struct.pack(">HII", wire.ST_NO_SESSIONS, 10 + len(parameters), 0) + parameters


def refusal(code: int) -> bytes:
    return struct.pack(">HII", wire.ST_NO_SESSIONS, 10, code)


def scripted(*answers: bytes) -> tuple[Tpm, Script, list[float]]:
    script, pauses = Script(*answers), list[float]()
    return Tpm(script, pause=pauses.append), script, pauses


@swtpm.NEEDED
@pytest.mark.parametrize("template", [keys.AK_ECC, keys.AK_RSA], ids=["ecc", "rsa"])
def test_a_quote_of_our_own_key_verifies(tpm: Tpm, template: bytes) -> None:
    with tpm.primary(wire.RH_ENDORSEMENT, template) as key:
        made = public.load_tpm2b(key.public, "ak")
        assert made.is_attestation_key
        assert tpm.read_public(key.handle) == key
        message, signed = tpm.quote(key, b"n" * 32, attest.SHA256, (0, 14))
    read = attest.parse(message)
    assert read.qualifying_data == b"n" * 32
    assert read.selections == (attest.Selection(bank=attest.SHA256, registers=frozenset({0, 14})),)
    parsed = signature.parse(signed, "tpmt")
    algorithm = signature.hash_of(parsed, read.pcr_digest)
    assert algorithm is not None
    assert signature.made_by(made.key, parsed, algorithm, message)


@swtpm.NEEDED
def test_the_same_template_is_the_same_key_and_nothing_stays_loaded(tpm: Tpm) -> None:
    names = set[bytes]()
    for _ in range(5):  # a TPM has room for three
        with tpm.primary(wire.RH_ENDORSEMENT, keys.AK_ECC) as key:
            names.add(key.name)
    assert len(names) == 1
    assert tpm.handles(0x80000000) == ()


@swtpm.NEEDED
def test_a_key_that_is_not_there(tpm: Tpm) -> None:
    with pytest.raises(TpmError) as caught:
        tpm.read_public(0x81000003)
    assert caught.value.kind == wire.RC_HANDLE


@swtpm.NEEDED
def test_registers_and_banks(tpm: Tpm) -> None:
    assert tpm.banks()[attest.SHA256] == frozenset(range(24))
    before, _ = tpm.read_registers(attest.SHA256, (14,))
    tpm.extend(14, {attest.SHA256: b"\x01" * 32})
    after, values = tpm.read_registers(attest.SHA256, (14,))
    assert after != before
    assert set(values) == {14}
    assert any(values[14])


@swtpm.NEEDED
def test_capabilities(tpm: Tpm) -> None:
    assert tpm.knows(Code.QUOTE)
    assert not tpm.knows(Code.AWS_NSM_REQUEST)
    assert not tpm.knows(0x1FF)
    assert tpm.nv_buffer() == 1024


@swtpm.NEEDED
def test_a_session_ends_with_its_with(tpm: Tpm) -> None:
    with tpm.primary(wire.RH_ENDORSEMENT, keys.EK_RSA) as ek:
        from runtime.attestation.attester.tpm import session

        key = keys.rsa_of(ek.public)
        for _ in range(5):
            with tpm.salted(ek, lambda salt: session.encrypt_salt(key, salt), b""):
                pass
    assert tpm.handles(0x02000000) == ()


def test_a_tpm_that_puts_us_off_is_asked_again_but_not_for_ever() -> None:
    tpm, script, pauses = scripted(refusal(0x922), refusal(0x90A), OK)
    tpm.flush(1)
    assert (len(script.sent), pauses) == (3, [commands.FIRST_PAUSE_S, 2 * commands.FIRST_PAUSE_S])
    tpm, script, pauses = scripted(*[refusal(0x922)] * commands.ATTEMPTS)
    with pytest.raises(TpmError):
        tpm.flush(1)
    assert len(script.sent) == commands.ATTEMPTS
    assert len(pauses) == commands.ATTEMPTS - 1


def test_a_refusal_is_not_asked_again() -> None:
    tpm, script, _ = scripted(refusal(0x18B), OK)
    with pytest.raises(TpmError):
        tpm.flush(1)
    assert len(script.sent) == 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda tpm: tpm.read_public(1),
        lambda tpm: tpm.read_registers(11, (0,)),
        lambda tpm: tpm.banks(),
        lambda tpm: tpm.handles(1),
        lambda tpm: tpm.knows(1),
        lambda tpm: tpm.nv_buffer(),
    ],
    ids=["read_public", "read_registers", "banks", "handles", "knows", "nv_buffer"],
)
@pytest.mark.parametrize("parameters", [b"", b"\xff" * 9, b"\0" * 3], ids=["empty", "ones", "zeros"])
def test_answers_that_make_no_sense_are_malformed(ask: Any, parameters: bytes) -> None:
    tpm, _, _ = scripted(answer(parameters))
    with pytest.raises(MalformedError):
        ask(tpm)


def test_more_values_than_were_asked_for_are_malformed() -> None:
    values = struct.pack(">I", 2) + sized(bytes(32)) * 2
    tpm, _, _ = scripted(answer(struct.pack(">I", 7) + wire.selection(11, (0,)) + values))
    with pytest.raises(MalformedError, match=r"pcrValues\.count"):
        tpm.read_registers(11, (0,))


def test_a_tpm_without_the_property_takes_512_bytes() -> None:
    tpm, _, _ = scripted(answer(b"\0" + struct.pack(">II", 6, 0)))
    assert tpm.nv_buffer() == 512
