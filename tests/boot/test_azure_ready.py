"""Azure's wire server, as a local double."""

from __future__ import annotations

import pytest

from runtime.boot import azure_ready
from runtime.errors import UnreachableError
from tests.boot.test_source import Answer, service

GOAL = (
    b"<GoalState><Version>2012-11-30</Version><Incarnation>7</Incarnation><Container><ContainerId>c-1</ContainerId>"
    b"<RoleInstanceList><RoleInstance><InstanceId>i_1.x</InstanceId></RoleInstance></RoleInstanceList>"
    b"</Container></GoalState>"
)


def test_the_report_names_what_the_goal_state_named() -> None:
    seen: list[tuple[str, str]] = []

    def answer(method: str, path: str, headers: dict[str, str]) -> Answer:
        seen.append((method, path))
        assert headers["x-ms-version"] == "2012-11-30"
        return (200, {}, GOAL) if path == "/machine/?comp=goalstate" else (200, {}, b"")

    with service(answer) as places:
        azure_ready.report(places.metadata)
    assert seen == [("GET", "/machine/?comp=goalstate"), ("POST", "/machine?comp=health")]


@pytest.mark.parametrize("goal", [b"", b"<Incarnation>7</Incarnation>", GOAL.replace(b"c-1", b"<evil/>")])
def test_a_goal_state_that_lacks_a_name_is_refused(goal: bytes) -> None:
    with service(lambda *_: (200, {}, goal)) as places, pytest.raises(UnreachableError, match="goal state"):
        azure_ready.report(places.metadata)


def test_a_server_that_says_no_is_our_error() -> None:
    with service(lambda *_: (500, {}, b"")) as places, pytest.raises(UnreachableError, match="500"):
        azure_ready.report(places.metadata)
