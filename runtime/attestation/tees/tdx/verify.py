"""Is this quote true: made by Intel's quoting enclave on a genuine platform that Intel still stands by? Pure.

Hardware truth only; what the owner wants of it is in `rules`. Nothing here can be waived, and every failed
check of this stage is in the refusal.

An attacker controls every byte of the quote and of the collateral. The goal is that TdxClaims come into
being only under a pinned root, with a TCB status that Intel signed for this very platform, module and
quoting enclave. Not defended: an attestation key that was extracted, and whoever owns the machine's
memory bus (TEE.fail); Intel's own signing keys.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.attestation.certificates import Certificate
from runtime.attestation.findings import EvidenceRefusedError, Findings, Reason
from runtime.attestation.tees.tdx import collateral as parts
from runtime.attestation.tees.tdx import pck, qe, quote, sgx_extension, tcb
from runtime.attestation.tees.tdx.collateral import CheckedCollateral
from runtime.attestation.tees.tdx.pck import IntelRoot, PckChain
from runtime.attestation.tees.tdx.quote import Quote, TdReport
from runtime.attestation.tees.tdx.reasons import COLLATERAL
from runtime.attestation.tees.tdx.sgx_extension import PckClaims
from runtime.attestation.tees.tdx.tcb import TcbClaims
from runtime.attestation.tees.tdx.tcb_info import QeIdentity, TcbInfo
from runtime.errors import MalformedError

# Intel TDX Module 1.5 ABI specification, section 3.4 (ATTRIBUTES and XFAM).
ATTRIBUTE_DEBUG = 1 << 0
ATTRIBUTE_SEPT_VE_DISABLE = 1 << 28
ATTRIBUTE_MIGRATABLE = 1 << 29
ATTRIBUTE_PKS = 1 << 30
ATTRIBUTE_KL = 1 << 31
ATTRIBUTE_PERFMON = 1 << 63
ATTRIBUTES_DEFINED = (
    ATTRIBUTE_DEBUG
    | ATTRIBUTE_SEPT_VE_DISABLE
    | ATTRIBUTE_MIGRATABLE
    | ATTRIBUTE_PKS
    | ATTRIBUTE_KL
    | ATTRIBUTE_PERFMON
)
XFAM_FIXED_ONE = 0x3  # x87 and SSE are always on
XFAM_DEFINED = 0x0006DBE7


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxClaims:
    """What a genuine platform signed, and what Intel says of it. Made by `verify` alone."""

    quote_version: int
    report: TdReport
    platform: PckClaims
    tcb: TcbClaims
    tcb_evaluation_number: int  # the lower of TCB info's and QE identity's
    root: IntelRoot
    endorsed_until: int  # Unix seconds: the first moment at which an endorsement is no longer valid
    newest_endorsement: int  # Unix seconds: the newest signed timestamp among the endorsements


def verify(evidence: bytes, collateral: bytes | None, roots: tuple[IntelRoot, ...], now: int) -> TdxClaims:
    """Return what the hardware said. `evidence` is the quote, `collateral` the JSON object of nine parts.

    Raises: EvidenceRefusedError, MalformedError.
    """
    findings = Findings()
    # 1. The quote is a quote, and carries the chain of the key that vouches for it.
    parsed, loaded = quote.parse(evidence), dict[bytes, Certificate]()
    leaf, ca, root = pck.load_chain(parsed.pck_chain, 3, "PCK certificate chain", loaded)
    chain = PckChain(leaf=leaf, ca=ca, root=root)
    # 2. The chain holds, now, under a pinned root.
    pin = pck.check_chain(findings, chain, roots, now)
    # 3. The PCK signed the quoting enclave's report, the report names the key, the key signed the quote.
    qe.check(findings, parsed, leaf.public_key)
    # 4. The TD has no bit set that nobody has defined.
    _check_defined(findings, parsed.report)
    # 5. Intel's statements are there, signed, of this time, and about this platform.
    checked = _collateral(findings, collateral, chain, roots, now, loaded)
    platform = _platform(findings, leaf)
    judged = _tcb(findings, parsed, platform, checked)
    if pin is None or judged is None:  # a failed check says why; everything hangs on these two
        raise EvidenceRefusedError(findings.failed())
    findings.settle()
    return _claims(parsed, platform, judged, pin, chain, checked)


def _check_defined(findings: Findings, report: TdReport) -> None:
    unknown = report.td_attributes & ~ATTRIBUTES_DEFINED
    findings.require(
        unknown == 0,
        "td.attributes.reserved",
        Reason.GUEST_POLICY,
        expected="no reserved bit of TDATTRIBUTES",
        actual=f"{unknown:#x}",
        source="TDATTRIBUTES of the quote",
        remedy="start the TD without attributes that this version does not know",
    )
    findings.require(
        report.xfam & XFAM_FIXED_ONE == XFAM_FIXED_ONE and report.xfam & ~XFAM_DEFINED == 0,
        "td.xfam.reserved",
        Reason.GUEST_POLICY,
        expected=f"{XFAM_FIXED_ONE:#x} set, and nothing outside {XFAM_DEFINED:#x}",
        actual=f"{report.xfam:#x}",
        source="XFAM of the quote",
        remedy="start the TD without processor features that this version does not know",
    )


def _collateral(
    findings: Findings,
    given: bytes | None,
    chain: PckChain,
    roots: tuple[IntelRoot, ...],
    now: int,
    loaded: dict[bytes, Certificate],
) -> CheckedCollateral:
    if given is None:
        findings.require(
            given is not None,
            "endorsements.collateral",
            COLLATERAL,
            expected="TCB info, QE identity and revocation lists",
            actual="missing",
            source="what came along with the evidence",
            remedy="the Attester sends Intel's collateral; it may not have reached a provisioning service",
        )
        raise EvidenceRefusedError(findings.failed())
    try:
        return parts.check(findings, parts.parse(given), chain, roots, now, loaded)
    except MalformedError:
        findings.settle()  # what failed before this is worth more than the form of what came along
        raise


def _platform(findings: Findings, leaf: Certificate) -> PckClaims:
    try:
        return sgx_extension.read(leaf)
    except MalformedError:
        findings.settle()  # under a wrong chain it is the chain that is wrong
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    info: TcbInfo
    identity: QeIdentity
    tcb: TcbClaims


def _tcb(
    findings: Findings, parsed: Quote, platform: PckClaims, checked: CheckedCollateral
) -> _Judged | None:
    info, identity = checked.tcb_info, checked.qe_identity
    if info is None or identity is None:  # a failed check has said why
        return None
    enclave = qe.read(parsed.qe_report)
    parts.check_matches(findings, info, platform)
    module = tcb.check_module(findings, parsed.report, info)
    tcb.check_qe(findings, enclave, identity)
    levels = tcb.check_levels(findings, parsed.report, platform, enclave, info, identity, module)
    return None if levels is None else _Judged(info=info, identity=identity, tcb=levels)


def _claims(
    parsed: Quote,
    platform: PckClaims,
    judged: _Judged,
    root: IntelRoot,
    chain: PckChain,
    checked: CheckedCollateral,
) -> TdxClaims:
    certificates = (chain.leaf, chain.ca, chain.root, *checked.signers)
    bodies = (judged.info, judged.identity)
    return TdxClaims(
        quote_version=parsed.version,
        report=parsed.report,
        platform=platform,
        tcb=judged.tcb,
        tcb_evaluation_number=min(body.evaluation_number for body in bodies),
        root=root,
        endorsed_until=min(
            *(entry.not_after + 1 for entry in certificates),
            *(crl.next_update for crl in checked.crls),
            *(body.next_update for body in bodies),
        ),
        newest_endorsement=max(
            *(entry.not_before for entry in certificates),
            *(crl.this_update for crl in checked.crls),
            *(body.issued for body in bodies),
        ),
    )
