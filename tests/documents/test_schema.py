"""Schema errors: all at once, each with its path, and what was wanted."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from runtime.documents import schema
from runtime.errors import DocumentError
from tests.documents.damage import EXAMPLES, changed, example, problems, without

NAMES = {"fleet": "fleet", "routes": "routes", "image-manifest": "image-manifest"}
SETTINGS = ("settings-server", "settings-client")


def _fleet(data: bytes) -> object:
    return schema.read(data, "fleet document", "fleet")


def _settings(data: bytes) -> object:
    return schema.read(data, "settings", "settings")


@pytest.mark.parametrize("name", ["fleet", "routes", "image-manifest", "settings"])
def test_our_schemas_are_schemas_and_close_every_object(name: str) -> None:
    parsed = json.loads(schema.text(name))
    Draft202012Validator.check_schema(parsed)
    stack, objects = [parsed], 0
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if item.get("type") == "object":
                objects += 1
                assert "additionalProperties" in item, item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    assert objects


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_every_example_meets_its_schema(path: object) -> None:
    name = str(path).rpartition("/")[2].removesuffix(".json")
    assert schema.read(example(name), "example", "settings" if name in SETTINGS else NAMES[name])


def test_a_misspelt_key_is_told_with_the_right_one() -> None:
    data = changed("fleet", "members", 1, "hostname", to=["app.example.com"])
    assert problems(_fleet, data) == {"$.members[1]": "unknown key 'hostname', did you mean 'hostnames'?"}


def test_a_strange_key_is_told_with_all_that_are_known() -> None:
    found = problems(_fleet, changed("fleet", "members", 1, "zzz", to=1))
    assert found["$.members[1]"].startswith("unknown key 'zzz', want one of ['name', 'role'")


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        (without("fleet", "members", 0, "role"), "$.members[0]", "'role' is missing"),
        (without("fleet", "purpose"), "$", "'purpose' is missing"),
        (changed("fleet", "purpose", to="production\n"), "$.purpose", 'want one of "production", "test"'),
        (changed("fleet", "version", to=0), "$.version", "is 0, want at least 1"),
        (changed("fleet", "version", to=2**53), "$.version", f"want at most {2**53 - 1}"),
        (changed("fleet", "version", to=1.0), "$.version", "is 1.0, want integer"),
        (changed("fleet", "version", to=True), "$.version", "is true, want integer"),
        (changed("fleet", "members", 0, "name", to="AWS"), "$.members[0].name", "lower-case letters"),
        (changed("fleet", "members", 0, "name", to="aws-1\n"), "$.members[0].name", "lower-case letters"),
        (changed("fleet", "issued_at", to="2026-11-22"), "$.issued_at", "RFC 3339 in UTC with whole seconds"),
        (changed("fleet", "members", to=[]), "$.members", "non-empty"),
        (changed("fleet", "schema", to="tunnel-fleet/2"), "$.schema", 'want "tunnel-fleet/1"'),
        (b"[]", "$", "is [], want object"),
        (b"{", "$", "not JSON"),
    ],
)
def test_each_rule_says_where_what_and_what_was_wanted(data: bytes, path: str, message: str) -> None:
    assert message in problems(_fleet, data)[path]


def test_a_pattern_without_a_description_is_shown_itself() -> None:
    advisory = ("reference_values", "gcp-tdx", "tdx", "refused_advisories")
    found = problems(_fleet, changed("fleet", *advisory, to=["SA-1"]))
    assert found["$." + ".".join(advisory) + "[0]"] == (
        'is "SA-1", want text that matches ^INTEL-SA-[0-9]{5}$'
    )


def test_one_of_several_forms_is_told_by_its_description() -> None:
    message = problems(_settings, changed("settings-client", "resolver", to="example.com:53"))["$.resolver"]
    assert message == 'is "example.com:53", want system (the machine\'s own), or address:port of a DNS server'


def test_all_mistakes_come_together_and_a_flood_is_cut() -> None:
    document = json.loads(example("fleet"))
    document["version"], document["purpose"] = 0, "x"
    del document["waivers"]
    assert set(problems(_fleet, json.dumps(document).encode())) == {"$.version", "$.purpose", "$"}
    document["members"] = [{}] * 1000
    with pytest.raises(DocumentError) as refused:
        _fleet(json.dumps(document).encode())
    assert len(refused.value.problems) == schema.MAX_PROBLEMS


def test_a_long_wrong_value_is_shown_short() -> None:
    message = problems(_fleet, changed("fleet", "purpose", to="x" * 5000))["$.purpose"]
    assert len(message) < 200
    assert '..., want one of "production"' in message


def test_a_pattern_without_a_description_and_a_union_of_types_are_spelt_out() -> None:
    message = problems(_fleet, changed("fleet", "waivers", to=[{"check": "A B"}]))["$.waivers[0].check"]
    assert message == 'is "A B", want id of the check that may fail'
    floor = ("reference_values", "gcp-snp", "snp", "products", "Milan", "opt_in")
    assert "want" in problems(_fleet, changed("fleet", *floor, to=None))["$." + ".".join(floor)]


def test_one_of_several_kinds_is_named_with_all_of_them() -> None:
    data = changed("routes", "routes", 0, "certificate", to=5)
    found = problems(lambda raw: schema.read(raw, "routes", "routes"), data)
    assert found == {"$.routes[0].certificate": "is 5, want object or string"}
