"""The list is dated, cited and closed; an entry applies until the report itself shows the cure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest

from runtime.attestation import known_weak
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.tees.snp import SnpTee
from runtime.documents import weaknesses
from tests.attestation.scene import Scene
from tests.fakes import fleets, snp_report
from tests.fakes.amd import FakeAmd
from tests.fakes.fleets import NOW

Scenes = Callable[..., Scene]
GENOA_OLD = {**snp_report.TCBS["Genoa"], "snp": 0x16}


def weak_ids(scene: Scene) -> set[str]:
    claims = SnpTee().verify(scene.evidence(), scene.amd.roots(), NOW)
    return {entry.id for entry in known_weak.weaknesses(claims)}


def test_entries_are_dated_and_cited() -> None:
    assert all(re.fullmatch(r"20\d\d-[01]\d-[0-3]\d", entry.noted) for entry in known_weak.KNOWN_WEAK)
    assert all(entry.citation and entry.effect for entry in known_weak.KNOWN_WEAK)
    keys = [(entry.id, entry.product) for entry in known_weak.KNOWN_WEAK]
    assert len(set(keys)) == len(keys)


def test_milan_is_weak_whatever_it_runs(amd: FakeAmd, scene: Scenes) -> None:
    assert weak_ids(scene(chip=amd.chip("client-1", "Milan"))) == {"arxiv-2605.12990"}
    assert weak_ids(scene()) == weak_ids(scene(chip=amd.chip("client-1", "Turin"))) == set()


def test_old_firmware_is_weak_wherever_it_was_in_force(amd: FakeAmd, scene: Scenes) -> None:
    old = snp_report.raw_tcb("Genoa", GENOA_OLD)
    assert weak_ids(scene(fields={"committed_tcb": old})) == {"cve-2024-56161"}
    assert weak_ids(scene(fields={"launch_tcb": old})) == {"cve-2024-56161"}
    assert weak_ids(scene(chip=amd.chip("old", "Genoa", GENOA_OLD))) == {"cve-2024-56161"}


def test_memory_aliases_must_have_been_checked(scene: Scenes) -> None:
    assert weak_ids(scene(fields={"platform_info": 0x05})) == {"cve-2024-21944"}


def test_a_known_weak_product_needs_the_owner_s_reason(amd: FakeAmd, scene: Scenes) -> None:
    milan = scene(chip=amd.chip("client-1", "Milan"))
    result = milan.accept()
    assert any("2605.12990" in line and "no seed to extract" in line for line in result.warnings)
    floor = {"Milan": {"min_tcb": dict(snp_report.TCBS["Milan"]), "opt_in": []}}
    assert scene(chip=amd.chip("client-1", "Milan"), snp={"products": floor}).refuse() == {"snp.known_weak"}


def test_an_opt_in_is_to_one_attack_and_to_no_other(amd: FakeAmd, scene: Scenes) -> None:
    """The reason that was given for one attack says nothing of another, or of one yet to be published."""
    aliased: dict[str, Any] = {
        "chip": amd.chip("client-1", "Milan"),
        "fields": {"platform_info": 0x05},
    }
    with pytest.raises(EvidenceRefusedError) as caught:
        scene(**aliased, snp={"platform_require": []}).accept()
    (refused,) = caught.value.checks
    assert refused.id == "snp.known_weak"
    assert "cve-2024-21944" in refused.actual
    assert "cve-2024-21944" in refused.remedy
    assert "arxiv-2605.12990" not in refused.actual
    reasons = {"arxiv-2605.12990": "no seed to extract", "cve-2024-21944": "no module to doctor"}
    floor = {
        "Milan": {
            "min_tcb": dict(snp_report.TCBS["Milan"]),
            "opt_in": [{"weakness": weakness, "reason": reason} for weakness, reason in reasons.items()],
        }
    }
    warnings = scene(**aliased, snp={"platform_require": [], "products": floor}).accept().warnings
    for citation, reason in (("2605.12990", "no seed to extract"), ("CVE-2024-21944", "no module to doctor")):
        assert any(citation in line and line.endswith(reason) for line in warnings), warnings


def test_a_later_entry_of_the_list_is_accepted_by_no_opt_in_before_it(
    amd: FakeAmd, scene: Scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = dataclasses.replace(known_weak.KNOWN_WEAK[0], id="cve-2027-00001")
    monkeypatch.setattr(known_weak, "KNOWN_WEAK", (*known_weak.KNOWN_WEAK, later))
    assert scene(chip=amd.chip("client-1", "Milan")).refuse() == {"snp.known_weak"}


def test_an_opt_in_to_an_attack_that_nobody_knows_lets_nothing_in_and_is_said(
    amd: FakeAmd, scene: Scenes
) -> None:
    strange = {"weakness": "cve-2027-00001", "reason": "of a later release than this"}
    floor: dict[str, Any] = {"Milan": {"min_tcb": dict(snp_report.TCBS["Milan"]), "opt_in": [strange]}}
    milan = amd.chip("client-1", "Milan")
    assert scene(chip=milan, snp={"products": floor}).refuse() == {"snp.known_weak"}
    floor["Milan"]["opt_in"] = [strange, *fleets.opt_in("Milan", "no seed to extract")]
    warnings = scene(chip=milan, snp={"products": floor}).accept().warnings
    assert any("does nothing for 'cve-2027-00001'" in line for line in warnings)


def test_owners_may_name_exactly_the_entries_of_the_list() -> None:
    listed: dict[str, set[str]] = {"Turin": set()}
    for entry in known_weak.KNOWN_WEAK:
        listed.setdefault(entry.product, set()).add(entry.id)
    assert {product: set(ids) for product, ids in weaknesses.WEAKNESSES.items()} == listed
    for product, ids in weaknesses.INCURABLE.items():
        assert ids == {
            entry.id
            for entry in known_weak.KNOWN_WEAK
            if entry.product == product and entry.fixed_snp is None and entry.cured_by is None
        }
