"""From the PCK to the quote: each link broken alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from runtime.attestation.tees.tdx import qe
from runtime.attestation.tees.tdx.tcb_info import TcbStatus
from tests.fakes import intel as fakes
from tests.fakes.td_machine import MACHINE, OTHER_KEY, QUOTE, accept, refused

SIGNED_BYTES = 48 + 584


def test_a_quote_signed_by_another_key() -> None:
    assert refused(MACHINE.quote(signing_key=OTHER_KEY)) == {"quote.signature": "signature"}


def test_an_enclave_that_another_machine_signed() -> None:
    assert refused(MACHINE.quote(pck_key=OTHER_KEY)) == {"qe.signature": "qe_signature"}


@pytest.mark.parametrize("data", [bytes(64), b"\1" * 64])
def test_an_enclave_that_did_not_make_the_key(data: bytes) -> None:
    assert refused(MACHINE.quote(qe={"report_data": data})) == {"qe.binding": "qe_binding"}


def test_the_second_half_of_the_binding_is_zero() -> None:
    auth = bytes(range(32))
    good = fakes.qe_report(fakes.point(MACHINE.intel.attestation_key), auth)[320:352]
    assert refused(MACHINE.quote(qe={"report_data": good + b"\1" + bytes(31)})) == {
        "qe.binding": "qe_binding"
    }


def test_an_attestation_key_that_is_no_point() -> None:
    at = SIGNED_BYTES + 4 + 64
    quote = QUOTE[:at] + b"\xff" * 64 + QUOTE[at + 64 :]
    assert refused(quote) == {"quote.signature": "signature", "qe.binding": "qe_binding"}


def test_another_vendor_s_enclave() -> None:
    assert refused(MACHINE.quote(vendor=bytes(16))) == {"quote.vendor": "qe_identity"}


@pytest.mark.parametrize(
    ("enclave", "failed"),
    [
        ({"mrsigner": bytes(32)}, "qe.signer"),
        ({"prod_id": 1}, "qe.product"),
        ({"miscselect": 1}, "qe.miscselect"),
        ({"attributes": bytes.fromhex("17000000000000000000000000000000")}, "qe.attributes"),
    ],
)
def test_another_enclave_of_the_vendor(enclave: dict[str, Any], failed: str) -> None:
    assert refused(MACHINE.quote(qe=enclave)) == {failed: "qe_identity"}


def test_attributes_outside_the_mask_do_not_count() -> None:
    attributes = bytes.fromhex("15000000000000000100000000000000")
    assert accept(MACHINE.quote(qe={"attributes": attributes})).tcb.qe.status == TcbStatus.UP_TO_DATE


def test_every_field_is_where_the_processor_puts_it() -> None:
    """Intel SDM volume 3D, section 38.15: each field alone in a report of zeros."""
    for name, offset, size in (
        ("cpu_svn", 0, 16),
        ("miscselect", 16, 4),
        ("attributes", 48, 16),
        ("mrenclave", 64, 32),
        ("mrsigner", 128, 32),
        ("isv_prod_id", 256, 2),
        ("isv_svn", 258, 2),
        ("report_data", 320, 64),
    ):
        value = bytes([1, *range(2, size), 255])[: size - 1] + b"\xff"
        report = qe.read((bytes(offset) + value).ljust(384, b"\0"))
        for field in dataclasses.fields(report):
            found = getattr(report, field.name)
            said = (
                found
                if isinstance(found, bytes)
                else found.to_bytes(size if field.name == name else 4, "little")
            )
            assert said == value if field.name == name else not any(said), (name, field.name)
