"""Certificate paths of attestation keys: real shapes under throw-away roots, one thing wrong at a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from runtime.attestation import certificates
from runtime.attestation.findings import Findings, Reason
from runtime.attestation.tees.tpm import ak
from runtime.attestation.tees.tpm.ak import AkRoot
from runtime.errors import MalformedError
from tests.fakes import tpm, tpm_certificates
from tests.fakes.tpm_certificates import NOW, FakePath, name

AK = tpm.rsa_key("ak").public_key()
OTHER = tpm.rsa_key("another")


def failed(path: FakePath, now: int = NOW, roots: tuple[AkRoot, ...] | None = None) -> dict[str, Reason]:
    findings = Findings()
    found = ak.check_path(findings, path.ders(), path.vendor, (path.root(),) if roots is None else roots, now)
    if found is not None:
        ak.check_key(findings, found, AK)
    return {check.id: check.reason for check in findings.failed()}


@cache
def shapes() -> Mapping[str, FakePath]:
    return {
        "azure deep": tpm_certificates.azure(AK),
        "azure flat": tpm_certificates.azure(AK, deep=False),
        "google": tpm_certificates.google(AK),
    }


@pytest.mark.parametrize("shape", ["azure deep", "azure flat", "google"])
def test_every_shape_holds(shape: str) -> None:
    path = shapes()[shape]
    assert not failed(path)
    findings = Findings()
    found = ak.check_path(findings, path.ders(), path.vendor, (ak.AZURE_ROOT, path.root()), NOW)
    assert found is not None
    assert found.root == path.root()
    assert found.endorsed_until > NOW >= found.newest_endorsement
    assert found.leaf.der == path.ders()[0]


@pytest.mark.parametrize("shape", ["azure deep", "azure flat", "google"])
def test_the_root_is_pinned(shape: str) -> None:
    path = shapes()[shape]
    assert failed(path, roots=(ak.AZURE_ROOT, ak.GOOGLE_ROOT)) == {"ak.root": Reason.CHAIN}
    assert failed(path, roots=()) == {"ak.root": Reason.CHAIN}


def test_a_root_counts_for_its_own_vendor_only() -> None:
    path = shapes()["google"]
    pin = AkRoot(kind="test", vendor="microsoft", sha256=path.root().sha256)
    assert failed(path, roots=(pin,)) == {"ak.root": Reason.CHAIN}


# For each: which certificate is changed, how, and the one check that fails.
LEAF: list[tuple[dict[str, Any], str]] = [
    ({"subject": name("f7bb127cbe44.TrustedVM.Azure.windows.net")}, "ak.names"),
    ({"ca": True}, "ak.authority.0"),
    ({"ca": True, "cert_sign": False}, "ak.authority.0"),
    ({"cert_sign": True}, "ak.authority.0"),
    ({"digital_signature": False}, "ak.authority.0"),
    ({"basic_constraints": False}, "ak.authority.0"),
    ({"key_usage": False}, "ak.authority.0"),
    ({"usages": ("1.3.6.1.4.1.311.10.3.12",)}, "ak.authority.0"),
    ({"usages": ()}, "ak.authority.0"),
    ({"extensions": {"1.2.3.4": b"\x05\x00"}, "critical": frozenset({"1.2.3.4"})}, "ak.authority.0"),
    ({"issuer_key": OTHER}, "ak.signature.0"),
    ({"issuer": name("Azure Cloud Virtual TPM CA - 12")}, "ak.signature.0"),
    ({"pss": True}, "ak.signature.0"),
    ({"hash": hashes.SHA224()}, "ak.signature.0"),
    ({"key": OTHER.public_key()}, "ak.key"),
]
AUTHORITY: list[tuple[dict[str, Any], str]] = [
    ({"ca": False, "path_length": None}, "ak.authority.1"),
    ({"ca": False, "path_length": None, "cert_sign": True}, "ak.authority.1"),
    ({"cert_sign": False}, "ak.authority.1"),
    ({"basic_constraints": False}, "ak.authority.1"),
    ({"key_usage": False}, "ak.authority.1"),
    ({"extensions": {"1.2.3.4": b"\x05\x00"}, "critical": frozenset({"1.2.3.4"})}, "ak.authority.1"),
    ({"issuer_key": OTHER}, "ak.signature.1"),
]


@pytest.mark.parametrize(("changes", "check"), LEAF)
def test_each_check_of_the_leaf_fails_alone(changes: dict[str, Any], check: str) -> None:
    assert set(failed(shapes()["azure deep"].but(0, **changes))) == {check}


@pytest.mark.parametrize(("changes", "check"), AUTHORITY)
def test_each_check_of_an_authority_fails_alone(changes: dict[str, Any], check: str) -> None:
    assert set(failed(shapes()["azure deep"].but(1, **changes))) == {check}


def test_an_authority_may_not_have_more_below_it_than_it_says() -> None:
    assert set(failed(shapes()["azure deep"].but(2, path_length=0))) == {"ak.authority.2"}


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_each_date_fails_alone(depth: int) -> None:
    path = shapes()["azure deep"].but(depth, days=30)
    assert failed(path) == {f"ak.dates.{depth}": Reason.EXPIRED}
    assert not failed(path, now=NOW - 340 * 86400)
    assert set(failed(shapes()["google"], now=0)) == {f"ak.dates.{depth}" for depth in range(3)}


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_a_path_is_good_until_the_last_second_of_what_ends_first(depth: int) -> None:
    path = shapes()["azure deep"].but(depth, days=30)
    last = int((tpm_certificates.NOT_BEFORE + timedelta(days=30)).timestamp())
    found = ak.check_path(Findings(), path.ders(), path.vendor, (path.root(),), last)
    assert found is not None
    assert found.endorsed_until == last + 1
    assert not failed(path, now=last)
    assert failed(path, now=last + 1) == {f"ak.dates.{depth}": Reason.EXPIRED}


@pytest.mark.parametrize("shape", ["azure deep", "azure flat", "google"])
def test_a_path_that_lacks_its_root_is_of_no_shape(shape: str) -> None:
    path = shapes()[shape]
    findings = Findings()
    ak.check_path(findings, path.ders()[:-1], path.vendor, (path.root(),), NOW)
    assert {"ak.root", "ak.names"} <= {check.id for check in findings.failed()}


def test_weak_keys_of_authorities_are_refused() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - what is refused
    path = shapes()["azure deep"].but(1, key=weak.public_key()).but(0, issuer_key=weak, hash=hashes.SHA256())
    assert set(failed(path)) == {"ak.signature.0"}
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert set(failed(shapes()["azure deep"].but(1, key=curve))) == {"ak.signature.0"}


def test_names_of_another_vendor_are_refused() -> None:
    path = shapes()["google"]
    for subject in (name("EK/AK CA Intermediate", "Google Ltd"), name("EK CA Intermediate", "Google LLC")):
        changed = path.but(1, subject=subject).but(0, issuer=subject)
        assert set(failed(changed)) == {"ak.names"}
    nameless = x509.Name(list(name("x", "Google LLC"))[1:])
    assert set(failed(path.but(1, subject=nameless).but(0, issuer=nameless))) == {"ak.names"}


@pytest.mark.parametrize("count", [0, 1, 5])
def test_the_number_of_certificates_is_bounded(count: int) -> None:
    with pytest.raises(MalformedError, match="want 2 to 4"):
        ak.check_path(Findings(), [b"x"] * count, "google", (), NOW)


def test_what_is_no_certificate_is_malformed() -> None:
    with pytest.raises(MalformedError):
        ak.check_path(Findings(), [b"x", b"y"], "google", (), NOW)


def test_any_bit_of_the_leaf_is_signed() -> None:
    path = shapes()["azure flat"]
    ders, root = path.ders(), path.root()
    for byte in range(0, len(ders[0]), 5):
        data = bytearray(ders[0])
        data[byte] ^= 1
        findings = Findings()
        try:
            ak.check_path(findings, (bytes(data), *ders[1:]), "microsoft", (root,), NOW)
        except MalformedError:
            continue
        assert "ak.signature.0" in {check.id for check in findings.failed()}, byte


def test_a_list_is_complete_named_and_signed_by_its_issuer() -> None:
    path = tpm_certificates.google(tpm.rsa_key("ak").public_key())
    spec, issuer = path.specs[0], certificates.load(path.ders()[1], "issuer")

    def made(issuer_name: x509.Name, key: rsa.RSAPrivateKey, *, delta: bool = False) -> bytes:
        at = datetime.fromtimestamp(NOW, UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer_name)
            .last_update(at)
            .next_update(at + timedelta(days=1))
        )
        if delta:
            builder = builder.add_extension(x509.DeltaCRLIndicator(1), critical=True)
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    for data, holds in (
        (made(spec.issuer, spec.issuer_key), True),
        (made(path.specs[2].subject, spec.issuer_key), False),
        (made(spec.issuer, tpm.rsa_key("nobody's")), False),
        (made(spec.issuer, spec.issuer_key, delta=True), False),
    ):
        assert ak.is_list_of(certificates.load_crl(data), issuer) == holds
