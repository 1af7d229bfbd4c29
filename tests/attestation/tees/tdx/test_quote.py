"""Every length of a quote is accounted for, and every refusal says where and what."""

from __future__ import annotations

import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.attestation.tees.tdx import quote
from runtime.errors import MalformedError
from tests.fakes import intel as fakes
from tests.fakes.td_machine import MACHINE, OTHER_KEY, QUOTE

SIGNED = quote.HEADER_BYTES + quote.TD10_BYTES
QUOTE_5 = MACHINE.quote(version=5, td={"mrservicetd": b"s" * 48, "tee_tcb_svn_2": b"2" * 16})


def put(data: bytes, offset: int, value: bytes) -> bytes:
    return data[:offset] + value + data[offset + len(value) :]


def test_fields_of_version_4() -> None:
    names = {name: bytes([n]) * 48 for n, name in enumerate(("rtmr0", "rtmr1", "rtmr2", "rtmr3"), start=1)}
    given_fields = names | {
        "tee_tcb_svn": b"a" * 16,
        "mrseam": b"b" * 48,
        "mrsignerseam": b"c" * 48,
        "seam_attributes": b"d" * 8,
        "td_attributes": b"\1" + bytes(7),
        "xfam": b"\2" + bytes(7),
        "mrtd": b"e" * 48,
        "mrconfigid": b"f" * 48,
        "mrowner": b"g" * 48,
        "mrownerconfig": b"h" * 48,
        "report_data": b"i" * 64,
    }
    parsed = quote.parse(MACHINE.quote(td=given_fields, trailing=b"\0\0"))
    report = parsed.report
    for name in ("tee_tcb_svn", "mrseam", "mrsignerseam", "seam_attributes", "mrtd", "mrconfigid", "mrowner"):
        assert getattr(report, name) == given_fields[name]
    assert (report.mrownerconfig, report.report_data) == (b"h" * 48, b"i" * 64)
    assert report.rtmrs == tuple(names.values())
    assert (report.td_attributes, report.xfam, report.debug) == (1, 2, True)
    assert (report.tee_tcb_svn_2, report.mrservicetd) == (None, None)
    assert (parsed.version, parsed.body_type, parsed.trailing) == (4, None, b"\0\0")
    assert (parsed.qe_vendor, parsed.user_data) == (fakes.VENDOR, bytes(20))
    assert (len(parsed.signed), parsed.qe_auth_data) == (SIGNED, bytes(range(32)))
    assert parsed.pck_chain.startswith(b"-----BEGIN CERTIFICATE-----")


def test_fields_of_version_5() -> None:
    parsed = quote.parse(QUOTE_5)
    assert (parsed.version, parsed.body_type, parsed.report.debug) == (5, 3, False)
    assert (parsed.report.tee_tcb_svn_2, parsed.report.mrservicetd) == (b"2" * 16, b"s" * 48)
    assert len(parsed.signed) == quote.HEADER_BYTES + 6 + quote.TD15_BYTES
    older = quote.parse(MACHINE.quote(version=5, td15=False))
    assert (older.body_type, older.report.mrservicetd) == (2, None)


def test_32_kib_are_the_most() -> None:
    assert quote.parse(QUOTE.ljust(32768, b"\0")).signed == QUOTE[:SIGNED]
    with pytest.raises(MalformedError, match="is 32769 bytes, want at most 32768"):
        quote.parse(QUOTE.ljust(32769, b"\0"))


OUTER = SIGNED + 4 + 128
INNER = OUTER + 6 + 384 + 64


@pytest.mark.parametrize(
    ("data", "offset", "words"),
    [
        (bytes(quote.MAX_QUOTE_SIZE + 1), None, "at most"),
        (b"", 0, "version needs 2 bytes, 0 are left"),
        (put(QUOTE, 0, b"\3"), 0, "version is 3, want 4 or 5"),
        (put(QUOTE, 2, b"\3"), 2, "attestation key type is 3, want 2"),
        (put(QUOTE, 4, b"\0"), 4, "TEE type is 0, want 129"),
        (put(QUOTE_5, 48, b"\1"), 48, "body type is 1, want 2 or 3"),
        (put(QUOTE_5, 48, b"\2"), 50, "body size is 648, want 584"),
        (QUOTE[:600], 48, "TD report needs 584 bytes, 552 are left"),
        (put(QUOTE, SIGNED, b"\xff\xff\xff\xff"), SIGNED, "signature data length is 4294967295"),
        (put(QUOTE, SIGNED, b"\x10\0\0\0"), SIGNED + 4, "quote signature needs 64 bytes, 16 are left"),
        (put(QUOTE, OUTER, b"\5"), OUTER, "certification data type is 5, want 6"),
        (put(QUOTE, OUTER + 2, b"\0\0\0\0"), OUTER + 6, "certification data ends"),
        (put(QUOTE, INNER, b"\xff\xff"), INNER + 2, "QE authentication data needs 65535 bytes"),
        (put(QUOTE, INNER + 34, b"\4"), INNER + 34, "QE certification data type is 4, want 5"),
        (put(QUOTE, INNER + 36, b"\1\0\0\0"), INNER + 41, "signature data ends"),
        (QUOTE[:-1], SIGNED, "signature data length is"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_refusals_name_the_field_and_the_place(data: bytes, offset: int | None, words: str) -> None:
    with pytest.raises(MalformedError, match=words) as caught:
        quote.parse(data)
    assert caught.value.offset == offset


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=1500), st.integers(0, len(QUOTE)).map(lambda size: QUOTE[:size])))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        quote.parse(data)


def test_keys_and_signatures_of_another_kind_do_not_verify() -> None:
    signature = fakes.sign(OTHER_KEY, b"message")
    assert quote.verifies(OTHER_KEY.public_key(), signature, b"message")
    assert not quote.verifies(OTHER_KEY.public_key(), signature, b"another")
    assert not quote.verifies(OTHER_KEY.public_key(), bytes(64), b"message")
    assert not quote.verifies("no key", signature, b"message")
    p384 = ec.generate_private_key(ec.SECP384R1()).public_key()
    assert not quote.verifies(p384, signature, b"message")


def test_a_key_that_is_no_point() -> None:
    parsed = quote.parse(put(QUOTE, SIGNED + 4 + 64, b"\xff" * 64))
    assert quote.attestation_key(parsed) is None
    assert quote.attestation_key(quote.parse(QUOTE)) is not None
