"""What Pulumi runs as a policy pack: the rules, handed to CrossGuard. I/O (gRPC, by pulumi_policy)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from infra.guardrails import images, machines, names, networks
from infra.guardrails.rule import Resource, ResourceRule, StackRule

NAME = "confidential-tunnels"
RULES: Sequence[ResourceRule] = (*machines.RULES, *images.RULES, *networks.RULES, *names.RULES)
STACK_RULES: Sequence[StackRule] = (*images.STACK_RULES, *networks.STACK_RULES, *names.STACK_RULES)


def _level(*, advisory: bool) -> EnforcementLevel:
    return EnforcementLevel.ADVISORY if advisory else EnforcementLevel.MANDATORY


def _of_resource(rule: ResourceRule) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if args.resource_type in rule.types:
            for violation in rule.check(
                resource(args.resource_type, args.name, args.urn, "", args.props, protect=args.opts.protect)
            ):
                report(str(violation), None)

    return ResourceValidationPolicy(rule.name, rule.description, validate, _level(advisory=rule.advisory))


def _of_stack(rule: StackRule) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        urns: dict[int, str] = {}
        found: list[Resource] = []
        for one in args.resources:
            parent = one.parent.urn if one.parent is not None else ""
            made = resource(one.resource_type, one.name, one.urn, parent, one.props, protect=one.opts.protect)
            urns[id(made)] = one.urn
            found.append(made)
        for culprit, violation in rule.check(found):
            report(str(violation), urns[id(culprit)])

    return StackValidationPolicy(rule.name, rule.description, validate, _level(advisory=rule.advisory))


def resource(
    kind: str, name: str, urn: str, parent: str, props: Mapping[str, Any], *, protect: bool
) -> Resource:
    """Return a resource as the rules see it."""
    stack = urn.split("::")[0].rpartition(":")[2]
    return Resource(type=kind, name=name, stack=stack, parent=parent, protect=protect, props=props)


if __name__ == "__main__":
    PolicyPack(NAME, [*map(_of_resource, RULES), *map(_of_stack, STACK_RULES)])
