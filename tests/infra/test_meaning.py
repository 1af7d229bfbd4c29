"""A document in sentences; what is valid and cannot work is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from infra import document, meaning, planning
from runtime.documents import fleet

EXAMPLE: dict[str, Any] = json.loads(
    (Path(fleet.__file__).parent / "examples" / "fleet.json").read_text("utf-8")
)


def read(edit: Callable[[dict[str, Any]], object] = bool) -> fleet.FleetDocument:
    made = copy.deepcopy(EXAMPLE)
    edit(made)
    return fleet.read(json.dumps(made).encode())


def test_everything_that_is_accepted_is_said() -> None:
    text = "\n".join(meaning.explain(read()))
    for words in (
        "fleet example, version 1, for production: hardware roots only",
        "member client-1 is a client on gcp_instance_id 1234567890123456789",
        "and may publish app.example.com, *.dev.example.com",
        "evidence of format gcp-tdx is accepted if",
        "Intel says UpToDate of the platform",
        "Milan's known weakness arxiv-2605.12990 is accepted because: AWS offers",
        "a VLEK signed the report, a VLEK of CN=cc-us-east-2.amazonaws.com",
        "AWS' certificate names us-east-2, and the document is at most 300 s old",
        "Microsoft's certificates of the attestation key came along",
        "Google's launch endorsement names it, version 1 or later",
        "the TDX module is one that Intel signs",
    ):
        assert words in text, words


def test_waivers_tests_and_grace_are_said() -> None:
    def edit(made: dict[str, Any]) -> None:
        made["purpose"] = "test"
        made["reference_values"] = {
            "qemu-tpm": {"qemu": {"event_log": "required"}},
            "gcp-tdx": made["reference_values"]["gcp-tdx"],
        }
        changed: dict[str, Any] = {"out_of_date_grace_days": 9, "mrseam": ["ab" * 48]}
        cast("dict[str, Any]", made["reference_values"]["gcp-tdx"]["tdx"]).update(changed)
        made["waivers"] = [
            {
                "name": "w",
                "check": "tcb.status",
                "member": "*",
                "reason": "the host is being updated",
                "not_after": "2026-12-01T00:00:00Z",
            }
        ]

    text = "\n".join(meaning.explain(read(edit)))
    for words in (
        "simulated TEEs and software TPMs pass",
        "the event log came along",
        "has said OutOfDate for at most 9 days",
        "the TDX module is one of 1 listed",
        "waiver w: check tcb.status may fail for every member until 2026-12-01T00:00:00Z",
        "because: the host is being updated; whoever needs it is grade N",
    ):
        assert words in text, words


def test_what_nobody_asks_for_is_not_said() -> None:
    def edit(made: dict[str, Any]) -> None:
        made["reference_values"] = _only_gcp_snp(made)
        made["reference_values"]["gcp-snp"]["snp"]["platform_require"] = []
        made["reference_values"]["gcp-snp"]["gce"]["endorsed_firmware"] = None

    before = meaning.explain(read(lambda made: made.update(reference_values=_only_gcp_snp(made))))
    gone = [line for line in before if line not in meaning.explain(read(edit))]
    assert gone == [
        "  the platform has alias_check_complete",
        "  or, for firmware: Google's launch endorsement names it, version 1 or later",
    ]


def _only_gcp_snp(made: dict[str, Any]) -> dict[str, Any]:
    return {"gcp-snp": made["reference_values"]["gcp-snp"]}


def doubts(edit: Callable[[dict[str, Any]], object] = bool) -> str:
    return "\n".join(map(str, meaning.doubts(read(edit))))


def test_what_cannot_work_is_named() -> None:
    said = doubts()
    assert "has no snp_measurement for azure-snp: its evidence is refused; no manifest foretells it: " in said
    assert "gcp-tdx: its grade is V" not in said
    assert "has no mrtd for gcp-tdx" not in said, "Google's endorsement stands for it"


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
    ],
)
def test_one_doubt_each(edit: Callable[[dict[str, Any]], object], words: str) -> None:
    assert words in doubts(edit)
    assert words not in doubts()


def test_a_waiver_is_doubted_for_what_it_is_and_a_good_one_is_not() -> None:
    waiver = {"name": "w", "check": "tcb.status", "member": "*", "reason": "the host is being updated"}

    def waived(*, least: str = "V", **changes: str) -> list[str]:
        made = waiver | {"not_after": "2027-01-01T00:00:00Z"} | changes

        def edit(document: dict[str, Any]) -> None:
            document["waivers"].append(made)
            document["least_grade"] = dict.fromkeys(document["least_grade"], least)

        told = meaning.doubts(read(edit))
        return [str(problem) for problem in told if problem.path.startswith("$.waivers")]

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
    found = meaning.doubts(fleet.read(json.dumps(draft).encode()))
    told = {(problem.path, problem.message.partition(";")[0]) for problem in found}
    google = "which evidence of gcp-tdx has to show"
    assert told == {
        ("$.firmware", "has no snp_measurement for aws-snp-nitrotpm: its evidence is refused"),
        ("$.firmware", "has no pcr7_sha384 for aws-snp-nitrotpm: its evidence is refused"),
        ("$.firmware", "has no snp_measurement for azure-snp: its evidence is refused"),
        ("$.firmware", "has no pcr7_sha256 for azure-snp: its evidence is refused"),
        ("$.firmware", "has no rtmr0 for gcp-tdx: its grade is V, not H"),
        ("$.images", f"none has rtmr1, {google}"),
        ("$.images", f"none has rtmr2, {google}"),
        ("$.reference_values.gcp-tdx.gce.projects", "is empty, which accepts none: name the project"),
    }
    for problem in found[:-1]:
        assert "`tunnel evidence observe` or a refused machine's console" in problem.message
    assert len(found) == len(told)


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
    assert meaning.doubts(fleet.read(json.dumps(draft).encode())) == []
