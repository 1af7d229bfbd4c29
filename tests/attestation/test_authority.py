"""Who may sign certificates: each word that is missing, or says no, is enough for no."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography import x509

from runtime.attestation import certificates
from runtime.attestation.authority import HEEDED, is_authority
from runtime.attestation.certificates import Certificate
from tests.fakes import tpm, tpm_certificates


@pytest.fixture(scope="module")
def authority() -> Certificate:
    return certificates.load(tpm_certificates.azure(tpm.rsa_key("ak").public_key()).ders()[1], "authority")


def usage(*, signs: bool) -> x509.KeyUsage:
    others = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"), True
    ) | dict.fromkeys(("key_agreement", "crl_sign", "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(key_cert_sign=signs, **others)


def test_a_real_shape_is_one(authority: Certificate) -> None:
    assert is_authority(authority, below=0)
    assert is_authority(replace(authority, critical=frozenset(HEEDED)), below=0)


@pytest.mark.parametrize(
    ("length", "below", "may"), [(None, 9, True), (1, 1, True), (1, 2, False), (0, 0, True)]
)
def test_a_path_may_be_as_long_as_it_says(
    authority: Certificate, length: int | None, below: int, *, may: bool
) -> None:
    constraints = x509.BasicConstraints(ca=True, path_length=length)
    assert is_authority(replace(authority, basic_constraints=constraints), below=below) is may


def test_every_missing_word_is_a_no(authority: Certificate) -> None:
    leaf = x509.BasicConstraints(ca=False, path_length=None)
    for wrong in (
        replace(authority, basic_constraints=None),
        replace(authority, basic_constraints=leaf),
        replace(authority, key_usage=None),
        replace(authority, key_usage=usage(signs=False)),
        replace(authority, critical=HEEDED | {"1.2.3"}),
    ):
        assert not is_authority(wrong, below=0)
    assert is_authority(replace(authority, key_usage=usage(signs=True)), below=0)
