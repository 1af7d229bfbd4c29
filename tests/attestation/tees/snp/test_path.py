"""Authorities of another shape than AMD's are refused, and lists that are not the root's own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runtime.attestation import certificates
from runtime.attestation.findings import Findings, Reason
from runtime.attestation.tees.snp import path as amd_path
from runtime.attestation.tees.snp.path import Names, Path
from tests.fakes import amd_certificates, tpm
from tests.fakes.amd import FakeAmd
from tests.fakes.fleets import NOW
from tests.fakes.usages import usage

NAMES = Names(root="ARK-Genoa", intermediate="SEV-Genoa", leaf="SEV-VCEK")


def path_of(amd: FakeAmd, **parts: bytes) -> Path:
    right = amd.chip("path").endorsements
    return Path(
        **{
            field: certificates.load(parts.get(field, right[name]), field)
            for field, name in (("root", "root"), ("intermediate", "intermediate"), ("leaf", "vek"))
        }
    )


def failed(path: Path, names: Names = NAMES) -> dict[str, Reason]:
    findings = Findings()
    amd_path.check_path(findings, path, names, NOW)
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


# What no certificate that is built would say: the fields as they were read, one of them another.
CONSTRAINED = x509.BasicConstraints
SHORT = tpm.rsa_key("ak").public_key()
EC_256 = tpm.ec_key("ak").public_key()


@pytest.mark.parametrize("role", ["root", "intermediate"])
@pytest.mark.parametrize(
    "change",
    [
        {"key_usage": None},
        {"key_usage": "crl"},
        {"key_usage": "other"},
        {"basic_constraints": None},
        {"basic_constraints": CONSTRAINED(ca=False, path_length=None)},
        {"basic_constraints": CONSTRAINED(ca=True, path_length=1)},
        {"critical": frozenset({"2.5.29.15", "2.5.29.19", "2.5.29.37"})},
        {"public_key": SHORT},
        {"public_key": EC_256},
    ],
)
def test_every_flag_of_an_authority_counts(amd: FakeAmd, role: str, change: dict[str, Any]) -> None:
    path = path_of(amd)
    lists = ("crl_sign",) if role == "root" else ()  # the root alone signs lists
    others = ("crl_sign",) if role == "intermediate" else ()
    said = {
        "crl": usage(*lists),  # and signs no certificates
        "other": usage("key_cert_sign", *others),
    }
    plain = replace(getattr(path, role), key_usage=usage("key_cert_sign", *lists))
    assert failed(replace(path, **{role: plain})) == {}
    right = {
        name: said.get(value, value) if isinstance(value, str) else value for name, value in change.items()
    }
    wanted = {f"chain.authority.{role}"}
    if "public_key" in change:
        wanted.add(f"chain.signature.{'intermediate' if role == 'root' else 'leaf'}")
    assert set(failed(replace(path, **{role: replace(plain, **right)}))) == wanted


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"basic_constraints": CONSTRAINED(ca=False, path_length=None)}, set[str]()),
        ({"key_usage": usage("digital_signature")}, set[str]()),
        ({"basic_constraints": None, "key_usage": None}, set[str]()),
        ({"basic_constraints": CONSTRAINED(ca=True, path_length=0)}, {"chain.authority.leaf"}),
        ({"key_usage": usage("digital_signature", "key_cert_sign")}, {"chain.authority.leaf"}),
        ({"critical": frozenset({"2.5.29.15"})}, {"chain.authority.leaf"}),
        ({"public_key": SHORT}, {"chain.authority.leaf"}),
        ({"public_key": EC_256}, {"chain.authority.leaf"}),
        ({"pss_sha384": False}, {"chain.signature.leaf"}),
    ],
)
def test_every_flag_of_a_leaf_counts(amd: FakeAmd, change: dict[str, Any], wanted: set[str]) -> None:
    path = path_of(amd)
    assert set(failed(replace(path, leaf=replace(path.leaf, **change)))) == wanted


def test_a_name_is_amd_s_in_every_part_and_is_told(amd: FakeAmd) -> None:
    path = path_of(amd)
    for at, (oid, _) in enumerate(path.intermediate.attributes):
        wrong = list(path.intermediate.attributes)
        wrong[at] = (oid, "Somebody Else")
        other = replace(path, intermediate=replace(path.intermediate, attributes=tuple(wrong)))
        assert set(failed(other)) == {"chain.names.intermediate"}
    findings = Findings()
    amd_path.check_path(findings, path, Names(root="ARK-Genoa", intermediate="X", leaf="SEV-VCEK"), NOW)
    (check,) = findings.failed()
    assert (check.actual, check.expected) == ("CN=SEV-Genoa", "AMD's CN=X issued by CN=ARK-Genoa")


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
        crl = certificates.load_crl(data.public_bytes(serialization.Encoding.DER))
        amd_path.check_revocation(findings, path_of(amd), crl, NOW)
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
        crl = certificates.load_crl(data.public_bytes(serialization.Encoding.DER))
        amd_path.check_revocation(findings, path_of(amd), crl, NOW)
        assert [check.id for check in findings.failed()] == ["revocation.signature"]


def test_a_list_says_how_it_was_signed(amd: FakeAmd) -> None:
    findings = Findings()
    right = certificates.load_crl(amd.crl("Genoa", []))
    amd_path.check_revocation(findings, path_of(amd), right, NOW)
    assert findings.failed() == ()
    amd_path.check_revocation(findings, path_of(amd), replace(right, pss_sha384=False), NOW)
    assert [check.id for check in findings.failed()] == ["revocation.signature"]


def test_a_root_is_pinned_by_its_hash(amd: FakeAmd) -> None:
    root = certificates.load(amd.certificate("ark", "Genoa"), "root")
    findings = Findings()
    assert amd_path.pinned(findings, root, amd.roots()) == amd.root("Genoa")
    assert findings.failed() == ()
    assert amd_path.pinned(findings, root, (amd.root("Milan"),)) is None
    assert amd_path.pinned(findings, root, ()) is None
    assert [(check.id, check.expected[:5]) for check in findings.failed()] == [
        ("chain.root", "Milan"),
        ("chain.root", "no ro"),
    ]


def test_a_key_of_another_kind_made_no_pss_signature() -> None:
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    assert not amd_path.verifies(key, b"signature", b"message")
