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
    for name in (found.issuer, found.subject):
        said = [(entry.oid.dotted_string, entry.value) for entry in name]
        assert der_parts.attributes(name.public_bytes()) == said


def agree_on_a_list(der: bytes) -> None:
    found = x509.load_der_x509_crl(der)
    assert der_parts.list_parts(der) == (found.tbs_certlist_bytes, found.issuer.public_bytes())


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


@given(
    st.lists(st.text("abcé ", min_size=1, max_size=60), max_size=40),
    st.lists(st.integers(1, 2**150), max_size=50, unique=True),
)
def test_lists_of_any_length(issuer: list[str], serials: list[int]) -> None:
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=name(issuer), last_update=moment, next_update=datetime(2060, 1, 1, tzinfo=UTC)
    )
    for serial in serials:
        entry = x509.RevokedCertificateBuilder(serial, moment).build()
        builder = builder.add_revoked_certificate(entry)
    agree_on_a_list(builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER))


def test_a_list_of_version_1_names_no_version() -> None:
    body = b"\x30\0" + b"\x30\2\5\0" + b"\x17\0"
    tbs = bytes([0x30, len(body)]) + body
    assert der_parts.list_parts(bytes([0x30, len(tbs)]) + tbs) == (tbs, b"\x30\2\5\0")


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (0x0C, "é".encode(), "é"),
        (0x13, b"US", "US"),
        (0x16, b"a@b", "a@b"),
    ],
)
def test_kinds_of_text(kind: int, value: bytes, text: str) -> None:
    pair = bytes([6, 3, 0x55, 4, 6, kind, len(value)]) + value
    entry = bytes([0x30, len(pair)]) + pair
    both = bytes([0x31, 2 * len(entry)]) + 2 * entry  # two in one set
    assert der_parts.attributes(bytes([0x30, len(both)]) + both) == [("2.5.4.6", text)] * 2


@pytest.mark.parametrize(
    ("kind", "value"),
    [(0x0C, b"\xff"), (0x13, b"\xe9"), (0x16, b"\x80"), (0x1E, b"\0U\0S"), (0x03, b"\0U"), (0x02, b"\7")],
)
def test_text_that_is_none(kind: int, value: bytes) -> None:
    pair = bytes([6, 3, 0x55, 4, 6, kind, len(value)]) + value
    entry = bytes([0x30, len(pair)]) + pair
    inner = bytes([0x31, len(entry)]) + entry
    with pytest.raises(ValueError, match=r"decode|a value of the kind"):
        der_parts.attributes(bytes([0x30, len(inner)]) + inner)


@pytest.mark.parametrize(
    ("oid", "spelt"),
    [
        ("0992268993f22c640101", "0.9.2342.19200300.100.1.1"),
        ("2a864886f70d010901", "1.2.840.113549.1.9.1"),
        ("550403", "2.5.4.3"),
        ("883703", "2.999.3"),
    ],
)
def test_object_identifiers(oid: str, spelt: str) -> None:
    assert der_parts._dotted(bytes.fromhex(oid)) == spelt
