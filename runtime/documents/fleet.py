"""The fleet document: whom the owner trusts, and for what. Pure.

Members, not measurements, are authorised (docs/architecture.md): a VM that runs our image but is
not listed here under the digest of its settings is nobody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Literal

from runtime.documents import reference_values, schema, strict_json, times
from runtime.documents.reference_values import ReferenceValues
from runtime.errors import DocumentError, Problem

WHAT = "fleet document"
MAX_LIFE_S = 90 * times.DAY_S

_INSTANCES: Mapping[str, tuple[str, str]] = MappingProxyType(  # those that are not a cloud's own spelling
    {
        # Azure spells one UUID in both cases; evidence is compared in lower case (`member_policy`).
        "azure_vm_unique_id": (r"[^A-Z]+", "a VM's unique id in lower case: one machine has one spelling"),
        "chip_id": (r"[0-9a-f]{128}", "a chip id of 128 lower-case hexadecimal digits"),
        "tpm_ak_name": (r"000b[0-9a-f]{64}", "a TPM name: 000b and 64 lower-case hexadecimal digits"),
    }
)

# Of these lists, what no two entries may share, and why. Whoever looks for the one finds the other.
_ALONE: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("members", ("name",), "each member has a name of its own"),
    ("members", ("settings_sha256",), "a digest finds exactly one member"),
    ("members", ("instance",), "two members on one instance would be each other's copies"),
    ("images", ("id",), "each image has an id of its own: rename one or take it out"),
    ("firmware", ("format", "register", "value"), "a value has one end date: take one of them out"),
    ("waivers", ("name",), "each waiver has a name of its own: rename one or take it out"),
)
_UNMEASURED = (
    "is all zeros, as a register that nothing was measured into: want what a machine of yours measures"
)

Role = Literal["server", "client"]
Grade = Literal["H", "P", "V", "N", "T"]
GRADES: tuple[Grade, ...] = ("H", "P", "V", "N", "T")  # strongest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """The one machine that a member runs on, as its platform's evidence names it."""

    kind: Literal["aws_instance_id", "azure_vm_unique_id", "gcp_instance_id", "chip_id", "tpm_ak_name"]
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One VM of the fleet."""

    name: str
    role: Role
    settings_digest: bytes  # 32
    instance: Instance
    hostnames: tuple[str, ...]  # exact names, or *.x for one label below x

    def may_publish(self, hostname: str) -> bool:
        """Tell whether the owner granted this very hostname (or route pattern) to the member."""
        wildcard = "*." + hostname.partition(".")[2]
        return hostname in self.hostnames or (not hostname.startswith("*") and wildcard in self.hostnames)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A named check that may fail, for whom, why, and until when."""

    name: str
    check: str
    member: str  # a member's name, or *
    reason: str
    not_after: int  # Unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetDocument:
    """What the owner signed, and the SHA-256 of the bytes that were signed."""

    digest: bytes  # 32
    fleet: str
    version: int
    purpose: Literal["production", "test"]
    issued_at: int  # Unix seconds
    expires_at: int  # Unix seconds; still in force then
    tunnel_name: str
    least_grade: Mapping[str, Grade]  # server, client, key_receiver
    reference_values: ReferenceValues
    members: tuple[Member, ...]
    waivers: tuple[Waiver, ...]

    def ended(self, now: int) -> bool:
        """Tell whether its life is over: `expires_at` is its last second, as a certificate's notAfter is."""
        return now > self.expires_at

    def member_by_settings(self, settings_digest: bytes) -> Member | None:
        """Return the member that boots with these settings, if the owner knows one."""
        return next((member for member in self.members if member.settings_digest == settings_digest), None)


def read(data: bytes) -> FleetDocument:
    """Read an unsigned fleet document. Raises: DocumentError with every problem."""
    raw = schema.read(data, WHAT, "fleet")
    problems: list[Problem] = []
    issued = _time(raw["issued_at"], "$.issued_at", problems)
    expires = _time(raw["expires_at"], "$.expires_at", problems)
    if not issued < expires <= issued + MAX_LIFE_S:
        problems.append(
            Problem(
                "$.expires_at", f"is {raw['expires_at']}, want later than issued_at and within 90 days of it"
            )
        )
    values = _reference_values(raw, problems)
    _check_opt_ins(raw["reference_values"], problems)
    _check_alone(raw, problems)
    _check_measured(raw, problems)
    _check_instances(raw["members"], problems)
    _check_test_only(raw, problems)
    waivers = tuple(
        Waiver(
            name=entry["name"],
            check=entry["check"],
            member=entry["member"],
            reason=entry["reason"],
            not_after=_time(entry["not_after"], f"$.waivers[{index}].not_after", problems),
        )
        for index, entry in enumerate(raw["waivers"])
    )
    if problems:
        raise DocumentError(WHAT, problems)
    return FleetDocument(
        digest=sha256(data).digest(),
        fleet=raw["fleet"],
        version=raw["version"],
        purpose=raw["purpose"],
        issued_at=issued,
        expires_at=expires,
        tunnel_name=raw["tunnel_name"],
        least_grade=MappingProxyType(dict(raw["least_grade"])),
        reference_values=values,
        members=tuple(
            Member(
                name=entry["name"],
                role=entry["role"],
                settings_digest=bytes.fromhex(entry["settings_sha256"]),
                instance=Instance(**entry["instance"]),
                hostnames=tuple(entry["hostnames"]),
            )
            for entry in raw["members"]
        ),
        waivers=waivers,
    )


def _reference_values(raw: dict[str, Any], problems: list[Problem]) -> ReferenceValues:
    return ReferenceValues(
        images=tuple(
            reference_values.image(entry, _time(entry["not_after"], f"$.images[{index}].not_after", problems))
            for index, entry in enumerate(raw["images"])
        ),
        firmware=tuple(
            reference_values.firmware(
                entry, _time(entry["not_after"], f"$.firmware[{index}].not_after", problems)
            )
            for index, entry in enumerate(raw["firmware"])
        ),
        formats=reference_values.formats(raw["reference_values"]),
    )


def _check_opt_ins(formats: dict[str, Any], problems: list[Problem]) -> None:
    """Two reasons for one attack: only one of them would ever be shown."""
    for name, part in formats.items():
        for product, floor in part.get("snp", {}).get("products", {}).items():
            named = [entry["weakness"] for entry in floor["opt_in"]]
            problems += [
                Problem(
                    f"$.reference_values.{name}.snp.products.{product}.opt_in[{index}].weakness",
                    f"is {weakness!r}, which an entry before names too",
                )
                for index, weakness in enumerate(named)
                if weakness in named[:index]
            ]


def _check_alone(raw: dict[str, Any], problems: list[Problem]) -> None:
    """Two entries under one name: a reader who looks for it sees one of them, and both are in force."""
    for part, fields, why in _ALONE:
        seen: dict[bytes, int] = {}
        for index, entry in enumerate(raw[part]):
            value = strict_json.canonical([entry[field] for field in fields])  # whatever the order of keys
            if value in seen:
                shared = f", of one {' and '.join(fields[:-1])}" if fields[:-1] else ""
                problems.append(
                    Problem(
                        f"$.{part}[{index}].{fields[-1]}",
                        f"equals that of $.{part}[{seen[value]}]{shared}: {why}",
                    )
                )
            seen.setdefault(value, index)


def _check_measured(raw: dict[str, Any], problems: list[Problem]) -> None:
    """Zeros as a Reference Value accept firmware that measured nothing, whatever was then booted."""
    measured: dict[str, str] = {
        f"$.firmware[{index}].value": entry["value"] for index, entry in enumerate(raw["firmware"])
    }
    for index, image in enumerate(raw["images"]):
        for name, value in image["measurements"].items():
            measured |= _each(f"$.images[{index}].measurements.{name}", value)
    for name, part in raw["reference_values"].items():
        measured |= _each(f"$.reference_values.{name}.tdx.mrseam", part.get("tdx", {}).get("mrseam", []))
    problems += [Problem(path, _UNMEASURED) for path, value in measured.items() if set(value) == {"0"}]


def _each(path: str, value: str | list[str]) -> dict[str, str]:
    if isinstance(value, str):
        return {path: value}
    return {f"{path}[{index}]": entry for index, entry in enumerate(value)}


def _check_instances(members: list[dict[str, Any]], problems: list[Problem]) -> None:
    for index, member in enumerate(members):
        pattern, wanted = _INSTANCES.get(member["instance"]["kind"], (r".+", "text"))
        value = member["instance"]["value"]
        # All-zero is what a VLEK-signed report carries for every chip: it names no machine.
        if not re.fullmatch(pattern, value) or set(value) == {"0"}:
            problems.append(
                Problem(f"$.members[{index}].instance.value", f"is {value[:80]!r}, want {wanted}")
            )


def _check_test_only(raw: dict[str, Any], problems: list[Problem]) -> None:
    if raw["purpose"] == "test":
        return
    if "qemu-tpm" in raw["reference_values"]:
        problems.append(Problem("$.reference_values.qemu-tpm", 'only purpose "test" accepts a software TPM'))
    problems += [
        Problem(f"$.members[{index}].instance.kind", 'is "tpm_ak_name", which only purpose "test" may name')
        for index, member in enumerate(raw["members"])
        if member["instance"]["kind"] == "tpm_ak_name"
    ]
    problems += [
        Problem(f"$.least_grade.{role}", 'is "T", which only purpose "test" may ask for')
        for role, grade in raw["least_grade"].items()
        if grade == "T"
    ]


def _time(text: str, path: str, problems: list[Problem]) -> int:
    try:
        return times.parse(text)
    except ValueError:
        problems.append(Problem(path, f'is "{text}", which is no date'))
        return 0
