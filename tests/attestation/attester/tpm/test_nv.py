"""NV indices of a real software TPM: read, written, found free; and the salted session that guards one."""

from __future__ import annotations

import struct
from typing import Any, cast

import pytest

from runtime.attestation.attester.tpm import keys, nv, session, wire
from runtime.attestation.attester.tpm.commands import Tpm
from runtime.attestation.attester.tpm.wire import Code, TpmError
from runtime.attestation.tees.tpm.attest import SHA256
from runtime.errors import MalformedError, UnsupportedTeeError
from tests.fakes import swtpm

pytestmark = swtpm.NEEDED
OWNER = nv.OWNER_READ | nv.OWNER_WRITE
AUTH = b"a" * 63 + b"\x01"  # a zero at the end would be cut by the TPM


@pytest.mark.parametrize("size", [1, 64, 1024, 1025, 2048])
def test_what_was_written_is_read(tpm: Tpm, size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    made = nv.define(tpm, 0x01400001, size, OWNER)
    nv.write(tpm, made, data)
    assert nv.read(tpm, 0x01400001) == data


def test_an_index_that_is_not_there(tpm: Tpm) -> None:
    assert nv.find(tpm, 0x01400001) is None
    with pytest.raises(UnsupportedTeeError, match="0x01400001"):
        nv.read(tpm, 0x01400001)


def test_an_index_that_nobody_wrote(tpm: Tpm) -> None:
    nv.define(tpm, 0x01400002, 64, OWNER)
    with pytest.raises(TpmError) as caught:
        nv.read(tpm, 0x01400002)
    assert caught.value.kind == wire.RC_NV_UNINITIALIZED


def test_an_index_larger_than_any_of_ours(tpm: Tpm, monkeypatch: pytest.MonkeyPatch) -> None:
    nv.define(tpm, 0x01400001, 64, OWNER)
    monkeypatch.setattr(nv, "MAX_NV_SIZE", 63)
    with pytest.raises(MalformedError, match="at most 63"):
        nv.read(tpm, 0x01400001)


def test_a_message_buffer_is_at_a_free_place_and_goes(tpm: Tpm) -> None:
    for taken in (0x01000000, 0x01000001, 0x01000003):
        nv.define(tpm, taken, 8, OWNER)
    with nv.message_buffer(tpm, 100, AUTH) as made:
        assert made.index == 0x01000002
        nv.write(tpm, made, b"x" * 100, auth=AUTH)
        assert nv.read(tpm, made.index, auth=AUTH) == b"x" * 100
    assert nv.find(tpm, 0x01000002) is None


def test_a_place_that_somebody_takes_first_is_passed_over(tpm: Tpm, monkeypatch: pytest.MonkeyPatch) -> None:
    nv.define(tpm, 0x01000000, 8, OWNER)
    seen = iter([(), (0x01000000,)])
    monkeypatch.setattr(Tpm, "handles", lambda *_: next(seen, ()))
    with nv.message_buffer(tpm, 8, AUTH) as made:
        assert made.index == 0x01000001


def test_places_that_are_always_taken_end_the_search(tpm: Tpm, monkeypatch: pytest.MonkeyPatch) -> None:
    nv.define(tpm, 0x01000000, 8, OWNER)
    monkeypatch.setattr(nv, "_first_free", lambda *_: 0x01000000)
    with pytest.raises(UnsupportedTeeError, match="no free NV index"), nv.message_buffer(tpm, 8, AUTH):
        pass


def test_a_full_range_is_an_error(tpm: Tpm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nv, "LAST_INDEX", 0x01000000)
    nv.define(tpm, 0x01000000, 8, OWNER)
    with pytest.raises(UnsupportedTeeError, match="is taken"), nv.message_buffer(tpm, 8, AUTH):
        pass


def test_the_wrong_authorization_does_not_read(tpm: Tpm) -> None:
    with nv.message_buffer(tpm, 8, AUTH) as made:
        nv.write(tpm, made, b"x" * 8, auth=AUTH)
        with pytest.raises(TpmError):
            nv.read(tpm, made.index, auth=b"guess")


@pytest.mark.parametrize("auth", [AUTH, b"guess"], ids=["right", "wrong"])
def test_a_salted_session_proves_the_authorization(tpm: Tpm, auth: bytes) -> None:
    with tpm.primary(wire.RH_ENDORSEMENT, keys.EK_RSA) as ek, nv.message_buffer(tpm, 8, AUTH) as made:
        nv.write(tpm, made, b"message!", auth=AUTH)
        written = nv.find(tpm, made.index)
        assert written is not None
        assert written.name != made.name  # TPMA_NV_WRITTEN is part of it
        key = keys.rsa_of(ek.public)
        with tpm.salted(ek, lambda salt: session.encrypt_salt(key, salt), auth) as one:
            for _ in range(3):  # the nonces roll on
                if auth != AUTH:
                    with pytest.raises(TpmError):
                        _read(tpm, written, one)
                    return
                assert _read(tpm, written, one) == b"\x00\x08message!"


def _read(tpm: Tpm, index: nv.NvIndex, one: session.HmacSession) -> bytes:
    return tpm.run(
        Code.NV_READ,
        handles=(index.index, index.index),
        names=index.name * 2,
        parameters=b"\x00\x08\x00\x00",
        authorization=one,
    ).parameters


class Scripted:
    """A TPM that answers as told, for what a real one never says."""

    def __init__(self, *answers: bytes | TpmError) -> None:
        self.answers = list(answers)

    def run(self, code: int, **_: Any) -> wire.Response:
        answer = self.answers.pop(0)
        if isinstance(answer, TpmError):
            raise answer
        return wire.Response(handles=(), parameters=answer, authorization=b"")

    def handles(self, _: int) -> tuple[int, ...]:
        return ()

    def nv_buffer(self) -> int:
        return 1024


def scripted(*answers: bytes | TpmError) -> Tpm:
    return cast("Tpm", Scripted(*answers))


def public(index: int, size: int) -> bytes:
    area = struct.pack(">IHI", index, SHA256, OWNER) + wire.sized(b"") + struct.pack(">H", size)
    return wire.sized(area) + wire.sized(b"name")


GONE, REFUSED = TpmError("NV_ReadPublic", wire.RC_HANDLE), TpmError("NV_ReadPublic", 0x101)


def test_a_tpm_that_fails_is_not_one_without_the_index() -> None:
    assert nv.find(scripted(GONE), 0x01400001) is None
    with pytest.raises(TpmError):
        nv.find(scripted(REFUSED), 0x01400001)


def test_an_answer_about_another_index_is_malformed() -> None:
    with pytest.raises(MalformedError, match="0x01400002"):
        nv.find(scripted(public(0x01400002, 8)), 0x01400001)


def test_an_index_that_yields_nothing_ends_the_reading() -> None:
    with pytest.raises(MalformedError, match="ends after 2 of 8 bytes"):
        nv.read(scripted(public(0x01400001, 8), wire.sized(b"ab"), wire.sized(b"")), 0x01400001)


def test_an_index_that_is_gone_at_once_is_told() -> None:
    with pytest.raises(MalformedError, match="gone right after"):
        nv.define(scripted(b"", GONE), 0x01400001, 8, OWNER)


def test_a_refusal_to_define_is_no_taken_place() -> None:
    with pytest.raises(TpmError), nv.message_buffer(scripted(REFUSED), 8, AUTH):
        pass
