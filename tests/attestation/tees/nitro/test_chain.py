"""A path holds only in the shape that AWS issues: one thing wrong at a time, and only that check fails."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from runtime.attestation import certificates
from runtime.attestation.findings import Findings, Reason
from runtime.attestation.tees.nitro import HARDWARE_ROOTS, chain
from runtime.attestation.tees.nitro.chain import Chain, NitroRoot
from runtime.errors import MalformedError
from tests.fakes import nitro
from tests.fakes.findings import Everything
from tests.fakes.nitro import HOUR, NOW, FakeNitro, Issued, usage

FAKE = FakeNitro.create()
LEAF = FAKE.leaf()
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NO_SIGNER = {"chain.authority.intermediate3", "chain.signature.leaf"}
P256 = ec.generate_private_key(ec.SECP256R1())


def load(fake: FakeNitro, leaf: Issued | None = None) -> Chain:
    return chain.load(tuple(issued.der for issued in fake.authorities), (leaf or fake.leaf()).der, at=(0, 0))


def checked(made: Chain, roots: tuple[NitroRoot, ...], now: int = NOW) -> dict[str, Reason]:
    findings = Findings()
    chain.check(findings, made, roots, now)
    return {check.id: check.reason for check in findings.failed()}


def broken(leaf: dict[str, Any] | None = None, **shapes: dict[str, Any]) -> dict[str, Reason]:
    fake = FakeNitro.create(**shapes)
    return checked(load(fake, fake.leaf(**(leaf or {}))), fake.roots())


def test_a_path_of_aws_shape_holds() -> None:
    findings = Everything()
    assert chain.check(findings, load(FAKE, LEAF), FAKE.roots(), NOW) == FAKE.roots()[0]
    assert findings.failed() == ()
    assert len(findings.made) == 1 + 5 + 5 + 2 * 4  # pin, shapes, dates, issuer and signature


def test_the_pinned_root_alone_may_issue() -> None:
    direct = FakeNitro((FAKE.authorities[0],))
    leaf = nitro.issue(
        "m", FAKE.authorities[0], nitro.Shape(ca=False, key_usage=usage(digital_signature=True))
    )
    assert checked(load(direct, leaf), FAKE.roots()) == {}


@pytest.mark.parametrize("roots", [(), HARDWARE_ROOTS, FakeNitro.create().roots()])
def test_another_root(roots: tuple[NitroRoot, ...]) -> None:
    assert checked(load(FAKE, LEAF), roots) == {"chain.root": Reason.CHAIN}


def test_without_its_root_nothing_is_pinned() -> None:
    cut = FakeNitro(FAKE.authorities[1:])
    assert checked(load(cut, LEAF), FAKE.roots()) == {"chain.root": Reason.CHAIN}


def test_a_certificate_left_out() -> None:
    cut = FakeNitro((*FAKE.authorities[:2], FAKE.authorities[3]))
    assert checked(load(cut, LEAF), FAKE.roots()) == {
        "chain.names.intermediate2": Reason.CHAIN,
        "chain.signature.intermediate2": Reason.CHAIN,
    }


def test_the_order_is_root_first() -> None:
    turned = FakeNitro(tuple(reversed(FAKE.authorities)))
    assert "chain.root" in checked(load(turned, LEAF), FAKE.roots())


@pytest.mark.parametrize(
    ("shapes", "failed"),
    [
        # Who issued it
        ({"leaf": {"issuer_name": "another"}}, {"chain.names.leaf"}),
        ({"zonal": {"issuer_name": "another"}}, {"chain.names.intermediate2"}),
        ({"leaf": {"hash": hashes.SHA256()}}, {"chain.signature.leaf"}),
        ({"regional": {"hash": hashes.SHA256()}}, {"chain.signature.intermediate1"}),
        # What kind of key
        ({"leaf": {"public_key": P256.public_key()}}, {"chain.authority.leaf"}),
        ({"leaf": {"public_key": RSA.public_key()}}, {"chain.authority.leaf"}),
        (
            {"instance": {"public_key": P256.public_key()}},
            {"chain.authority.intermediate3", "chain.signature.leaf"},
        ),
        (
            {"instance": {"public_key": RSA.public_key()}},
            {"chain.authority.intermediate3", "chain.signature.leaf"},
        ),
        # What it may do
        ({"root": {"ca": False}}, {"chain.authority.root"}),
        ({"instance": {"ca": False}}, {"chain.authority.intermediate3"}),
        ({"instance": {"constraints": False}}, {"chain.authority.intermediate3"}),
        ({"instance": {"constraints_critical": False}}, {"chain.authority.intermediate3"}),
        ({"instance": {"key_usage": None}}, {"chain.authority.intermediate3"}),
        ({"instance": {"key_usage": usage(digital_signature=True)}}, {"chain.authority.intermediate3"}),
        ({"instance": {"usage_critical": False}}, {"chain.authority.intermediate3"}),
        ({"instance": {"unknown_critical": True}}, {"chain.authority.intermediate3"}),
        ({"root": {"path_length": 2}}, {"chain.authority.root"}),
        ({"regional": {"path_length": 1}}, {"chain.authority.intermediate1"}),
        ({"zonal": {"path_length": 0}}, {"chain.authority.intermediate2"}),
        ({"root": {"path_length": 3}, "instance": {"path_length": 5}}, set()),
        ({"leaf": {"ca": True}}, {"chain.authority.leaf"}),
        ({"leaf": {"constraints": False}}, {"chain.authority.leaf"}),
        ({"leaf": {"key_usage": None}}, {"chain.authority.leaf"}),
        ({"leaf": {"key_usage": usage(content_commitment=True)}}, {"chain.authority.leaf"}),
        (
            {"leaf": {"key_usage": usage(digital_signature=True, key_cert_sign=True)}},
            {"chain.authority.leaf"},
        ),
        ({"leaf": {"unknown_critical": True}}, {"chain.authority.leaf"}),
        ({"leaf": {"usage_critical": True}}, set()),
    ],
)
def test_one_thing_wrong(shapes: dict[str, dict[str, Any]], failed: set[str]) -> None:
    assert broken(**shapes) == dict.fromkeys(failed, Reason.CHAIN)


@pytest.mark.parametrize(
    ("role", "check"),
    [
        ("root", "root"),
        ("regional", "intermediate1"),
        ("zonal", "intermediate2"),
        ("instance", "intermediate3"),
        ("leaf", "leaf"),
    ],
)
def test_every_certificate_has_its_time(role: str, check: str) -> None:
    assert broken(**{role: {"not_before": NOW, "not_after": NOW}}) == {}
    for shape in ({"not_before": NOW + 1}, {"not_before": NOW - HOUR, "not_after": NOW - 1}):
        assert broken(**{role: shape}) == {f"chain.dates.{check}": Reason.EXPIRED}


def test_a_leaf_of_another_authority_with_the_same_name() -> None:
    assert checked(load(FAKE, FakeNitro.create().leaf()), FAKE.roots()) == {
        "chain.signature.leaf": Reason.CHAIN
    }


def test_a_certificate_is_der() -> None:
    authorities = [issued.der for issued in FAKE.authorities]
    pem = x509.load_der_x509_certificate(LEAF.der).public_bytes(serialization.Encoding.PEM)
    for bundle, leaf, message in (
        (authorities, pem, "Nitro document: certificate at byte 20: is not in DER"),
        ([authorities[0], b"x"], LEAF.der, r"Nitro document: cabundle\[1\] at byte 10: is no certificate"),
    ):
        with pytest.raises(MalformedError, match=message):
            chain.load(tuple(bundle), leaf, at=(10, 20))


def test_a_name_is_one_common_name() -> None:
    made = certificates.load(LEAF.der, "leaf")
    assert chain.common_name(made) == LEAF.common_name
    twice = LEAF.common_name.encode()
    for attributes in ((), (("2.5.4.3", "a"), ("2.5.4.3", twice.decode()))):
        changed = dataclasses.replace(made, attributes=attributes)
        assert chain.common_name(changed) == ""


def test_a_right_signature_under_the_name_of_another_algorithm() -> None:
    sha384, sha512 = bytes.fromhex("06082a8648ce3d040303"), bytes.fromhex("06082a8648ce3d040304")
    tbs = x509.load_der_x509_certificate(LEAF.der).tbs_certificate_bytes.replace(sha384, sha512)
    signature = FAKE.authorities[-1].key.sign(tbs, ec.ECDSA(hashes.SHA384()))
    body = tbs + b"\x30\x0a" + sha512 + bytes([3, len(signature) + 1, 0]) + signature
    der = b"\x30\x82" + len(body).to_bytes(2, "big") + body
    leaf = Issued(LEAF.common_name, LEAF.key, der)
    assert checked(load(FAKE, leaf), FAKE.roots()) == {"chain.signature.leaf": Reason.CHAIN}


# Revocation lists


def revoked(*lists: bytes, now: int = NOW) -> tuple[dict[str, Reason], frozenset[str]]:
    findings = Findings()
    spoken = chain.check_revocation(
        findings, load(FAKE, LEAF), tuple(certificates.load_crl(data) for data in lists), now
    )
    return {check.id: check.reason for check in findings.failed()}, spoken


def serial(issued: Issued) -> int:
    return x509.load_der_x509_certificate(issued.der).serial_number


ROOT, REGIONAL, ZONAL, INSTANCE = FAKE.authorities


def test_without_a_list_nothing_is_said() -> None:
    assert revoked() == ({}, frozenset())


def test_lists_speak_for_what_their_authority_issued() -> None:
    lists = (nitro.crl(ROOT, 7), nitro.crl(INSTANCE), nitro.crl(INSTANCE))
    assert revoked(*lists) == ({}, frozenset({"intermediate1", "leaf"}))


@pytest.mark.parametrize(
    ("issuer", "issued", "role"),
    [(ROOT, REGIONAL, "intermediate1"), (ZONAL, INSTANCE, "intermediate3"), (INSTANCE, LEAF, "leaf")],
)
def test_a_revoked_certificate(issuer: Issued, issued: Issued, role: str) -> None:
    failed, _ = revoked(nitro.crl(issuer, 7, serial(issued)))
    assert failed == {f"revocation.{role}": Reason.REVOKED}


@pytest.mark.parametrize(
    "data",
    [
        nitro.crl(ROOT, key=P256),
        nitro.crl(ROOT, key=RSA),
        nitro.crl(ROOT, key=ZONAL.key),
        nitro.crl(ROOT, partial=True),
        nitro.crl(LEAF),
        nitro.crl(FakeNitro.create().authorities[0]),
    ],
)
def test_another_list(data: bytes) -> None:
    assert revoked(nitro.crl(ZONAL), data)[0] == {"revocation.signature.1": Reason.REVOCATION_UNKNOWN}


@pytest.mark.parametrize("now", [NOW - HOUR - 1, NOW + HOUR])
def test_a_list_has_its_time(now: int) -> None:
    assert revoked(nitro.crl(ROOT), now=now)[0] == {"revocation.dates.0": Reason.REVOCATION_UNKNOWN}
    assert revoked(nitro.crl(ROOT), now=NOW - HOUR)[0] == {}
    assert revoked(nitro.crl(ROOT), now=NOW + HOUR - 1)[0] == {}


def test_the_pinned_root_is_of_hardware() -> None:
    assert [root.kind for root in HARDWARE_ROOTS] == ["hardware"]
    assert {len(root.sha256) for root in HARDWARE_ROOTS} == {32}
