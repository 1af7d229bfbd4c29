"""Reference Values of the platforms beside AMD's report: Intel, Nitro, Azure, Google, a software TPM. Pure.

Every field is required: what an owner does not say is refused, never skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxReferenceValues:
    """What an Intel TDX quote has to show."""

    min_evaluation_number: int
    statuses: frozenset[str]  # in Intel's words
    out_of_date_grace_days: int
    refused_advisories: frozenset[str]
    mrseam: frozenset[bytes] | None  # 48 bytes each; None: any TDX module that Intel signs
    mrconfigid: bytes  # 48
    mrowner: bytes  # 48
    mrownerconfig: bytes  # 48
    xfam_allowed: int  # 64 bits
    sept_ve_disable: bool  # the value it must have
    allow: frozenset[str]  # pks, key_locker, perfmon, dynamic_platform, cached_keys, smt


@dataclass(frozen=True, slots=True, kw_only=True)
class NitroReferenceValues:
    """What a NitroTPM document has to show."""

    regions: frozenset[str]
    max_age_s: int
    max_skew_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureReferenceValues:
    """What Azure's paravisor, and Microsoft's certificates of its attestation key, have to say."""

    console_allowed: bool
    ak_certificates_required: bool
    ak_revocation_required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GceReferenceValues:
    """What Google's certificates have to say."""

    projects: frozenset[str]
    zones: frozenset[str]
    endorsed_min_svn: int | None  # None: firmware has to be listed, an endorsement does not help
    ak_revocation_required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuReferenceValues:
    """What a software TPM has to show, under `purpose: test`."""

    event_log_required: bool


def tdx(raw: dict[str, Any]) -> TdxReferenceValues:
    """Build from the schema-checked object of `tdx`."""
    modules = raw["mrseam"]
    return TdxReferenceValues(
        min_evaluation_number=raw["min_evaluation_number"],
        statuses=frozenset(raw["statuses"]),
        out_of_date_grace_days=raw["out_of_date_grace_days"],
        refused_advisories=frozenset(raw["refused_advisories"]),
        mrseam=None if isinstance(modules, str) else frozenset(bytes.fromhex(value) for value in modules),
        mrconfigid=bytes.fromhex(raw["mrconfigid"]),
        mrowner=bytes.fromhex(raw["mrowner"]),
        mrownerconfig=bytes.fromhex(raw["mrownerconfig"]),
        xfam_allowed=int(raw["xfam_allowed"], 16),
        sept_ve_disable=raw["sept_ve_disable"],
        allow=frozenset(raw["allow"]),
    )


def nitrotpm(raw: dict[str, Any]) -> NitroReferenceValues:
    """Build from the schema-checked object of `nitrotpm`."""
    return NitroReferenceValues(
        regions=frozenset(raw["regions"]), max_age_s=raw["max_age_s"], max_skew_s=raw["max_skew_s"]
    )


def azure(raw: dict[str, Any]) -> AzureReferenceValues:
    """Build from the schema-checked object of `azure`."""
    return AzureReferenceValues(
        console_allowed=raw["console"] == "allowed",
        ak_certificates_required=raw["ak_certificates"] == "required",
        ak_revocation_required=raw["ak_revocation"] == "required",
    )


def gce(raw: dict[str, Any]) -> GceReferenceValues:
    """Build from the schema-checked object of `gce`."""
    endorsed = raw["endorsed_firmware"]
    return GceReferenceValues(
        projects=frozenset(raw["projects"]),
        zones=frozenset(raw["zones"]),
        endorsed_min_svn=None if endorsed is None else endorsed["min_svn"],
        ak_revocation_required=raw["ak_revocation"] == "required",
    )


def qemu(raw: dict[str, Any]) -> QemuReferenceValues:
    """Build from the schema-checked object of `qemu`."""
    return QemuReferenceValues(event_log_required=raw["event_log"] == "required")
