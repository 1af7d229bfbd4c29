"""Stacks are named after what they hold."""

from __future__ import annotations

from infra import stack_names


def test_stacks_are_named_after_what_they_hold() -> None:
    assert stack_names.cloud_stack("azure", "prod") == "azure-prod"
    assert stack_names.ROLES == ("aws", "azure", "gcp", "dns", "all")
