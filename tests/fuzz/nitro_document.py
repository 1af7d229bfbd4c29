"""Nitro documents, whole and as bare payloads: read or refused, and nobody unpinned is ever believed."""

from __future__ import annotations

from runtime.attestation.model import EvidenceRefusedError
from runtime.attestation.tees.nitro import Kind, chain, document, verify
from runtime.errors import MalformedError
from tests.fakes import nitro

_KINDS: tuple[Kind, ...] = ("nitrotpm", "enclave")
_PIN = (chain.NitroRoot(kind="test", sha256=bytes(32)),)  # no certificate has this hash


def fuzz_one(data: bytes) -> None:
    """Take `data` for a document of either kind, then for the payload of one."""
    for kind in _KINDS:
        try:
            verify.authenticate(data, kind=kind, roots=_PIN, now=nitro.NOW)
        except (MalformedError, EvidenceRefusedError):
            pass
        else:
            raise AssertionError("claims without a pinned root")
        try:
            said = document.parse(data, kind)
            chain.load(said.cabundle, said.certificate, at=said.certificates_at)
        except MalformedError:
            pass


def seeds() -> list[bytes]:
    """Return inputs to begin with."""
    fake = nitro.FakeNitro.create()
    payloads = [nitro.cbor(fake.fields(kind)) for kind in _KINDS]
    return payloads + [fake.document(kind) for kind in _KINDS]
