"""The page tells each kind of resource once, with what is the same for all of them."""

from __future__ import annotations

from typing import Any

from infra.localmock.wire import SHOWN_UNKNOWN, SIGNATURE
from infra.resources import render


def entry(**inputs: Any) -> dict[str, Any]:
    return {"type": "aws:ec2/instance:Instance", "custom": True, "inputs": inputs}


def arguments(*entries: dict[str, Any]) -> str:
    """Return the second cell of the one row that these make."""
    (row,) = [line for line in render({"resources": entries}).splitlines() if line.startswith("| `")]
    return row.removeprefix("| `ec2.Instance` | ").removesuffix(" |")


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


def test_a_cloud_has_its_title_and_a_kind_is_said_once_without_its_file() -> None:
    kinds = ("gcp:dns/recordSet:RecordSet", "azure-native:network:Subnet", "gcp:compute/image:Image")
    made = [{"type": kind, "custom": True, "inputs": {"x": 1}} for kind in (*kinds, *kinds)]
    lines = render({"resources": made}).splitlines()
    assert [line for line in lines if line.startswith(("##", "| `"))] == [
        "## Azure",
        "| `network.Subnet` | `x=1` |",
        "## Google Cloud",
        "| `compute.Image` | `x=1` |",
        "| `dns.RecordSet` | `x=1` |",
    ]
    assert lines[0] == "# Resources"


def test_what_is_the_image_s_own_is_named_and_never_shown() -> None:
    assert arguments(entry(key="fleet/0.1.0.raw", source={"SHA256": "ab" * 32})) == (
        "`key=…`, `source.SHA256=…`"
    )
    assert arguments(entry(source={SIGNATURE: "c44067f5952c0a294b673a41bacd8c17", "path": "x"})) == (
        "`source.path=x`"
    ), "the mark of a file is Pulumi's, not an argument"


def test_names_and_places_are_left_out_at_the_top_only() -> None:
    assert arguments(entry(name="aws-1", region="us-east-2", disk={"name": "root", "zone": "a"})) == (
        "`disk.name=root`, `disk.zone=a`"
    )


def test_a_value_cannot_break_its_row() -> None:
    assert arguments(entry(command="a | b\nc")) == "`command=a \\| b c`"
    assert arguments(entry(script="`id`")) == "`script=…`"
    assert arguments(entry(exact="x" * 60, long="x" * 61)) == f"`exact={'x' * 60}`, `long=…`"


def test_a_list_whose_members_differ_is_not_shown() -> None:
    assert arguments(entry(ports=[443, 7443])) == "`ports[]=…`"
    assert arguments(entry(rules=[{"port": 443, "open": True}, {"port": 444, "open": True}])) == (
        "`rules[].open=True`, `rules[].port=…`"
    )
