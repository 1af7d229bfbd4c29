"""The list is dated, cited and closed; an entry applies until the report itself shows the cure."""

from __future__ import annotations

import re
from collections.abc import Callable

from runtime.attestation import known_weak
from runtime.attestation.tees.snp import SnpTee
from tests.attestation.scene import Scene
from tests.fakes import snp_report
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
    floor = {"Milan": {"min_tcb": dict(snp_report.TCBS["Milan"]), "opt_in": None}}
    assert scene(chip=amd.chip("client-1", "Milan"), snp={"products": floor}).refuse() == {"snp.known_weak"}
