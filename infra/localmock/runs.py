"""A stack's preview or simulated `up`, with the stacks that it refers to run before it. I/O (loopback)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.console import story
from infra.fleet import FleetPlan
from infra.localmock import inputs
from infra.localmock.analyzer import Analyzer, Verdicts
from infra.localmock.answers import Answers
from infra.localmock.engine import RunResult, run_program
from infra.localmock.wire import is_unknown
from infra.stack_names import DNS, cloud_stack
from infra.stacks import StackSettings
from runtime.errors import DocumentError, TunnelError


def preview(settings: StackSettings, plan: FleetPlan) -> tuple[RunResult, Verdicts]:
    """Return the dry run and what the guardrails say of it. Raises: TunnelError where either failed."""
    with Analyzer() as analyzer:  # first, so that it starts while the SDKs load
        result = dry_run(settings, plan)
        return result, analyzer.judge(result)


def dry_run(settings: StackSettings, plan: FleetPlan) -> RunResult:
    """Return the dry run alone. Raises: TunnelError where the program itself failed."""
    return _run(settings, plan, settings.stack, settings.role, dry=True)


def simulated_up(settings: StackSettings, plan: FleetPlan) -> RunResult:
    """Return a run that was answered as clouds would. Raises: TunnelError."""
    result = _run(settings, plan, settings.stack, settings.role, dry=False)
    check_inputs(result)
    missing = [name for name, value in result.outputs.items() if is_unknown(value)]
    if missing:
        message = f"a simulated up left outputs unknown: {', '.join(sorted(missing))}"
        raise TunnelError(message)
    return result


def check_inputs(result: RunResult, verdicts: Verdicts | None = None) -> None:
    """Raises: DocumentError with every input that the SDK's types or the guardrails do not allow."""
    problems = [*result.problems, *(verdicts.violations if verdicts is not None else ())]
    if problems:
        raise DocumentError(f"the program of stack {result.stack}", problems)


def _run(settings: StackSettings, plan: FleetPlan, stack: str, role: str, *, dry: bool) -> RunResult:
    others: dict[str, Mapping[str, Any]] = {}
    if role == DNS:
        for cloud in plan.clouds:
            name = cloud_stack(cloud, plan.config.environment)
            others[name] = _run(settings, plan, name, cloud, dry=False).outputs
    story(f"{'previewing' if dry else 'simulating up of'} {stack}: loading the clouds' SDKs takes seconds")
    result = run_program(
        stack=stack,
        config=settings.config(role),
        dry=dry,
        answer=Answers(plan),
        check=inputs.check,
        others=others,
    )
    for message in result.messages:
        story(message)
    if result.error:
        check_inputs(result)  # the likelier cause, and the better told one
        message = f"the program of stack {stack} failed: {result.error.strip().splitlines()[0]}"
        raise TunnelError(message)
    return result
