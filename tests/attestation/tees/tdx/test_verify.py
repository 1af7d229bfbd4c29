"""TdxClaims come into being only for what a genuine platform signed, really signed."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.tees.tdx import pck
from runtime.attestation.tees.tdx import quote as quotes
from runtime.attestation.tees.tdx.tcb_info import TcbStatus
from runtime.documents import times
from runtime.errors import MalformedError
from tests.fakes import intel as fakes
from tests.fakes.intel_certificates import (
    COMPONENTS,
    FMSPC,
    ISSUED,
    NEXT_UPDATE,
    PLATFORM_CA,
    PROCESSOR_CA,
    crl,
)
from tests.fakes.td_machine import COLLATERAL, MACHINE, OTHER_KEY, QUOTE, accept, collateral, refused


@pytest.mark.parametrize(("version", "td15"), [(4, False), (5, True), (5, False)])
def test_a_genuine_quote_makes_claims(version: int, td15: bool) -> None:
    quote = MACHINE.quote(version=version, td15=td15, td={"report_data": b"d" * 64, "rtmr2": b"r" * 48})
    claims = accept(quote)
    assert (claims.quote_version, claims.report.report_data) == (version, b"d" * 64)
    assert claims.report.rtmrs[2] == b"r" * 48
    assert claims.report.mrservicetd == (bytes(48) if td15 else None)
    assert (claims.platform.fmspc, claims.platform.components) == (FMSPC, COMPONENTS)
    assert (claims.tcb.status, claims.tcb.advisories) == (TcbStatus.UP_TO_DATE, ())
    assert claims.tcb_evaluation_number == 19
    assert claims.root == fakes.pin(MACHINE.root)
    assert claims.endorsed_until == times.parse(NEXT_UPDATE)
    assert claims.newest_endorsement == times.parse(ISSUED)


def test_claims_end_with_the_first_of_the_revocation_lists() -> None:
    sooner = "2026-01-20T00:00:00Z"
    lists = (
        {"root_crl": crl("Intel SGX Root CA", MACHINE.intel.root_key, next_update=sooner)},
        {"pck_crl": crl(PLATFORM_CA, MACHINE.intel.ca_key, next_update=sooner)},
    )
    for changed in lists:
        assert accept(collateral=collateral(**changed)).endorsed_until == times.parse(sooner)


def test_claims_end_with_the_first_of_the_certificates() -> None:
    last = times.parse("2026-01-20T00:00:00Z")  # in which it is still valid: 384 days after 2025-01-01
    quote = MACHINE.quote(pck={"days": 384})
    assert accept(quote).endorsed_until == last + 1
    accept(quote, now=last)
    assert "chain.dates.leaf" in refused(quote, now=last + 1)


def test_zeros_behind_the_quote_are_a_buffer() -> None:
    assert accept(MACHINE.quote(trailing=bytes(3065))).report.mrtd == b"\x22" * 48
    assert refused(MACHINE.quote(trailing=bytes(9) + b"x")) == {"quote.padding": "padding"}


def test_a_processor_ca_is_one_of_intel_s() -> None:
    quote = MACHINE.quote(pck={"issuer": PROCESSOR_CA}, ca={"subject": PROCESSOR_CA})
    given = collateral(ca=MACHINE.intel.ca(PROCESSOR_CA), pck_crl=crl(PROCESSOR_CA, MACHINE.intel.ca_key))
    assert accept(quote, given).tcb.status == TcbStatus.UP_TO_DATE
    assert refused(quote) == {
        "revocation.pck_crl.issuer": "revocation_unknown",
        "revocation.pck_crl.signature": "revocation_unknown",
    }


def test_without_collateral_nothing_is_accepted() -> None:
    assert refused(collateral=None) == {"endorsements.collateral": "collateral"}


@pytest.mark.parametrize("bit", [1, 7, 8, 27, 32, 62])
def test_reserved_attributes(bit: int) -> None:
    quote = MACHINE.quote(td={"td_attributes": (1 << bit).to_bytes(8, "little")})
    assert refused(quote) == {"td.attributes.reserved": "guest_policy"}


@pytest.mark.parametrize("xfam", [0x1, 0x2, 0x3 | 1 << 3, 0x3 | 1 << 19])
def test_reserved_xfam(xfam: int) -> None:
    quote = MACHINE.quote(td={"xfam": xfam.to_bytes(8, "little")})
    assert refused(quote) == {"td.xfam.reserved": "guest_policy"}


def test_everything_wrong_is_listed_together() -> None:
    quote = MACHINE.quote(
        pck={"days": 1}, signing_key=OTHER_KEY, qe={"isv_svn": 0}, td={"td_attributes": b"\2"}
    )
    failed = refused(quote, collateral(pck_crl=crl(PLATFORM_CA, MACHINE.intel.ca_key, [4])))
    assert set(failed) == {
        *("chain.dates.leaf", "quote.signature", "td.attributes.reserved"),
        *("revocation.pck_crl", "tcb.qe"),
    }


@pytest.mark.parametrize("body", ["tcb_info", "qe_identity"])
def test_what_intel_did_not_sign_is_not_read(body: str) -> None:
    given = json.loads(collateral()) | {f"{body}_signature": "01" * 64}
    failed = refused(MACHINE.quote(), json.dumps(given).encode())
    assert set(failed) == {f"collateral.{body}.signature"}


def test_a_wrong_chain_is_worth_more_than_a_malformed_certificate() -> None:
    quote = MACHINE.quote(pck={"sgx": None, "days": 1})
    assert set(refused(quote)) == {"chain.dates.leaf"}
    with pytest.raises(MalformedError, match="SGX extension"):
        accept(MACHINE.quote(pck={"sgx": None}))


def test_a_failed_check_is_worth_more_than_malformed_collateral() -> None:
    assert set(refused(MACHINE.quote(signing_key=OTHER_KEY), b"{}")) == {"quote.signature"}
    with pytest.raises(MalformedError, match="TDX collateral"):
        accept(collateral=b"{}")


@pytest.mark.parametrize("part", ["tcb_info", "qe_identity"])
def test_what_intel_did_not_sign_is_not_read_and_no_level_is_looked_for(part: str) -> None:
    unsigned = MACHINE.collateral({f"{part}_signature": "00" * 64})
    assert refused(collateral=unsigned) == {f"collateral.{part}.signature": "collateral_signature"}
    wrong_too = refused(MACHINE.quote(td={"td_attributes": b"\2"}, qe={"isv_svn": 0}), unsigned)
    assert set(wrong_too) == {f"collateral.{part}.signature", "td.attributes.reserved"}


# Any byte


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(QUOTE) - 1), st.integers(0, 7))
def test_no_bit_of_the_quote_can_be_turned(at: int, bit: int) -> None:
    changed = bytearray(QUOTE)
    changed[at] ^= 1 << bit
    try:
        accept(bytes(changed))
    except (EvidenceRefusedError, MalformedError):
        return
    # The unused bits at the end of PEM's base64 are the one thing that nothing signs.
    assert _certificates(bytes(changed)) == _certificates(QUOTE)


def _certificates(data: bytes) -> object:
    chain = quotes.parse(data).pck_chain
    return data.replace(chain, b""), [entry.der for entry in pck.load_chain(chain, 3, "chain", {})]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(COLLATERAL) - 1), st.binary(min_size=1, max_size=3))
def test_collateral_is_read_or_refused(at: int, noise: bytes) -> None:
    with contextlib.suppress(EvidenceRefusedError, MalformedError):
        accept(collateral=COLLATERAL[:at] + noise + COLLATERAL[at + len(noise) :])


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=2000), st.integers(0, len(QUOTE)).map(lambda size: QUOTE[:size])))
def test_random_and_truncated_quotes_raise_our_error_only(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        accept(data)
        assert data == QUOTE
