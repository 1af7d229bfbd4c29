"""The image manifest: what is the same for every VM of one baked image. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Literal

from runtime.documents import schema
from runtime.errors import DocumentError, Problem

WHAT = "image manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """One file that the bake made."""

    file: str
    format: Literal["raw", "vhd", "gce-tar", "uki", "sbom"]
    sha256: bytes
    size: int  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageManifest:
    """One image: its measurements and files, and the digest of the manifest itself."""

    digest: bytes  # SHA-256 of the manifest's bytes
    version: str
    variant: Literal["release", "test", "simulated"]
    measurements: Mapping[str, bytes]
    artefacts: tuple[Artefact, ...]


def read(data: bytes) -> ImageManifest:
    """Read `image-manifest.json`. Raises: DocumentError with every problem."""
    raw = schema.read(data, WHAT, "image-manifest")
    problems: list[Problem] = []
    if raw["variant"] != "simulated":
        needed = ("pcr4_sha256", "pcr11_sha256", "pcr4_sha384", "pcr11_sha384", "root_hash")
        problems += [
            Problem("$.measurements", f"{name} is missing, a {raw['variant']} image has it")
            for name in needed
            if name not in raw["measurements"]
        ]
        if not raw["artefacts"]:
            problems.append(Problem("$.artefacts", f"is empty, a {raw['variant']} image has files"))
    files = [artefact["file"] for artefact in raw["artefacts"]]
    problems += [
        Problem("$.artefacts", f"{name} is there twice")
        for name in sorted({f for f in files if files.count(f) > 1})
    ]
    if problems:
        raise DocumentError(WHAT, problems)
    return ImageManifest(
        digest=sha256(data).digest(),
        version=raw["version"],
        variant=raw["variant"],
        measurements=MappingProxyType(
            {name: bytes.fromhex(value) for name, value in raw["measurements"].items()}
        ),
        artefacts=tuple(
            Artefact(file=a["file"], format=a["format"], sha256=bytes.fromhex(a["sha256"]), size=a["bytes"])
            for a in raw["artefacts"]
        ),
    )
