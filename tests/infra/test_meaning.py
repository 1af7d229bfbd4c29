"""A document in sentences: everything that it accepts is in one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from infra import meaning
from runtime.documents import fleet, schema
from runtime.errors import DocumentError

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
        "fleet example at tunnel.example.com, version 1, for production: hardware roots only",
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
        f"the TDX module is {'ab' * 48}",
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


# Every word that the schema has for Reference Values, in one document: all formats, all optional registers.
HEX = "0123456789abcdef" * 6
SECTIONS: dict[str, Any] = EXAMPLE["reference_values"]
TURIN = {"min_tcb": dict.fromkeys(("fmc", "bootloader", "tee", "snp", "microcode"), 1), "opt_in": []}
PRODUCTS: dict[str, Any] = {
    **SECTIONS["gcp-snp"]["snp"]["products"],
    **SECTIONS["azure-snp"]["snp"]["products"],
    "Turin": TURIN,
}
OPT_IN = [{"weakness": "cve-2024-21944", "reason": "no module of ours is doctored"}]
SNP = SECTIONS["gcp-snp"]["snp"] | {
    "products": {name: floor | {"opt_in": OPT_IN} for name, floor in PRODUCTS.items()},
    "csp_ids": ["CN=cc-us-east-2.amazonaws.com"],
}
TDX = SECTIONS["gcp-tdx"]["tdx"] | {"mrseam": [HEX], "refused_advisories": ["INTEL-SA-00001"]}
ALL: dict[str, Any] = copy.deepcopy(
    EXAMPLE
    | {
        "purpose": "test",
        "reference_values": {
            "sev-snp": {"snp": SNP},
            "aws-snp-nitrotpm": SECTIONS["aws-snp-nitrotpm"] | {"snp": SNP},
            "aws-nitrotpm": {"nitrotpm": SECTIONS["aws-snp-nitrotpm"]["nitrotpm"]},
            "azure-snp": SECTIONS["azure-snp"] | {"snp": SNP},
            "azure-tdx": SECTIONS["azure-tdx"] | {"tdx": TDX},
            "gcp-snp": SECTIONS["gcp-snp"] | {"snp": SNP},
            "gcp-tdx": SECTIONS["gcp-tdx"] | {"tdx": TDX},
            "qemu-tpm": {"qemu": {"event_log": "required"}},
        },
        "waivers": [
            {
                "name": "w",
                "check": "td.pks",
                "member": "*",
                "reason": "the host is being updated",
                "not_after": "2026-12-01T00:00:00Z",
            }
        ],
    }
)
ALL["images"][0]["measurements"]["snp_launch"] = [HEX]
ALL["firmware"][3:] = [ALL["firmware"][0] | {"register": "pcr7_sha256", "value": HEX[:64]}]
ALL["members"][0]["hostnames"] = ["app.example.com"]
Place = tuple[str | int, ...]


def leaves(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield where each word, number and list of words stands."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, (*place, name))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, item in enumerate(value):
            yield from leaves(item, (*place, index))
    else:
        yield place


def others(value: Any) -> Iterator[Any]:
    """Yield what could stand there instead; some of it the schema refuses."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1)
    elif isinstance(value, list):
        yield value[1:]
        for item in value or [""]:
            yield from ([*value, other] for other in others(item))
    elif value is None:
        yield {"min_svn": 1}
    else:
        last = {"0": "1", "9": "8", "a": "b", "Z": "Z"}.get(value[-1:], "0")
        yield from (value[:-1] + last, value[:-4] + "1Z", *WORDS)


WORDS = (
    *("allowed", "forbidden", "required", "when_present", "H", "P", "V", "N", "T", "server", "client"),
    *("test", "production", "aws_instance_id", "gcp_instance_id", "client-1", "pcr7_sha384", "mrtd"),
    *("gcp-tdx", "gcp-snp", "tsme", "single_socket", "vcek", "vlek", "UpToDate", "OutOfDate", "pks", "1.1"),
    *("us-east-1", "us-central1-b", "INTEL-SA-00002", "another", "any_signed_by_intel", "a.example.com"),
    *("2026-12-05T00:00:00Z", "2026-11-23T00:00:00Z", HEX, HEX[:64], 2, 3, 5),
)


def at(document: Any, place: Place) -> Any:
    for step in place:
        document = document[step]
    return document


def small(part: str) -> tuple[Place, dict[str, Any]]:
    """Return where the part stands, and the document with Reference Values of one format only."""
    formats = ALL["reference_values"]
    name, place = (part, ("reference_values", part)) if part in formats else ("gcp-tdx", (part,))
    return place, ALL | {"reference_values": {name: formats[name]}}


PINNED: Place = ("firmware", 3, "register")  # no other register has a value of that length
PARTS = {*ALL, *ALL["reference_values"]} - {"schema", "reference_values"}


@pytest.mark.parametrize("part", sorted(PARTS))
def test_no_word_changes_unsaid(part: str) -> None:
    """Change every word of the document, one at a time: `explain` says another thing."""
    root, whole = small(part)
    before = meaning.explain(fleet.read(json.dumps(whole).encode()))
    for place in leaves(at(whole, root), root):
        made, accepted = copy.deepcopy(whole), 0
        parent = at(made, place[:-1])
        old = parent[place[-1]]
        for other in others(old):
            if accepted == (1 if isinstance(old, str) else 2):
                break
            if other == old:
                continue
            parent[place[-1]] = other
            try:
                document = fleet.read(json.dumps(made).encode())
            except DocumentError:
                continue
            accepted += 1
            assert meaning.explain(document) != before, f"{place}: {old!r} → {other!r}"
        assert accepted or place == PINNED, f"{place}: nothing else than {old!r} is read there"


def words(whole: dict[str, Any], part: dict[str, Any], place: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Return the places of all words, numbers and lists of words that a schema has."""
    if "$ref" in part:
        part = whole["$defs"][part["$ref"].rpartition("/")[2]]
    inner = [(place, branch) for branch in [*part.get("oneOf", []), part.get("items")] if branch]
    inner += [((*place, name), branch) for name, branch in part.get("properties", {}).items()]
    found = {word for where, branch in inner for word in words(whole, branch, where)}
    return found or ({place} if part.get("type") != "null" else set())


def test_that_document_has_every_word_of_the_schema() -> None:
    """A field that the schema gets is missing here until it is tried above, and there until it is said."""
    whole = json.loads(schema.text("fleet"))
    tried = {tuple(step for step in place if isinstance(step, str)) for place in leaves(ALL)}
    assert words(whole, whole) == tried
