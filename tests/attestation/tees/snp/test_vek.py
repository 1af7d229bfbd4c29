"""An AMD extension has one spelling, and which ones must be there follows the product and the kind of key."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation import certificates
from runtime.attestation.snp_claims import Tcb
from runtime.attestation.tees.snp import vek
from runtime.errors import MalformedError
from tests.fakes.amd import CSP_ID, FakeAmd
from tests.fakes.amd_certificates import ia5, integer


def read(
    amd: FakeAmd, product: Any = "Genoa", signer: Any = "vcek", **extensions: bytes | None
) -> vek.VekClaims:
    changes = {name.removeprefix("x").replace("_", "."): value for name, value in extensions.items()}
    chip = amd.chip("vek-tests", product, signer=signer, extensions=changes)
    return vek.read(certificates.load(chip.endorsements["vek"], "VEK"), product, signer)


def test_each_kind_says_what_it_was_made_for(amd: FakeAmd) -> None:
    genoa, turin = read(amd), read(amd, "Turin")
    assert genoa.tcb == Tcb(fmc=None, bootloader=10, tee=0, snp=23, microcode=84)
    assert genoa.chip_id == amd.chip("vek-tests", "Genoa").chip_id
    assert turin.tcb == Tcb(fmc=0, bootloader=1, tee=0, snp=2, microcode=71)
    assert turin.chip_id == amd.chip("vek-tests", "Turin").chip_id
    assert (genoa.csp_id, read(amd, "Milan").product_line) == (None, "Milan")
    vlek = read(amd, "Milan", "vlek")
    assert (vlek.chip_id, vlek.csp_id) == (None, CSP_ID)


def test_hwid_may_be_an_octet_string(amd: FakeAmd) -> None:
    own = amd.chip("vek-tests", "Genoa").chip_id
    assert read(amd, x4=b"\x04\x40" + own).chip_id == own


def test_milan_microcode_above_127_takes_two_bytes(amd: FakeAmd) -> None:
    assert read(amd, "Milan").tcb.microcode == 0xDB


@pytest.mark.parametrize(
    "extensions",
    [
        {"x3_8": b"\x02\x01\xdb"},  # negative
        {"x3_8": b"\x02\x02\x00\x54"},  # padded
        {"x3_8": b"\x02\x01\x54\x00"},  # something behind it
        {"x3_8": b"\x00\x02\x01\x54"},  # something before it
        {"x3_8": b"\x02\x02\x01\x00"},  # 256
        {"x3_8": b"\x02\x81\x01\x54"},  # long form of the length
        {"x3_8": b"\x04\x01\x54"},  # another type
        {"x3_8": b"\x02"},
        {"x3_1": None},
        {"x3_2": None},
        {"x3_3": None},
        {"x3_8": None},
        {"x3_4": b"\x02\x01\x01"},  # reserved, not zero
        {"x3_9": b"\x02\x01\x00"},  # FMC on Genoa
        {"x3_10": b"\x02\x01\x00"},  # unknown
        {"x1": None},
        {"x1": b"\x02\x01\x02"},
        {"x2": None},
        {"x2": b"\x0c\x05Genoa"},
        {"x2": b"\x16\x06Genoa"},
        {"x2": b"\x16\x00"},
        {"x2": ia5("Gen\noa")},
        {"x4": None},
        {"x4": bytes(63)},
        {"x4": b"\x04\x3f" + bytes(64)},
        {"x4": b"\x04\x40" + bytes(65)},
        {"x5": ia5(CSP_ID)},  # a VCEK that names a cloud
    ],
)
def test_other_encodings_are_malformed(amd: FakeAmd, extensions: dict[str, bytes | None]) -> None:
    with pytest.raises(MalformedError):
        read(amd, **extensions)


def test_turin_needs_its_fmc(amd: FakeAmd) -> None:
    with pytest.raises(MalformedError):
        read(amd, "Turin", x3_9=None)


@pytest.mark.parametrize(
    "extensions", [{"x5": None}, {"x4": bytes(64)}, {"x5": b"\x16\x7f" + b"C" * 3}], ids=repr
)
def test_vlek_names_a_cloud_and_no_chip(amd: FakeAmd, extensions: dict[str, bytes | None]) -> None:
    with pytest.raises(MalformedError):
        read(amd, "Milan", "vlek", **extensions)


@pytest.mark.parametrize(
    ("data", "value"), [("020100", 0), ("02017f", 127), ("02020080", 128), ("020200ff", 255)]
)
def test_der_integer(data: str, value: int) -> None:
    assert vek.der_integer(bytes.fromhex(data), "n") == value


@given(st.binary(max_size=6))
def test_der_integer_has_one_spelling(data: bytes) -> None:
    try:
        value = vek.der_integer(data, "n")
    except MalformedError:
        return
    assert data == integer(value)


def test_an_extension_of_somebody_else_says_nothing(amd: FakeAmd) -> None:
    found = certificates.load(amd.chip("vek-tests", "Genoa").endorsements["vek"], "VEK")
    more = dataclasses.replace(found, unrecognised={**found.unrecognised, "1.3.6.1.4.1.99999.1": b"x"})
    assert vek.read(more, "Genoa", "vcek") == vek.read(found, "Genoa", "vcek")


@pytest.mark.parametrize("text", ["A", "A B", " ", "~", "x" * 127])
def test_der_ia5_string(text: str) -> None:
    assert vek.der_ia5_string(bytes([0x16, len(text)]) + text.encode(), "s") == text


@pytest.mark.parametrize(
    "data", [b"\x16\x01\x7f", b"\x16\x01\x1f", b"\x16\x80" + b"x" * 128, b"\x16\x00", b"\x16", b""]
)
def test_what_is_no_short_printable_string(data: bytes) -> None:
    with pytest.raises(MalformedError):
        vek.der_ia5_string(data, "s")
