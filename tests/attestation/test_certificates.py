"""What `cryptography` raises never leaves; one spelling of the frame; one warning about VEKs only."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.attestation import certificates, der_parts
from runtime.documents import times
from runtime.errors import MalformedError
from tests.fakes import amd_certificates
from tests.fakes.amd import FakeAmd
from tests.fakes.tpm_certificates import element


def test_pem_and_der_are_the_same_certificate(amd: FakeAmd) -> None:
    der = amd.certificate("ask", "Genoa")
    pem = x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
    assert certificates.load(pem, "ask") == certificates.load(der, "ask")
    for wrong in (
        pem + pem,
        der + b"\0",
        der[:-1],
        b"",
        pem[:-40],
        bytes(certificates.MAX_CERTIFICATE_SIZE + 1),
    ):
        with pytest.raises(MalformedError):
            certificates.load(wrong, "ask")


def test_what_no_signature_covers_has_one_spelling_too(amd: FakeAmd) -> None:
    """A signature that ends in a zero bit also reads with one unused bit."""
    crls = (amd.crl("Genoa") for _ in range(64))
    crl = next(data for data in crls if not data[-1] & 1)
    leaves = (amd.chip("spelling", days=5000).endorsements["vek"] for _ in range(64))
    leaf = next(data for data in leaves if not data[-1] & 1)
    with pytest.raises(MalformedError):
        certificates.load_crl(crl[:-513] + b"\1" + crl[-512:])
    with pytest.raises(MalformedError):
        certificates.load(leaf[:-513] + b"\1" + leaf[-512:], "leaf")


def test_a_key_of_another_kind_is_malformed() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = amd_certificates.name("SEV-VCEK")
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(datetime(2025, 1, 1, tzinfo=UTC))
    made = builder.not_valid_after(datetime(2035, 1, 1, tzinfo=UTC)).sign(key, None)
    with pytest.raises(MalformedError):
        certificates.load(made.public_bytes(serialization.Encoding.DER), "leaf")


def test_the_warning_about_serial_0_stays_where_it_was(amd: FakeAmd) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        leaf = certificates.load(amd.chip("path").endorsements["vek"], "vek")
        assert leaf.serial == 0
        with pytest.raises(Warning, match="serial number"):
            x509.load_der_x509_certificate(leaf.der)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(st.sampled_from(["vek", "intermediate", "crl"]), st.floats(0, 1), st.binary(min_size=1, max_size=8))
def test_hostile_bytes_are_read_or_malformed(amd: FakeAmd, name: str, where: float, patch: bytes) -> None:
    right = amd.chip("path").endorsements[name]
    offset = int(where * (len(right) - 1))
    wrong = right[:offset] + patch + right[offset + len(patch) :]
    try:
        certificates.load_crl(wrong) if name == "crl" else certificates.load(wrong, name)
    except MalformedError:
        return


def test_an_authority_is_read_as_any_certificate(amd: FakeAmd) -> None:
    der = amd.certificate("ark", "Genoa")
    assert certificates.load_authority(der, "root") == certificates.load(der, "root")
    assert certificates.load_authority(der, "root") is certificates.load_authority(der, "root")


def test_a_list_is_bounded_before_it_is_read(amd: FakeAmd) -> None:
    with pytest.raises(MalformedError, match="is 65537 bytes, want at most 65536"):
        certificates.load_crl(bytes(64 * 1024 + 1))


def test_a_list_has_to_say_when_the_next_one_comes(amd: FakeAmd) -> None:
    data = amd.crl("Genoa")
    tbs = x509.load_der_x509_crl(data).tbs_certlist_bytes
    content = tbs[der_parts._content(tbs, 0)[0] :]
    second = content.rindex(b"\x17\x0d", 0, content.rindex(b"\x17\x0d") + 15)  # the second UTCTime
    shorter = content[:second] + content[second + 15 :]
    body = element(0x30, shorter) + data[4 + len(tbs) :]
    with pytest.raises(MalformedError, match="does not say when the next one comes"):
        certificates.load_crl(element(0x30, body))


def test_serials_are_looked_up_in_the_list(amd: FakeAmd) -> None:
    serials = certificates.load_crl(amd.crl("Genoa", [5, 2**100])).serials
    assert 5 in serials
    assert 2**100 in serials
    assert 6 not in serials
    assert 0 not in serials
    assert -5 in serials  # no certificate may have it


def test_a_validity_is_said_to_the_second(amd: FakeAmd) -> None:
    root = certificates.load(amd.certificate("ark", "Genoa"), "root")
    said = certificates.validity(root)
    assert callable(said)
    assert said() == f"a time from {times.show(root.not_before)} to {times.show(root.not_after)}"


def list_of(key: Any, size: int) -> bytes:
    """Return a revocation list of exactly so many bytes."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    filled = size
    while True:
        made = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(amd_certificates.name("ARK-Genoa"))
            .last_update(moment)
            .next_update(datetime(2028, 1, 1, tzinfo=UTC))
            .add_extension(
                x509.UnrecognizedExtension(ObjectIdentifier("1.2.3"), bytes(filled)), critical=False
            )
            .sign(key, hashes.SHA384(), rsa_padding=amd_certificates.PSS)
            .public_bytes(serialization.Encoding.DER)
        )
        if len(made) == size:
            return made
        filled -= len(made) - size


def test_what_is_as_large_as_may_be_is_read(amd: FakeAmd) -> None:
    pem = x509.load_der_x509_certificate(amd.certificate("ark", "Genoa")).public_bytes(
        serialization.Encoding.PEM
    )
    assert certificates.load(pem.ljust(16384, b"\n"), "root") == certificates.load(pem, "root")
    with pytest.raises(MalformedError, match="is 16385 bytes, want at most 16384"):
        certificates.load(pem.ljust(16385, b"\n"), "root")
    assert certificates.load_crl(list_of(amd.keys["ark"], 65536)).issuer
    with pytest.raises(MalformedError, match="is 65537 bytes, want at most 65536"):
        certificates.load_crl(list_of(amd.keys["ark"], 65537))


def test_what_is_warned_about_is_malformed_whatever_the_program_does_with_warnings(amd: FakeAmd) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        country = x509.NameAttribute(NameOID.COUNTRY_NAME, "USA", _validate=False)
        odd = x509.IssuerAlternativeName([x509.DirectoryName(x509.Name([country]))])
        key, moment = amd.keys["ark"], datetime(2026, 1, 1, tzinfo=UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(amd_certificates.name("ARK-Genoa"))
            .issuer_name(amd_certificates.name("ARK-Genoa"))
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(moment)
            .not_valid_after(datetime(2028, 1, 1, tzinfo=UTC))
            .add_extension(odd, critical=False)
            .sign(key, hashes.SHA384(), rsa_padding=amd_certificates.PSS)
        )
        revocations = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(amd_certificates.name("ARK-Genoa"))
            .last_update(moment)
            .next_update(datetime(2028, 1, 1, tzinfo=UTC))
            .add_extension(odd, critical=False)
            .sign(key, hashes.SHA384(), rsa_padding=amd_certificates.PSS)
        )
        with pytest.raises(MalformedError, match="no certificate that can be read"):
            certificates.load(certificate.public_bytes(serialization.Encoding.DER), "root")
        with pytest.raises(MalformedError, match="cannot be read"):
            certificates.load_crl(revocations.public_bytes(serialization.Encoding.DER))


@pytest.mark.parametrize(
    ("hash", "padded", "wanted"),
    [
        (hashes.SHA384(), amd_certificates.PSS, True),
        (hashes.SHA384(), padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=32), False),
        (hashes.SHA384(), padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=48), False),
        (hashes.SHA512(), amd_certificates.PSS, False),
        (hashes.SHA384(), padding.PKCS1v15(), False),
    ],
)
def test_only_amd_s_parameters_are_amd_s(amd: FakeAmd, hash: Any, padded: Any, wanted: bool) -> None:
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(amd_certificates.name("ARK-Genoa"))
        .last_update(datetime(2026, 1, 1, tzinfo=UTC))
        .next_update(datetime(2028, 1, 1, tzinfo=UTC))
        .sign(amd.keys["ark"], hash, rsa_padding=padded)
    )
    found = certificates.load_crl(made.public_bytes(serialization.Encoding.DER))
    assert found.pss_sha384 is wanted
