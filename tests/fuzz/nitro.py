"""Nitro documents and their CBOR: read in one spelling or refused, and nobody unpinned is ever believed."""

from __future__ import annotations

from typing import Any, get_args

from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.tees.nitro import Kind, cbor, chain, document, verify
from runtime.attestation.tees.nitro.cbor import Item, Tagged
from runtime.errors import MalformedError
from tests.fakes import nitro
from tests.fuzz.target import Target, harmless

_INDEFINITE_MAP = 0xBF
_KINDS: tuple[Kind, ...] = get_args(Kind)
_PIN = (chain.NitroRoot(kind="test", sha256=bytes(32)),)  # no certificate has this hash


def _cbor(data: bytes) -> None:
    """Read `data`; write what was read, and compare."""
    found = cbor.decode(data, "fuzz")
    if _INDEFINITE_MAP not in data:
        assert nitro.cbor(_plain(found)) == data


def _plain(item: Item) -> Any:
    match item.value:
        case tuple() as items:
            return [_plain(each) for each in items]
        case dict() as pairs:
            return {key: _plain(each) for key, each in pairs.items()}
        case Tagged() as tagged:
            return nitro.Tag(tagged.tag, _plain(tagged.item))
        case value:
            return value


def _cbor_seeds() -> list[bytes]:
    fields = nitro.FakeNitro.create().fields(certificate=b"leaf", cabundle=[b"root"])
    return [
        nitro.cbor(fields),
        nitro.cbor(dict(fields)),
        nitro.cbor({1: -35}),
        nitro.cbor(nitro.Tag(18, [None])),
    ]


def _payload(data: bytes) -> None:
    for kind in _KINDS:
        harmless(_one_payload, data, kind)


def _one_payload(data: bytes, kind: Kind) -> None:
    said = document.parse(data, kind)
    chain.load(said.cabundle, said.certificate, at=said.certificates_at)


def _document(data: bytes) -> None:
    for kind in _KINDS:
        try:
            verify.authenticate(data, kind=kind, roots=_PIN, now=nitro.NOW)
        except (MalformedError, EvidenceRefusedError):
            continue
        message = "claims without a pinned root"
        raise AssertionError(message)


def _payload_seeds() -> list[bytes]:
    return [nitro.cbor(nitro.FakeNitro.create().fields(kind)) for kind in _KINDS]


def _document_seeds() -> list[bytes]:
    return [nitro.FakeNitro.create().document(kind) for kind in _KINDS]


TARGETS = (
    Target(name="nitro_cbor", read=_cbor, seeds=_cbor_seeds, roles=("nitro_document",), max_size=6144),
    Target(name="nitro_payload", read=_payload, seeds=_payload_seeds, max_size=6144),
    Target(
        name="nitro_document",
        read=_document,
        seeds=_document_seeds,
        roles=("nitro_document",),
        max_size=8192,
    ),
)
