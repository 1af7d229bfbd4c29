"""A document cannot be loosened by leaving something out, and tightening it never lets anybody in."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from runtime.attestation import verifier
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.verifier import AppraisalRequest
from runtime.documents import strict_json, times
from runtime.errors import MalformedError
from tests.attestation import platforms as appraisals
from tests.attestation.test_vectors import request
from tests.attestation.vector import Vector
from tests.attestation.vectors import VECTORS
from tests.fakes.amd import FakeAmd
from tests.fakes.machines import BINDER, SETTINGS, FakeMachine

FORMATS = ["aws-snp-nitrotpm", "azure-snp", "azure-tdx", "gcp-snp", "gcp-tdx", "qemu-tpm", "aws-nitrotpm"]


def paths(value: Any, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Name every member and item of a document, however deep."""
    entries: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        members: dict[str, Any] = value
        entries += members.items()
    elif isinstance(value, list):
        items: list[Any] = value
        entries += enumerate(items)
    for key, entry in entries:
        yield (*here, key)
        yield from paths(entry, (*here, key))


def without(document: Mapping[str, Any], path: tuple[str | int, ...]) -> dict[str, Any]:
    changed: dict[str, Any] = copy.deepcopy(dict(document))
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return changed


def accepted(made: AppraisalRequest) -> bool:
    try:
        verifier.appraise(made)
    except (EvidenceRefusedError, MalformedError):
        return False
    return True


def appraisal(machine: FakeMachine, evidence: bytes, fleet: Mapping[str, Any]) -> AppraisalRequest:
    return AppraisalRequest(
        evidence=evidence,
        binder=BINDER,
        settings_digest=SETTINGS,
        role="client",
        document=strict_json.canonical(dict(fleet)),
        roots=machine.roots,
        now=machine.now,
    )


# What evidence is wrong in, and no Reference Value can make right.
WRONG: dict[str, dict[str, Any]] = {
    "aws-snp-nitrotpm": {"snp": {"vmpl": 1}, "registers": {4: b"\x01" * 48}},
    "azure-snp": {"snp": {"vmpl": 1}, "registers": {4: b"\x01" * 32}},
    "azure-tdx": {"registers": {14: bytes(32)}},
    "gcp-snp": {"registers": {7: b"\x01" * 32}},
    "gcp-tdx": {"tdx": {"td": {"mrconfigid": b"\x01" * 48}}},
    "qemu-tpm": {"registers": {11: b"\x01" * 32}},
    "aws-nitrotpm": {"nitro": {"timestamp": 1_700_000_000_000}},
}


@pytest.mark.parametrize("form", FORMATS)
def test_leaving_anything_out_never_accepts_what_was_refused(
    platforms: Mapping[str, FakeMachine], form: str
) -> None:
    machine = platforms[form]
    evidence, fleet = appraisals.encoded(machine, WRONG[form]), machine.document()
    assert not accepted(appraisal(machine, evidence, fleet))
    tried = list(paths(fleet))
    assert len(tried) > 30
    for path in tried:
        assert not accepted(appraisal(machine, evidence, without(fleet, path))), path


OWNERS = [vector for vector in VECTORS if vector.fleet and not vector.how and not vector.lazy]


@pytest.mark.parametrize(
    "vector", OWNERS, ids=lambda vector: f"{vector.format}-{vector.what}".replace(" ", "-")
)
def test_leaving_a_word_out_never_helps_a_vector(
    platforms: Mapping[str, FakeMachine], amd: FakeAmd, vector: Vector
) -> None:
    """What the owner's words refuse stays refused with each of them left out in turn."""
    made = request(vector, platforms, amd)
    fleet = strict_json.parse(made.document, "fleet document")
    for path in paths(fleet):
        if isinstance(path[-1], str):
            changed = strict_json.canonical(without(fleet, path))
            assert not accepted(dataclasses.replace(made, document=changed)), path


def tightened(fleet: dict[str, Any], form: str, now: int) -> Iterator[dict[str, Any]]:
    """Return documents that ask for more, or accept less, than this one in one thing."""
    values = fleet["reference_values"][form]
    changes: list[tuple[str, dict[str, Any]]] = []
    if "snp" in values:
        changes += [
            ("snp", {"min_guest_svn": 1}),
            ("snp", {"platform_require": ["alias_check_complete", "tsme"]}),
            ("snp", {"required_mitigations": "0x1"}),
            ("snp", {"guest_policy": values["snp"]["guest_policy"] | {"smt": "forbidden"}}),
            ("snp", {"report_versions": [5]}),
        ]
    if "tdx" in values:
        changes += [
            ("tdx", {"min_evaluation_number": 60_000}),
            ("tdx", {"statuses": ["SWHardeningNeeded"]}),
            ("tdx", {"xfam_allowed": "0x3"}),
            ("tdx", {"mrseam": ["ff" * 48]}),
        ]
    if "azure" in values:
        changes += [("azure", {"console": "forbidden"}), ("azure", {"ak_revocation": "required"})]
    if "gce" in values:
        changes += [("gce", {"zones": []}), ("gce", {"projects": []}), ("gce", {"ak_revocation": "required"})]
    if "nitrotpm" in values:
        changes += [("nitrotpm", {"regions": ["us-gov-west-1"]}), ("nitrotpm", {"max_skew_s": 0})]
    for part, change in changes:
        made = copy.deepcopy(fleet)
        made["reference_values"][form][part] |= change
        yield made
    yield fleet | {"least_grade": dict.fromkeys(fleet["least_grade"], "H")}
    yield fleet | {"firmware": []}
    early = copy.deepcopy(fleet)
    early["images"][0]["not_after"] = times.show(now - 1)
    yield early


@pytest.mark.parametrize("form", FORMATS)
def test_tightening_never_accepts_what_was_refused(platforms: Mapping[str, FakeMachine], form: str) -> None:
    machine = platforms[form]
    wrong, right = appraisals.encoded(machine, WRONG[form]), appraisals.encoded(machine, {})
    fleet = machine.document()
    assert accepted(appraisal(machine, right, fleet))
    refusing = 0
    for tighter in tightened(fleet, form, machine.now):
        assert not accepted(appraisal(machine, wrong, tighter))
        refusing += not accepted(appraisal(machine, right, tighter))
    assert refusing >= 3, "these documents do ask for more"
