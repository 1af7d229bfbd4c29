"""Every byte of a report is read or must be zero; layouts follow the version and the product."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.snp_claims import Tcb
from runtime.attestation.tees.snp import report
from runtime.errors import MalformedError
from tests.fakes import snp_report

KEY = ec.generate_private_key(ec.SECP384R1())


def made(product: str = "Genoa", version: int = 3, **fields: Any) -> bytes:
    return snp_report.sign(snp_report.unsigned(product, version=version, **fields), KEY)


def test_fields_are_where_the_table_says() -> None:
    fields: dict[str, Any] = {
        "guest_svn": 0x01020304,
        "policy": 0x1122334455667788,
        "family_id": b"f" * 16,
        "image_id": b"i" * 16,
        "vmpl": 3,
        "platform_info": 0x8877665544332211,
        "report_data": b"d" * 64,
        "measurement": b"m" * 48,
        "host_data": b"h" * 32,
        "id_key_digest": b"k" * 48,
        "author_key_digest": b"a" * 48,
        "report_id": b"r" * 32,
        "report_id_ma": b"o" * 32,
        "chip_id": b"c" * 64,
        "current_version": (1, 2, 3),
        "committed_version": (4, 5, 6),
        "mitigations": (0xAA, 0xBB),
        **{
            f"{name}_tcb": name.encode()[:8].ljust(8, b".")
            for name in ("current", "reported", "committed", "launch")
        },
        "cpuid": (0x19, 0x11, 0x02),
    }
    parsed = report.parse(made(version=5, author_key_en=1, mask_chip_key=1, signing_key=1, **fields))
    assert {name: getattr(parsed, name) for name in fields} == fields
    assert (parsed.version, parsed.author_key_en, parsed.mask_chip_key, parsed.signer) == (
        5,
        True,
        True,
        "vlek",
    )


@pytest.mark.parametrize("version", [2, 3, 5])
def test_reserved_bytes_are_zero(version: int) -> None:
    right = made(version=version)
    report.parse(right)
    reserved = [
        *range(0x4C, 0x50),
        0x1EB,
        0x1EF,
        *range(0x208, 0x2A0),
        *range(0x330, 0x4A0),
        *range(0x18B, 0x1A0),
    ]
    reserved += [0x188, 0x189, 0x18A] if version == 2 else []
    reserved += range(0x1F8, 0x208) if version < 5 else []
    reserved += [*range(0x2A0 + 48, 0x2E8), *range(0x2E8 + 48, 0x330)]  # the upper ends of R and S
    for offset in reserved:
        wrong = bytearray(right)
        wrong[offset] = 0x80
        with pytest.raises(MalformedError):
            report.parse(bytes(wrong))


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (0, 0),
        (0, 1),
        (0, 4),
        (0, 6),
        (3, 1),
        (0x34, 0),
        (0x34, 2),
        (0x48, 0b01000),
        (0x48, 0b11100),
        (0x48, 0b100000),
    ],
)
def test_version_algorithm_and_signer_are_known_ones(offset: int, value: int) -> None:
    wrong = bytearray(made())
    wrong[offset] = value
    with pytest.raises(MalformedError):
        report.parse(bytes(wrong))


@pytest.mark.parametrize("size", [0, 1, 0x2A0, 1183, 1185, 4000])
def test_length_is_exact(size: int) -> None:
    with pytest.raises(MalformedError):
        report.parse(made().ljust(size, b"\0")[:size])


@given(st.binary(min_size=1184, max_size=1184))
def test_any_bytes_are_read_or_malformed(data: bytes) -> None:
    for candidate in (data, made()[:0x1A0] + data[0x1A0:]):
        try:
            report.parse(candidate)
        except MalformedError:
            continue


@pytest.mark.parametrize(
    ("cpuid", "product"),
    [
        ((0x19, 0x00, 0), "Milan"),
        ((0x19, 0x0F, 1), "Milan"),
        ((0x19, 0x10, 0), "Genoa"),
        ((0x19, 0x1F, 0), "Genoa"),
        ((0x19, 0xA0, 2), "Genoa"),
        ((0x19, 0xAF, 2), "Genoa"),
        ((0x1A, 0x02, 1), "Turin"),
        ((0x1A, 0x11, 0), "Turin"),
        ((0x19, 0x20, 0), None),
        ((0x19, 0x90, 0), None),
        ((0x1A, 0x50, 0), None),
        ((0x17, 0x31, 0), None),
        ((0x00, 0x00, 0), None),
    ],
)
def test_product_comes_from_signed_cpuid_and_has_no_default(
    cpuid: tuple[int, int, int], product: str | None
) -> None:
    assert report.parse(made(cpuid=cpuid)).product == product


def test_version_2_names_no_product() -> None:
    assert report.parse(made("Milan", version=2)).product is None


def test_tcb_layouts() -> None:
    assert report.tcb(bytes.fromhex("04000000000018db"), "Milan") == Tcb(
        fmc=None, bootloader=4, tee=0, snp=24, microcode=219
    )
    assert report.tcb(bytes.fromhex("0001000200000047"), "Turin") == Tcb(
        fmc=0, bootloader=1, tee=0, snp=2, microcode=71
    )
    for raw, product in (
        ("0400000001001818", "Genoa"),
        ("0001000201000047", "Turin"),
        ("0001000200000047", "Milan"),
    ):
        with pytest.raises(MalformedError):
            report.tcb(bytes.fromhex(raw), product)  # type: ignore[arg-type] # a literal of the table above


@given(st.integers(0, report.SIGNED_BYTES - 1), st.integers(0, 7))
def test_any_flipped_bit_of_what_is_signed_breaks_the_signature(offset: int, bit: int) -> None:
    wrong = bytearray(made())
    wrong[offset] ^= 1 << bit
    try:
        parsed = report.parse(bytes(wrong))
    except MalformedError:
        return
    assert not report.signed_by(parsed, KEY.public_key())


@given(st.sampled_from([*range(0x2A0, 0x2A0 + 48), *range(0x2E8, 0x2E8 + 48)]), st.integers(0, 7))
def test_any_flipped_bit_of_the_signature_breaks_it(offset: int, bit: int) -> None:
    wrong = bytearray(made())
    wrong[offset] ^= 1 << bit
    assert not report.signed_by(report.parse(bytes(wrong)), KEY.public_key())


def test_signature_needs_this_key_on_this_curve() -> None:
    parsed = report.parse(made())
    assert report.signed_by(parsed, KEY.public_key())
    assert not report.signed_by(parsed, ec.generate_private_key(ec.SECP384R1()).public_key())
    assert not report.signed_by(parsed, ec.generate_private_key(ec.SECP256R1()).public_key())
    zero = report.parse(made()[:0x2A0] + bytes(1184 - 0x2A0))
    assert not report.signed_by(zero, KEY.public_key())


@pytest.mark.parametrize("debug", [False, True])
def test_debug_is_a_bit_of_the_policy(debug: bool) -> None:
    policy = snp_report.POLICY | (report.POLICY_DEBUG if debug else 0)
    assert report.parse(made(policy=policy)).debug is debug


def test_bits_are_where_the_tables_of_amd_have_them() -> None:
    assert (report.POLICY_SMT, report.POLICY_RESERVED_ONE, report.POLICY_MIGRATE_MA) == (
        0x1_0000,
        0x2_0000,
        0x4_0000,
    )
    assert (report.POLICY_DEBUG, report.POLICY_CXL, report.POLICY_RESERVED_FROM) == (0x8_0000, 0x20_0000, 26)
    assert report.POLICY_BITS == {
        "single_socket": 0x10_0000,
        "aes_256_xts": 0x40_0000,
        "rapl_disabled": 0x80_0000,
        "ciphertext_hiding": 0x100_0000,
        "page_swap_disabled": 0x200_0000,
    }
    assert report.PLATFORM_BITS == {
        "smt": 0x01,
        "tsme": 0x02,
        "ecc": 0x04,
        "rapl_disabled": 0x08,
        "ciphertext_hiding": 0x10,
        "alias_check_complete": 0x20,
        "tio": 0x80,
    }


@pytest.mark.parametrize(("author", "mask"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_each_key_bit_is_its_own(author: int, mask: int) -> None:
    parsed = report.parse(made(author_key_en=author, mask_chip_key=mask))
    assert (parsed.author_key_en, parsed.mask_chip_key) == (bool(author), bool(mask))


def test_each_part_of_a_tcb_is_its_own_byte() -> None:
    genoa = Tcb(fmc=None, bootloader=1, tee=2, snp=3, microcode=4)
    turin = Tcb(fmc=1, bootloader=2, tee=3, snp=4, microcode=5)
    assert report.tcb(bytes((1, 2, 0, 0, 0, 0, 3, 4)), "Genoa") == genoa
    assert report.tcb(bytes((1, 2, 3, 4, 0, 0, 0, 5)), "Turin") == turin
    for product, reserved in (("Genoa", range(2, 6)), ("Turin", range(4, 7))):
        for index in reserved:
            with pytest.raises(MalformedError):
                report.tcb(bytes(index) + b"\1" + bytes(7 - index), product)  # type: ignore[arg-type]
