"""The engine collects every mistake of a program, answers as it was told, and says how it ended."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pulumi
import pytest

from infra.localmock import engine, inputs, wire
from infra.localmock.engine import Registered, RunResult
from runtime.errors import Problem

# Where a program fails, the SDK leaves the coroutines of its other resources behind.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine 'Output:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <coroutine object Output"),
]

Run = Callable[..., RunResult]
EIP = "aws:ec2/eip:Eip"


class Thing(pulumi.CustomResource):
    """A resource as the SDK registers it, without the SDK of any cloud."""

    address: pulumi.Output[str]

    def __init__(self, name: str, kind: str = EIP, **props: Any) -> None:
        super().__init__(kind, name, {"address": None, **props})


def answer(asked: Registered) -> tuple[str, Mapping[str, Any]]:
    return f"id-of-{asked.name}", {"address": "192.0.2.1"}


def no_problem(_token: str, _inputs: Mapping[str, Any]) -> list[Problem]:
    return []


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    def run_it(
        program: Callable[[], None], *, dry: bool = True, check: engine.Check = no_problem, **others: Any
    ) -> RunResult:
        monkeypatch.setattr(engine, "_program", program)
        return engine.run_program(stack="t", config={}, dry=dry, answer=answer, check=check, others=others)

    yield run_it
    gc.collect()  # what a failed program left is this test's, not the next one's


def test_a_preview_knows_inputs_and_an_up_knows_all(run: Run) -> None:
    def program() -> None:
        thing = Thing("one", domain="vpc")
        pulumi.export("id", thing.id)
        pulumi.export("address", thing.address)
        pulumi.export("hidden", pulumi.Output.secret("hush"))

    dry = run(program)
    assert wire.shown(dict(dry.outputs)) == {
        "id": "(known after up)",
        "address": "(known after up)",
        "hidden": "[secret]",
    }
    up = run(program, dry=False)
    assert up.error == ""
    shown = wire.shown(dict(up.outputs))
    assert shown == {"id": "id-of-one", "address": "192.0.2.1", "hidden": "[secret]"}


def test_every_wrong_input_of_every_resource_is_collected(run: Run) -> None:
    def program() -> None:
        Thing("one", domian="vpc")
        Thing("two", kind="aws:ec2/epi:Epi")

    def check(token: str, found: Mapping[str, Any]) -> list[Problem]:
        return [Problem("$.domian", "unknown field")] if "domian" in found else inputs.check(token, found)

    result = run(program, check=check)
    assert [str(problem) for problem in result.problems] == [
        "one (aws:ec2/eip:Eip).domian: unknown field",
        "two (aws:ec2/epi:Epi): unknown resource type 'aws:ec2/epi:Epi'; did you mean 'aws:ec2/eip:Eip'?",
    ]
    assert result.error == ""


def test_resources_are_in_one_order_however_they_came(run: Run) -> None:
    def program() -> None:
        for name in ("b", "c", "a"):
            Thing(name)

    assert [resource.name for resource in run(program).resources if resource.custom] == ["a", "b", "c"]


def test_two_resources_of_one_name_end_the_run(run: Run) -> None:
    def program() -> None:
        Thing("one")
        Thing("one")

    assert "URN" in run(program).error


def test_what_a_person_has_to_change_is_told_in_their_words(run: Run) -> None:
    def program() -> None:
        message = "tunnel:role is 'x'"
        raise pulumi.RunError(message)

    result = run(program)
    assert result.error == "tunnel:role is 'x'"
    assert "tunnel:role is 'x'" in result.messages


def test_another_stack_s_outputs_are_the_given_ones(run: Run) -> None:
    def program() -> None:
        reference = pulumi.StackReference("organization/confidential-tunnels/aws-prod")
        pulumi.export("seen", reference.require_output("endpoints"))

    assert run(program, **{"aws-prod": {"endpoints": ["192.0.2.7"]}}).outputs["seen"] == ["192.0.2.7"]
    assert "aws-prod has no outputs" in run(program).error


def test_a_data_source_has_no_answer_here(run: Run) -> None:
    def program() -> None:
        _ = pulumi.runtime.invoke("aws:index/getCallerIdentity:getCallerIdentity", {})

    result = run(program)
    assert "knows no answer to the data source aws:index/getCallerIdentity" in result.error + str(
        result.messages
    )
