"""A fleet's life under the real engine: first up, growth, a rollout in two steps, drift, the end.

The tests of this file are one story and run in order: each takes the stack as the one before left it.
"""

from __future__ import annotations

import copy

import pytest

from infra.localmock.real_engine import LocalStack, Outcome
from tests.realcli.conftest import fleet, larger, settings, simulated, timeless

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:.*has been deprecated in favor of:DeprecationWarning"),
    # The automation interface leaves its threads' event loops to the collector.
    pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

START = fleet()
GROWN = larger(START, 6, 4)
ROLLING = copy.deepcopy(GROWN)
ROLLING["images"] = [*GROWN["images"], {**GROWN["images"][0], "generation": 2}]
ROLLED = copy.deepcopy(ROLLING)
ROLLED["images"] = ROLLING["images"][1:]


def of(outcome: Outcome, operation: str) -> list[tuple[str, str]]:
    return [(kind, name) for done, kind, name in outcome.events if done == operation]


def test_up_from_an_empty_backend_answers_as_the_local_preview_does(stack: LocalStack) -> None:
    up = stack.up(settings(START))
    assert set(up.changes) == {"create"}
    assert timeless(up.outputs) == simulated(START)
    made = {thing.urn for thing in stack.world.things()}
    custom = {
        resource["urn"]
        for resource in stack.state(settings(START))["resources"]
        if resource["custom"] and not resource["type"].startswith("pulumi:")
    }
    assert made == custom
    assert len(stack.world.things()) == len(made)  # nothing twice


def test_a_second_preview_finds_nothing_to_do(stack: LocalStack) -> None:
    assert set(stack.preview(settings(START)).changes) == {"same"}


def test_growth_makes_and_touches_only_names(stack: LocalStack) -> None:
    up = stack.up(settings(GROWN))
    assert timeless(up.outputs) == simulated(GROWN)
    assert {"create", "same"} <= set(up.changes) <= {"create", "same", "update"}
    assert {kind for kind, _ in of(up, "update")} <= {
        "aws:route53/record:Record",
        "azure-native:dns:RecordSet",
        "gcp:dns/recordSet:RecordSet",
    }
    machines = [name for _, name in of(up, "create") if name.endswith("-vm")]
    assert len(machines) == 3 + 2
    [tunnel] = [r for r in up.outputs["records"] if r["name"] == "tunnel.demo.test" and r["type"] == "A"]
    assert len(tunnel["values"]) == 6


def test_the_first_up_of_a_rollout_only_adds(stack: LocalStack) -> None:
    up = stack.up(settings(ROLLING))
    assert timeless(up.outputs) == simulated(ROLLING)
    assert {"create", "same"} <= set(up.changes) <= {"create", "same", "update"}
    machines = [name for _, name in of(up, "create") if name.endswith("-vm")]
    assert len(machines) == 10
    assert all("-g2-" in name for name in machines)
    document = up.outputs["fleetDocument"]
    names = {member["name"] for member in document["members"]}
    assert {"aws-1", "aws-1-g2"} <= names  # both generations, in one document
    order = [(kind, name) for operation, kind, name in up.events if operation in {"create", "update"}]
    last_machine = max(index for index, (_, name) in enumerate(order) if name.endswith("-vm"))
    named = [index for index, (kind, name) in enumerate(order) if _is_tunnel_record(kind, name)]
    assert named, order
    assert last_machine < min(named)  # nobody is sent to a machine that is not there yet


def _is_tunnel_record(kind: str, name: str) -> bool:
    return kind.lower().endswith(("record", "recordset")) and name.startswith("tunnel.")


def test_the_second_up_removes_names_before_machines(stack: LocalStack) -> None:
    up = stack.up(settings(ROLLED))
    assert timeless(up.outputs) == simulated(ROLLED)
    assert set(up.changes) <= {"same", "update", "delete"}
    gone = [name for _, name in of(up, "delete") if name.endswith("-vm")]
    assert len(gone) == 10
    assert not any("-g2-" in name for name in gone)
    order = [(operation, kind, name) for operation, kind, name in up.events if operation != "same"]
    first_machine = min(
        i for i, (done, _, name) in enumerate(order) if done == "delete" and name.endswith("-vm")
    )
    renamed = [i for i, (_, kind, name) in enumerate(order) if _is_tunnel_record(kind, name)]
    assert max(renamed) < first_machine
    assert {member["name"] for member in up.outputs["fleetDocument"]["members"]} == {
        f"{member['name']}-g2" for member in (*GROWN["servers"], *GROWN["clients"])
    }


def test_what_was_removed_by_hand_is_found_and_made_again(stack: LocalStack) -> None:
    [victim] = [thing for thing in stack.world.things() if thing.urn.endswith("::aws-1-g2-vm")]
    stack.world.delete(victim.id)
    refreshed = stack.refresh(settings(ROLLED))
    assert refreshed.changes.get("delete") == 1
    up = stack.up(settings(ROLLED))
    assert ("aws:ec2/instance:Instance", "aws-1-g2-vm") in of(up, "create")
    assert len([t for t in stack.world.things() if t.urn == victim.urn]) == 1
    assert set(stack.preview(settings(ROLLED)).changes) == {"same"}


def test_destroy_leaves_nothing(stack: LocalStack) -> None:
    stack.destroy(settings(ROLLED))
    assert stack.world.things() == ()
    assert not stack.state(settings(ROLLED)).get("resources")
