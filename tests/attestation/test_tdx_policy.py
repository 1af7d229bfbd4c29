"""The owner's words on TDX become the rules; a revoked TCB is never accepted, whatever they say."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from runtime.attestation import tdx_policy
from runtime.documents import times
from tests.attestation.platforms import appraise, claims_of, document, read, refused
from tests.fakes import intel, td_machine
from tests.fakes.intel_certificates import COMPONENTS
from tests.fakes.machines import FakeMachine

ALL = ["UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "OutOfDate", "OutOfDateConfigurationNeeded"]


def judged(status: str) -> bytes:
    level = intel.platform_level(status, COMPONENTS)
    return td_machine.collateral(tcb_info=intel.tcb_info(tcbLevels=[level]))


def test_out_of_date_says_what_to_change(platforms: Mapping[str, FakeMachine]) -> None:
    failed = refused(platforms["gcp-tdx"], endorsements={"tdx_collateral": judged("OutOfDate")})
    assert set(failed) == {"tcb.status"}
    assert "OutOfDate" in failed["tcb.status"].actual
    assert "move to an updated" in failed["tcb.status"].remedy


def test_days_of_grace_pass_with_a_warning(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-tdx"]
    recent = judged("OutOfDate")  # dated 64 and a half days before
    fleet = document(machine, values={"tdx": {"out_of_date_grace_days": 65}})
    result = appraise(machine, fleet, endorsements={"tdx_collateral": recent})
    assert any("65 days of grace" in warning for warning in result.warnings)
    short = document(machine, values={"tdx": {"out_of_date_grace_days": 64}})
    assert set(refused(machine, short, endorsements={"tdx_collateral": recent})) == {"tcb.status"}


def test_revoked_is_refused_under_any_words(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-tdx"]
    waiver = {
        "name": "anything",
        "check": "tcb.status",
        "member": "*",
        "reason": "whatever Intel says",
        "not_after": times.show(machine.now + 60),
    }
    fleet = document(machine, values={"tdx": {"statuses": ALL}}, waivers=[waiver])
    failed = refused(machine, fleet, endorsements={"tdx_collateral": judged("Revoked")})
    assert set(failed) == {"tcb.platform.revoked"}


@pytest.mark.parametrize(("attribute", "bit"), [("pks", 30), ("key_locker", 31), ("perfmon", 63)])
def test_an_attribute_is_allowed_by_name(
    platforms: Mapping[str, FakeMachine], attribute: str, bit: int
) -> None:
    machine = platforms["gcp-tdx"]
    td: dict[str, Any] = {"td": {"td_attributes": (1 << 28 | 1 << bit).to_bytes(8, "little")}}
    assert set(refused(machine, tdx=td)) == {f"td.{attribute}"}
    allowed = document(machine, values={"tdx": {"allow": [attribute]}})
    assert appraise(machine, allowed, tdx=td).member == "client-1"


def test_any_module_that_intel_signs_is_a_choice_of_the_owners(
    platforms: Mapping[str, FakeMachine],
) -> None:
    machine, td = platforms["gcp-tdx"], {"td": {"mrseam": b"\x12" * 48}}
    assert set(refused(machine, tdx=td)) == {"td.mrseam"}
    any_signed = document(machine, values={"tdx": {"mrseam": "any_signed_by_intel"}})
    assert appraise(machine, any_signed, tdx=td).member == "client-1"


def test_a_debug_td_says_what_to_change(platforms: Mapping[str, FakeMachine]) -> None:
    failed = refused(platforms["gcp-tdx"], tdx={"td": {"td_attributes": (1 << 28 | 1).to_bytes(8, "little")}})
    assert set(failed) == {"td.debug"}
    assert failed["td.debug"].remedy == "start the TD without the debug attribute"


@pytest.mark.parametrize(
    ("status", "listed", "grace"),
    [
        ("OutOfDate", [], True),
        ("OutOfDateConfigurationNeeded", [], True),
        ("OutOfDate", ["OutOfDate"], False),  # the owner takes it for good, not for some days
        ("UpToDate", ["UpToDate"], False),
        ("ConfigurationNeeded", [], False),
    ],
)
def test_grace_is_for_what_is_out_of_date_and_not_listed(
    platforms: Mapping[str, FakeMachine], status: str, listed: list[str], grace: bool
) -> None:
    machine = platforms["gcp-tdx"]
    claims = claims_of(machine, endorsements={"tdx_collateral": judged(status)}).tdx
    values = read(machine.document()).reference_values.formats["gcp-tdx"].tdx
    assert claims is not None
    assert values is not None
    changed = dataclasses.replace(values, statuses=frozenset(listed))
    assert tdx_policy.in_grace(claims, changed) is grace
