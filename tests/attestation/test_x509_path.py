"""Authorities of another shape are refused; what `cryptography` raises never leaves; one VEK warning only."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.attestation import der_parts, x509_path
from runtime.attestation.model import Findings, Reason
from runtime.attestation.tees.snp import cert_table
from runtime.attestation.x509_path import Names, Path
from runtime.errors import MalformedError
from tests.fakes import amd_certificates
from tests.fakes.amd import FakeAmd
from tests.fakes.fleets import NOW
from tests.fakes.tpm_certificates import element

NAMES = Names(root="ARK-Genoa", intermediate="SEV-Genoa", leaf="SEV-VCEK")


def table_of(entries: Mapping[str, bytes], order: Literal["bytes", "bytes_le"]) -> bytes:
    """Return a GHCB certificate table."""
    head, body, start = b"", b"", (len(entries) + 1) * 24
    for name, value in entries.items():
        guid = getattr(cert_table._NAMES[name], order)
        head += struct.pack("<16sII", guid, start + len(body), len(value))
        body += value
    return head + bytes(24) + body


def path_of(amd: FakeAmd, **parts: bytes) -> Path:
    right = amd.chip("path").endorsements
    return Path(
        **{
            field: x509_path.load(parts.get(field, right[name]), field)
            for field, name in (("root", "root"), ("intermediate", "intermediate"), ("leaf", "vek"))
        }
    )


def failed(path: Path, names: Names = NAMES) -> dict[str, Reason]:
    findings = Findings()
    x509_path.check_path(findings, path, names, NOW)
    return {check.id: check.reason for check in findings.failed()}


def intermediate(amd: FakeAmd, **changes: Any) -> bytes:
    options: dict[str, Any] = {
        "path_length": 0,
        "crl_sign": False,
        "issuer_key": amd.keys["ark"],
        "key": amd.keys["ask"],
    }
    options |= {"subject": "SEV-Genoa", "issuer": "ARK-Genoa", "serial": 0x20001}
    return amd_certificates.authority(**(options | changes))


def test_the_right_path_holds(amd: FakeAmd) -> None:
    assert failed(path_of(amd)) == {}
    assert failed(path_of(amd, intermediate=intermediate(amd))) == {}


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"salt": 32}, {"chain.signature.intermediate"}),
        ({"issuer_key": "asvk"}, {"chain.signature.intermediate"}),
        ({"key": "asvk"}, {"chain.signature.leaf"}),
        ({"ca": False}, {"chain.authority.intermediate"}),
        ({"path_length": 1}, {"chain.authority.intermediate"}),
        ({"path_length": None}, {"chain.authority.intermediate"}),
        ({"crl_sign": True}, {"chain.authority.intermediate"}),
        ({"subject": "SEV-Milan"}, {"chain.names.intermediate", "chain.names.leaf"}),
        ({"issuer": "ARK-Milan"}, {"chain.names.intermediate"}),
        ({"days": 1}, {"chain.dates.intermediate"}),
        ({"not_before": datetime(2027, 1, 1, tzinfo=UTC)}, {"chain.dates.intermediate"}),
    ],
)
def test_an_intermediate_of_another_shape(amd: FakeAmd, changes: dict[str, Any], wanted: set[str]) -> None:
    keyed = {name: amd.keys[value] if name.endswith("key") else value for name, value in changes.items()}
    assert set(failed(path_of(amd, intermediate=intermediate(amd, **keyed)))) == wanted


def test_names_are_amd_s_and_complete(amd: FakeAmd) -> None:
    assert set(failed(path_of(amd), Names(root="ARK-Milan", intermediate="SEV-Milan", leaf="SEV-VLEK"))) == {
        "chain.names.root",
        "chain.names.intermediate",
        "chain.names.leaf",
    }


def test_a_delta_list_is_no_list(amd: FakeAmd) -> None:
    builder = x509.CertificateRevocationListBuilder().issuer_name(amd_certificates.name("ARK-Genoa"))
    builder = builder.last_update(datetime(2026, 1, 1, tzinfo=UTC)).next_update(
        datetime(2028, 1, 1, tzinfo=UTC)
    )
    delta = builder.add_extension(x509.DeltaCRLIndicator(1), critical=True)
    for made, ok in ((builder, True), (delta, False)):
        data = made.sign(amd.keys["ark"], hashes.SHA384(), rsa_padding=amd_certificates.PSS)
        findings = Findings()
        crl = x509_path.load_crl(data.public_bytes(serialization.Encoding.DER))
        x509_path.check_revocation(findings, path_of(amd), crl, NOW)
        assert [check.id for check in findings.failed()] == ([] if ok else ["revocation.signature"])


def test_a_list_signed_with_another_algorithm_or_key(amd: FakeAmd) -> None:
    builder = x509.CertificateRevocationListBuilder().issuer_name(amd_certificates.name("ARK-Genoa"))
    builder = builder.last_update(datetime(2026, 1, 1, tzinfo=UTC)).next_update(
        datetime(2028, 1, 1, tzinfo=UTC)
    )
    pkcs1 = builder.sign(amd.keys["ark"], hashes.SHA384())
    other = builder.sign(amd.keys["ask"], hashes.SHA384(), rsa_padding=amd_certificates.PSS)
    for data in (pkcs1, other):
        findings = Findings()
        crl = x509_path.load_crl(data.public_bytes(serialization.Encoding.DER))
        x509_path.check_revocation(findings, path_of(amd), crl, NOW)
        assert [check.id for check in findings.failed()] == ["revocation.signature"]


def test_pem_and_der_are_the_same_certificate(amd: FakeAmd) -> None:
    der = amd.certificate("ask", "Genoa")
    pem = x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
    assert x509_path.load(pem, "ask") == x509_path.load(der, "ask")
    for wrong in (
        pem + pem,
        der + b"\0",
        der[:-1],
        b"",
        pem[:-40],
        bytes(x509_path.MAX_CERTIFICATE_SIZE + 1),
    ):
        with pytest.raises(MalformedError):
            x509_path.load(wrong, "ask")


def test_what_no_signature_covers_has_one_spelling_too(amd: FakeAmd) -> None:
    """A signature that ends in a zero bit also reads with one unused bit."""
    crls = (amd.crl("Genoa") for _ in range(64))
    crl = next(data for data in crls if not data[-1] & 1)
    leaves = (amd.chip("spelling", days=5000).endorsements["vek"] for _ in range(64))
    leaf = next(data for data in leaves if not data[-1] & 1)
    with pytest.raises(MalformedError):
        x509_path.load_crl(crl[:-513] + b"\1" + crl[-512:])
    with pytest.raises(MalformedError):
        x509_path.load(leaf[:-513] + b"\1" + leaf[-512:], "leaf")


def test_a_key_of_another_kind_is_malformed() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = amd_certificates.name("SEV-VCEK")
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(datetime(2025, 1, 1, tzinfo=UTC))
    made = builder.not_valid_after(datetime(2035, 1, 1, tzinfo=UTC)).sign(key, None)
    with pytest.raises(MalformedError):
        x509_path.load(made.public_bytes(serialization.Encoding.DER), "leaf")


def test_the_warning_about_serial_0_stays_where_it_was(amd: FakeAmd) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        leaf = x509_path.load(amd.chip("path").endorsements["vek"], "vek")
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
        x509_path.load_crl(wrong) if name == "crl" else x509_path.load(wrong, name)
    except MalformedError:
        return


def test_an_authority_is_read_as_any_certificate(amd: FakeAmd) -> None:
    der = amd.certificate("ark", "Genoa")
    assert x509_path.load_authority(der, "root") == x509_path.load(der, "root")
    assert x509_path.load_authority(der, "root") is x509_path.load_authority(der, "root")


def test_a_root_is_pinned_by_its_hash(amd: FakeAmd) -> None:
    root = x509_path.load(amd.certificate("ark", "Genoa"), "root")
    findings = Findings()
    assert x509_path.pinned(findings, root, amd.roots()) == amd.root("Genoa")
    assert findings.failed() == ()
    assert x509_path.pinned(findings, root, (amd.root("Milan"),)) is None
    assert x509_path.pinned(findings, root, ()) is None
    assert [(check.id, check.expected[:5]) for check in findings.failed()] == [
        ("chain.root", "Milan"),
        ("chain.root", "no ro"),
    ]


def test_a_key_of_another_kind_made_no_pss_signature() -> None:
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    assert not x509_path.verifies(key, b"signature", b"message")


def test_a_list_is_bounded_before_it_is_read(amd: FakeAmd) -> None:
    with pytest.raises(MalformedError, match="is 65537 bytes, want at most 65536"):
        x509_path.load_crl(bytes(64 * 1024 + 1))


def test_a_list_has_to_say_when_the_next_one_comes(amd: FakeAmd) -> None:
    data = amd.crl("Genoa")
    tbs = x509.load_der_x509_crl(data).tbs_certlist_bytes
    content = tbs[der_parts._content(tbs, 0)[0] :]
    second = content.rindex(b"\x17\x0d", 0, content.rindex(b"\x17\x0d") + 15)  # the second UTCTime
    shorter = content[:second] + content[second + 15 :]
    body = element(0x30, shorter) + data[4 + len(tbs) :]
    with pytest.raises(MalformedError, match="does not say when the next one comes"):
        x509_path.load_crl(element(0x30, body))


def test_serials_are_looked_up_in_the_list(amd: FakeAmd) -> None:
    serials = x509_path.load_crl(amd.crl("Genoa", [5, 2**100])).serials
    assert 5 in serials
    assert 2**100 in serials
    assert 6 not in serials
    assert 0 not in serials
    assert -5 in serials  # no certificate may have it
