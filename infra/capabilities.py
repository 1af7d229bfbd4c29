"""Which cloud runs which TEE on which machine type in which region: a dated table. Pure.

A combination that is not in the table is refused with the nearest one that is; the clouds themselves
have the last word, so every row says where it was read and when.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from runtime.documents.fleet import Grade
from runtime.documents.reference_values import SnpProduct

CloudName = Literal["aws", "azure", "gcp"]
TeeName = Literal["sev-snp", "tdx"]
CLOUD_NAMES: tuple[CloudName, ...] = ("aws", "azure", "gcp")
TEE_NAMES: tuple[TeeName, ...] = ("sev-snp", "tdx")

CHECKED = "2026-11-22"  # the day the sources below were read


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One row: machine types that a cloud sells with one TEE, and where."""

    cloud: CloudName
    tee: TeeName
    types: tuple[str, ...]  # smallest first: the first is the row's default
    regions: tuple[str, ...]
    product: SnpProduct | None  # the AMD product line that signs; None for TDX
    grade: Grade  # the best a verifier can say of it (README.md)
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One confidential machine that its cloud sells."""

    cloud: CloudName
    tee: TeeName
    type: str
    region: str
    zone: str
    product: SnpProduct | None
    grade: Grade


def _types(form: str, sizes: Iterable[object]) -> tuple[str, ...]:
    return tuple(form.format(size) for size in sizes)


_AWS = "Amazon EC2 User Guide, AMD SEV-SNP: m6a, c6a and r6a in two regions"
_AZURE = "Microsoft Learn, confidential VM sizes; the regions are this table's own allow-list"
_GCP = "Google Cloud, Confidential VM supported configurations"
_AWS_REGIONS = ("us-east-2", "eu-west-1")
_AZURE_REGIONS = ("westeurope", "northeurope", "eastus", "westus")
_GCP_REGIONS = ("europe-west4", "us-central1", "asia-southeast1")
_EC2_SIZES = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
_DC_SIZES = (2, 4, 8, 16, 32, 48, 64, 96)
_N2D_SIZES = (2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 224)

# The first row of a cloud, and its first type, are that cloud's default.
OFFERS: tuple[Offer, ...] = (
    Offer(
        cloud="aws",
        tee="sev-snp",
        types=(
            *_types("m6a.{}", _EC2_SIZES[:5]),
            *_types("c6a.{}", _EC2_SIZES),
            *_types("r6a.{}", _EC2_SIZES[:4]),
        ),
        regions=_AWS_REGIONS,
        product="Milan",
        grade="V",
        source=_AWS,
    ),
    Offer(
        cloud="azure",
        tee="sev-snp",
        types=(
            *_types("Standard_DC{}as_v5", _DC_SIZES),
            *_types("Standard_DC{}ads_v5", _DC_SIZES),
            *_types("Standard_EC{}as_v5", _DC_SIZES),
            *_types("Standard_EC{}ads_v5", _DC_SIZES),
        ),
        regions=_AZURE_REGIONS,
        product="Milan",
        grade="P",
        source=_AZURE,
    ),
    Offer(
        cloud="azure",
        tee="sev-snp",
        types=(*_types("Standard_DC{}as_v6", _DC_SIZES), *_types("Standard_EC{}as_v6", _DC_SIZES)),
        regions=_AZURE_REGIONS,
        product="Genoa",
        grade="P",
        source=_AZURE,
    ),
    Offer(
        cloud="azure",
        tee="tdx",
        types=(
            *_types("Standard_DC{}es_v6", (*_DC_SIZES, 128)),
            *_types("Standard_EC{}es_v6", _DC_SIZES[:-1]),
        ),
        regions=_AZURE_REGIONS,
        product=None,
        grade="P",
        source=_AZURE,
    ),
    Offer(
        cloud="gcp",
        tee="tdx",
        types=_types("c3-standard-{}", (4, 8, 22, 44, 88, 176)),
        regions=_GCP_REGIONS,
        product=None,
        grade="H",
        source=_GCP,
    ),
    Offer(
        cloud="gcp",
        tee="sev-snp",
        types=_types("n2d-standard-{}", _N2D_SIZES),
        regions=_GCP_REGIONS,
        product="Milan",
        grade="V",
        source=_GCP,
    ),
)


def choose(
    *, cloud: CloudName, region: str, zone: str, machine_type: str, tee: str
) -> tuple[Machine | None, list[tuple[str, str]]]:
    """Return the machine, or the mistakes as (key, message), each naming the nearest valid value.

    An empty `zone`, `machine_type` or `tee` means this table's default.
    """
    rows = [offer for offer in OFFERS if offer.cloud == cloud]
    mistakes: list[tuple[str, str]] = []
    if machine_type and not any(machine_type in row.types for row in rows):
        known = [name for row in rows if not tee or row.tee == tee for name in row.types]
        mistakes.append(
            ("type", f"is {machine_type!r}, which {_no(cloud, tee)}{_nearest(machine_type, known)}")
        )
        machine_type = ""
    fitting = [
        row for row in rows if (not machine_type or machine_type in row.types) and (not tee or row.tee == tee)
    ]
    if not fitting:
        tees = sorted({row.tee for row in rows if not machine_type or machine_type in row.types})
        other = [row.types[0] for row in rows if row.tee == tee]
        hint = f", or the type {other[0]!r}" if other and machine_type else ""
        where = machine_type or cloud
        mistakes.append(
            ("tee", f"is {tee!r}, which {where} has not; want {' or '.join(map(repr, tees))}{hint}")
        )
        return None, mistakes
    row = fitting[0]
    if region not in row.regions:
        mistakes.append(
            (
                "region",
                f"is {region!r}, where {cloud} is not known to have {row.tee}{_nearest(region, row.regions)}",
            )
        )
    elif zone and zone not in zones(cloud, region):
        mistakes.append(("zone", f"is {zone!r}, want one of {', '.join(zones(cloud, region))}"))
    if mistakes:
        return None, mistakes
    return (
        Machine(
            cloud=cloud,
            tee=row.tee,
            type=machine_type or row.types[0],
            region=region,
            zone=zone or zones(cloud, region)[0],
            product=row.product,
            grade=row.grade,
        ),
        [],
    )


def zones(cloud: CloudName, region: str) -> tuple[str, ...]:
    """Return the spellings of a region's zones; which of them exist, only the cloud knows."""
    if cloud == "azure":
        return ("1", "2", "3")
    between = "" if cloud == "aws" else "-"
    return tuple(f"{region}{between}{letter}" for letter in "abcdef")


def _no(cloud: str, tee: str) -> str:
    return f"{cloud} is not known to sell with {tee or 'a TEE'}"


def _nearest(value: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.0)
    return f"; the nearest is {near[0]!r}" if near else ""
