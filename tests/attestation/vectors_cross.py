"""What is wrong whatever the platform: document, role, grade, dates, and a report that stands alone. Pure."""

from __future__ import annotations

from typing import Any

from runtime.attestation.findings import Reason
from runtime.attestation.formats import FORMATS
from runtime.documents import times
from tests.attestation import parts_cross as parts
from tests.attestation.vector import Vector, vector
from tests.fakes import fleets


def _cross(what: str, check: str, reason: str, form: str = "qemu-tpm", **more: Any) -> Vector:
    return vector("Cross-cutting", what, form, check, reason, **more)


CROSS: tuple[Vector, ...] = (
    *(
        _cross(
            "a format without Reference Values",
            f"{form}.accepted",
            Reason.DOCUMENT,
            form,
            fleet={"reference_values": {}},
        )
        for form in FORMATS
    ),
    _cross("a document of the future", "document.issued_at", Reason.DOCUMENT, how={"now": fleets.NOW - 3601}),
    _cross(
        "a document past its life",
        "document.expires_at",
        Reason.EXPIRED,
        how={"now": fleets.NOW + 14 * times.DAY_S},
    ),
    _cross("settings that no member has", "member.known", Reason.MEMBER, how={"settings_digest": bytes(32)}),
    _cross("another role", "member.role", Reason.ROLE, how={"role": "server"}),
    _cross(
        "a grade below the role's least",
        "grade.least",
        Reason.GRADE,
        "gcp-snp",
        fleet={"least_grade": {"server": "P", "client": "P", "key_receiver": "P"}},
        how={"roots": "hardware"},
    ),
    _cross(
        "a root of tests under purpose production",
        "purpose.root",
        Reason.PURPOSE,
        "gcp-snp",
        also=("grade.least",),
        lazy=parts.production,
    ),
    _cross(
        "firmware past its date",
        "firmware.date",
        Reason.EXPIRED,
        "gcp-snp",
        lazy=parts.firmware_past_its_date("snp_measurement"),
    ),
    _cross(
        "an item larger than its bound",
        "malformed",
        Reason.MALFORMED,
        "gcp-tdx",
        says="ccel is 131073 bytes, want 1 to 131072",
        how={"evidence": parts.oversized()},
    ),
    _cross(
        "a report alone: another host's data",
        "settings.digest",
        Reason.SETTINGS,
        "sev-snp",
        options={"snp": {"host_data": bytes(32)}},
    ),
    _cross(
        "a report alone: launched with what nobody listed",
        "measurement.known",
        Reason.MEASUREMENT,
        "sev-snp",
        options={"snp": {"measurement": b"\x01" * 48}},
        also=("image.measured",),
    ),
    _cross(
        "a report alone: only firmware was measured",
        "image.measured",
        Reason.IMAGE,
        "sev-snp",
        lazy=parts.firmware_only,
    ),
    _cross(
        "a report alone under purpose production",
        "settings.register",
        Reason.SETTINGS,
        "sev-snp",
        how={"roots": "hardware"},
        also=("grade.least",),
        lazy=parts.production,
    ),
)
