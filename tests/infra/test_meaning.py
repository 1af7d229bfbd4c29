"""A document in sentences: everything that it accepts is in one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from infra import meaning
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
