"""Reference Values of the fleet document, typed (RFC 9334 §3). Pure.

Every field is required: what a policy does not say is refused, never skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from runtime.documents import platform_values
from runtime.documents.platform_values import (
    AzureReferenceValues,
    GceReferenceValues,
    NitroReferenceValues,
    QemuReferenceValues,
    TdxReferenceValues,
)

SnpProduct = Literal["Milan", "Genoa", "Turin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One accepted generation of our image, until its end date."""

    id: str
    manifest_sha256: bytes
    not_after: int  # Unix seconds
    snp_launch: tuple[bytes, ...]  # launch digests that cover the whole image, 48 bytes each
    registers: Mapping[str, bytes]  # pcr4_sha256, pcr11_sha256, pcr4_sha384, pcr11_sha384
    rtmr1: tuple[bytes, ...]  # of a TDX guest, 48 bytes each: its boot programs
    rtmr2: tuple[bytes, ...]  # what they loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """One accepted value of what a provider's firmware measures to: it says nothing about our image."""

    name: str
    format: str  # of evidence
    register: Literal["snp_measurement", "mrtd", "rtmr0", "pcr7_sha256", "pcr7_sha384"]
    value: bytes  # 48; of pcr7_sha256 32
    not_after: int  # Unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpProductFloor:
    """Least TCB of one product line."""

    min_tcb: Mapping[str, int]  # component -> security version number, 0..255
    opt_in: Mapping[str, str]  # id of a published attack (`weaknesses`) -> why it is accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpReferenceValues:
    """What an AMD SEV-SNP report has to show; field names as in AMD 56860, table 23."""

    report_versions: frozenset[int]
    signers: frozenset[Literal["vcek", "vlek"]]
    csp_ids: frozenset[str]
    products: Mapping[SnpProduct, SnpProductFloor]
    smt_allowed: bool
    cxl_allowed: bool
    min_abi: tuple[int, int]  # major, minor
    policy_require: frozenset[str]
    platform_require: frozenset[str]
    provisional_firmware: bool
    min_guest_svn: int
    id_key_digests: frozenset[bytes]  # 48 bytes each
    author_key_digests: frozenset[bytes]  # 48 bytes each
    required_mitigations: int  # bit mask
    revocation_required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatValues:
    """The rules for evidence of one format; the schema says which of them each format has."""

    snp: SnpReferenceValues | None
    tdx: TdxReferenceValues | None
    nitrotpm: NitroReferenceValues | None
    azure: AzureReferenceValues | None
    gce: GceReferenceValues | None
    qemu: QemuReferenceValues | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceValues:
    """The accepted images and firmware, and the rules of each evidence format the fleet uses."""

    images: tuple[Image, ...]
    firmware: tuple[Firmware, ...]
    formats: Mapping[str, FormatValues]  # evidence of any other format is refused


def formats(raw: dict[str, Any]) -> Mapping[str, FormatValues]:
    """Build from the schema-checked object of `$.reference_values`."""
    return MappingProxyType({name: _format(part) for name, part in raw.items()})


def _format(raw: dict[str, Any]) -> FormatValues:
    return FormatValues(
        snp=snp(raw["snp"]) if "snp" in raw else None,
        tdx=platform_values.tdx(raw["tdx"]) if "tdx" in raw else None,
        nitrotpm=platform_values.nitrotpm(raw["nitrotpm"]) if "nitrotpm" in raw else None,
        azure=platform_values.azure(raw["azure"]) if "azure" in raw else None,
        gce=platform_values.gce(raw["gce"]) if "gce" in raw else None,
        qemu=platform_values.qemu(raw["qemu"]) if "qemu" in raw else None,
    )


def image(raw: dict[str, Any], not_after: int) -> Image:
    """Build from the schema-checked object of `$.images[]`."""
    measurements = raw["measurements"]
    return Image(
        id=raw["id"],
        manifest_sha256=bytes.fromhex(raw["manifest_sha256"]),
        not_after=not_after,
        snp_launch=tuple(bytes.fromhex(value) for value in measurements.get("snp_launch", ())),
        registers=MappingProxyType(
            {name: bytes.fromhex(value) for name, value in measurements.items() if isinstance(value, str)}
        ),
        rtmr1=tuple(bytes.fromhex(value) for value in measurements.get("rtmr1", ())),
        rtmr2=tuple(bytes.fromhex(value) for value in measurements.get("rtmr2", ())),
    )


def firmware(raw: dict[str, Any], not_after: int) -> Firmware:
    """Build from the schema-checked object of `$.firmware[]`."""
    return Firmware(
        name=raw["name"],
        format=raw["format"],
        register=raw["register"],
        value=bytes.fromhex(raw["value"]),
        not_after=not_after,
    )


def snp(raw: dict[str, Any]) -> SnpReferenceValues:
    """Build from the schema-checked object of `snp`."""
    policy = raw["guest_policy"]
    major, minor = policy["min_abi"].split(".")
    return SnpReferenceValues(
        report_versions=frozenset(raw["report_versions"]),
        signers=frozenset(raw["signers"]),
        csp_ids=frozenset(raw["csp_ids"]),
        products=MappingProxyType(
            {
                name: SnpProductFloor(
                    min_tcb=MappingProxyType(dict(part["min_tcb"])),
                    opt_in=MappingProxyType({entry["weakness"]: entry["reason"] for entry in part["opt_in"]}),
                )
                for name, part in raw["products"].items()
            }
        ),
        smt_allowed=policy["smt"] == "allowed",
        cxl_allowed=policy["cxl"] == "allowed",
        min_abi=(int(major), int(minor)),
        policy_require=frozenset(policy["require"]),
        platform_require=frozenset(raw["platform_require"]),
        provisional_firmware=raw["provisional_firmware"],
        min_guest_svn=raw["min_guest_svn"],
        id_key_digests=frozenset(bytes.fromhex(value) for value in raw["id_key_digests"]),
        author_key_digests=frozenset(bytes.fromhex(value) for value in raw["author_key_digests"]),
        required_mitigations=int(raw["required_mitigations"], 16),
        revocation_required=raw["revocation"] == "required",
    )
