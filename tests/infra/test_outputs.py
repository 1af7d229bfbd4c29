"""A stack's outputs are what a person or another stack reads: addresses of servers, none of clients."""

from __future__ import annotations

from typing import Any

import pytest

from infra import outputs
from tests.infra.conftest import Runs

pytestmark = pytest.mark.timeout(300)


def test_addresses_are_those_that_are_there() -> None:
    endpoint: Any = {"member": "aws-1", "ipv4": "192.0.2.1"}  # as it comes back from another stack's state
    assert outputs._addresses([endpoint]) == {("aws-1", "A"): "192.0.2.1"}


def test_endpoints_name_the_instance_as_evidence_does(runs: Runs) -> None:
    endpoints = {entry["member"]: entry for entry in runs.simulated.answer["up"]["outputs"]["endpoints"]}
    assert endpoints["aws-1"]["instance"]["kind"] == "aws_instance_id"
    assert endpoints["azure-1"]["instance"]["kind"] == "azure_vm_unique_id"
    assert endpoints["gcp-1"]["instance"]["kind"] == "gcp_instance_id"
    assert endpoints["gcp-1"]["instance"]["value"].isdigit()
    assert endpoints["client-2"]["ipv4"] is None
    values = [entry["instance"]["value"] for entry in endpoints.values()]
    assert len(set(values)) == len(values)
