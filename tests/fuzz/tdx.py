"""TDX quotes, Intel's collateral and certificates; and all of it together, under a root that is pinned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from cryptography.hazmat.primitives import serialization

from runtime.attestation import certificates
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.tees.tdx import collateral, pck, qe, quote, sgx_extension, tcb_info, verify
from runtime.errors import MalformedError
from tests.fakes import intel
from tests.fakes.intel_certificates import Platform
from tests.fakes.td_machine import COLLATERAL, MACHINE, QUOTE
from tests.fuzz.target import Target, harmless, prefixed, split


def _quote(data: bytes) -> None:
    parsed = quote.parse(data)
    assert parsed.signed == data[: len(parsed.signed)]
    assert qe.read(parsed.qe_report).report_data == parsed.qe_report[320:]
    qe.is_bound(parsed)
    qe.signed_quote(parsed)
    harmless(pck.load_chain, parsed.pck_chain, 3, "fuzz", {})


def _quote_seeds() -> list[bytes]:
    return [QUOTE, MACHINE.quote(version=5), MACHINE.quote(version=5, td15=False, trailing=bytes(8))]


def _chain(data: bytes) -> None:
    for count in (2, 3):
        harmless(pck.load_chain, data, count, "fuzz", {})


def _collateral(data: bytes) -> None:
    parts = collateral.parse(data)
    for body, name in ((parts.tcb_info, "tcb_info"), (parts.qe_identity, "qe_identity")):
        harmless(_body, body, name)
    for chain in (parts.tcb_info_issuer_chain, parts.qe_identity_issuer_chain, parts.pck_crl_issuer_chain):
        harmless(pck.load_chain, chain, 2, "fuzz", {})
    for crl in (parts.pck_crl, parts.root_ca_crl):
        harmless(certificates.load_crl, crl)


def _body(data: bytes, name: str) -> None:
    value = tcb_info.read_json(data, name)
    tcb_info.kind(value, name)
    (tcb_info.tcb_info if name == "tcb_info" else tcb_info.qe_identity)(value)


@cache
def _leaf() -> certificates.Certificate:
    return certificates.load(intel.FakeIntel().pck().public_bytes(serialization.Encoding.DER), "fuzz")


def _extension(data: bytes) -> None:
    values: Mapping[str, bytes] = {sgx_extension.OID: data}
    sgx_extension.read(replace(_leaf(), unrecognised=values))


def _whole(data: bytes) -> None:
    evidence, endorsements = split(data, 2)
    claims = verify.verify(evidence, endorsements, MACHINE.roots, intel.NOW)
    # What was believed is what was signed, whatever was changed around it.
    assert quote.parse(evidence).signed == quote.parse(QUOTE).signed
    assert claims.report == quote.parse(QUOTE).report


TARGETS = (
    Target(name="tdx_quote", read=_quote, seeds=_quote_seeds, roles=("td_quote",), max_size=8192),
    Target(
        name="pck_chain", read=_chain, seeds=lambda: [MACHINE.chain(), MACHINE.chain() + b"\0"], max_size=8192
    ),
    Target(
        name="tdx_collateral",
        read=_collateral,
        seeds=lambda: [COLLATERAL],
        roles=("td_collateral",),
        max_size=32768,
    ),
    Target(
        name="tcb_info",
        read=lambda data: _body(data, "tcb_info"),
        seeds=lambda: [intel.body_of(intel.tcb_info())],
        max_size=16384,
    ),
    Target(
        name="qe_identity",
        read=lambda data: _body(data, "qe_identity"),
        seeds=lambda: [intel.body_of(intel.qe_identity())],
    ),
    Target(name="pck_extension", read=_extension, seeds=lambda: [Platform().extension()], max_size=1024),
    Target(
        name="tdx_evidence",
        read=_whole,
        seeds=lambda: [prefixed(QUOTE, COLLATERAL)],
        max_size=32768,
        refuses=(MalformedError, EvidenceRefusedError),
    ),
)
