"""The fleet document: what the owner signs is refused unless it can only mean one thing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.documents import dsse, fleet
from runtime.errors import DocumentError
from tests.documents.damage import accepts_or_refuses, changed, damaged, example, problems, rewritten, without
from tests.fakes.fleets import open_signed

EXAMPLE = example("fleet")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
CHIP = "ab" * 64


def _members(*changes: dict[str, Any]) -> bytes:
    members = json.loads(EXAMPLE)["members"]
    return changed(
        "fleet", "members", to=[{**member, **change} for member, change in zip(members, changes, strict=True)]
    )


def test_reads_the_example_whole() -> None:
    document = fleet.read(EXAMPLE)
    assert (document.fleet, document.version, document.purpose) == ("example", 1, "production")
    assert document.expires_at - document.issued_at == 14 * 86_400
    assert document.least_grade == {"server": "V", "client": "V", "key_receiver": "P"}
    assert [member.name for member in document.members] == ["aws-1", "client-1"]
    assert document.reference_values.formats["azure-tdx"].tdx is not None
    assert document.digest.hex() != fleet.read(EXAMPLE + b" ").digest.hex()


def test_finds_a_member_by_its_settings_and_nobody_by_others() -> None:
    document = fleet.read(EXAMPLE)
    assert document.member_by_settings(document.members[1].settings_digest) is document.members[1]
    assert document.member_by_settings(bytes(32)) is None


@pytest.mark.parametrize(
    ("hostname", "granted"),
    [
        ("app.example.com", True),
        ("a.dev.example.com", True),
        ("*.dev.example.com", True),
        ("dev.example.com", False),
        ("a.b.dev.example.com", False),
        ("*.example.com", False),
        ("*.app.example.com", False),
        ("example.com", False),
        ("evil-app.example.com", False),
        ("APP.example.com", False),
        ("com", False),
        ("", False),
        ("*", False),
    ],
)
def test_a_grant_is_for_that_name_or_one_label(hostname: str, granted: bool) -> None:
    assert fleet.read(EXAMPLE).members[1].may_publish(hostname) is granted


def test_an_asterisk_route_is_not_granted_by_another_asterisk() -> None:
    member = fleet.read(changed("fleet", "members", 1, "hostnames", to=["*.example.com"])).members[1]
    assert member.may_publish("a.example.com")
    assert not member.may_publish("*.a.example.com")


def test_opens_what_the_owner_signed_and_nothing_else() -> None:
    envelope = dsse.sign(EXAMPLE, dsse.FLEET_TYPE, KEY)
    assert open_signed(envelope, (PUBLIC,)) == fleet.read(EXAMPLE)
    for wrong, keys in (
        (envelope, (bytes(32),)),
        (dsse.sign(EXAMPLE, dsse.ROUTES_TYPE, KEY), (PUBLIC,)),
        (EXAMPLE, (PUBLIC,)),
    ):
        with pytest.raises(DocumentError):
            open_signed(wrong, keys)


@pytest.mark.parametrize("field", ["name", "settings_sha256", "instance"])
def test_two_members_alike_are_refused(field: str) -> None:
    first = json.loads(EXAMPLE)["members"][0][field]
    found = problems(fleet.read, changed("fleet", "members", 1, field, to=first))
    assert list(found) == [f"$.members[1].{field}"]
    assert "equals that of $.members[0]" in found[f"$.members[1].{field}"]


WAIVER = {
    "name": "w1",
    "check": "td.pks",
    "member": "client-1",
    "reason": "for a short while",
    "not_after": "2026-12-01T00:00:00Z",
}


@pytest.mark.parametrize(
    ("part", "hidden", "field", "shared"),
    [
        ("images", {"measurements": {"pcr4_sha256": "66" * 32}}, "id", ""),
        (
            "firmware",
            {"name": "another", "not_after": "2029-01-01T00:00:00Z"},
            "value",
            "format and register",
        ),
        ("waivers", {"check": "image.pcr4", "member": "*"}, "name", ""),
    ],
)
@pytest.mark.parametrize("at", [0, 1])
def test_nothing_hides_under_the_name_of_another(
    part: str, hidden: dict[str, Any], field: str, shared: str, at: int
) -> None:
    """Both entries would be in force, and whoever looks one up by its name is shown one of them."""
    document = json.loads(changed("fleet", "waivers", to=[WAIVER]))
    document[part].insert(at, document[part][0] | hidden)
    found = problems(fleet.read, json.dumps(document).encode())
    assert list(found) == [f"$.{part}[1].{field}"]
    told = found[f"$.{part}[1].{field}"]
    assert told.startswith(f"equals that of $.{part}[0]{f', of one {shared}' if shared else ''}: ")
    assert "take" in told, "what to do is said"


def test_generations_of_an_image_overlap_and_firmware_has_many_values() -> None:
    document = json.loads(changed("fleet", "waivers", to=[WAIVER, WAIVER | {"name": "w2"}]))
    document["images"].append(document["images"][0] | {"id": "0.2.0"})
    for other in ({"value": "ab" * 48}, {"format": "gcp-snp"}, {"register": "mrtd"}):
        document["firmware"].append(document["firmware"][0] | other)
    fleet.read(json.dumps(document).encode())


ZEROS = [
    *(("images", 0, "measurements", f"pcr{number}_sha{size}") for number in (4, 11) for size in (256, 384)),
    *(("images", 0, "measurements", f"rtmr{number}", 0) for number in (1, 2)),
    *(("firmware", index, "value") for index in range(3)),
]


@pytest.mark.parametrize("path", ZEROS)
def test_what_nothing_was_measured_into_is_no_reference_value(path: tuple[str | int, ...]) -> None:
    size = 64 if "sha256" in str(path) else 96
    found = problems(fleet.read, changed("fleet", *path, to="0" * size))
    where = "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    assert list(found) == [where]
    assert "is all zeros" in found[where]
    fleet.read(changed("fleet", *path, to="0" * (size - 1) + "1"))


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("images", 0, "measurements", "snp_launch"), ["ab" * 48, "00" * 48]),
        (("reference_values", "azure-tdx", "tdx", "mrseam"), ["ab" * 48, "00" * 48]),
    ],
)
def test_nor_are_zeros_among_others(path: tuple[str | int, ...], to: list[str]) -> None:
    (where,) = problems(fleet.read, changed("fleet", *path, to=to))
    assert where.endswith("[1]")


def test_one_attack_is_accepted_for_one_reason() -> None:
    twice = [
        {"weakness": "arxiv-2605.12990", "reason": "the first reason"},
        {"weakness": "arxiv-2605.12990", "reason": "another reason"},
    ]
    where = ("reference_values", "gcp-snp", "snp", "products", "Milan", "opt_in")
    found = problems(fleet.read, changed("fleet", *where, to=twice))
    assert found == {
        f"$.{'.'.join(where)}[1].weakness": "is 'arxiv-2605.12990', which an entry before names too"
    }


def test_one_instance_is_one_instance_in_whatever_order_it_is_written() -> None:
    data = _members(
        {"instance": {"kind": "gcp_instance_id", "value": "7"}},
        {"instance": {"value": "7", "kind": "gcp_instance_id"}},
    )
    assert "$.members[1].instance" in problems(fleet.read, data)


def test_one_azure_machine_in_two_spellings_is_not_two_members() -> None:
    value = "8d9962f0-6a8a-4a65-b0f9-881ba6515ba8"
    for other in (value.upper(), value.title()):
        data = _members(
            {"instance": {"kind": "azure_vm_unique_id", "value": value}},
            {"instance": {"kind": "azure_vm_unique_id", "value": other}},
        )
        found = problems(fleet.read, data)
        assert found == {
            "$.members[1].instance.value": f"is {other!r}, want a VM's unique id in lower case: "
            "one machine has one spelling"
        }


def test_equal_values_of_different_kinds_are_two_instances() -> None:
    fleet.read(
        _members(
            {"instance": {"kind": "gcp_instance_id", "value": "7"}},
            {"instance": {"kind": "aws_instance_id", "value": "7"}},
        )
    )


@pytest.mark.parametrize("value", ["0" * 128, "AB" * 64, CHIP[:-1], CHIP + "a", "g" * 128, CHIP[:-1] + "\n"])
def test_a_chip_id_names_a_chip(value: str) -> None:
    kind = {"instance": {"kind": "chip_id", "value": CHIP}}
    assert fleet.read(_members({}, kind)).members[1].instance.value == CHIP
    assert "$.members[1].instance.value" in problems(
        fleet.read, _members({}, {"instance": {**kind["instance"], "value": value}})
    )


@pytest.mark.parametrize(
    ("expires", "good"),
    [
        ("2026-11-22T00:00:01Z", True),
        ("2027-02-20T00:00:00Z", True),
        ("2027-02-20T00:00:01Z", False),
        ("2026-11-22T00:00:00Z", False),
        ("2026-11-21T23:59:59Z", False),
        ("2028-01-01T00:00:00Z", False),
    ],
)
def test_a_document_lives_at_most_ninety_days(expires: str, good: bool) -> None:
    data = changed("fleet", "expires_at", to=expires)
    if good:
        assert fleet.read(data).expires_at > fleet.read(data).issued_at
    else:
        assert "within 90 days" in problems(fleet.read, data)["$.expires_at"]


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-06-30T23:59:60Z",
    ],
)
@pytest.mark.parametrize(
    "path", [("issued_at",), ("expires_at",), ("images", 0, "not_after"), ("firmware", 0, "not_after")]
)
def test_a_date_that_does_not_exist_is_refused_where_it_stands(
    path: tuple[str | int, ...], text: str
) -> None:
    where = "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    assert "no date" in problems(fleet.read, changed("fleet", *path, to=text))[where]


def test_waivers_are_named_dated_and_typed() -> None:
    waiver = {
        "name": "old-bios",
        "check": "snp.tcb",
        "member": "*",
        "reason": "vendor fix is due",
        "not_after": "2026-12-01T00:00:00Z",
    }
    document = fleet.read(changed("fleet", "waivers", to=[waiver]))
    assert document.waivers[0].check == "snp.tcb"
    assert document.waivers[0].not_after == 1_796_083_200
    for name in waiver:
        assert problems(
            fleet.read, changed("fleet", "waivers", to=[{k: v for k, v in waiver.items() if k != name}])
        )
    bad = {**waiver, "not_after": "2026-02-30T00:00:00Z"}
    assert "$.waivers[0].not_after" in problems(fleet.read, changed("fleet", "waivers", to=[bad]))


@pytest.mark.parametrize("role", ["server", "client", "key_receiver"])
def test_only_a_test_fleet_accepts_what_only_a_test_proves(role: str) -> None:
    data = changed("fleet", "least_grade", role, to="T")
    assert list(problems(fleet.read, data)) == [f"$.least_grade.{role}"]
    document = json.loads(data)
    document["purpose"] = "test"
    assert fleet.read(json.dumps(document).encode()).least_grade[role] == "T"


def test_without_snp_values_there_is_no_snp_policy_at_all() -> None:
    assert (
        fleet.read(without("fleet", "reference_values", "gcp-snp")).reference_values.formats.get("gcp-snp")
        is None
    )


def test_problems_of_meaning_come_together() -> None:
    document = json.loads(EXAMPLE)
    document["issued_at"], document["least_grade"]["server"] = "2026-02-30T00:00:00Z", "T"
    document["members"][1]["name"] = "aws-1"
    found = problems(fleet.read, json.dumps(document).encode())
    assert {"$.issued_at", "$.least_grade.server", "$.members[1].name"} <= set(found)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(damaged(EXAMPLE))
def test_a_damaged_byte_is_read_or_refused(data: bytes) -> None:
    accepts_or_refuses(fleet.read, data)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(rewritten(EXAMPLE))
def test_a_changed_value_is_read_or_refused(data: bytes) -> None:
    accepts_or_refuses(fleet.read, data)


@given(st.binary(max_size=60))
def test_any_bytes_are_refused(data: bytes) -> None:
    accepts_or_refuses(fleet.read, data)


def test_a_software_tpm_is_for_tests_only() -> None:
    values = {"qemu": {"event_log": "required"}}
    found = problems(fleet.read, changed("fleet", "reference_values", "qemu-tpm", to=values))
    assert found == {"$.reference_values.qemu-tpm": 'only purpose "test" accepts a software TPM'}


def test_its_last_second_is_part_of_its_life() -> None:
    document = fleet.read(EXAMPLE)
    assert [document.ended(document.expires_at + late) for late in (-1, 0, 1)] == [False, False, True]
