"""Parts are tried one after the other; revocation lists are the authorities' own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from runtime.attestation import certificates
from runtime.attestation.findings import EvidenceRefusedError, Findings, Reason
from runtime.attestation.tees.composites import gather
from runtime.errors import MalformedError
from tests.attestation.platforms import appraise, document, refused
from tests.fakes import intel, tpm, tpm_certificates
from tests.fakes.machines import FakeMachine
from tests.fakes.measured_boot import AK

GCP = "gcp-tdx"
PATH = tpm_certificates.google(AK.public_key())
NOW = datetime.fromtimestamp(intel.NOW, UTC)


def revocations(depth: int, key: Any, *revoked: int, days: int = 1, delta: bool = False) -> bytes:
    """Return the list of the authority `depth` above the leaf."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(PATH.specs[depth].subject)
        .last_update(NOW - timedelta(days=1))
        .next_update(NOW + timedelta(days=days, hours=1))
    )
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW).build()
        builder = builder.add_revoked_certificate(entry)
    if delta:
        builder = builder.add_extension(x509.DeltaCRLIndicator(1), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


MIDDLE: rsa.RSAPrivateKey = tpm.rsa_key("google intermediate")
ROOT: rsa.RSAPrivateKey = tpm.rsa_key("google root")
LISTS = {"ak_crl": revocations(1, MIDDLE), "ak_authority_1_crl": revocations(2, ROOT)}
SERIALS = [x509.load_der_x509_certificate(der).serial_number for der in PATH.ders()]


def test_lists_for_every_certificate_count_as_looked_at(platforms: Mapping[str, FakeMachine]) -> None:
    strict = document(platforms[GCP], values={"gce": {"ak_revocation": "required"}})
    result = appraise(platforms[GCP], strict, endorsements=LISTS)
    assert not any("not revoked" in gap for gap in result.not_proven)
    assert result.endorsed_until <= intel.NOW + 25 * 3600
    for missing in LISTS:
        kept = {name: data for name, data in LISTS.items() if name != missing}
        assert set(refused(platforms[GCP], strict, endorsements=kept)) == {"ak.revocation"}


@pytest.mark.parametrize(
    ("lists", "check"),
    [
        ({"ak_crl": revocations(1, MIDDLE, SERIALS[0])}, "ak.crl.revoked"),
        ({"ak_authority_1_crl": revocations(2, ROOT, SERIALS[1])}, "ak.authority_1_crl.revoked"),
        ({"ak_crl": revocations(1, ROOT)}, "ak.crl.signature"),
        ({"ak_crl": revocations(2, MIDDLE)}, "ak.crl.signature"),
        ({"ak_crl": revocations(1, ec.generate_private_key(ec.SECP256R1()))}, "ak.crl.signature"),
        ({"ak_crl": revocations(1, MIDDLE, delta=True)}, "ak.crl.signature"),
    ],
)
def test_a_list_that_names_a_certificate_or_is_not_the_authoritys(
    platforms: Mapping[str, FakeMachine], lists: dict[str, bytes], check: str
) -> None:
    assert set(refused(platforms[GCP], endorsements=lists)) == {check}


def test_a_list_that_has_ended(platforms: Mapping[str, FakeMachine]) -> None:
    short = {"ak_crl": revocations(1, MIDDLE, days=0)}
    assert set(refused(platforms[GCP], now=intel.NOW + 3600, endorsements=short)) == {"ak.crl.dates"}


def test_a_list_of_the_future(platforms: Mapping[str, FakeMachine]) -> None:
    """A list that its authority has not made yet says nothing of now; at its very second it does."""
    made = int((NOW - timedelta(days=1)).timestamp())
    crl = revocations(1, MIDDLE)
    issuer, leaf = (certificates.load(der, "certificate") for der in PATH.ders()[1::-1])
    for now, failed in ((made - 1, ["ak.crl.dates"]), (made, [])):
        findings = Findings()
        gather._check_list(findings, "ak_crl", crl, issuer, leaf, now)
        assert [check.id for check in findings.failed()] == failed


def test_what_refuses_leaves_its_checks_behind_a_prefix() -> None:
    findings = Findings()

    def refuse() -> int:
        inner = Findings()
        inner.require(False, "x.y", Reason.TCB, expected="E", actual="A", source="S", remedy="R")
        inner.settle()
        return 1

    assert gather.attempt(findings, lambda: 7) == 7
    assert gather.attempt(findings, refuse, "p.") is None
    assert [(check.id, check.remedy) for check in findings.checks] == [("p.x.y", "R")]
    with pytest.raises(EvidenceRefusedError):
        gather.held(findings, None)


def test_nothing_is_held_that_is_not_there() -> None:
    assert gather.held(Findings(), 7) == 7
    with pytest.raises(MalformedError):
        gather.held(Findings(), None)


@pytest.mark.parametrize("form", ["aws-snp-nitrotpm", "azure-snp", "gcp-snp", "gcp-tdx", "qemu-tpm"])
def test_parts_logs_and_endorsements_are_tried_where_they_came_along(
    platforms: Mapping[str, FakeMachine], form: str
) -> None:
    machine = platforms[form]
    assert appraise(machine).image == "test-image"
    fewer: dict[str, None] = dict.fromkeys(("event_log", "launch_endorsement"))
    if form == "qemu-tpm":
        optional = document(machine, values={"qemu": {"event_log": "when_present"}})
        assert appraise(machine, optional, endorsements=fewer).image == "test-image"
    else:
        assert appraise(machine, endorsements=fewer).image == "test-image"


def test_a_key_that_nobody_vouches_for(platforms: Mapping[str, FakeMachine]) -> None:
    none: dict[str, None] = dict.fromkeys(("ak_certificate", "ak_authority_1", "ak_root"))
    assert set(refused(platforms[GCP], endorsements=none)) == {"endorsements.ak_certificate"}
    wrong = {"launch_endorsement": b"\x0a\x00\x12\x00"}
    assert set(refused(platforms[GCP], endorsements=wrong)) == {"launch.malformed"}
    unread = {"td_quote": b"\0", "ccel": b"\0", "tpm_quote": b"\0"}
    assert set(refused(platforms[GCP], parts=unread, endorsements=wrong)) == {
        "tdx.malformed",
        "launch.malformed",
        "vtpm.malformed",
    }
    assert set(refused(platforms[GCP], parts={"ccel": b"\0"}, endorsements={"ak_crl": b"\0"})) == {
        "log.malformed",
        "ak.malformed",
    }


def test_where_and_what_is_malformed_is_kept(platforms: Mapping[str, FakeMachine]) -> None:
    aws = platforms["aws-snp-nitrotpm"]
    failed = refused(aws, endorsements={"vek": None}, parts={"nitrotpm_document": b"\x84"})
    assert set(failed) == {"endorsements.vek", "nitro.malformed"}
    document = failed["nitro.malformed"]
    assert document.reason is Reason.MALFORMED
    assert "at byte 1" in str(document.actual)
    assert "Nitro document" in str(document.expected)


def test_a_list_signed_in_a_way_that_nobody_knows(platforms: Mapping[str, FakeMachine]) -> None:
    sha256, unknown = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d01017b")
    known = revocations(1, MIDDLE)
    assert known.count(sha256) == 2
    found = refused(platforms[GCP], endorsements={"ak_crl": known.replace(sha256, unknown)})
    assert set(found) == {"ak.crl.signature"}


def test_a_log_without_the_bank_is_malformed_beside_what_else_is_wrong(
    platforms: Mapping[str, FakeMachine],
) -> None:
    sha1_only = bytes(4) + (4).to_bytes(4, "little") + bytes(20) + bytes(4)  # one event of PCR 0
    foreign = platforms["azure-snp"].evidence().endorsements["crl"]
    failed = refused(platforms["gcp-snp"], endorsements={"event_log": sha1_only, "crl": foreign})
    assert failed["log.malformed"].reason == Reason.MALFORMED
    assert "revocation.signature" in failed
