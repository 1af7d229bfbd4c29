"""Three certificates of Intel's shape under a pinned root, or nothing: one thing wrong at a time."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from runtime.attestation.certificates import Certificate
from runtime.attestation.findings import EvidenceRefusedError, Findings
from runtime.attestation.tees.tdx import pck, verify
from runtime.attestation.tees.tdx.pck import INTEL_ROOT, PckChain
from runtime.errors import MalformedError
from tests.fakes import intel as fakes
from tests.fakes import tpm
from tests.fakes.intel import NOW
from tests.fakes.intel_certificates import (
    PLATFORM_CA,
    PROCESSOR_CA,
    crl,
    usage,
)
from tests.fakes.td_machine import MACHINE, OTHER_KEY, Machine, collateral, refused
from tests.fakes.usages import usage as saying

CHAIN = MACHINE.chain()
P384_KEY = ec.generate_private_key(ec.SECP384R1())


def test_a_root_that_is_not_pinned() -> None:
    failed = {
        "chain.root": "chain",
        "collateral.tcb_info.root": "chain",
        "revocation.pck_crl.issuer": "revocation_unknown",
    }
    assert refused(roots=(INTEL_ROOT,)) == failed
    assert refused(roots=()) == failed


@pytest.mark.parametrize(
    ("leaf", "failed"),
    [
        ({"subject": "Intel SGX PCK Certificate "}, "chain.names.leaf"),
        ({"subject": "Intel SGX TCB Signing"}, "chain.names.leaf"),
        ({"issuer": PROCESSOR_CA}, "chain.names.leaf"),
        ({"issuer_key": OTHER_KEY}, "chain.signature.leaf"),
        ({"days": 1}, "chain.dates.leaf"),
        ({"not_before": datetime(2027, 1, 1, tzinfo=UTC)}, "chain.dates.leaf"),
        ({"ca": True}, "chain.authority.leaf"),
        ({"key_usage": usage(authority=True)}, "chain.authority.leaf"),
        ({"critical_sgx": True}, "chain.authority.leaf"),
        ({"algorithm": hashes.SHA384()}, "chain.signature.leaf"),
        ({"key": OTHER_KEY.public_key()}, "qe.signature"),
    ],
)
def test_a_leaf_of_another_shape(leaf: dict[str, Any], failed: str) -> None:
    assert set(refused(MACHINE.quote(pck=leaf))) == {failed}


@pytest.mark.parametrize(
    ("ca", "failed"),
    [
        ({"issuer": PLATFORM_CA}, "chain.names.intermediate"),
        ({"issuer_key": OTHER_KEY}, "chain.signature.intermediate"),
        ({"days": 1}, "chain.dates.intermediate"),
        ({"path_length": 1}, "chain.authority.intermediate"),
        (
            {"ca": False, "path_length": None, "key_usage": usage(authority=True)},
            "chain.authority.intermediate",
        ),
        ({"key_usage": usage(authority=False)}, "chain.authority.intermediate"),
    ],
)
def test_an_intermediate_of_another_shape(ca: dict[str, Any], failed: str) -> None:
    assert set(refused(MACHINE.quote(ca=ca))) == {failed}


# What no certificate that `cryptography` builds would say: the fields as they were read, one of them another.


def offered(**certificates: dict[str, Any]) -> PckChain:
    leaf, ca, root = pck.load_chain(CHAIN, 3, "chain", {})
    read = {"leaf": leaf, "ca": ca, "root": root}
    return PckChain(**{name: replace(entry, **certificates.get(name, {})) for name, entry in read.items()})


def failed_of(chain: PckChain) -> set[str]:
    findings = Findings()
    pck.check_chain(findings, chain, MACHINE.roots, NOW)
    return {check.id for check in findings.failed()}


CONSTRAINED = x509.BasicConstraints
RSA = tpm.rsa_key("ak").public_key()


@pytest.mark.parametrize(
    "change",
    [
        {"key_usage": None},
        {"key_usage": saying("key_cert_sign")},
        {"key_usage": saying("crl_sign")},
        {"basic_constraints": None},
        {"basic_constraints": CONSTRAINED(ca=False, path_length=None)},
        {"basic_constraints": CONSTRAINED(ca=True, path_length=None)},
        {"basic_constraints": CONSTRAINED(ca=True, path_length=1)},
        {"critical": frozenset({"2.5.29.15", "2.5.29.19", "2.5.29.37"})},
    ],
)
def test_every_flag_of_an_authority_counts(change: dict[str, Any]) -> None:
    assert not failed_of(offered(ca={"key_usage": saying("key_cert_sign", "crl_sign")}))
    assert failed_of(offered(ca=change)) == {"chain.authority.intermediate"}


@pytest.mark.parametrize(
    "change",
    [
        {"key_usage": None},
        {"key_usage": saying("content_commitment")},
        {"key_usage": saying("digital_signature", "key_cert_sign")},
        {"basic_constraints": CONSTRAINED(ca=True, path_length=0)},
        {"critical": frozenset({"2.5.29.15", "2.5.29.19", "2.5.29.37"})},
        {"public_key": RSA},
        {"public_key": P384_KEY.public_key()},
    ],
)
def test_every_flag_of_a_leaf_counts(change: dict[str, Any]) -> None:
    right = {"key_usage": saying("digital_signature"), "basic_constraints": None}
    assert not failed_of(offered(leaf=right))
    assert failed_of(offered(leaf=right | change)) == {"chain.authority.leaf"}


def test_a_name_is_intel_s_in_every_part() -> None:
    (_, ca, _) = pck.load_chain(CHAIN, 3, "chain", {})
    for at, (oid, _) in enumerate(ca.attributes):
        parts = list(ca.attributes)
        parts[at] = (oid, "Somebody Else")
        for wrong in (parts, [*parts[:at], *parts[at + 1 :]], [*ca.attributes, (oid, "more")]):
            failed = failed_of(offered(ca={"attributes": tuple(sorted(wrong))}))
            assert failed == {"chain.names.intermediate"}


@pytest.mark.parametrize("key", [RSA, P384_KEY.public_key()], ids=["RSA", "P-384"])
def test_a_key_of_another_kind_signs_nothing(key: Any) -> None:
    failed = failed_of(offered(ca={"public_key": key}))
    assert failed == {"chain.authority.intermediate", "chain.signature.leaf"}


def test_16_kib_of_a_chain_are_the_most() -> None:
    assert len(pck.load_chain(CHAIN.ljust(16 * 1024, b"\n"), 3, "chain", {})) == 3
    with pytest.raises(MalformedError, match="is 16385 bytes, want at most 16384"):
        pck.load_chain(CHAIN.ljust(16 * 1024 + 1, b"\n"), 3, "chain", {})


def test_an_intermediate_that_is_no_pck_ca() -> None:
    quote = MACHINE.quote(pck={"issuer": "Intel SGX Other CA"}, ca={"subject": "Intel SGX Other CA"})
    given = collateral(
        ca=MACHINE.intel.ca("Intel SGX Other CA"), pck_crl=crl("Intel SGX Other CA", MACHINE.intel.ca_key)
    )
    assert set(refused(quote, given)) == {"chain.names.intermediate"}


def test_a_leaf_key_of_another_curve() -> None:
    failed = refused(MACHINE.quote(pck={"key": P384_KEY.public_key()}))
    assert set(failed) == {"chain.authority.leaf", "qe.signature"}


def test_an_intermediate_key_of_another_curve() -> None:
    quote = MACHINE.quote(ca={"key": P384_KEY.public_key()}, pck={"issuer_key": P384_KEY})
    failed = set(refused(quote))
    assert {"chain.authority.intermediate", "chain.signature.leaf"} <= failed


def test_an_expired_root() -> None:
    machine = Machine()
    machine.root = machine.intel.root(days=100)
    with pytest.raises(EvidenceRefusedError) as caught:
        verify.verify(machine.quote(), machine.collateral(), machine.roots, NOW)
    assert [check.id for check in caught.value.checks] == ["chain.dates.root"]


@pytest.mark.parametrize(
    ("data", "offset", "words"),
    [
        (bytes(pck.MAX_CHAIN_SIZE + 1), None, "at most"),
        (b"", 0, "holds 0 certificates, want 3"),
        (b"\0", 0, "holds 0 certificates, want 3"),
        (CHAIN + CHAIN, len(CHAIN), "something else than 3"),
        (CHAIN + b"\0\0", len(CHAIN), "something else than 3"),
        (b"x" + CHAIN, 0, "something else than 3"),
        (CHAIN.replace(b"-----END", b"-----BEGIN", 1), 0, "something else than 3"),
        (CHAIN.replace(b"MII", b"AAA", 1), None, "no certificate that can be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_chain_is_exactly_its_certificates(data: bytes, offset: int | None, words: str) -> None:
    with pytest.raises(MalformedError, match=words) as caught:
        pck.load_chain(data, 3, "chain", {})
    assert caught.value.offset == offset


def test_one_nul_may_end_a_chain() -> None:
    loaded: dict[bytes, Certificate] = {}
    assert pck.load_chain(CHAIN + b"\0", 3, "chain", loaded) == pck.load_chain(CHAIN, 3, "chain", loaded)
    assert len(loaded) == 3
    with pytest.raises(MalformedError, match="holds 3 certificates, want 4"):
        pck.load_chain(CHAIN, 4, "chain", loaded)


def test_the_pin_is_intel_s() -> None:
    assert INTEL_ROOT.kind == "hardware"
    assert INTEL_ROOT.sha256.hex() == "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"


def test_the_frame_around_a_certificate_is_not_free() -> None:
    leaf = MACHINE.intel.pck().public_bytes(Encoding.DER)
    algorithm = bytes.fromhex("06082a8648ce3d040302")
    at = leaf.rindex(algorithm) + len(algorithm) - 1
    other = leaf[:at] + b"\3" + leaf[at + 1 :]  # says SHA-384 outside, where nothing is signed
    block = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(other) + b"-----END CERTIFICATE-----\n"
    chain = block + fakes.pem(MACHINE.intel.ca(), MACHINE.root)
    with pytest.raises(MalformedError, match="names another algorithm"):
        refused(MACHINE.intel.quote(chain))
