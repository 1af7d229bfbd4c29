"""Between two previews: what is made, what goes, what changes in place and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.localmock.changes import Change, compare, differences, forces

VM = "aws:ec2/instance:Instance"


def preview(**inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "resources": [
            {"urn": f"urn:{name}", "type": VM, "name": name, "custom": True, "protect": True, "inputs": value}
            for name, value in inputs.items()
        ]
    }


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [str(change) for change in compare(before, after)]


def test_made_gone_and_unchanged() -> None:
    assert changes(preview(a={}, b={}), preview(b={}, c={})) == [f"- {VM} a", f"+ {VM} c"]
    assert changes(preview(a={}), preview(a={})) == []


def test_an_update_is_told_from_a_replacement() -> None:
    before = preview(a={"tags": {"x": "1"}, "cpuOptions": {"amdSevSnp": "enabled"}})
    tagged = preview(a={"tags": {"x": "2"}, "cpuOptions": {"amdSevSnp": "enabled"}})
    assert changes(before, tagged) == [f"~ {VM} a: tags.x"]
    open_memory = preview(a={"tags": {"x": "2"}, "cpuOptions": {}})
    assert changes(before, open_memory) == [f"+- {VM} a: cpuOptions.amdSevSnp"]


def test_protection_is_a_change_too() -> None:
    after = preview(a={})
    after["resources"][0]["protect"] = False
    found = compare(preview(a={}), after)
    assert [(change.operation, change.properties) for change in found] == [("update", ("protect",))]
    assert isinstance(found[0], Change)


def test_components_are_not_compared() -> None:
    after = preview(a={})
    after["resources"][0]["custom"] = False
    assert compare(preview(), after) == ()


def test_differences_have_paths() -> None:
    assert list(differences({"a": [{"b": 1}, 2]}, {"a": [{"b": 3}, 2]})) == ["a[0].b"]
    assert list(differences({"a": [1]}, {"a": [1, 2]})) == ["a"]
    assert list(differences({"a": 1}, {})) == ["a"]
    assert list(differences({"a": [1]}, {"a": (1,)})) == ["a"]
    assert list(differences([{"b": 1}], [{"b": 2}])) == ["[0].b"]
    assert list(differences({"a": {"b": None}}, {"a": {}})) == [], "what is not set is set to nothing"


def test_a_change_has_the_resource_s_type_name_and_urn() -> None:
    (made,) = compare({}, preview(a={"x": 1}))
    assert made == Change(operation="create", type=VM, name="a", urn="urn:a", properties=(), forcing=())
    (gone,) = compare(preview(a={"x": 1}), {})
    assert gone == Change(operation="delete", type=VM, name="a", urn="urn:a", properties=(), forcing=())


def test_a_protected_machine_that_is_replaced_says_both() -> None:
    after = preview(a={"ami": "ami-2"})
    after["resources"][0]["protect"] = False
    (found,) = compare(preview(a={"ami": "ami-1"}), after)
    assert (found.operation, found.properties, found.forcing) == ("replace", ("ami", "protect"), ("ami",))
    assert str(found) == f"+- {VM} a: ami", "what ends the machine is said, and nothing beside it"


@pytest.mark.parametrize(
    ("kind", "path", "replaced"),
    [
        (VM, "ami", True),
        (VM, "cpuOptions.amdSevSnp", True),
        (VM, "cpuOptionsToo", False),
        (VM, "tags.ami", False),
        ("gcp:compute/instance:Instance", "networkInterfaces[0].accessConfigs", True),
        ("gcp:compute/instance:Instance", "shieldedInstanceConfig.enableSecureBoot", False),
        ("gcp:compute/unknown:Unknown", "ami", False),
    ],
)
def test_a_path_forces_with_everything_below_it(kind: str, path: str, replaced: bool) -> None:
    assert forces(kind, path) is replaced
