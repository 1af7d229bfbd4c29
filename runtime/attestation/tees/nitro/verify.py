"""Is this Nitro document true? Pure.

`authenticate` is truth alone: signed under a pinned root of AWS', by a certificate made for this module, in
its time, with registers that measured something. What it has to be bound to and when it was made is the
composite's and policy's to ask.

An attacker controls every byte. The goal is that claims come into being only for what a Nitro hypervisor
said of the very module that its certificate names. Not defended: the hypervisor itself. It is AWS' own, it
measures the image and it lies outside of what an AMD chip protects (grade N alone, V beside an SNP report).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from runtime.attestation import certificates
from runtime.attestation.findings import Findings, Reason
from runtime.attestation.tees.nitro import chain, cose, document
from runtime.attestation.tees.nitro.chain import Chain, NitroRoot
from runtime.attestation.tees.nitro.document import Document, Kind
from runtime.documents import times
from runtime.errors import MalformedError

MAX_LISTS = document.MAX_BUNDLE  # revocation lists: one per authority
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}", re.ASCII)  # us-east-1, us-gov-west-1
_NAME_END = ".aws"
_SOURCE = "the Nitro hypervisor's signed document"


@dataclass(frozen=True, slots=True, kw_only=True)
class NitroClaims:
    """What a Nitro hypervisor said of one of its modules. Made here alone."""

    kind: Kind
    module_id: str
    region: str  # of the leaf's name: vouched for by AWS' certificate authority
    timestamp_ms: int  # milliseconds since 1970, by the hypervisor's clock
    pcrs: Mapping[int, bytes]  # SHA-384
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None
    root: NitroRoot
    revocation_checked: frozenset[str]  # the certificates a revocation list spoke for, by role
    endorsed_until: int  # Unix seconds: the first moment at which a certificate is no longer valid
    newest_endorsement: int  # Unix seconds: the newest signed timestamp, the document's own among them


def authenticate(
    data: bytes, *, kind: Kind, roots: tuple[NitroRoot, ...], now: int, crls: tuple[bytes, ...] = ()
) -> NitroClaims:
    """Return what the hypervisor said, whatever it is worth. Raises: EvidenceRefusedError, MalformedError."""
    findings = Findings()
    read = _authenticate(findings, data, kind, roots, now, crls)
    findings.settle()
    return _claims(read)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    document: Document
    chain: Chain
    root: NitroRoot | None
    region: str
    revocation_checked: frozenset[str]
    lists_until: tuple[int, ...]  # Unix seconds


def _authenticate(
    findings: Findings,
    data: bytes,
    kind: Kind,
    roots: tuple[NitroRoot, ...],
    now: int,
    crls: tuple[bytes, ...],
) -> _Read:
    # 1. The document is a document of the kind that is wanted.
    envelope = cose.parse(data)
    said = document.parse(envelope.payload, kind, at=envelope.payload_offset)
    path = chain.load(said.cabundle, said.certificate, at=said.certificates_at)
    if len(crls) > MAX_LISTS:
        raise MalformedError("revocation lists", f"are {len(crls)}, want at most {MAX_LISTS}")
    lists = tuple(certificates.load_crl(crl) for crl in crls)
    # 2. The path holds, now, under a pinned root.
    root = chain.check(findings, path, roots, now)
    spoken = chain.check_revocation(findings, path, lists, now)
    # 3. The leaf signed the document.
    key = path.leaf.public_key
    findings.require(
        isinstance(key, ec.EllipticCurvePublicKey) and cose.signed_by(envelope, key),
        "document.signature",
        Reason.SIGNATURE,
        expected="an ES384 signature by the certificate in the document",
        actual="one that does not verify",
        source="the signature of the COSE_Sign1 envelope",
        remedy="the document was altered on its way: ask the instance for a new one",
    )
    # 4. The leaf was made for this module, and signed in its time.
    region = _check_leaf(findings, path, said)
    # 5. Something was measured.
    findings.require(
        not said.unmeasured,
        "document.measured",
        Reason.DEBUG if kind == "enclave" else Reason.MEASUREMENT,
        expected=lambda: f"no zeros in registers {_indexes(document.MEASURED[kind])}",
        actual=lambda: f"zeros in {_indexes(said.unmeasured)}",
        source=_SOURCE,
        remedy="start the enclave without --debug-mode"
        if kind == "enclave"
        else "start the instance from an image with UEFI boot and TPM support",
    )
    return _Read(
        document=said,
        chain=path,
        root=root,
        region=region,
        revocation_checked=spoken,
        lists_until=tuple(crl.next_update for crl in lists),
    )


def _check_leaf(findings: Findings, path: Chain, said: Document) -> str:
    name = chain.common_name(path.leaf)
    head = f"{said.module_id}."
    region = name.removeprefix(head).removesuffix(_NAME_END)
    findings.require(
        _REGION.fullmatch(region) is not None and name == f"{head}{region}{_NAME_END}",
        "leaf.name",
        Reason.INSTANCE,
        expected=f"CN={said.module_id}.<region>{_NAME_END}",
        actual=f"CN={name!r}",
        source="AWS' certificate for the signing key",
        remedy="the document names another module than its certificate: find out who made it",
    )
    leaf = path.leaf
    findings.require(
        leaf.not_before <= said.timestamp_ms // 1000 <= leaf.not_after,
        "document.timestamp.leaf",
        Reason.EXPIRED,
        expected=certificates.validity(leaf),
        actual=lambda: _moment(said),
        source=_SOURCE,
        remedy="the document was not made while its certificate was valid: ask for a new one",
    )
    return region


def _claims(read: _Read) -> NitroClaims:
    if read.root is None:  # unreachable after settle(); said again because everything hangs on it
        raise MalformedError("Nitro document", "has no pinned root")
    said, certificates = read.document, (*read.chain.authorities, read.chain.leaf)
    return NitroClaims(
        kind=said.kind,
        module_id=said.module_id,
        region=read.region,
        timestamp_ms=said.timestamp_ms,
        pcrs=said.pcrs,
        public_key=said.public_key,
        user_data=said.user_data,
        nonce=said.nonce,
        root=read.root,
        revocation_checked=read.revocation_checked,
        endorsed_until=min(*(certificate.not_after + 1 for certificate in certificates), *read.lists_until),
        newest_endorsement=max(
            said.timestamp_ms // 1000, *(certificate.not_before for certificate in certificates)
        ),
    )


def _moment(said: Document) -> str:
    return times.show(said.timestamp_ms // 1000)


def _indexes(values: range | tuple[int, ...]) -> str:
    return ", ".join(map(str, values))
