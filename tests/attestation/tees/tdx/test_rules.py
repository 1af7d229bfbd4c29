"""Every demand of an owner, met and failed alone; what nobody may drop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runtime.attestation.findings import Findings
from runtime.attestation.tees.tdx import rules
from runtime.attestation.tees.tdx.rules import TdxRules
from runtime.attestation.tees.tdx.tcb_info import TcbStatus
from runtime.attestation.tees.tdx.verify import TdxClaims
from tests.fakes.intel import NOW
from tests.fakes.td_machine import accept

CLAIMS = accept()
RULES = TdxRules(
    least_evaluation_number=19,
    statuses=frozenset({TcbStatus.UP_TO_DATE}),
    out_of_date_grace_days=0,
    refused_advisories=frozenset({"INTEL-SA-09999"}),
    mrtd=frozenset({b"\x22" * 48}),
    mrseam=frozenset({b"\x11" * 48}),
    mrconfigid=bytes(48),
    mrowner=bytes(48),
    mrownerconfig=bytes(48),
    xfam_allowed=0x602E7,
    sept_ve_disable=True,
    allow_pks=False,
    allow_key_locker=False,
    allow_perfmon=False,
    allow_dynamic_platform=False,
    allow_cached_keys=False,
    allow_smt=False,
)


def failed(claims: TdxClaims = CLAIMS, **changes: Any) -> dict[str, str]:
    findings = Findings()
    rules.check(findings, claims, replace(RULES, **changes), NOW)
    return {check.id: str(check.reason) for check in findings.failed()}


def td(**changes: Any) -> TdxClaims:
    return replace(CLAIMS, report=replace(CLAIMS.report, **changes))


def platform(**changes: Any) -> TdxClaims:
    return replace(CLAIMS, platform=replace(CLAIMS.platform, **changes))


def status(value: TcbStatus, *advisories: str, age_days: int = 0) -> TdxClaims:
    since = NOW - age_days * 86_400 if value.startswith("OutOfDate") else None
    old = NOW - 400 * 86_400  # what was reached is older than what replaced it
    tcb = replace(CLAIMS.tcb, status=value, advisories=advisories, date=old, outdated_since=since)
    return replace(CLAIMS, tcb=tcb)


def bits(*numbers: int) -> int:
    return sum(1 << number for number in (28, *numbers))


def test_a_td_as_the_owner_wants_it() -> None:
    assert failed() == {}


@pytest.mark.parametrize(
    ("claims", "wanted"),
    [
        (td(td_attributes=bits(0)), {"td.debug": "debug"}),
        (td(td_attributes=bits(29)), {"td.migratable": "migration"}),
        (td(mrservicetd=b"\1" * 48), {"td.service_td": "migration"}),
        (td(td_attributes=0), {"td.sept_ve_disable": "guest_policy"}),
        (td(td_attributes=bits(30)), {"td.pks": "guest_policy"}),
        (td(td_attributes=bits(31)), {"td.key_locker": "guest_policy"}),
        (td(td_attributes=bits(63)), {"td.perfmon": "guest_policy"}),
        (td(xfam=0x603E7), {"td.xfam": "guest_policy"}),
        (td(mrtd=bytes(48)), {"td.mrtd": "measurement"}),
        (td(mrseam=bytes(48)), {"td.mrseam": "measurement"}),
        (td(mrconfigid=b"\1" * 48), {"td.mrconfigid": "measurement"}),
        (td(mrowner=b"\1" * 48), {"td.mrowner": "measurement"}),
        (td(mrownerconfig=b"\1" * 48), {"td.mrownerconfig": "measurement"}),
        (platform(dynamic_platform=True), {"platform.dynamic_platform": "platform"}),
        (platform(cached_keys=True), {"platform.cached_keys": "platform"}),
        (platform(smt_enabled=True), {"platform.smt": "platform"}),
        (platform(smt_enabled=None), {"platform.smt": "platform"}),
        (replace(CLAIMS, tcb_evaluation_number=18), {"tcb.evaluation_number": "tcb"}),
        (status(TcbStatus.UP_TO_DATE, "INTEL-SA-09999"), {"tcb.advisories": "tcb"}),
        *((status(value), {"tcb.status": "tcb"}) for value in TcbStatus if value != TcbStatus.UP_TO_DATE),
    ],
)
def test_each_demand_fails_alone(claims: TdxClaims, wanted: dict[str, str]) -> None:
    assert failed(claims) == wanted


@pytest.mark.parametrize(
    ("claims", "changes"),
    [
        (td(td_attributes=0), {"sept_ve_disable": False}),
        (td(td_attributes=bits(30)), {"allow_pks": True}),
        (td(td_attributes=bits(31)), {"allow_key_locker": True}),
        (td(td_attributes=bits(63)), {"allow_perfmon": True}),
        (td(mrservicetd=bytes(48)), {}),
        (platform(dynamic_platform=True), {"allow_dynamic_platform": True}),
        (platform(cached_keys=True), {"allow_cached_keys": True}),
        (platform(smt_enabled=True), {"allow_smt": True}),
        (platform(dynamic_platform=None, cached_keys=None), {}),
        (status(TcbStatus.SW_HARDENING_NEEDED), {"statuses": frozenset({TcbStatus.SW_HARDENING_NEEDED})}),
        (status(TcbStatus.OUT_OF_DATE, age_days=9), {"out_of_date_grace_days": 10}),
        (
            status(TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED, age_days=9),
            {"out_of_date_grace_days": 10, "statuses": frozenset({TcbStatus.CONFIGURATION_NEEDED})},
        ),
        (status(TcbStatus.OUT_OF_DATE, age_days=0), {"out_of_date_grace_days": 1}),
    ],
)
def test_each_demand_can_be_met(claims: TdxClaims, changes: dict[str, Any]) -> None:
    assert failed(claims, **changes) == {}


def test_revoked_is_never_accepted_and_grace_ends() -> None:
    assert failed(status(TcbStatus.REVOKED), statuses=frozenset(TcbStatus)) == {"tcb.status": "tcb"}
    for value, age in ((TcbStatus.OUT_OF_DATE, 10), (TcbStatus.CONFIGURATION_NEEDED, 0)):
        assert failed(status(value, age_days=age), out_of_date_grace_days=10) == {"tcb.status": "tcb"}
    # They are for being out of date, not for a configuration that the owner does not accept.
    late = status(TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED, age_days=9)
    assert failed(late, out_of_date_grace_days=10) == {"tcb.status": "tcb"}
    # No days of grace are none, though Intel may date a level ahead.
    assert failed(status(TcbStatus.OUT_OF_DATE, age_days=-1)) == {"tcb.status": "tcb"}


def test_an_empty_set_accepts_nothing() -> None:
    empty: frozenset[Any] = frozenset()
    assert set(failed(mrtd=empty, mrseam=empty, statuses=empty)) == {"td.mrtd", "td.mrseam", "tcb.status"}


def test_a_quote_that_cannot_name_a_service_td_says_so() -> None:
    (gap,) = rules.unseen(td(mrservicetd=None))
    assert gap.startswith("that no service TD is bound to it")
    assert rules.unseen(td(mrservicetd=bytes(48))) == []
