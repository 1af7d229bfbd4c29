"""What the owner wants of a TDX quote, beyond that it is true. Pure.

The demands themselves are in `tees.tdx.rules`; here the fleet document's words become them. The firmware
(MRTD) is `image_policy`'s, which also knows what Google endorses. A revoked TCB does not come this far.
"""

from __future__ import annotations

from runtime.attestation.findings import Findings
from runtime.attestation.tees.tdx import rules
from runtime.attestation.tees.tdx.rules import TdxRules
from runtime.attestation.tees.tdx.tcb_info import TcbStatus
from runtime.attestation.tees.tdx.verify import TdxClaims
from runtime.documents.platform_values import TdxReferenceValues

_GRACE = frozenset({TcbStatus.OUT_OF_DATE, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED})


def check(findings: Findings, claims: TdxClaims, values: TdxReferenceValues, now: int) -> None:
    """Note every check of a format's `tdx`."""
    rules.check(findings, claims, _rules(claims, values), now)


def _rules(claims: TdxClaims, values: TdxReferenceValues) -> TdxRules:
    return TdxRules(
        least_evaluation_number=values.min_evaluation_number,
        statuses=frozenset(TcbStatus(status) for status in values.statuses),
        out_of_date_grace_days=values.out_of_date_grace_days,
        refused_advisories=values.refused_advisories,
        mrtd=frozenset({claims.report.mrtd}),  # held against the owner's list and Google's in `image_policy`
        mrseam=frozenset({claims.report.mrseam}) if values.mrseam is None else values.mrseam,
        mrconfigid=values.mrconfigid,
        mrowner=values.mrowner,
        mrownerconfig=values.mrownerconfig,
        xfam_allowed=values.xfam_allowed,
        sept_ve_disable=values.sept_ve_disable,
        allow_pks="pks" in values.allow,
        allow_key_locker="key_locker" in values.allow,
        allow_perfmon="perfmon" in values.allow,
        allow_dynamic_platform="dynamic_platform" in values.allow,
        allow_cached_keys="cached_keys" in values.allow,
        allow_smt="smt" in values.allow,
    )


def in_grace(claims: TdxClaims, values: TdxReferenceValues) -> bool:
    """Tell whether only the owner's days of grace let this TCB level pass."""
    return claims.tcb.status in _GRACE and str(claims.tcb.status) not in values.statuses
