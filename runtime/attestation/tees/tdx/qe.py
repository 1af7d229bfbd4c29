"""The quoting enclave: its report, and how it vouches for the attestation key. Pure.

Intel SDM volume 3D, section 38.15 (REPORT, the first 384 bytes); the binding is that of Intel's TDX DCAP
Quoting Library API, A.3.10: REPORTDATA = SHA-256(attestation key ‖ authentication data) ‖ 32 zero bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from runtime.attestation.findings import Findings, Reason
from runtime.attestation.tees.tdx import quote as quotes
from runtime.attestation.tees.tdx.quote import Quote
from runtime.attestation.tees.tdx.reasons import PADDING, QE_BINDING, QE_IDENTITY, QE_SIGNATURE


@dataclass(frozen=True, slots=True, kw_only=True)
class QeReport:
    """What the CPU says about the enclave, as it stands."""

    cpu_svn: bytes  # 16
    miscselect: int  # 32 bits
    attributes: bytes  # 16
    mrenclave: bytes  # 32
    mrsigner: bytes  # 32
    isv_prod_id: int
    isv_svn: int
    report_data: bytes  # 64


def read(data: bytes) -> QeReport:
    """Read the 384 bytes that `quote.parse` cut out; every content of them is a report."""
    return QeReport(
        cpu_svn=data[0:16],
        miscselect=int.from_bytes(data[16:20], "little"),
        attributes=data[48:64],
        mrenclave=data[64:96],
        mrsigner=data[128:160],
        isv_prod_id=int.from_bytes(data[256:258], "little"),
        isv_svn=int.from_bytes(data[258:260], "little"),
        report_data=data[320:384],
    )


def is_bound(quote: Quote) -> bool:
    """Tell whether the enclave's report names the attestation key and its authentication data."""
    digest = sha256(quote.attestation_key + quote.qe_auth_data).digest()
    return read(quote.qe_report).report_data == digest + bytes(32)


def is_signed(quote: Quote, pck: object) -> bool:
    """Tell whether the PCK (a public key) signed the enclave's report."""
    return quotes.verifies(pck, quote.qe_signature, quote.qe_report)


def signed_quote(quote: Quote) -> bool:
    """Tell whether the attestation key signed header and body."""
    return quotes.verifies(quotes.attestation_key(quote), quote.signature, quote.signed)


def check(findings: Findings, quote: Quote, pck: object) -> None:
    """Note the three links from the PCK to the quote, and that Intel's enclave made it."""
    findings.require(
        quote.qe_vendor == quotes.INTEL_QE_VENDOR,
        "quote.vendor",
        QE_IDENTITY,
        expected=f"Intel's ({quotes.INTEL_QE_VENDOR.hex()})",
        actual=quote.qe_vendor.hex(),
        source="QE vendor id of the quote",
        remedy="only Intel's quoting enclave is known here: use the one of Intel's DCAP packages",
    )
    findings.require(
        signed_quote(quote),
        "quote.signature",
        Reason.SIGNATURE,
        expected="an ECDSA P-256 signature by the attestation key",
        actual="one that does not verify",
        source="the quote's signature",
        remedy="the quote was altered after it was signed: collect it again",
    )
    findings.require(
        is_bound(quote),
        "qe.binding",
        QE_BINDING,
        expected="the hash of the attestation key in the quoting enclave's report",
        actual="another value",
        source="REPORTDATA of the quoting enclave",
        remedy="the key was exchanged: nothing that this quote says can be believed",
    )
    findings.require(
        is_signed(quote, pck),
        "qe.signature",
        QE_SIGNATURE,
        expected="an ECDSA P-256 signature by this PCK",
        actual="one that does not verify",
        source="the quoting enclave's report",
        remedy="the certificate chain belongs to another machine: collect the quote again",
    )
    findings.require(
        not any(quote.trailing),
        "quote.padding",
        PADDING,
        expected="nothing but zeros behind the quote",
        actual=f"{len(quote.trailing)} bytes, not all of them zero",
        source="the end of the quote's buffer",
        remedy="send the quote as the TEE returned it",
    )
