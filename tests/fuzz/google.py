"""Google's launch endorsement and its protobuf: read or refused, and nobody unpinned is ever believed."""

from __future__ import annotations

from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.tees.google import launch_endorsement, protobuf
from runtime.attestation.tees.google.launch_endorsement import GoogleRoot
from tests.fakes import google
from tests.fuzz.target import Target

_PIN = (GoogleRoot(kind="test", sha256=bytes(32)),)  # no certificate has this hash
_NOW = google.SIGNED_AT + 86_400


def _protobuf(data: bytes) -> None:
    fields = protobuf.parse(data, "fuzz")
    assert sum(len(field.value) for field in fields if isinstance(field.value, bytes)) <= len(data)


def _endorsement(data: bytes) -> None:
    for technology in ("snp", "tdx"):
        try:
            launch_endorsement.verify(data, "snp" if technology == "snp" else "tdx", _PIN, _NOW)
        except EvidenceRefusedError as error:
            assert "launch.root" in {check.id for check in error.checks}
            continue
        message = "claims without a pinned root"
        raise AssertionError(message)


def _seeds() -> list[bytes]:
    body = google.golden(snp=[b"\x01" * 48], tdx=[b"\x02" * 48])
    return [google.endorsement(body), google.data(1, body), google.data(2, b"signature")]


TARGETS = (
    Target(name="protobuf", read=_protobuf, seeds=_seeds, max_size=8192),
    Target(name="launch_endorsement", read=_endorsement, seeds=_seeds, max_size=8192),
)
