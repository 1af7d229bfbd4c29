"""Is this Nitro document true, and is it the one that was asked for? Pure.

`authenticate` is truth alone: signed under a pinned root of AWS', by a certificate made for this module, in
its time, with registers that measured something. `verify` adds what the Relying Party expects, and notes
every failed check of both.

An attacker controls every byte. The goal is that claims come into being only for what a Nitro hypervisor
said of the very module that its certificate names. Not defended: the hypervisor itself. It is AWS' own, it
measures the image and it lies outside of what an AMD chip protects (grade N alone, V beside an SNP report).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric import ec

from runtime.attestation import x509_path
from runtime.attestation.model import Findings, Reason
from runtime.attestation.tees.nitro import chain, cose, document
from runtime.attestation.tees.nitro.chain import Chain, NitroRoot
from runtime.attestation.tees.nitro.document import Document, Kind
from runtime.documents import times
from runtime.errors import MalformedError, UsageError

# The registers without which a kind of document says nothing of the image. Of a NitroTPM: the boot programs,
# the Secure Boot policy, and the command line from outside, which may change what the first of them boots
# (GHSA-xrv8-2pf5-f3q7). Of an enclave: image, kernel and boot programs, application.
LEAST_REGISTERS: Mapping[Kind, frozenset[int]] = MappingProxyType(
    {"nitrotpm": frozenset({4, 7, 12}), "enclave": frozenset({0, 1, 2})}
)
MAX_LISTS = document.MAX_BUNDLE  # revocation lists: one per authority
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}", re.ASCII)  # us-east-1, us-gov-west-1
_NAME_END = ".aws"
_SOURCE = "the Nitro hypervisor's signed document"


@dataclass(frozen=True, slots=True, kw_only=True)
class NitroExpected:
    """What the Relying Party wants of a document. Every field is compared, always.

    Raises: UsageError for expectations that would let anything through.
    """

    kind: Kind
    module_id: str
    pcrs: tuple[Mapping[int, bytes], ...]  # each a whole set, 48 bytes a register; one of them has to match
    nonce: bytes | None  # None: the document must not have one
    user_data: bytes | None  # likewise
    public_key: bytes | None  # likewise
    max_age_s: int
    max_skew_s: int  # how far the document's clock may be ahead of ours

    def __post_init__(self) -> None:
        if not self.pcrs:
            raise UsageError("no set of register values is expected, so none could match")
        least = LEAST_REGISTERS[self.kind]
        for values in self.pcrs:
            if set(values) != set(self.pcrs[0]) or not least <= set(values):
                raise UsageError(
                    f"a set of register values is of {sorted(values)}, "
                    f"want at least {sorted(least)}, and the same in every set"
                )
            if any(len(value) != document.PCR_BYTES for value in values.values()):
                raise UsageError(f"a register value is not {document.PCR_BYTES} bytes")
            if not any(map(any, values.values())):
                raise UsageError("every register is expected to be zero: that measures nothing")
        if self.max_age_s < 0 or self.max_skew_s < 0:
            raise UsageError("an age or skew is below zero")


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


def verify(
    data: bytes,
    *,
    expected: NitroExpected,
    roots: tuple[NitroRoot, ...],
    now: int,
    crls: tuple[bytes, ...] = (),
) -> NitroClaims:
    """Return what the hypervisor said, which is what was expected.

    Raises: EvidenceRefusedError, MalformedError.
    """
    findings = Findings()
    read = _authenticate(findings, data, expected.kind, roots, now, crls)
    _check_expected(findings, read.document, expected, now)
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
    lists = tuple(x509_path.load_crl(crl) for crl in crls)
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
        expected=x509_path.validity(leaf),
        actual=lambda: _moment(said),
        source=_SOURCE,
        remedy="the document was not made while its certificate was valid: ask for a new one",
    )
    return region


def _check_expected(findings: Findings, said: Document, expected: NitroExpected, now: int) -> None:
    age_ms = now * 1000 - said.timestamp_ms
    findings.require(
        -expected.max_skew_s * 1000 <= age_ms <= expected.max_age_s * 1000,
        "document.timestamp",
        Reason.EXPIRED,
        expected=f"at most {expected.max_age_s} s before and {expected.max_skew_s} s after {times.show(now)}",
        actual=_moment(said),
        source=_SOURCE,
        remedy="ask the instance for a new document, and look at this machine's clock",
    )
    findings.require(
        said.module_id == expected.module_id,
        "document.module_id",
        Reason.INSTANCE,
        expected=expected.module_id,
        actual=said.module_id,
        source=_SOURCE,
        remedy="enrol this instance under the member's name, or find out which instance answered",
    )
    for field, found, wanted in (
        ("nonce", said.nonce, expected.nonce),
        ("user_data", said.user_data, expected.user_data),
        ("public_key", said.public_key, expected.public_key),
    ):
        findings.require(
            found == wanted,
            f"document.{field}",
            Reason.BINDING,
            expected=_bytes(wanted),
            actual=_bytes(found),
            source=_SOURCE,
            remedy="the document was made for another purpose or connection: ask for a new one",
        )
    _check_registers(findings, said, expected)


def _check_registers(findings: Findings, said: Document, expected: NitroExpected) -> None:
    """Note the registers, all of one set; where none matches, what differs from the nearest set."""

    def differing(values: Mapping[int, bytes]) -> list[int]:
        return [index for index in sorted(values) if said.pcrs.get(index) != values[index]]

    nearest = min(expected.pcrs, key=lambda values: len(differing(values)))
    wrong = differing(nearest)
    for index in sorted(nearest):
        findings.require(
            index not in wrong,
            f"document.pcr{index}",
            Reason.MEASUREMENT,
            expected=nearest[index].hex(),
            actual=said.pcrs[index].hex() if index in said.pcrs else "no such register",
            source=_SOURCE,
            remedy=f"boot the image that is expected, or sign its values ({len(expected.pcrs)} sets known)",
        )


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


def _bytes(value: bytes | None) -> str:
    return (
        "none"
        if value is None
        else f"{value.hex()[:64]}{'…' if len(value) > 32 else ''} ({len(value)} bytes)"
    )
