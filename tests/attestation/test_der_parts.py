"""What is cut out of a certificate is what a full reader finds in it, whatever its names and lengths."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation import der_parts
from tests.fakes import intel, nitro, tpm, tpm_certificates

KEY = ec.generate_private_key(ec.SECP256R1())


def name(texts: list[str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, text) for text in texts])


def agree(der: bytes) -> None:
    found = x509.load_der_x509_certificate(der)
    wanted = (found.tbs_certificate_bytes, found.issuer.public_bytes(), found.subject.public_bytes())
    assert der_parts.parts(der) == wanted


@given(
    st.lists(st.text("abcé ", min_size=1, max_size=60), max_size=40),
    st.lists(st.text("xyz", min_size=1, max_size=60), max_size=40),
    st.integers(1, 2**150),
)
def test_names_and_serials_of_any_length(subject: list[str], issuer: list[str], serial: int) -> None:
    made = (
        x509.CertificateBuilder(
            issuer_name=name(issuer), subject_name=name(subject), public_key=KEY.public_key()
        )
        .serial_number(serial)
        .not_valid_before(datetime(2024, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2060, 1, 1, tzinfo=UTC))
        .sign(KEY, hashes.SHA256())
    )
    agree(made.public_bytes(serialization.Encoding.DER))


def test_the_vendors_certificates() -> None:
    fake = intel.FakeIntel()
    found = [entry.public_bytes(serialization.Encoding.DER) for entry in (fake.root(), fake.ca(), fake.pck())]
    found += [issued.der for issued in nitro.FakeNitro.create().authorities]
    found += tpm_certificates.azure(tpm.rsa_key("ak").public_key()).ders()
    for der in found:
        agree(der)


@pytest.mark.parametrize("version", [True, False])
def test_a_certificate_of_version_1_names_no_version(version: bool) -> None:
    numbers = b"\xa0\3\2\1\2" if version else b""
    body = numbers + b"\2\1\7" + b"\x30\0" + b"\x30\2\5\0" + b"\x30\0" + b"\x30\3\4\1\1"
    tbs = bytes([0x30, len(body)]) + body
    der = bytes([0x30, len(tbs)]) + tbs
    assert der_parts.parts(der) == (tbs, b"\x30\2\5\0", b"\x30\3\4\1\1")
