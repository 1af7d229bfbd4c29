"""The keys a member makes at boot and keeps in memory only (docs/protocol.md §1).

A P-256 key with a self-signed certificate: chain trust is off everywhere, the evidence binds the
public key. Makes randomness; otherwise pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_LIFE = timedelta(days=3650)  # dates are ignored by every peer: the key dies with the boot


@dataclass(frozen=True, slots=True, kw_only=True)
class BootKey:
    """One key pair and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @staticmethod
    def create(common_name: str, now: int) -> BootKey:
        """Make a fresh key; `now` is Unix seconds."""
        return BootKey._named(ec.generate_private_key(ec.SECP256R1()), common_name, now)

    def for_site(self, hostname: str, now: int) -> BootKey:
        """Return this very key with a certificate for a hostname.

        Evidence binds the key, so a visitor's program that has seen the client's evidence knows this
        certificate. A client signs as TLS client on the channel and as TLS server here: TLS 1.3 keeps the
        two kinds of signature apart (RFC 8446 §4.4.3).
        """
        return BootKey._named(self.key, hostname, now)

    @staticmethod
    def _named(key: ec.EllipticCurvePrivateKey, common_name: str, now: int) -> BootKey:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
        start = datetime.fromtimestamp(now, tz=UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start - timedelta(days=1))
            .not_valid_after(start + _LIFE)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        return BootKey(key=key, certificate=certificate)

    @property
    def spki(self) -> bytes:
        """The public key as DER SubjectPublicKeyInfo (RFC 5280 §4.1)."""
        return spki_of(self.certificate)

    @property
    def certificate_sha256(self) -> bytes:
        """SHA-256 of the DER certificate: what data connections are pinned to."""
        return sha256(self.certificate.public_bytes(serialization.Encoding.DER)).digest()

    @property
    def certificate_pem(self) -> str:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The private key as PEM; goes to our own processes over inherited sockets only."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()


def spki_of(certificate: x509.Certificate) -> bytes:
    """Return a certificate's public key as DER SubjectPublicKeyInfo."""
    return certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
