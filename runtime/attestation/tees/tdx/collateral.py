"""Intel's collateral: what it is made of, that Intel signed each part, and that it is of this time. Pure.

Nothing in a signed body is read before its signature held, over the bytes as they came. The two revocation
lists are complete lists of the root and of the very CA in the quote's chain. Field names are those of
Intel's quote verification library, as provisioning services hand the nine parts out in one JSON object.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from runtime.attestation import certificates
from runtime.attestation.certificates import Certificate, RevocationList
from runtime.attestation.findings import Findings, Reason
from runtime.attestation.tees.tdx import pck, quote, tcb_info
from runtime.attestation.tees.tdx.pck import IntelRoot, PckChain
from runtime.attestation.tees.tdx.reasons import COLLATERAL, COLLATERAL_SIGNATURE
from runtime.attestation.tees.tdx.sgx_extension import PckClaims
from runtime.attestation.tees.tdx.tcb_info import QeIdentity, TcbInfo
from runtime.documents import times
from runtime.errors import MalformedError

MAX_COLLATERAL_SIZE = 256 * 1024  # bytes of JSON; Intel's is under 24 KiB
MAX_BODY_SIZE = 64 * 1024  # bytes of one signed body; Intel's are under 12 KiB
_KNOWN_BUT_UNUSED = frozenset({"pck_certificate_chain"})  # the quote carries the chain
_WHAT = "TDX collateral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """The parts as they came; nothing about them is verified."""

    tcb_info: bytes  # JSON, the very bytes that are signed
    tcb_info_signature: bytes  # 64
    tcb_info_issuer_chain: bytes  # PEM: signer, root
    qe_identity: bytes  # JSON, the very bytes that are signed
    qe_identity_signature: bytes  # 64
    qe_identity_issuer_chain: bytes  # PEM: signer, root
    pck_crl: bytes  # DER
    pck_crl_issuer_chain: bytes  # PEM: CA, root
    root_ca_crl: bytes  # DER


_NAMES = {part.name for part in fields(Collateral)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCollateral:
    """What Intel says, after its signatures were looked at; None where nothing may be read."""

    tcb_info: TcbInfo | None
    qe_identity: QeIdentity | None
    signers: tuple[Certificate, ...]
    crls: tuple[RevocationList, RevocationList]


def parse(data: bytes) -> Collateral:
    """Read the nine parts from one JSON object. Raises: MalformedError."""
    if len(data) > MAX_COLLATERAL_SIZE:
        raise MalformedError(_WHAT, f"is {len(data)} bytes, want at most {MAX_COLLATERAL_SIZE}")
    value = tcb_info.read_json(data, _WHAT)
    if not isinstance(value, dict) or set(value) - _KNOWN_BUT_UNUSED != _NAMES:
        raise MalformedError(_WHAT, f"is not an object of {', '.join(sorted(_NAMES))}")
    return Collateral(**{name: _part(name, value[name]) for name in _NAMES})


def _part(name: str, value: Any) -> bytes:
    if not isinstance(value, str) or not value:
        raise MalformedError(_WHAT, f"{name} is no text")
    if name in {"tcb_info", "qe_identity"} or name.endswith("_chain"):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise MalformedError(_WHAT, f"{name} has a lone surrogate") from error
    try:
        return bytes.fromhex(value)
    except ValueError as error:
        raise MalformedError(_WHAT, f"{name} is not hexadecimal") from error


def check(
    findings: Findings,
    given: Collateral,
    chain: PckChain,
    roots: tuple[IntelRoot, ...],
    now: int,
    loaded: dict[bytes, Certificate],
) -> CheckedCollateral:
    """Note signers, signatures and dates of every part, and what the lists revoke. Raises: MalformedError."""
    first = _signer(findings, "tcb_info", given.tcb_info_issuer_chain, roots, now, loaded)
    # As a rule one certificate signs both, and is looked at once.
    second = first
    if given.qe_identity_issuer_chain != given.tcb_info_issuer_chain:
        second = _signer(findings, "qe_identity", given.qe_identity_issuer_chain, roots, now, loaded)
    tcb_body = _open(findings, "tcb_info", given.tcb_info, given.tcb_info_signature, first)
    qe_body = _open(findings, "qe_identity", given.qe_identity, given.qe_identity_signature, second)
    signers = (first.certificate, second.certificate)
    info = identity = None
    if tcb_body is not None and _is_kind(findings, "tcb_info", tcb_body, ("TDX", 3)):
        info = tcb_info.tcb_info(tcb_body)
        _check_dates(findings, "tcb_info", info.issued, info.next_update, now)
    if qe_body is not None and _is_kind(findings, "qe_identity", qe_body, ("TD_QE", 2)):
        identity = tcb_info.qe_identity(qe_body)
        _check_dates(findings, "qe_identity", identity.issued, identity.next_update, now)
    _check_crl_issuer(findings, given, chain, roots, loaded)
    crls = (
        _check_crl(findings, "root_ca_crl", given.root_ca_crl, chain.root, [chain.ca, *signers], now),
        _check_crl(findings, "pck_crl", given.pck_crl, chain.ca, [chain.leaf], now),
    )
    return CheckedCollateral(tcb_info=info, qe_identity=identity, signers=signers, crls=crls)


def check_matches(findings: Findings, info: TcbInfo, platform: PckClaims) -> None:
    """Note whether the TCB info is about this family of platforms."""
    for name, expected, actual in (
        ("fmspc", platform.fmspc, info.fmspc),
        ("pce_id", platform.pce_id, info.pce_id),
    ):
        findings.require(
            expected == actual,
            f"collateral.{name}",
            COLLATERAL,
            expected=f"{expected.hex()} (of the PCK certificate)",
            actual=actual.hex(),
            source="Intel's TCB info",
            remedy="fetch the TCB info of this platform's FMSPC",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signer:
    certificate: Certificate
    trusted: bool  # Intel's, under a pinned root; its dates aside


def _signer(
    findings: Findings,
    name: str,
    data: bytes,
    roots: tuple[IntelRoot, ...],
    now: int,
    loaded: dict[bytes, Certificate],
) -> _Signer:
    signer, root = pck.load_chain(data, 2, f"{name}_issuer_chain", loaded)
    stage = f"collateral.{name}"
    pin = pck.check_pin(findings, f"{stage}.root", root, roots)
    made = pck.check_end_entity(findings, stage, "signer", signer, root, pck.TCB_SIGNER_NAME)
    pck.check_dates(findings, f"{stage}.dates.signer", signer, now)
    return _Signer(certificate=signer, trusted=pin is not None and made)


def _open(findings: Findings, name: str, body: bytes, signature: bytes, signer: _Signer) -> Any:
    """Return the body's JSON, or None where Intel's signature over it does not hold."""
    if len(body) > MAX_BODY_SIZE:
        raise MalformedError(_WHAT, f"{name} is {len(body)} bytes, want at most {MAX_BODY_SIZE}")
    if len(signature) != quote.SIGNATURE_BYTES:
        raise MalformedError(_WHAT, f"{name}_signature is {len(signature)} bytes, want 64")
    signed = findings.require(
        quote.verifies(signer.certificate.public_key, signature, body),
        f"collateral.{name}.signature",
        COLLATERAL_SIGNATURE,
        expected=lambda: f"an ECDSA P-256 signature by {pck.common_name(signer.certificate)!r}",
        actual="one that does not verify",
        source=f"the signature over the bytes of {name}",
        remedy="the collateral was altered or re-encoded: fetch it again and keep its bytes",
    )
    return tcb_info.read_json(body, name) if signed and signer.trusted else None


def _is_kind(findings: Findings, name: str, body: Any, wanted: tuple[str, int]) -> bool:
    found = tcb_info.kind(body, name)
    return findings.require(
        found == wanted,
        f"collateral.{name}.kind",
        COLLATERAL,
        expected=f"{wanted[0]} version {wanted[1]}",
        actual=f"{found[0]} version {found[1]}",
        source=f"Intel's {name}",
        remedy="fetch the collateral for TDX, not for SGX",
    )


def _check_dates(findings: Findings, name: str, issued: int, next_update: int, now: int) -> None:
    findings.require(
        issued <= now < next_update,
        f"collateral.{name}.dates",
        Reason.EXPIRED,
        expected=lambda: f"a time from {times.show(issued)} and before {times.show(next_update)}",
        actual=lambda: times.show(now),
        source=f"Intel's {name}",
        remedy="fetch current collateral, and look at this machine's clock",
    )


def _check_crl_issuer(
    findings: Findings,
    given: Collateral,
    chain: PckChain,
    roots: tuple[IntelRoot, ...],
    loaded: dict[bytes, Certificate],
) -> None:
    issuer, root = pck.load_chain(given.pck_crl_issuer_chain, 2, "pck_crl_issuer_chain", loaded)
    findings.require(
        pck.pinned(root, roots) is not None
        and issuer.subject == chain.ca.subject
        and issuer.public_key == chain.ca.public_key,
        "revocation.pck_crl.issuer",
        Reason.REVOCATION_UNKNOWN,
        expected=lambda: f"the quote's own CA ({pck.common_name(chain.ca)!r}) under the pinned root",
        actual=lambda: repr(pck.common_name(issuer)),
        source="the issuer chain of the PCK revocation list",
        remedy="fetch the revocation list of the CA that issued this PCK: platform or processor",
    )


def _check_crl(
    findings: Findings,
    name: str,
    data: bytes,
    issuer: Certificate,
    subjects: list[Certificate],
    now: int,
) -> RevocationList:
    crl = certificates.load_crl(data)
    findings.require(
        crl.issuer == issuer.subject and not crl.critical and pck.is_signed_by(crl, issuer),
        f"revocation.{name}.signature",
        Reason.REVOCATION_UNKNOWN,
        expected=lambda: f"a complete list signed by {pck.common_name(issuer)!r}",
        actual="another list",
        source=f"the revocation list {name}",
        remedy="fetch the revocation list again",
    )
    findings.require(
        crl.this_update <= now < crl.next_update,
        f"revocation.{name}.dates",
        Reason.EXPIRED,
        expected=lambda: (
            f"a time from {times.show(crl.this_update)} and before {times.show(crl.next_update)}"
        ),
        actual=lambda: times.show(now),
        source=f"the revocation list {name}",
        remedy="fetch a current revocation list, and look at this machine's clock",
    )
    revoked = [entry for entry in subjects if entry.serial in crl.serials]
    findings.require(
        not revoked,
        f"revocation.{name}",
        Reason.REVOKED,
        expected=lambda: "no entry for " + _names(subjects),
        actual=lambda: "an entry for " + _names(revoked),
        source=f"the revocation list {name}",
        remedy="Intel revoked this certificate: the platform needs a TCB recovery or replacement",
    )
    return crl


def _names(certificates: list[Certificate]) -> str:
    return ", ".join(sorted({pck.common_name(entry) for entry in certificates}))
