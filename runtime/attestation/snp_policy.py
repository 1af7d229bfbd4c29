"""What the owner wants of an SEV-SNP report, beyond that it is true: firmware, guest policy, platform. Pure.

Every Reference Value is looked at, whatever the others say. Ids and fields as in AMD 56860, table 23.
"""

from __future__ import annotations

from collections.abc import Iterable

from runtime.attestation import known_weak
from runtime.attestation.findings import Findings, Reason
from runtime.attestation.snp_claims import Claims, Tcb
from runtime.attestation.tees.snp import report
from runtime.documents.reference_values import SnpProductFloor, SnpReferenceValues

_CPU = "the chip's signed report"
_POLICY = "POLICY in the chip's signed report"
_NONE = bytes(48)


def check(findings: Findings, claims: Claims, values: SnpReferenceValues) -> None:
    """Note every check of `reference_values.snp`, and those that nobody may drop."""
    check_never(findings, claims)
    _check_identity(findings, claims, values)
    _check_product(findings, claims, values)
    _check_tcb_order(findings, claims, values)
    _check_guest(findings, claims, values)
    _check_guest_policy(findings, claims, values)
    _check_platform(findings, claims, values)
    _check_mitigations(findings, claims, values)


def check_never(findings: Findings, claims: Claims) -> None:
    """Note what is refused whatever an owner says: no Reference Value is about it, and no waiver."""
    findings.require(
        claims.current_tcb.reaches(claims.reported_tcb.components()),
        "tcb.current",
        Reason.TCB,
        expected=f"at least the reported one ({claims.reported_tcb})",
        actual=str(claims.current_tcb),
        source=_CPU,
        remedy="a chip that reports more than it runs is broken or forged",
    )
    findings.require(
        claims.vmpl == 0,
        "snp.vmpl",
        Reason.VMPL,
        expected="0",
        actual=str(claims.vmpl),
        source=_CPU,
        remedy="ask for the report at privilege level 0",
    )
    findings.require(
        claims.report_id_ma == b"\xff" * 32,
        "snp.migration_agent",
        Reason.MIGRATION,
        expected="no migration agent",
        actual=claims.report_id_ma.hex()[:16] + "…",
        source=_CPU,
        remedy="launch the guest without a migration agent",
    )
    policy = claims.policy
    for name, reason, ok, expected, remedy in (
        (
            "debug",
            Reason.DEBUG,
            not policy & report.POLICY_DEBUG,
            "DEBUG off: with it the host reads the guest's memory",
            "launch the guest without the DEBUG policy bit; what it held counts as disclosed",
        ),
        (
            "migration",
            Reason.MIGRATION,
            not policy & report.POLICY_MIGRATE_MA,
            "MIGRATE_MA off: with it the host can move the guest",
            "launch the guest without MIGRATE_MA",
        ),
        (
            "reserved",
            Reason.GUEST_POLICY,
            bool(policy & report.POLICY_RESERVED_ONE) and not policy >> report.POLICY_RESERVED_FROM,
            "bit 17 set and bits 26 to 63 clear",
            "launch the guest with a policy that this program knows every bit of",
        ),
    ):
        findings.require(
            ok,
            f"policy.{name}",
            reason,
            expected=expected,
            actual=f"{policy:#x}",
            source=_POLICY,
            remedy=remedy,
        )


def _check_identity(findings: Findings, claims: Claims, values: SnpReferenceValues) -> None:
    findings.require(
        claims.report_version in values.report_versions,
        "snp.version",
        Reason.VERSION,
        expected=_list(values.report_versions),
        actual=str(claims.report_version),
        source=_CPU,
        remedy="version 2 names no processor: update the host, or list the version in report_versions",
    )
    findings.require(
        claims.signer in values.signers,
        "snp.signer",
        Reason.SIGNER,
        expected=_list(values.signers),
        actual=claims.signer,
        source=_CPU,
        remedy="VLEK names a cloud and not a chip; list the kind in signers if that is wanted",
    )
    findings.require(
        claims.signer == "vcek" or claims.csp_id in values.csp_ids,
        "snp.csp_id",
        Reason.CSP_ID,
        expected=_list(values.csp_ids),
        actual=claims.csp_id or "none",
        source="AMD's certificate for the signing key",
        remedy="the machine runs in another cloud or region than the owner listed in csp_ids",
    )
    findings.require(
        claims.revocation_checked or not values.revocation_required,
        "snp.revocation",
        Reason.REVOCATION_UNKNOWN,
        expected="AMD's revocation list beside the evidence",
        actual="none",
        source="what came along with the evidence",
        remedy="the Attester could not get the list from AMD or from the fleet's mirror",
    )


def _check_product(findings: Findings, claims: Claims, values: SnpReferenceValues) -> None:
    floor = values.products.get(claims.product)
    findings.require(
        floor is not None,
        "snp.product",
        Reason.PRODUCT,
        expected=_list(values.products),
        actual=claims.product,
        source=_CPU,
        remedy="list the product with its least TCB in reference_values.snp.products",
    )
    accepted = frozenset[str]() if floor is None else floor.opt_in.keys()
    weak = [entry for entry in known_weak.weaknesses(claims) if entry.id not in accepted]
    findings.require(
        not weak,
        "snp.known_weak",
        Reason.KNOWN_WEAK,
        expected="no published attack but those that opt_in names, each with the reason",
        actual=f"{claims.product}: "
        + ("; ".join(f"{entry.id}: {entry.effect} [{entry.citation}]" for entry in weak) or "none"),
        source="the list of known-weak products in this program",
        remedy="choose another machine type, update its firmware, or name "
        + (", ".join(entry.id for entry in weak) or "it")
        + " in the product's opt_in, with the reason",
    )
    for name, tcb in (
        ("reported", claims.reported_tcb),
        ("committed", claims.committed_tcb),
        ("launch", claims.launch_tcb),
    ):
        _check_floor(findings, name, tcb, floor)


def _check_floor(findings: Findings, name: str, tcb: Tcb, floor: SnpProductFloor | None) -> None:
    least = {} if floor is None else floor.min_tcb
    findings.require(
        floor is not None and tcb.reaches(least),
        f"tcb.{name}",
        Reason.TCB,
        expected="at least " + (" ".join(f"{part} {value}" for part, value in least.items()) or "(no floor)"),
        actual=str(tcb),
        source=_CPU,
        remedy="the host's firmware is older than the owner's floor; launch TCB changes only with a new VM",
    )


def _check_tcb_order(findings: Findings, claims: Claims, values: SnpReferenceValues) -> None:
    same = claims.committed_tcb == claims.current_tcb and claims.committed_version == claims.current_version
    older = (
        claims.current_tcb.reaches(claims.committed_tcb.components())
        and claims.committed_version <= claims.current_version
    )
    findings.require(
        older if values.provisional_firmware else same,
        "tcb.provisional",
        Reason.TCB,
        expected=("at least" if values.provisional_firmware else "exactly")
        + f" the committed one ({claims.committed_tcb}, firmware {_version(claims.committed_version)})",
        actual=f"{claims.current_tcb}, firmware {_version(claims.current_version)}",
        source=_CPU,
        remedy="the host runs firmware that it can still roll back; provisional_firmware accepts that",
    )


def _check_guest(findings: Findings, claims: Claims, values: SnpReferenceValues) -> None:
    findings.require(
        claims.guest_svn >= values.min_guest_svn,
        "snp.guest_svn",
        Reason.GUEST_SVN,
        expected=f"at least {values.min_guest_svn}",
        actual=str(claims.guest_svn),
        source=_CPU,
        remedy="the guest's ID block is older than the owner's floor",
    )
    for name, digest, accepted in (
        ("id_key", claims.id_key_digest, values.id_key_digests),
        ("author_key", claims.author_key_digest, values.author_key_digests),
    ):
        consistent = name == "id_key" or claims.author_key_en == (digest != _NONE)
        findings.require(
            digest in accepted and consistent,
            f"snp.{name}",
            Reason.SIGNING_KEYS,
            expected=_list(value.hex()[:16] + "…" for value in accepted),
            actual=digest.hex()[:16] + ("…" if consistent else "… beside AUTHOR_KEY_EN that denies it"),
            source=_CPU,
            remedy=f"list the digest in {name}_digests if the guest was launched with this key",
        )


def _check_guest_policy(findings: Findings, claims: Claims, values: SnpReferenceValues) -> None:
    policy = claims.policy
    abi = (policy >> 8 & 0xFF, policy & 0xFF)
    for name, ok, expected in (
        ("smt", values.smt_allowed or not policy & report.POLICY_SMT, "SMT forbidden"),
        ("cxl", values.cxl_allowed or not policy & report.POLICY_CXL, "CXL forbidden"),
        ("abi", abi >= values.min_abi, f"ABI at least {_version(values.min_abi)}"),
        *(
            (bit, bool(policy & report.POLICY_BITS[bit]), f"{bit} on")
            for bit in sorted(values.policy_require)
        ),
    ):
        findings.require(
            ok,
            f"policy.{name}",
            Reason.GUEST_POLICY,
            expected=expected,
            actual=f"{policy:#x}",
            source=_POLICY,
            remedy="launch the guest with the policy that the owner wants, or change guest_policy",
        )


def _check_platform(findings: Findings, claims: Claims, values: SnpReferenceValues) -> None:
    for bit in sorted(values.platform_require):
        findings.require(
            bool(claims.platform_info & report.PLATFORM_BITS[bit]),
            f"platform.{bit}",
            Reason.PLATFORM,
            expected=f"{bit} on",
            actual=f"{claims.platform_info:#x}",
            source="PLATFORM_INFO in the chip's signed report",
            remedy="the provider configures this; choose another machine type or change platform_require",
        )


def _check_mitigations(findings: Findings, claims: Claims, values: SnpReferenceValues) -> None:
    wanted, shown = values.required_mitigations, claims.mitigations
    findings.require(
        wanted == 0 if shown is None else all(vector & wanted == wanted for vector in shown),
        "snp.mitigations",
        Reason.MITIGATIONS,
        expected=f"{wanted:#x} in both vectors",
        actual="no vectors before version 5" if shown is None else " and ".join(map(hex, shown)),
        source=_CPU,
        remedy="update the host's firmware, or lower required_mitigations",
    )


def _version(parts: tuple[int, ...]) -> str:
    return ".".join(map(str, parts))


def _list(values: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, values))) or "none"
