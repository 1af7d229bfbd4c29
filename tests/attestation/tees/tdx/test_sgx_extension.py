"""The SGX extension has one spelling; what is missing, twice or longer is malformed."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.attestation import certificates
from runtime.attestation.tees.tdx import sgx_extension
from runtime.errors import MalformedError
from tests.fakes import intel as fakes
from tests.fakes.intel_certificates import COMPONENTS, FMSPC, PPID, SGX_ARC, Platform, integer, pair, tlv
from tests.fakes.td_machine import MACHINE

CERTIFICATE = certificates.load(fakes.pem(MACHINE.intel.pck()), "PCK")
GOOD = Platform().extension()


def read(value: bytes | None) -> sgx_extension.PckClaims:
    extensions = {} if value is None else {sgx_extension.OID: value}
    return sgx_extension.read(replace(CERTIFICATE, unrecognised=extensions))


def test_all_fields() -> None:
    claims = sgx_extension.read(CERTIFICATE)
    assert (claims.ppid, claims.fmspc, claims.pce_id) == (PPID, FMSPC, b"\0\0")
    assert (claims.components, claims.pce_svn, claims.cpu_svn) == (COMPONENTS, 13, bytes(COMPONENTS))
    assert (claims.sgx_type, claims.platform_instance) == (1, bytes(range(16, 32)))
    assert (claims.dynamic_platform, claims.cached_keys, claims.smt_enabled) == (False, False, False)
    flags = read(Platform(flags=(True, False, True)).extension())
    assert (flags.dynamic_platform, flags.cached_keys, flags.smt_enabled) == (True, False, True)
    big = read(Platform(pce_svn=0xFFFF, components=(255,) * 16).extension())
    assert (big.pce_svn, big.components) == (0xFFFF, (255,) * 16)


def test_a_processor_s_certificate_says_less() -> None:
    claims = read(Platform(instance=None, flags=None, sgx_type=0).extension())
    assert claims.platform_instance is None
    assert (claims.dynamic_platform, claims.cached_keys, claims.smt_enabled) == (None, None, None)
    some = read(Platform(flags=(True,)).extension())
    assert (some.dynamic_platform, some.smt_enabled) == (True, None)


def one(path: bytes, value: bytes) -> bytes:
    return tlv(0x30, pair(path, value))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "is missing"),
        (b"", "ends inside an element"),
        (b"\x30", "ends inside an element"),
        (tlv(0x31, b""), "0x31 where one 0x30"),
        (GOOD + b"\0", "alone is wanted"),
        (b"\x30\x80\0\0", "length that is not in DER"),
        (b"\x30\x81\x05" + bytes(5), "length that is not in DER"),
        (b"\x30\x82\x00\x05" + bytes(5), "length that is not in DER"),
        (b"\x30\x83\x00\x00\x05" + bytes(5), "length that is not in DER"),
        (b"\x30\x05\0", "runs over its end"),
        (tlv(0x30, tlv(0x31, b"")), "0x31, want a SEQUENCE"),
        (tlv(0x30, tlv(0x30, tlv(2, b"\0"))), "outside Intel's arc"),
        (tlv(0x30, tlv(0x30, tlv(6, b"\x2a\x03"))), "outside Intel's arc"),
        (tlv(0x30, pair(b"\1", tlv(4, PPID)) * 2), "01 twice"),
        (tlv(0x30, b""), "lacks the field 02"),
        (one(b"\2", tlv(0x30, b"")), "lacks the field 01"),
        (one(b"\2", tlv(4, b"")), "0x04 where one 0x30"),
        (Platform(ppid=bytes(15)).extension(), "15 bytes, want 16"),
        (Platform(fmspc=bytes(7)).extension(), "7 bytes, want 6"),
        (Platform(pce_id=bytes(1)).extension(), "1 bytes, want 2"),
        (Platform(instance=bytes(17)).extension(), "17 bytes, want 16"),
        (Platform(sgx_type=3).extension(), "want 0 to 2"),
        (Platform(pce_svn=0x10000).extension(), "want 0 to 65535"),
        (tlv(0x30, tlv(0x30, tlv(4, SGX_ARC + b"\1") + tlv(4, PPID))), "outside Intel's arc"),
        (GOOD.replace(pair(b"\1", tlv(4, PPID)), pair(b"\1", tlv(5, PPID))), "begins with 0510"),
        (
            tlv(0x30, pair(b"\1", tlv(4, PPID) + b"\0") + GOOD[4 + len(pair(b"\1", tlv(4, PPID))) :]),
            "01 begins",
        ),
        (b"\x30\x81\x7f" + bytes(127), "length that is not in DER"),
        (b"\x30\x82\x00\xff" + bytes(255), "length that is not in DER"),
        (GOOD.replace(pair(b"\2\1", integer(4)), pair(b"\2\1", b"\2\1\x84")), "want 0 to 255 in DER"),
        (GOOD.replace(tlv(1, b"\0"), tlv(1, b"\1")), "BOOLEAN that is not in DER"),
    ],
)
def test_other_spellings(value: bytes | None, words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        read(value)


def test_padded_integers_are_another_spelling() -> None:
    # Two bytes less elsewhere would be needed to keep lengths: build the TCB by hand instead.
    tcb = b"".join(pair(bytes([2, n]), integer(svn)) for n, svn in enumerate(COMPONENTS, start=1))
    tcb += pair(b"\2\x11", tlv(2, b"\0\x0d")) + pair(b"\2\x12", tlv(4, bytes(COMPONENTS)))
    whole = pair(b"\1", tlv(4, PPID)) + pair(b"\2", tlv(0x30, tcb))
    with pytest.raises(MalformedError, match="in DER"):
        read(tlv(0x30, whole))


def test_names_that_intel_may_add_are_passed_over() -> None:
    inner = GOOD[4:] + pair(b"\x09", tlv(4, b"new"))
    assert read(tlv(0x30, inner)).fmspc == FMSPC
    assert SGX_ARC in GOOD


@pytest.mark.parametrize("size", [*range(100, 130), *range(230, 262)])
def test_lengths_of_one_two_and_three_bytes(size: int) -> None:
    for more in (pair(b"\x09", tlv(4, bytes(size))), pair(b"\x09" + bytes(size), b"")):
        assert read(tlv(0x30, GOOD[4:] + more)).fmspc == FMSPC


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=80), st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255))))
def test_any_bytes_are_read_or_refused(change: bytes | tuple[int, int]) -> None:
    value = change
    if isinstance(value, tuple):
        at, byte = value
        value = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    with contextlib.suppress(MalformedError):
        read(value)
