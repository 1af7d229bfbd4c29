"""Nitro cases: how each fact is found, what each mutation changes. Pure, but for `cases`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from runtime.attestation import certificates
from runtime.attestation.findings import EvidenceRefusedError, Findings, Reason
from runtime.attestation.tees.nitro import (
    Kind,
    NitroClaims,
    NitroRoot,
    cbor,
    chain,
    cose,
    document,
    verify,
)
from runtime.attestation.tees.nitro.document import Document
from runtime.attestation.tees.tpm import attest
from runtime.attestation.tees.tpm.pcrs import PcrValues
from runtime.attestation.tees.tpm.public import PublicKey
from runtime.errors import MalformedError
from tests.corpus import cases, tpm
from tests.corpus.cases import Case, common_name
from tests.corpus.snp import NotApplicable
from tests.fakes import nitro as fake

KINDS: Mapping[str, Kind] = {"nitro": "enclave", "nitro-tpm": "nitrotpm"}  # by folder
OTHER: Mapping[Kind, Kind] = {"enclave": "nitrotpm", "nitrotpm": "enclave"}
ROOT_NAME = "aws.nitro-enclaves"


@cache
def roots() -> tuple[NitroRoot, ...]:
    """Return the pins made from AWS' certificates in `roots/`."""
    folder = cases.folder()
    assert folder is not None
    return tuple(
        NitroRoot(kind="hardware", sha256=sha256(certificate.der).digest())
        for file in sorted((folder / "roots").iterdir())
        if file.suffix in {".pem", ".der", ".crt", ".cer"}
        for certificate in cases.certificates_of(file.read_bytes())
        if common_name(certificate) == ROOT_NAME
    )


@dataclass(frozen=True, slots=True)
class Subject:
    """A case made ready for the verifier."""

    data: bytes
    kind: Kind
    now: int  # Unix seconds

    @property
    def said(self) -> Document:
        envelope = cose.parse(self.data)
        return document.parse(envelope.payload, self.kind, at=envelope.payload_offset)

    def authenticate(self) -> NitroClaims:
        return verify.authenticate(self.data, kind=self.kind, roots=roots(), now=self.now)

    def reasons(self) -> frozenset[Reason]:
        """Return why the verifier refuses; nothing if it does not."""
        try:
            self.authenticate()
        except EvidenceRefusedError as error:
            return error.reasons
        except MalformedError:
            return frozenset({Reason.MALFORMED})
        return frozenset()


def subject(case: Case) -> Subject:
    data = case.one("nitro_document")
    assert data is not None, f"{case.path}: no nitro_document"
    made = Subject(data, KINDS[case.path.parent.name], 0)
    text = case.about.get("verification_time")
    now = made.said.timestamp_ms // 1000 if text is None else int(datetime.fromisoformat(text).timestamp())
    return replace(made, now=now)


# Facts


def facts(case: Case) -> dict[str, Callable[[], Any]]:
    """Return how each fact about the document is found."""
    made = subject(case)
    said = made.said
    path = chain.load(said.cabundle, said.certificate, at=said.certificates_at)

    def signature_valid() -> bool:
        key = path.leaf.public_key
        return isinstance(key, ec.EllipticCurvePublicKey) and cose.signed_by(cose.parse(made.data), key)

    def chain_valid() -> bool:
        """The chain up to a root in `roots/`, validity dates aside."""
        findings = Findings()
        chain.check(findings, path, roots(), made.now)
        return all(check.reason is Reason.EXPIRED for check in findings.failed())

    def debug() -> bool:
        measured = document.MEASURED[made.kind]
        return said.unmeasured == tuple(measured)

    return {
        "kind": lambda: made.kind,
        "signature_valid": signature_valid,
        "chain_valid": chain_valid,
        "module_id": lambda: said.module_id,
        "timestamp_ms": lambda: said.timestamp_ms,
        "digest": lambda: said.digest,
        "pcrs": lambda: {str(index): value.hex() for index, value in said.pcrs.items()},
        "public_key": lambda: _hex(said.public_key),
        "user_data": lambda: _hex(said.user_data),
        "nonce": lambda: _hex(said.nonce),
        "debug": debug,
        "root_matches_aws_nitro_root": lambda: (
            sha256(said.cabundle[0]).digest() in {root.sha256 for root in roots()}
        ),
        "leaf_not_before": lambda: Moment(path.leaf.not_before),
        "leaf_not_after": lambda: Moment(path.leaf.not_after),
    }


@dataclass(frozen=True, eq=False)
class Moment:
    """Unix seconds that equal any spelling of the same time."""

    seconds: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and datetime.fromisoformat(other).timestamp() == self.seconds

    def __hash__(self) -> int:
        return hash(self.seconds)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def quotes(case: Case) -> list[tpm.QuoteSubject]:
    """Return the TPM quotes that came along; the document may hold their key and their registers."""
    said = subject(case).said
    found: list[tpm.QuoteSubject] = []
    for entry in case.inputs.get("tpm_quotes", []):
        message = (case.path / entry["message"]).read_bytes()
        found.append(
            tpm.QuoteSubject(
                message=message,
                signature=(case.path / entry["signature"]).read_bytes(),
                form=entry["signature_format"],
                key=_key(case, said, entry["key"]),
                values=_values(said, attest.parse(message)),
            )
        )
    return found


def _key(case: Case, said: Document, named: str | None) -> PublicKey | None:
    if named != "nitro_document.public_key":
        return tpm.key_of(case, named)
    assert said.public_key is not None
    if said.public_key[:1] == b"\4":  # X9.62: an uncompressed point, and the curve by its length
        curve = {65: ec.SECP256R1(), 97: ec.SECP384R1()}[len(said.public_key)]
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, said.public_key)
    return tpm.load_public(said.public_key)


def _values(said: Document, parsed: attest.Quote) -> PcrValues | None:
    (selection,) = parsed.selections
    if selection.bank != attest.SHA384 or not selection.registers <= set(said.pcrs):
        return None
    return PcrValues(
        bank=selection.bank, values={index: said.pcrs[index] for index in sorted(selection.registers)}
    )


# Mutations

Change = Callable[[Subject, Case], Subject]


def _flip(made: Subject, offset: int) -> Subject:
    data = bytearray(made.data)
    data[offset] ^= 1
    return replace(made, data=bytes(data))


def _flip_payload(made: Subject, _: Case) -> Subject:
    # A bit of a register: the document stays well-formed, so that the signature alone can tell.
    envelope = cose.parse(made.data)
    index, value = next(iter(made.said.pcrs.items()))
    offset = envelope.payload.index(fake.cbor(index) + fake.cbor(value)) + len(fake.cbor(index)) + 2
    return _flip(made, envelope.payload_offset + offset)


def _with_field(made: Subject, name: str, value: Any) -> Subject:
    """Return the document with one field of its payload written anew; the signature stays."""
    envelope = cose.parse(made.data)
    found = cbor.mapping(cbor.decode(envelope.payload, "payload"), "payload", "payload")
    fields = fake.Indefinite({key: _plain(item) for key, item in found.items()} | {name: value})
    data = fake.cbor([envelope.protected, {}, fake.cbor(fields), envelope.signature])
    return replace(made, data=data)


def _plain(item: cbor.Item) -> Any:
    if isinstance(item.value, tuple):
        return [_plain(each) for each in item.value]
    if isinstance(item.value, dict):
        return {key: _plain(each) for key, each in item.value.items()}
    return item.value


def _drop_root(made: Subject, _: Case) -> Subject:
    if len(made.said.cabundle) == 1:
        message = "cabundle holds nothing but the root"
        raise NotApplicable(message)
    return _with_field(made, "cabundle", list(made.said.cabundle[1:]))


def _other_leaf(made: Subject, case: Case) -> Subject:
    own = made.said.certificate
    donors = [
        leaf
        for other in cases.every_case()
        if other.path != case.path and other.path.parent.name in KINDS and other.count("nitro_document")
        for leaf in [subject(other).said.certificate]
        if leaf != own
    ]
    if not donors:
        message = "no other case has a Nitro document"
        raise NotApplicable(message)
    return _with_field(made, "certificate", donors[0])


def _expired(made: Subject, _: Case) -> Subject:
    return replace(made, now=certificates.load(made.said.certificate, "leaf").not_after + 1)


MUTATIONS: Mapping[str, Change] = {
    "cose-flip-payload": _flip_payload,
    "cose-flip-signature": lambda made, _: _flip(made, len(made.data) - 1),
    "cose-drop-root": _drop_root,
    "cose-other-leaf": _other_leaf,
    "cose-truncate": lambda made, _: replace(made, data=made.data[: len(made.data) // 2]),
    "cose-expired": _expired,
    "cose-wrong-kind": lambda made, _: replace(made, kind=OTHER[made.kind]),
}
VERDICTS: Mapping[str, Reason] = {
    "signature": Reason.SIGNATURE,
    "malformed": Reason.MALFORMED,
    "chain": Reason.CHAIN,
    "expired": Reason.EXPIRED,
}
