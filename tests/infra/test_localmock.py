"""The values on the wire, the answers of a simulated cloud, and the tree, without any SDK."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from infra import planning
from infra.localmock import runs, tree, wire
from infra.localmock.analyzer import Verdicts
from infra.localmock.answers import Answers
from infra.localmock.engine import STACK_TYPE, Registered, RunResult
from runtime.errors import DocumentError, Problem

SECRET = {wire.SIGNATURE: wire.SECRET, "value": "hush"}
STACK = Registered(
    urn="urn:stack", type=STACK_TYPE, name="s", parent="", custom=False, protect=False, inputs={}
)


def resource(kind: str, name: str, **inputs: Any) -> Registered:
    urn = f"urn:pulumi:local::p::{kind}::{name}"
    return Registered(
        urn=urn, type=kind, name=name, parent="urn:stack", custom=True, protect=True, inputs=inputs
    )


def result(*resources: Registered, problems: tuple[Problem, ...] = (), **outputs: Any) -> RunResult:
    return RunResult(
        stack="local",
        dry=True,
        resources=(STACK, *resources),
        outputs=outputs,
        problems=problems,
        messages=(),
        error="",
    )


def test_secrets_are_never_shown_and_unknowns_are_in_words() -> None:
    found = result(resource("aws:x:Y", "r", key=SECRET, list=[SECRET, wire.UNKNOWN, 60.0]), token=SECRET)
    text, document = tree.text(found), str(tree.document(found))
    assert "hush" not in text + document
    assert "key: [secret]" in text
    assert "list: [[secret], (known after up), 60]" in text
    assert "aws:x:Y r [protect]" in text


def test_a_long_value_is_cut_in_the_tree_and_whole_in_json() -> None:
    found = result(resource("aws:x:Y", "r", data="x" * 300))
    assert "(300 characters)" in tree.text(found)
    assert "x" * 300 in str(tree.document(found))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(SECRET, "hush"), ({"a": [60.0, 1.5]}, {"a": [60, 1.5]}), (True, True), (None, None), ({}, {})],
)
def test_plain_values_carry_no_marks(value: Any, expected: Any) -> None:
    assert wire.plain(value) == expected


def test_an_unknown_is_found_anywhere() -> None:
    assert wire.is_unknown({"a": [{"b": wire.UNKNOWN}]})
    assert not wire.is_unknown({"a": [{"b": "x"}]})


@pytest.mark.parametrize(
    ("kind", "name", "inputs", "output", "expected"),
    [
        ("aws:ec2/eip:Eip", "aws-1-address", {}, "publicIp", "127.0.0.11"),
        ("azure-native:network:PublicIPAddress", "azure-1-address", {}, "ipAddress", "127.0.0.12"),
        ("gcp:compute/address:Address", "gcp-1-address", {}, "address", "127.0.0.13"),
    ],
)
def test_a_local_server_is_reached_where_it_listens(
    raw: dict[str, Any], kind: str, name: str, inputs: dict[str, Any], output: str, expected: str
) -> None:
    answers = Answers(planning.load(raw, "local"))
    assert answers(resource(kind, name, **inputs))[1][output] == expected


def test_whoever_has_no_address_gets_one_that_nobody_routes(release: dict[str, Any]) -> None:
    answers = Answers(planning.load(release, "aws-prod"))
    first = answers(resource("aws:ec2/eip:Eip", "aws-1-address"))[1]["publicIp"]
    other = answers(resource("aws:ec2/eip:Eip", "us-east-2a-nat-address"))[1]["publicIp"]
    assert first != other
    assert ipaddress.ip_address(first) in ipaddress.ip_network("198.18.0.0/15")
    ipv6 = answers(resource("gcp:compute/address:Address", "gcp-1-address-ipv6", ipVersion="IPV6"))[1][
        "address"
    ]
    assert ipaddress.ip_address(ipv6) in ipaddress.ip_network("2001:db8::/32")


def test_the_same_resource_is_answered_the_same(raw: dict[str, Any]) -> None:
    asked = resource("aws:ec2/instance:Instance", "aws-1-vm")
    identity = Answers(planning.load(raw, "local"))(asked)[0]
    assert identity == Answers(planning.load(raw, "local"))(asked)[0]
    assert identity.startswith("i-")
    assert len(identity) == 19


def test_problems_of_a_run_end_it_with_2() -> None:
    found = result(
        problems=(Problem("vm (aws:x:Y).a", "unknown field"), Problem("vm (aws:x:Y).b", "is missing"))
    )
    with pytest.raises(DocumentError) as caught:
        runs.check_inputs(found)
    assert caught.value.exit_status == 2
    assert len(caught.value.problems) == 2
    runs.check_inputs(result())


def test_verdicts_are_told_in_the_tree_and_in_json() -> None:
    verdicts = Verdicts(violations=(Problem("vm [confidential]", "no"),), advice=(), undecided=())
    assert tree.guardrails(verdicts) == "guardrails 1 violated\n  violated: vm [confidential]: no"
    green = Verdicts(violations=(), advice=(), undecided=())
    assert tree.guardrails(green) == "guardrails green"
    document = tree.document(result(), verdicts)
    assert document["guardrails"]["violations"] == [{"path": "vm [confidential]", "message": "no"}]
    with pytest.raises(DocumentError):
        runs.check_inputs(result(), verdicts)
    runs.check_inputs(result(), green)
