"""The keys of one boot: fresh, P-256, and the same name for one key everywhere."""

from __future__ import annotations

import ssl
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runtime.channel.boot_key import BootKey, spki_of

NOW = 1_800_000_000


def test_each_boot_has_a_key_of_its_own() -> None:
    one, other = BootKey.create("tunnel.test", NOW), BootKey.create("tunnel.test", NOW)
    assert one.spki != other.spki
    assert one.certificate_sha256 != other.certificate_sha256


def test_the_certificate_shows_the_key_and_verifies_under_it() -> None:
    made = BootKey.create("tunnel.test", NOW)
    assert spki_of(made.certificate) == made.spki
    assert made.spki == made.key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert made.key.curve.name == "secp256r1"
    made.certificate.verify_directly_issued_by(made.certificate)
    names = made.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["tunnel.test"]
    assert (
        made.certificate.not_valid_before_utc.timestamp()
        < NOW
        < made.certificate.not_valid_after_utc.timestamp()
    )


def test_the_pin_is_the_hash_of_the_bytes_that_tls_shows() -> None:
    made = BootKey.create("tunnel.test", NOW)
    assert made.certificate_sha256 == sha256(ssl.PEM_cert_to_DER_cert(made.certificate_pem)).digest()


def test_the_pem_is_that_of_the_same_key(tmp_path: Path) -> None:
    made = BootKey.create("tunnel.test", NOW)
    key = serialization.load_pem_private_key(made.key_pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.private_numbers() == made.key.private_numbers()
    (tmp_path / "both.pem").write_text(made.key_pem + made.certificate_pem)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "both.pem")  # raises unless they match


def test_a_tunnel_name_longer_than_a_common_name_can_be_still_gets_a_certificate() -> None:
    long = ".".join(["a" * 60] * 4)
    names = BootKey.create(long, NOW).certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == [long]


def test_a_sites_certificate_is_of_the_same_key() -> None:
    key = BootKey.create("tunnel.test", NOW)
    site = key.for_site("app.test", NOW)
    assert site.spki == key.spki
    assert site.certificate_sha256 != key.certificate_sha256
    names = site.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["app.test"]
