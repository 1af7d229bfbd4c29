"""Reference Values of the other platforms: each word becomes its own field, none is filled in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from runtime.documents import fleet, platform_values
from tests.documents.damage import changed, example, problems, without

FORMATS = json.loads(example("fleet"))["reference_values"]
PARTS: dict[str, tuple[Callable[[dict[str, Any]], object], dict[str, Any]]] = {
    "tdx": (platform_values.tdx, FORMATS["gcp-tdx"]["tdx"]),
    "nitrotpm": (platform_values.nitrotpm, FORMATS["aws-snp-nitrotpm"]["nitrotpm"]),
    "azure": (platform_values.azure, FORMATS["azure-tdx"]["azure"]),
    "gce": (platform_values.gce, FORMATS["gcp-tdx"]["gce"]),
    "qemu": (platform_values.qemu, {"event_log": "required"}),
}


@pytest.mark.parametrize("part", list(PARTS))
def test_a_missing_word_is_never_filled_in(part: str) -> None:
    read, raw = PARTS[part]
    read(raw)
    for name in raw:
        with pytest.raises(KeyError):
            read({key: value for key, value in raw.items() if key != name})


@pytest.mark.parametrize(
    ("part", "change", "field", "value"),
    [
        ("tdx", {"min_evaluation_number": 7}, "min_evaluation_number", 7),
        ("tdx", {"mrseam": ["01" * 48]}, "mrseam", frozenset({b"\x01" * 48})),
        ("tdx", {"mrseam": "any_signed_by_intel"}, "mrseam", None),
        ("tdx", {"xfam_allowed": "0xe7"}, "xfam_allowed", 0xE7),
        ("tdx", {"allow": []}, "allow", frozenset()),
        ("nitrotpm", {"max_age_s": 9}, "max_age_s", 9),
        ("azure", {"console": "forbidden"}, "console_allowed", False),
        ("azure", {"ak_certificates": "when_present"}, "ak_certificates_required", False),
        ("azure", {"ak_revocation": "required"}, "ak_revocation_required", True),
        ("gce", {"endorsed_firmware": None}, "endorsed_min_svn", None),
        ("gce", {"endorsed_firmware": {"min_svn": 4}}, "endorsed_min_svn", 4),
        ("gce", {"ak_revocation": "required"}, "ak_revocation_required", True),
        ("qemu", {"event_log": "when_present"}, "event_log_required", False),
    ],
)
def test_each_word_changes_its_own_field(
    part: str, change: dict[str, Any], field: str, value: object
) -> None:
    read, raw = PARTS[part]
    assert getattr(read(raw | change), field) == value


@pytest.mark.parametrize("form", list(FORMATS))
def test_every_field_of_every_format_is_required(form: str) -> None:
    for part, fields in FORMATS[form].items():
        assert problems(fleet.read, without("fleet", "reference_values", form, part))
        for field in fields:
            assert problems(fleet.read, without("fleet", "reference_values", form, part, field)), field


def test_a_software_tpm_is_for_tests() -> None:
    found = problems(
        fleet.read, changed("fleet", "reference_values", "qemu-tpm", to={"qemu": {"event_log": "required"}})
    )
    assert list(found) == ["$.reference_values.qemu-tpm"]
    named = {"kind": "tpm_ak_name", "value": "000b" + "01" * 32}
    found = problems(fleet.read, changed("fleet", "members", 0, "instance", to=named))
    assert list(found) == ["$.members[0].instance.kind"]
