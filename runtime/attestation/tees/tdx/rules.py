"""What an owner may demand of a TD, check by check: every field is required, none means "not checked". Pure.

These are about genuine hardware (`verify` has said so); each failed check stands in `findings` for the policy
to refuse or to waive by name. DEBUG, migration and a service TD have no field: they are never accepted.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.attestation.findings import Findings, Reason
from runtime.attestation.tees.tdx.quote import TdReport
from runtime.attestation.tees.tdx.tcb_info import TcbStatus
from runtime.attestation.tees.tdx.verify import (
    ATTRIBUTE_DEBUG,
    ATTRIBUTE_KL,
    ATTRIBUTE_MIGRATABLE,
    ATTRIBUTE_PERFMON,
    ATTRIBUTE_PKS,
    ATTRIBUTE_SEPT_VE_DISABLE,
    TdxClaims,
)
from runtime.documents import times

_DAY_S = times.DAY_S
# What a status says beside being out of date: days of grace are for that alone.
_BESIDE = {
    TcbStatus.OUT_OF_DATE: TcbStatus.UP_TO_DATE,
    TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED: TcbStatus.CONFIGURATION_NEEDED,
}
_TD = "TDATTRIBUTES of the quote"


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxRules:
    """The owner's demands. An empty set of values accepts nothing."""

    least_evaluation_number: int  # of TCB info and QE identity: refuses collateral of an older TCB recovery
    statuses: frozenset[TcbStatus]  # accepted; REVOKED never is
    out_of_date_grace_days: int  # days after Intel dated the first newer level; 0 for none
    refused_advisories: frozenset[str]  # INTEL-SA-… that are refused under any status
    mrtd: frozenset[bytes]  # 48 each
    mrseam: frozenset[bytes]  # 48 each: TDX modules
    mrconfigid: bytes  # 48
    mrowner: bytes  # 48
    mrownerconfig: bytes  # 48
    xfam_allowed: int  # 64 bits: no other feature may be on
    sept_ve_disable: bool  # required value of the attribute: False under a paravisor that handles #VE
    allow_pks: bool
    allow_key_locker: bool
    allow_perfmon: bool
    allow_dynamic_platform: bool  # processor packages may be added while the platform runs
    allow_cached_keys: bool  # Intel keeps a copy of the platform's root keys
    allow_smt: bool


def check(findings: Findings, claims: TdxClaims, rules: TdxRules, now: int) -> None:
    """Note every demand of `rules`, and those that nobody may drop."""
    check_never(findings, claims.report)
    _check_tcb(findings, claims, rules, now)
    _check_attributes(findings, claims, rules)
    _check_platform(findings, claims, rules)
    _check_measurements(findings, claims, rules)


def check_never(findings: Findings, report: TdReport) -> None:
    """Note what is refused whatever an owner says: no Reference Value is about it, and no waiver."""
    attributes, service = report.td_attributes, report.mrservicetd
    for check_id, reason, ok, actual, source, remedy in (
        (
            "td.debug",
            Reason.DEBUG,
            not attributes & ATTRIBUTE_DEBUG,
            "DEBUG set: the host can read this TD's memory",
            _TD,
            "start the TD without the debug attribute",
        ),
        (
            "td.migratable",
            Reason.MIGRATION,
            not attributes & ATTRIBUTE_MIGRATABLE,
            "MIGRATABLE set: a migration TD can move it to another machine",
            _TD,
            "start the TD without the migratable attribute",
        ),
        (
            "td.service_td",
            Reason.MIGRATION,
            service is None or not any(service),
            "a service TD, bound to it",
            "MRSERVICETD of the quote",
            "start the TD without a migration or other service TD",
        ),
    ):
        findings.require(
            ok, check_id, reason, expected="none of it", actual=actual, source=source, remedy=remedy
        )


def unseen(claims: TdxClaims) -> list[str]:
    """Say which of the checks that nobody may drop had nothing to look at in this quote."""
    if claims.report.mrservicetd is not None:
        return []
    return [
        "that no service TD is bound to it, which could move it to another machine: this quote, of TDX 1.0's "
        "form, has no MRSERVICETD"
    ]


def _check_tcb(findings: Findings, claims: TdxClaims, rules: TdxRules, now: int) -> None:
    status = claims.tcb.status
    since, days = claims.tcb.outdated_since, rules.out_of_date_grace_days
    in_grace = days > 0 and since is not None and now < since + days * _DAY_S
    findings.require(
        status is not TcbStatus.REVOKED
        and (status in rules.statuses or (in_grace and _BESIDE.get(status) in rules.statuses)),
        "tcb.status",
        Reason.TCB,
        expected=", ".join(sorted(rules.statuses)) or "no status at all",
        actual=lambda: (
            f"{status} (level of {times.show(claims.tcb.date)}"
            + ("" if since is None else f", newer fixes since {times.show(since)}")
            + ")"
        ),
        source="Intel's TCB info and QE identity",
        remedy="update microcode, TDX module or quoting enclave of the host, or move to an updated one; "
        + (", ".join(claims.tcb.advisories) or "no advisory is named"),
    )
    named = sorted(rules.refused_advisories & set(claims.tcb.advisories))
    findings.require(
        not named,
        "tcb.advisories",
        Reason.TCB,
        expected="none of " + (", ".join(sorted(rules.refused_advisories)) or "no advisory"),
        actual=", ".join(named),
        source="Intel's TCB info and QE identity",
        remedy="update the host until Intel no longer names these advisories for it",
    )
    findings.require(
        claims.tcb_evaluation_number >= rules.least_evaluation_number,
        "tcb.evaluation_number",
        Reason.TCB,
        expected=f"at least {rules.least_evaluation_number}",
        actual=str(claims.tcb_evaluation_number),
        source="Intel's TCB info and QE identity",
        remedy="fetch the collateral of the newer TCB recovery (update=early), or lower the owner's floor",
    )


def _check_attributes(findings: Findings, claims: TdxClaims, rules: TdxRules) -> None:
    attributes = claims.report.td_attributes
    on = bool(attributes & ATTRIBUTE_SEPT_VE_DISABLE)
    findings.require(
        on == rules.sept_ve_disable,
        "td.sept_ve_disable",
        Reason.GUEST_POLICY,
        expected="set" if rules.sept_ve_disable else "clear",
        actual="set" if on else "clear",
        source=_TD,
        remedy="without it the host can make the guest kernel take exceptions: set it when the TD starts",
    )
    for name, bit, allowed in (
        ("pks", ATTRIBUTE_PKS, rules.allow_pks),
        ("key_locker", ATTRIBUTE_KL, rules.allow_key_locker),
        ("perfmon", ATTRIBUTE_PERFMON, rules.allow_perfmon),
    ):
        findings.require(
            allowed or not attributes & bit,
            f"td.{name}",
            Reason.GUEST_POLICY,
            expected="clear",
            actual="set",
            source=_TD,
            remedy=f"start the TD without {name}, or allow it in the fleet document",
        )
    extra = claims.report.xfam & ~rules.xfam_allowed
    findings.require(
        extra == 0,
        "td.xfam",
        Reason.GUEST_POLICY,
        expected=f"nothing outside {rules.xfam_allowed:#x}",
        actual=f"{claims.report.xfam:#x}",
        source="XFAM of the quote",
        remedy="start the TD without these processor features, or allow them in the fleet document",
    )


def _check_platform(findings: Findings, claims: TdxClaims, rules: TdxRules) -> None:
    platform = claims.platform
    for name, value, allowed in (
        ("dynamic_platform", platform.dynamic_platform, rules.allow_dynamic_platform),
        ("cached_keys", platform.cached_keys, rules.allow_cached_keys),
        ("smt", platform.smt_enabled, rules.allow_smt),
    ):
        # A certificate that is silent (single package) has nothing of the kind, except SMT: not said.
        findings.require(
            allowed or value is False or (value is None and name != "smt"),
            f"platform.{name}",
            Reason.PLATFORM,
            expected="off",
            actual="not said" if value is None else "on",
            source="Intel's certificate for the platform",
            remedy=f"use a platform without {name}, or allow it in the fleet document",
        )


def _check_measurements(findings: Findings, claims: TdxClaims, rules: TdxRules) -> None:
    report = claims.report
    for name, value, accepted in (
        ("mrtd", report.mrtd, rules.mrtd),
        ("mrseam", report.mrseam, rules.mrseam),
        ("mrconfigid", report.mrconfigid, {rules.mrconfigid}),
        ("mrowner", report.mrowner, {rules.mrowner}),
        ("mrownerconfig", report.mrownerconfig, {rules.mrownerconfig}),
    ):
        findings.require(
            value in accepted,
            f"td.{name}",
            Reason.MEASUREMENT,
            expected=" or ".join(sorted(entry.hex()[:16] + "…" for entry in accepted)) or "no value at all",
            actual=value.hex()[:16] + "…",
            source=f"{name.upper()} of the quote",
            remedy="the TD was started with something else: compare with the fleet document's values",
        )
