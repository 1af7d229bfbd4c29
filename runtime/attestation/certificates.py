"""X.509 certificates and revocation lists, read whole and strictly; nothing about them is verified. Pure.

Whatever the `cryptography` package raises about a certificate ends here as MalformedError, and what it leaves
open about the frame around the signed part has one spelling (`der_parts`). Rules are with whoever has them:
AMD's in `tees/snp/path.py`, Intel's in `tees/tdx/pck.py`, AWS' in `tees/nitro/chain.py`, those of attestation
keys in `tees/tpm/ak.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import SignatureAlgorithmOID

from runtime.attestation import der_parts, public_keys
from runtime.attestation.findings import Text
from runtime.attestation.public_keys import PublicKey
from runtime.documents import times
from runtime.errors import MalformedError

MAX_CERTIFICATE_SIZE = 16 * 1024  # bytes; AMD's are under 2 KiB
MAX_CRL_SIZE = 64 * 1024  # bytes; AMD's are under 2 KiB
# What `cryptography` is known to raise while it reads hostile certificates and lists, and `der_parts` would.
READ_ERRORS = (
    ValueError,
    TypeError,
    IndexError,
    OverflowError,
    UserWarning,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

# AMD 57230, section 3.3: the only parameters that AMD's signatures have
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)
_PSS_NAME = SignatureAlgorithmOID.RSASSA_PSS.dotted_string


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate, every field read; nothing about it is verified."""

    der: bytes
    serial: int
    subject: bytes  # DER of the name
    issuer: bytes  # DER of the name
    attributes: tuple[tuple[str, str], ...]  # of the subject: dotted OID and text, sorted
    not_before: int  # Unix seconds, inclusive
    not_after: int  # Unix seconds, inclusive
    public_key: PublicKey
    key_usage: x509.KeyUsage | None
    basic_constraints: x509.BasicConstraints | None
    unrecognised: Mapping[str, bytes]  # dotted OID -> value of extensions that X.509 does not define
    critical: frozenset[str]  # dotted OIDs
    extended_usage: frozenset[str]  # dotted OIDs; empty where it says nothing
    algorithm: bytes  # of the signature: AlgorithmIdentifier, DER
    tbs: bytes
    signature: bytes
    pss_sha384: bool  # signed with RSASSA-PSS, SHA-384, MGF1 over SHA-384, salt of 48 bytes


def load(data: bytes, what: str) -> Certificate:
    """Read one certificate, DER or a single PEM block. Raises: MalformedError."""
    if len(data) > MAX_CERTIFICATE_SIZE:
        raise MalformedError(what, f"is {len(data)} bytes, want at most {MAX_CERTIFICATE_SIZE}")
    # AMD gives every VEK the serial number 0, about which `cryptography` warns while loading; nowhere else is
    # this warning silenced. Any other is about a certificate that AMD did not make.
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        try:
            der = der_parts.in_der(data)
            return _read(x509.load_der_x509_certificate(der), der)
        except READ_ERRORS as error:
            raise MalformedError(what, f"is no certificate that can be read: {error}") from error


@lru_cache(maxsize=16)
def load_authority(data: bytes, what: str) -> Certificate:
    """Read as `load` does, and remember: the same few authorities come with all evidence of a fleet."""
    return load(data, what)


def _read(certificate: x509.Certificate, der: bytes) -> Certificate:
    key, parts = public_keys.accept(certificate.public_key()), der_parts.parts(der)
    known, foreign = dict[type, x509.ExtensionType](), dict[str, bytes]()
    critical: list[str] = []
    for extension in certificate.extensions:  # each is read here, and none comes twice
        value, name = extension.value, extension.oid.dotted_string
        if type(value) is x509.UnrecognizedExtension:
            foreign[name] = value.value
        known[type(value)] = value
        if extension.critical:
            critical.append(name)
    usages = cast("x509.ExtendedKeyUsage | tuple[()]", known.get(x509.ExtendedKeyUsage, ()))
    return Certificate(
        der=der,
        serial=parts.serial,
        subject=parts.subject,
        issuer=parts.issuer,
        attributes=tuple(sorted(der_parts.attributes(parts.subject))),
        not_before=int(certificate.not_valid_before_utc.timestamp()),
        not_after=int(certificate.not_valid_after_utc.timestamp()),
        public_key=key,
        key_usage=cast("x509.KeyUsage | None", known.get(x509.KeyUsage)),
        basic_constraints=cast("x509.BasicConstraints | None", known.get(x509.BasicConstraints)),
        unrecognised=foreign,
        critical=frozenset(critical),
        extended_usage=frozenset(oid.dotted_string for oid in usages),
        algorithm=parts.algorithm,
        tbs=parts.tbs,
        signature=parts.signature,
        pss_sha384=_is_pss_sha384(certificate, parts.algorithm),
    )


def _is_pss_sha384(signed: x509.Certificate | x509.CertificateRevocationList, algorithm: bytes) -> bool:
    return (
        der_parts.algorithm_name(algorithm) == _PSS_NAME
        and signed.signature_algorithm_parameters == PSS
        and isinstance(signed.signature_hash_algorithm, hashes.SHA384)
    )


@dataclass(frozen=True, slots=True)
class Serials:
    """The serial numbers of a list, looked up where they are: a set of them costs more than the rest."""

    crl: x509.CertificateRevocationList

    def __contains__(self, serial: int) -> bool:
        # RFC 5280 has no serial number below zero: a certificate that does counts as revoked.
        return serial < 0 or self.crl.get_revoked_certificate_by_serial_number(serial) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """One certificate revocation list, every field read; nothing about it is verified."""

    issuer: bytes  # DER of the name
    this_update: int  # Unix seconds
    next_update: int  # Unix seconds
    serials: Serials
    critical: bool  # it has a critical extension: a delta list, or one of part of the certificates
    algorithm: bytes  # of the signature: AlgorithmIdentifier, DER
    tbs: bytes
    signature: bytes
    pss_sha384: bool


def load_crl(data: bytes) -> RevocationList:
    """Read one revocation list, DER. Raises: MalformedError."""
    what = "revocation list"
    if len(data) > MAX_CRL_SIZE:
        raise MalformedError(what, f"is {len(data)} bytes, want at most {MAX_CRL_SIZE}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            return _read_crl(x509.load_der_x509_crl(data), data)
        except READ_ERRORS as error:
            raise MalformedError(what, f"cannot be read: {error}") from error


def _read_crl(crl: x509.CertificateRevocationList, der: bytes) -> RevocationList:
    following = crl.next_update_utc
    if following is None:
        raise ValueError("does not say when the next one comes")
    tbs, algorithm, issuer, signature = der_parts.list_parts(der)
    return RevocationList(
        issuer=issuer,
        this_update=int(crl.last_update_utc.timestamp()),
        next_update=int(following.timestamp()),
        serials=Serials(crl),
        critical=any(extension.critical for extension in crl.extensions),
        tbs=tbs,
        signature=signature,
        algorithm=algorithm,
        pss_sha384=_is_pss_sha384(crl, algorithm),
    )


def validity(certificate: Certificate) -> Text:
    """Return how to say when it is valid."""
    return lambda: f"a time from {times.show(certificate.not_before)} to {times.show(certificate.not_after)}"
