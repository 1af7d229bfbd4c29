"""Commands byte by byte, responses that lie about themselves, and response codes that say what to do."""

from __future__ import annotations

import contextlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.attester.tpm import wire
from runtime.attestation.attester.tpm.wire import Code, TpmError
from runtime.errors import MalformedError

OK = bytes.fromhex("8001 0000000c 00000000 abcd".replace(" ", ""))


def test_a_command_without_authorization() -> None:
    made = wire.command(Code.READ_PUBLIC, handles=(0x81000003,))
    assert made.hex() == "8001" + "0000000e" + "00000173" + "81000003"


def test_a_command_with_authorization() -> None:
    made = wire.command(Code.NV_READ, handles=(1, 2), parameters=b"\x05", authorization=b"\xaa\xbb")
    assert (
        made.hex() == "8002" + "00000019" + "0000014e" + "00000001" + "00000002" + "00000002" + "aabb" + "05"
    )


def test_a_selection_names_registers_from_the_lowest_bit() -> None:
    assert wire.selection(0x0B, (0, 14, 23)).hex() == "00000001" + "000b" + "03" + "014080"


def test_a_response_without_authorization_is_all_parameters() -> None:
    found = wire.response(Code.READ_PUBLIC, OK)
    assert (found.handles, found.parameters, found.authorization) == ((), b"\xab\xcd", b"")


def test_a_response_with_authorization_is_split() -> None:
    data = bytes.fromhex("8002 00000016 00000000 80000000 00000001 ab cdef00".replace(" ", ""))
    found = wire.response(Code.CREATE_PRIMARY, data, handles=1, authorized=True)
    assert (found.handles, found.parameters, found.authorization) == ((0x80000000,), b"\xab", b"\xcd\xef\x00")


@pytest.mark.parametrize(
    ("data", "authorized"),
    [
        (b"", False),
        (OK[:9], False),
        (OK + b"\0", False),
        (OK, True),
        (bytes.fromhex("80020000000e0000000000000005"), True),
        (bytes.fromhex("80010000000a00000000") + bytes(wire.MAX_RESPONSE_BYTES), False),
    ],
    ids=["empty", "short", "longer than it says", "no session", "parameters longer than the rest", "huge"],
)
def test_a_response_that_is_none_is_malformed(data: bytes, authorized: bool) -> None:
    with pytest.raises(MalformedError):
        wire.response(Code.QUOTE, data, authorized=authorized)


@given(st.binary(max_size=64), st.booleans(), st.integers(0, 2))
def test_any_bytes_are_a_response_or_our_error(data: bytes, authorized: bool, handles: int) -> None:
    with contextlib.suppress(MalformedError, TpmError):
        wire.response(Code.QUOTE, data, handles=handles, authorized=authorized)


def refused(code: int) -> TpmError:
    with pytest.raises(TpmError) as caught:
        wire.response(Code.NV_READ, bytes.fromhex("80010000000a") + code.to_bytes(4, "big"))
    return caught.value


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (0x18B, wire.RC_HANDLE, "no such key or NV index"),
        (0x28B, wire.RC_HANDLE, "no such key or NV index"),
        (0x9A2, 0x0A2, "clear the TPM's owner hierarchy"),
        (0x2C4, 0x084, "does not take this value"),
        (0x14C, wire.RC_NV_DEFINED, "exists already"),
        (0x100, wire.RC_INITIALIZE, "startup-clear"),
        (0x7F, 0x7F, "section 6.6"),
    ],
)
def test_a_refusal_names_the_command_and_what_to_do(code: int, kind: int, words: str) -> None:
    error = refused(code)
    assert error.kind == kind
    assert "TPM2_NV_Read" in str(error)
    assert words in str(error)
    assert error.exit_status == 20


def test_only_what_the_tpm_puts_off_is_worth_repeating() -> None:
    assert refused(0x922).worth_repeating
    assert refused(0x90A).worth_repeating
    assert not refused(0x18B).worth_repeating
    assert not refused(0x921).worth_repeating


def test_a_refusal_crosses_processes() -> None:
    again = pickle.loads(pickle.dumps(refused(0x18B)))  # noqa: S301 - our own bytes
    assert (again.command, again.response_code) == ("TPM2_NV_Read", 0x18B)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (Code.CREATE_PRIMARY, "TPM2_CreatePrimary"),
        (Code.NV_READ_PUBLIC, "TPM2_NV_ReadPublic"),
        (Code.PCR_EXTEND, "TPM2_PCR_Extend"),
        (Code.QUOTE, "TPM2_Quote"),
        (Code.AWS_NSM_REQUEST, "TPM2_AWS_NsmRequest"),
        (0x999, "command 0x00000999"),
    ],
)
def test_names_are_tcg_s(code: int, name: str) -> None:
    assert wire.name_of(code) == name
