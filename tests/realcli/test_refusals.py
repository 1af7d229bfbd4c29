"""Where the stand-ins must not serve, and what they refuse as a cloud would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pulumi_aws
import pytest

from infra.localmock.real_engine import LocalStack
from runtime.errors import UnreachableError
from tests.realcli.conftest import fleet, settings

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:.*has been deprecated in favor of:DeprecationWarning"),
    # The automation interface leaves its threads' event loops to the collector.
    pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture
def stack(pulumi: Path, tmp_path: Path) -> Callable[[Callable[[], None]], LocalStack]:
    return lambda program: LocalStack(tmp_path, pulumi=pulumi, say=print, program=program)


def one_address() -> None:
    pulumi_aws.ec2.Eip("one", domain="vpc")


def one_wrong_address() -> None:
    pulumi_aws.ec2.Eip("one", domain="vpcc")


Stacks = Callable[[Callable[[], None]], LocalStack]


def test_a_stack_of_production_is_refused_by_the_plugins(stack: Stacks) -> None:
    made = stack(one_address)
    with pytest.raises(UnreachableError, match=r"stack is 'aws-prod', want 'local'"):
        made.up(replace(settings(fleet()), stack="aws-prod"))
    assert made.world.things() == ()


def test_the_same_program_is_served_on_the_local_stack(stack: Stacks) -> None:
    made = stack(one_address)
    assert made.up(settings(fleet())).changes["create"] == 2  # the stack and the address
    assert len(made.world.things()) == 1


def test_an_input_that_a_cloud_would_refuse_is_refused_before_anything_is_made(stack: Stacks) -> None:
    made = stack(one_wrong_address)
    with pytest.raises(UnreachableError, match=r"is 'vpcc', want one of vpc; did you mean 'vpc'\?"):
        made.up(settings(fleet()))
    assert made.world.things() == ()
