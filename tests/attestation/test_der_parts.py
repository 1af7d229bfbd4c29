"""What is cut out of a certificate is what a full reader finds in it, whatever its names and lengths."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation import der_parts
from runtime.attestation.der_parts import Parts
from tests.fakes import intel, nitro, tpm, tpm_certificates
from tests.fakes.tpm_certificates import element

KEY = ec.generate_private_key(ec.SECP256R1())


def name(texts: list[str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, text) for text in texts])


def agree(der: bytes) -> None:
    found = x509.load_der_x509_certificate(der)
    cut = der_parts.parts(der)
    assert cut.tbs == found.tbs_certificate_bytes
    assert (cut.issuer, cut.subject) == (found.issuer.public_bytes(), found.subject.public_bytes())
    assert (cut.serial, cut.signature) == (found.serial_number, found.signature)
    assert der_parts.algorithm_name(cut.algorithm) == found.signature_algorithm_oid.dotted_string
    for name in (found.issuer, found.subject):
        said = [(entry.oid.dotted_string, entry.value) for entry in name]
        assert der_parts.attributes(name.public_bytes()) == said


def agree_on_a_list(der: bytes) -> None:
    found = x509.load_der_x509_crl(der)
    tbs, algorithm, issuer, signature = der_parts.list_parts(der)
    assert (tbs, issuer) == (found.tbs_certlist_bytes, found.issuer.public_bytes())
    assert der_parts.algorithm_name(algorithm) == found.signature_algorithm_oid.dotted_string
    assert signature == found.signature


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
    algorithm, issuer, subject = b"\x30\2\6\0", b"\x30\2\5\0", b"\x30\3\4\1\1"
    tbs = element(0x30, numbers + b"\2\1\xf9" + algorithm + issuer + b"\x30\0" + subject)
    der = element(0x30, tbs + algorithm + b"\3\2\0\5")
    wanted = Parts(tbs=tbs, serial=-7, algorithm=algorithm, issuer=issuer, subject=subject, signature=b"\5")
    assert der_parts.parts(der) == wanted


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
    tbs = element(0x30, b"\x30\0" + b"\x30\2\5\0" + b"\x17\0")
    der = element(0x30, tbs + b"\x30\0" + b"\3\2\0\5")
    assert der_parts.list_parts(der) == (tbs, b"\x30\0", b"\x30\2\5\0", b"\5")


@pytest.mark.parametrize("length", [0, 100, 124, 125, 126, 127, 200, 252, 253, 254, 255, 300])
def test_the_frame_around_what_is_signed_has_one_spelling(length: int) -> None:
    algorithm, name, signature = b"\x30\3\6\1\x2a", b"\x30\0", bytes(length) + b"\2"
    longer = element(0x30, b"\6\1\x2a" + element(4, bytes(100)))
    tbs = element(0x30, b"\2\1\7" + algorithm + name + b"\x30\0" + name)
    content = tbs + algorithm + element(3, b"\0" + signature)
    assert der_parts.parts(element(0x30, content)).signature == signature
    for wrong in (
        element(0x31, content),  # no SEQUENCE
        element(0x30, tbs + b"\x30\3\6\1\x2b" + element(3, b"\0" + signature)),  # another algorithm
        element(0x30, element(0x30, b"\2\1\7" + longer + name + b"\x30\0" + name) + algorithm + b"\3\1\0"),
        element(0x30, tbs + longer + element(3, b"\0" + signature)),  # a longer one than inside
        element(0x30, tbs + algorithm + element(4, b"\0" + signature)),  # no BIT STRING
        element(0x30, tbs + algorithm + element(3, b"\1" + signature)),  # a bit that is not used
        element(0x30, tbs + algorithm + b"\3\x83" + (length + 2).to_bytes(3, "big") + b"\0" + signature),
        b"\x30\x83" + len(content).to_bytes(3, "big") + content,  # a longer length
        element(0x30, content) + b"\0",
    ):
        with pytest.raises(ValueError, match="is not in DER, or names another algorithm"):
            der_parts.parts(wrong)


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
        ("27", "0.39"),
        ("28", "1.0"),
        ("78", "2.40"),
        ("2a818000", "1.2.16384"),
    ],
)
def test_object_identifiers(oid: str, spelt: str) -> None:
    assert der_parts.dotted(bytes.fromhex(oid)) == spelt


def test_a_pem_block_is_what_it_holds() -> None:
    der = intel.FakeIntel().ca().public_bytes(serialization.Encoding.DER)
    text = base64.b64encode(der)
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    for right in (
        begin + b"\n" + text + b"\n" + end,
        b" \n" + begin + base64.encodebytes(der).replace(b"\n", b"\r\n") + end + b"\r\n",
        begin + text + end,
    ):
        assert der_parts.in_der(right) == der
    assert der_parts.in_der(der) is der
    for wrong, why in (
        (begin + text + end + begin + text + end, "one PEM block"),
        (begin + text + end + b"\nmore", "one PEM block"),
        (begin + text, "one PEM block"),
        (begin + b"Proc-Type: 4\n\n" + text + end, "one spelling|base64|padding"),
        (begin + text[:8] + b" " + text[8:] + end, "one spelling|base64|padding"),
        (begin + text[:9] + end, "number of data characters"),
        *(
            (begin + base64.b64encode(der[:size]) + b"=" + end, "one spelling|padding")
            for size in (300, 301, 302)
        ),
        (begin + b"AB==" + end, "one spelling"),
    ):
        with pytest.raises(ValueError, match=why):
            der_parts.in_der(wrong)
