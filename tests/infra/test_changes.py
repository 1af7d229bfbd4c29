"""Differences come in words, and what lets more in is marked so."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.changes import Change, changes
from runtime.documents import fleet

EXAMPLE: dict[str, Any] = json.loads(
    (Path(fleet.__file__).parent / "examples" / "fleet.json").read_text("utf-8")
)
Edit = Callable[[dict[str, Any]], object]
BADRAM = {"weakness": "cve-2024-21944", "reason": "no module of ours is doctored"}


def edited(edit: Edit) -> dict[str, Any]:
    made = copy.deepcopy(EXAMPLE)
    edit(made)
    return made


def one(edit: Edit) -> Change:
    (found,) = changes(EXAMPLE, edited(edit))
    return found


def snp(document: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = document["reference_values"]["gcp-snp"]["snp"]
    return values


def tdx(document: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = document["reference_values"]["gcp-tdx"]["tdx"]
    return values


def test_equal_documents_do_not_differ() -> None:
    assert changes(EXAMPLE, copy.deepcopy(EXAMPLE)) == ()
    assert changes(EXAMPLE, edited(lambda made: made["members"].reverse())) == ()


@pytest.mark.parametrize(
    "edit",
    [
        lambda made: snp(made).update(min_guest_svn=-1),
        lambda made: snp(made)["products"]["Milan"]["min_tcb"].update(snp=23),
        lambda made: snp(made)["guest_policy"].update(cxl="allowed"),
        lambda made: snp(made).update(platform_require=[]),
        lambda made: snp(made)["report_versions"].append(2),
        lambda made: snp(made).update(provisional_firmware=True),
        lambda made: tdx(made).update(statuses=["UpToDate", "OutOfDate"]),
        lambda made: tdx(made).update(out_of_date_grace_days=9),
        lambda made: tdx(made).update(min_evaluation_number=18),
        lambda made: tdx(made).update(xfam_allowed="0x702e7"),
        lambda made: tdx(made)["allow"].append("pks"),
        lambda made: made["least_grade"].update(client="N"),
        lambda made: snp(made)["products"]["Milan"]["opt_in"].append(BADRAM),
        lambda made: made.update(purpose="test"),
        lambda made: made.update(expires_at="2027-02-20T00:00:00Z"),
        lambda made: made["images"][0].update(not_after="2027-03-01T00:00:00Z"),
        lambda made: made["firmware"].append(made["firmware"][0] | {"value": "ab" * 48}),
        lambda made: made["members"].append(made["members"][0] | {"name": "aws-2"}),
        lambda made: made["members"][1]["hostnames"].append("other.example.com"),
        lambda made: made["reference_values"].update({"aws-nitrotpm": {"nitrotpm": {}}}),
        lambda made: made["waivers"].append(
            {"name": "w", "check": "snp.version", "member": "*", "reason": "old host", "not_after": "x"}
        ),
    ],
)
def test_what_lets_more_in_is_marked(edit: Edit) -> None:
    assert one(edit).effect == "loosens"
    (back,) = changes(edited(edit), EXAMPLE)
    assert back.effect == "tightens"


@pytest.mark.parametrize(
    ("edit", "effect"),
    [
        (lambda made: snp(made).update(required_mitigations="0x1"), "tightens"),
        (lambda made: snp(made)["guest_policy"].update(min_abi="1.0"), "tightens"),
        (lambda made: tdx(made).update(mrseam=["ab" * 48]), "tightens"),
        (lambda made: snp(made)["products"]["Milan"].update(opt_in=[]), "tightens"),
        (lambda made: snp(made)["products"]["Milan"]["opt_in"][0].update(reason="another reason"), "changes"),
        (lambda made: made["reference_values"]["gcp-tdx"]["gce"].update(endorsed_firmware=None), "tightens"),
        (lambda made: made["firmware"][0].update(name="another name"), "changes"),
        (lambda made: made.update(version=2), "changes"),
        (lambda made: made.update(issued_at="2026-11-23T00:00:00Z"), "changes"),
        (lambda made: made.update(tunnel_name="t.example.com"), "changes"),
        (lambda made: made["members"][1]["hostnames"].pop(), "tightens"),
        (lambda made: made["images"][0]["measurements"].pop("rtmr1"), "tightens"),
    ],
)
def test_other_ways(edit: Edit, effect: str) -> None:
    assert one(edit).effect == effect


WAIVER = {
    "name": "w1",
    "check": "td.pks",
    "member": "client-1",
    "reason": "for a short while",
    "not_after": "2026-12-01T00:00:00Z",
}
OTHER = "ab" * 48


def waived(**more: str) -> dict[str, Any]:
    return edited(lambda made: made["waivers"].append(WAIVER | more))


@pytest.mark.parametrize(
    "edit",
    [
        lambda made: made["images"][0]["measurements"].update(pcr4_sha256="66" * 32),
        lambda made: made["images"][0].update(manifest_sha256="66" * 32),
        lambda made: made["members"][0].update(role="client"),
        lambda made: made["members"][0].update(settings_sha256="66" * 32),
        lambda made: made["members"][0]["instance"].update(value="i-0123456789abcdef1"),
        lambda made: tdx(made).update(sept_ve_disable=False),
        lambda made: tdx(made).update(mrowner=OTHER),
        lambda made: tdx(made).update(mrconfigid=OTHER),
        lambda made: tdx(made).update(mrownerconfig=OTHER),
        lambda made: tdx(made).update(xfam_allowed="0x10000"),
        lambda made: made["reference_values"]["gcp-tdx"]["gce"]["endorsed_firmware"].update(min_svn=0),
        lambda made: made.update(a_word_to_come=1),
    ],
)
def test_a_value_in_place_of_another_lets_another_thing_in(edit: Edit) -> None:
    assert one(edit).effect == "loosens"


def test_whatever_no_rule_knows_loosens() -> None:
    """A word that a later schema adds is not called harmless because nobody thought of it here."""
    before, after = (
        edited(lambda made: tdx(made).update(word=1)),
        edited(lambda made: tdx(made).update(word=2)),
    )
    for old, new in ((before, after), (after, before)):
        assert [change.effect for change in changes(old, new)] == ["loosens"]


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        ({}, {"member": "*"}, "loosens"),
        ({"member": "*"}, {}, "tightens"),
        ({}, {"member": "aws-1"}, "loosens"),
        ({}, {"check": "image.pcr4"}, "loosens"),
        ({}, {"not_after": "2026-12-02T00:00:00Z"}, "loosens"),
        ({}, {"not_after": "2026-11-30T00:00:00Z"}, "tightens"),
        ({}, {"reason": "for another reason"}, "changes"),
    ],
)
def test_a_waiver_that_is_not_the_same(before: dict[str, str], after: dict[str, str], effect: str) -> None:
    (found,) = changes(waived(**before), waived(**after))
    assert found.effect == effect


def test_a_list_of_modules_that_changes_loosens_by_what_is_new() -> None:
    one_module = edited(lambda made: tdx(made).update(mrseam=["01" * 48]))
    two = edited(lambda made: tdx(made).update(mrseam=["01" * 48, OTHER]))
    other = edited(lambda made: tdx(made).update(mrseam=[OTHER]))
    assert [change.effect for change in changes(one_module, two)] == ["loosens"]
    assert [change.effect for change in changes(two, one_module)] == ["tightens"]
    assert [change.effect for change in changes(one_module, other)] == ["loosens", "tightens"]
    assert [change.effect for change in changes(one_module, EXAMPLE)] == ["loosens"]


def test_values_that_begin_alike_are_two() -> None:
    value = EXAMPLE["firmware"][0]["value"]
    like = value[:-1] + ("0" if value[-1] != "0" else "1")
    found = one(lambda made: made["firmware"].insert(0, made["firmware"][0] | {"value": like}))
    assert found.effect == "loosens"
    assert like in found.text


def test_long_values_are_shown_to_their_end() -> None:
    """A name that begins like a hostname of the owner's is told by its end."""
    name = "app.example.com." + "a." * 60 + "attacker.example"
    assert one(lambda made: made["members"][1]["hostnames"].append(name)).text.endswith(name)
    values = {"nitrotpm": {"regions": [f"us-east-{number}" for number in range(1, 20)], "max_age_s": 3600}}
    new = one(lambda made: made["reference_values"].update({"aws-nitrotpm": values}))
    assert "us-east-19" in new.text
    assert "3600" in new.text


def test_a_new_image_is_shown_with_its_registers() -> None:
    text = one(lambda made: made["images"].append(made["images"][0] | {"id": "next"})).text
    for value in EXAMPLE["images"][0]["measurements"].values():
        assert (value if isinstance(value, str) else value[0]) in text


def test_the_words_name_the_place_and_both_values() -> None:
    change = one(lambda made: snp(made)["products"]["Milan"]["min_tcb"].update(snp=23))
    assert change.text == "$.reference_values.gcp-snp.snp.products.Milan.min_tcb.snp: 24 → 23"
    opted = one(lambda made: snp(made)["products"]["Milan"]["opt_in"].append(BADRAM))
    assert opted.text == (
        "accepted weakness cve-2024-21944 at $.reference_values.gcp-snp.snp.products.Milan.opt_in is new: "
        "no module of ours is doctored"
    )
    member = one(lambda made: made["members"].append(made["members"][1] | {"name": "client-2"}))
    assert member.text.startswith("member client-2 is new: a client on gcp_instance_id 1234567890123456789")
