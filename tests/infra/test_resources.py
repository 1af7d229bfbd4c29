"""The page tells each kind of resource once, with what is the same for all of them."""

from __future__ import annotations

from typing import Any

from infra.localmock.wire import SHOWN_UNKNOWN
from infra.resources import render


def entry(**inputs: Any) -> dict[str, Any]:
    return {"type": "aws:ec2/instance:Instance", "custom": True, "inputs": inputs}


def test_equal_values_are_shown_and_others_are_not() -> None:
    first = entry(
        ami=SHOWN_UNKNOWN, cpuOptions={"amdSevSnp": "enabled"}, instanceType="a", tags={"x": "y"}, l=[1]
    )
    second = entry(ami=SHOWN_UNKNOWN, cpuOptions={"amdSevSnp": "enabled"}, instanceType="b", tags={}, l=[1])
    component = {"type": "tunnel:aws:Machine", "custom": False, "inputs": {}}
    page = render({"resources": [first, second, component]})
    row = "| `ec2.Instance` | `ami=…`, `cpuOptions.amdSevSnp=enabled`, `instanceType=…`, `l[]=1` |"
    assert row in page.splitlines()
    assert "## AWS" in page
    assert "Azure" not in page
