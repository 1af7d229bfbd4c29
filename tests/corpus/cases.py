"""Read a corpus: cases, their files, and the anchors of its `roots/`. I/O: reads one folder.

The layout is that of the corpus' README: `<platform>/<case>/case.json`, `mutations.json`, `roots/`.
Certificates are found by what they are (subject, issuer), never by what their file is called.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import pytest

from runtime.attestation import certificates
from runtime.attestation.certificates import Certificate
from runtime.attestation.snp_claims import TrustRoot
from runtime.documents.reference_values import SnpProduct
from runtime.errors import MalformedError

VARIABLE = "EVIDENCE_CORPUS"
DEFAULT = Path(__file__).resolve().parents[3] / "shared" / "evidence"
PRODUCTS: tuple[SnpProduct, ...] = get_args(SnpProduct)
# Every role that the corpus' README names; a role that nobody knows is an error, not something to ignore.
ROLES = frozenset(
    {
        *("snp_report", "vek", "certs", "cert_table", "vek_wrong", "td_quote", "td_collateral", "td_report"),
        *(
            "hcl_report",
            "runtime_json",
            "user_data",
            "tpm_quotes",
            "ak_certs",
            "ak_public",
            "event_log",
            "ccel",
        ),
        "nitro_document",
    }
)
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_COMMON_NAME = "2.5.4.3"


def folder() -> Path | None:
    """Return the corpus, if there is one."""
    path = Path(os.environ.get(VARIABLE) or DEFAULT)
    return path if path.is_dir() else None


@dataclass(frozen=True, slots=True)
class Case:
    """One `case.json` and the folder it lies in."""

    path: Path
    about: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def inputs(self) -> dict[str, Any]:
        found: dict[str, Any] = self.about.get("inputs", {})
        return found

    def unknown_roles(self) -> list[str]:
        return sorted(set(self.inputs) - ROLES)

    def count(self, role: str) -> int:
        """Return how many files a role names, unread."""
        names = self.inputs.get(role) or []
        return 1 if isinstance(names, str) else len(names)

    def files(self, role: str) -> list[bytes]:
        """Return the contents of a role's files: one, several or none."""
        names = self.inputs.get(role) or []
        return [(self.path / name).read_bytes() for name in ([names] if isinstance(names, str) else names)]

    def one(self, role: str) -> bytes | None:
        found = self.files(role)
        assert len(found) <= 1, f"{self.path}: {len(found)} files for {role}, want one"
        return found[0] if found else None


def want() -> None:
    """Skip where there is no corpus at all; on a build server that is a failure."""
    if every_case():
        return
    where = os.environ.get(VARIABLE) or str(DEFAULT)
    if os.environ.get("CI") == "true":
        pytest.fail(f"no case in {where}: the corpus is missing")
    pytest.skip(f"no case in {where}: set {VARIABLE} to a folder of the corpus' layout")


def load(platform: str) -> list[Case]:
    """Return the cases of one platform, by name."""
    root = folder()
    if root is None:
        return []
    return [
        Case(path.parent, json.loads(path.read_text("utf-8")))
        for path in sorted((root / platform).glob("*/case.json"))
    ]


@cache
def every_case() -> tuple[Case, ...]:
    """Return the cases of all platforms: donors for mutations."""
    root = folder()
    return tuple(
        case
        for path in (sorted(root.iterdir()) if root is not None else ())
        if path.is_dir()
        for case in load(path.name)
    )


def verdicts(platform: str) -> dict[str, tuple[str, ...]]:
    """Return the ids of `mutations.json` with the verdicts that are right for each."""
    root = folder()
    if root is None:
        return {}
    listed = json.loads((root / "mutations.json").read_text("utf-8")).get(platform, [])
    return {entry["id"]: tuple(entry["verdict"].split(" or ")) for entry in listed}


def certificates_of(data: bytes) -> list[Certificate]:
    """Read a file of PEM blocks, or one DER certificate."""
    blocks = _PEM.findall(data) or [data]
    return [certificates.load(block, "corpus certificate") for block in blocks]


def common_name(certificate: Certificate) -> str:
    return next((text for oid, text in certificate.attributes if oid == _COMMON_NAME), "")


@dataclass(frozen=True, slots=True)
class Anchors:
    """AMD's certificates in `roots/`, and the pins made from its self-signed ones."""

    certificates: tuple[Certificate, ...]
    pins: tuple[TrustRoot, ...]

    def named(self, name: str) -> Certificate | None:
        return next((entry for entry in self.certificates if common_name(entry) == name), None)


@cache
def anchors() -> Anchors:
    """Read `roots/`; where `roots.json` speaks of a file, its hash has to be right."""
    root = folder()
    assert root is not None
    listed = root / "roots" / "roots.json"
    hashes = {
        entry["file"]: entry["sha256_der"]
        for entry in (json.loads(listed.read_text("utf-8"))["certificates"] if listed.exists() else [])
    }
    found = list(_amd_certificates(root / "roots", hashes))
    pins = tuple(
        TrustRoot(kind="hardware", vendor="amd", product=product, sha256=sha256(certificate.der).digest())
        for product in PRODUCTS
        for certificate in found
        if common_name(certificate) == f"ARK-{product}"
    )
    return Anchors(tuple(found), pins)


def _amd_certificates(path: Path, hashes: dict[str, str]) -> Iterator[Certificate]:
    for file in sorted(path.iterdir()):
        if file.suffix not in {".pem", ".der", ".crt", ".cer"}:
            continue
        try:
            found = certificates_of(file.read_bytes())
        except MalformedError:
            continue  # another vendor's root, of a kind that AMD's parser does not read
        if file.name in hashes:
            assert sha256(found[0].der).hexdigest() == hashes[file.name], (
                f"{file}: roots.json has another hash"
            )
        yield from (entry for entry in found if common_name(entry).startswith(("ARK-", "SEV-")))
