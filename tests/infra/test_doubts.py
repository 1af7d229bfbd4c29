"""What is valid and cannot work is named before it is signed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra import document, doubts, planning
from runtime.documents import fleet
from runtime.documents.fleet import GRADES
from tests.attestation import platforms
from tests.fakes import fleets, machines
from tests.fakes.amd import FakeAmd

EXAMPLE: dict[str, Any] = json.loads(
    (Path(fleet.__file__).parent / "examples" / "fleet.json").read_text("utf-8")
)


def read(edit: Callable[[dict[str, Any]], object] = bool) -> fleet.FleetDocument:
    made = copy.deepcopy(EXAMPLE)
    edit(made)
    return fleet.read(json.dumps(made).encode())


WAIVER = {
    "name": "w",
    "check": "snp.csp_id",
    "member": "*",
    "reason": "the host is being updated",
    "not_after": "2027-01-01T00:00:00Z",
}


def told(edit: Callable[[dict[str, Any]], object] = bool) -> str:
    return "\n".join(map(str, doubts.find(read(edit))))


def test_the_example_raises_no_doubt() -> None:
    assert told() == ""


def test_what_cannot_work_is_named() -> None:
    """Of the example without firmware, each register that somebody has to list, and where it comes from."""
    said = told(lambda made: made.update(firmware=made["firmware"][2:3]))
    assert "has no snp_measurement for azure-snp: its evidence is refused; no manifest foretells it: " in said
    assert "gcp-tdx: its grade is V" not in said
    assert "has no mrtd for gcp-tdx" not in said, "Google's endorsement stands for it"
    assert said.count("$.firmware: has no") == 7


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            lambda made: made["reference_values"].pop("aws-snp-nitrotpm"),
            "aws-1 is refused: no reference_values",
        ),
        (lambda made: made["firmware"].pop(2), "has no rtmr0 for gcp-tdx: its grade is V, not H"),
        (
            lambda made: made["images"][0]["measurements"].pop("rtmr2"),
            "none has rtmr2, which evidence of gcp-tdx has to show",
        ),
        (
            lambda made: made["reference_values"]["gcp-tdx"]["gce"].update(projects=[], zones=[]),
            "zones: is empty, which accepts none",
        ),
        (
            lambda made: made["images"][0].update(not_after="2026-01-01T00:00:00Z"),
            "0.1.0 ended before the document begins",
        ),
        (
            lambda made: made["waivers"].append(
                {
                    "name": "w",
                    "check": "snp.vmpl",
                    "member": "*",
                    "reason": "cannot be waived",
                    "not_after": "2026-01-01T00:00:00Z",
                }
            ),
            "snp.vmpl does not exist or cannot be waived",
        ),
        (
            lambda made: made["waivers"].append(WAIVER | {"member": "client-9"}),
            "$.waivers[0].member: client-9 is no member: it does nothing",
        ),
        (
            lambda made: made["firmware"][0].update(not_after="2026-11-21T23:59:59Z"),
            "$.firmware[0].not_after: aws/uefi m6a.large ended before the document begins",
        ),
        (
            lambda made: made["firmware"][0].update(not_after="2026-11-21T23:59:59Z"),
            "has no snp_measurement for aws-snp-nitrotpm: its evidence is refused",
        ),
        (
            lambda made: made["firmware"][2].update(not_after="2026-11-21T23:59:59Z"),
            "has no rtmr0 for gcp-tdx: its grade is V, not H",
        ),
        (
            lambda made: made["images"].append(
                made["images"][0]
                | {
                    "id": "next",
                    "measurements": {"rtmr1": made["images"][0]["measurements"].pop("rtmr1")},
                }
            ),
            "none has rtmr1 and rtmr2 together, which evidence of gcp-tdx has to show",
        ),
        (
            lambda made: made["least_grade"].update(server="H"),
            "$.members[0]: aws-1 is refused: least_grade of a server is H, and evidence of aws-snp-nitrotpm "
            "reaches V at best: lower it, or choose another platform",
        ),
    ],
)
def test_one_doubt_each(edit: Callable[[dict[str, Any]], object], words: str) -> None:
    assert words in told(edit)
    assert words not in told()


def test_a_waiver_is_doubted_for_what_it_is_and_a_good_one_is_not() -> None:
    waiver = {"name": "w", "check": "tcb.status", "member": "*", "reason": "the host is being updated"}

    def waived(*, least: str = "V", **changes: str) -> list[str]:
        made = waiver | {"not_after": "2027-01-01T00:00:00Z"} | changes

        def edit(document: dict[str, Any]) -> None:
            document["waivers"].append(made)
            document["least_grade"] = dict.fromkeys(document["least_grade"], least)

        found = doubts.find(read(edit))
        return [str(problem) for problem in found if problem.path.startswith("$.waivers")]

    assert waived(check="snp.csp_id") == []
    assert waived() == [
        "$.waivers[0].check: tcb.status carries the grade: "
        "who needs the waiver is N, which least_grade refuses"
    ]
    assert waived(least="N") == []
    assert waived(check="snp.csp_id", not_after="2026-01-01T00:00:00Z") == [
        "$.waivers[0].not_after: is before the document: it does nothing"
    ]
    assert waived(check="snp.vmpl") == ["$.waivers[0].check: snp.vmpl does not exist or cannot be waived"]


def test_a_draft_of_the_program_says_exactly_which_values_nobody_can_foretell(
    release: dict[str, Any],
) -> None:
    plan = planning.load(release, "dns-prod")
    instances = {spec.name: f"instance-of-{spec.name}" for spec in plan.machines}
    draft = document.document(plan, instances, document.dates(1_795_000_000, 14))
    found = doubts.find(fleet.read(json.dumps(draft).encode()))
    shown = {(problem.path, problem.message.partition(";")[0]) for problem in found}
    google = "which evidence of gcp-tdx has to show"
    assert shown == {
        ("$.firmware", "has no snp_measurement for aws-snp-nitrotpm: its evidence is refused"),
        ("$.firmware", "has no pcr7_sha384 for aws-snp-nitrotpm: its evidence is refused"),
        ("$.firmware", "has no snp_measurement for azure-snp: its evidence is refused"),
        ("$.firmware", "has no pcr7_sha256 for azure-snp: its evidence is refused"),
        ("$.firmware", "has no rtmr0 for gcp-tdx: its grade is V, not H"),
        ("$.images", f"none has rtmr1, {google}"),
        ("$.images", f"none has rtmr2, {google}"),
        ("$.reference_values.gcp-tdx.gce.projects", "is empty, which accepts none: name the project"),
        (
            "$.members[3]",
            "client-1 is refused: least_grade of a client is P, and evidence of gcp-tdx reaches V at best "
            "without an rtmr0 in firmware: list it, or lower least_grade",
        ),
    }
    for problem in found[1:-1]:
        assert "`tunnel evidence observe` or a refused machine's console" in problem.message
    assert len(found) == len(shown)


def test_an_observed_server_s_answer_fills_what_was_missing(release: dict[str, Any]) -> None:
    """What `observe` prints for an image and its firmware is spelled as the document wants it."""
    plan = planning.load(
        release | {"servers": release["servers"][2:], "clients": release["clients"][:1]}, "x"
    )
    instances = {spec.name: f"instance-of-{spec.name}" for spec in plan.machines}
    when = document.dates(1_795_000_000, 14)
    draft = document.document(plan, instances, when)
    draft["images"][0]["measurements"] |= {"rtmr1": ["11" * 48], "rtmr2": ["22" * 48]}
    rtmr0 = {"name": "observed-rtmr0", "format": "gcp-tdx", "register": "rtmr0", "value": "33" * 48}
    draft["firmware"] = [rtmr0 | {"not_after": when.expires_at}]
    draft["reference_values"]["gcp-tdx"]["gce"]["projects"] = ["a-project"]
    assert doubts.find(fleet.read(json.dumps(draft).encode())) == []


def test_what_lasts_to_the_document_s_first_second_counts() -> None:
    edge = "2026-11-22T00:00:00Z"
    assert told(lambda made: [entry.update(not_after=edge) for entry in made["firmware"]]) == ""
    past = "2026-11-21T23:59:59Z"
    assert told(lambda made: [entry.update(not_after=past) for entry in made["firmware"]])


def test_the_grades_are_those_that_an_appraisal_gives(tmp_path: Path) -> None:
    """Of each platform's evidence at its best: every check met, and the roots taken for hardware's."""
    for name, machine in machines.every(FakeAmd.create(tmp_path)).items():
        made = platforms.document(machine)
        accepted = platforms.appraise(machine, made, roots=platforms.as_hardware(machine.roots))
        assert doubts.best_grade(platforms.read(made), name) == accepted.grade, name
        checked = [problem.path for problem in doubts.find(platforms.read(made | least(accepted.grade)))]
        assert "$.members[0]" not in checked, name
        better = GRADES[GRADES.index(accepted.grade) - 1]
        if accepted.grade != "H":
            refused = doubts.find(platforms.read(made | least(better)))
            assert [problem.path for problem in refused if "least_grade" in problem.message] == [
                "$.members[0]"
            ], name
    alone = fleets.fleet_document(
        [fleets.FleetMember(name="a", role="client", settings_digest=b"s" * 32, chip_id=b"c" * 64)]
    )
    assert doubts.best_grade(platforms.read(alone), "sev-snp") == "T"
    bare = platforms.document(machines.gcp_tdx(), firmware={"rtmr0": None})
    assert doubts.best_grade(platforms.read(bare), "gcp-tdx") == "V"


def least(grade: str) -> dict[str, Any]:
    return {"least_grade": dict.fromkeys(("server", "client", "key_receiver"), grade)}
