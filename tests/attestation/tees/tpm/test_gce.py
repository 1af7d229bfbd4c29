"""A Compute Engine vTPM: quote and certificates are one statement, and a refusal names every failed check."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.tees.tpm import pcrs, verify_gce
from runtime.attestation.tees.tpm.pcrs import PcrValues
from runtime.attestation.tees.tpm.quote import QuoteDemand, QuoteEvidence
from tests.fakes import tpm, tpm_certificates
from tests.fakes.tpm import FakeQuote
from tests.fakes.tpm_certificates import NOW, instance_extension

AK = tpm.ec_key("gce ak")
VALUES = {14: b"\x0e" * 32}
DEMAND = QuoteDemand(qualifying_data=b"n" * 32, bank=tpm.SHA256, registers=frozenset({14}))
SIGNED = FakeQuote(values=VALUES, qualifying_data=b"n" * 32)
EVIDENCE = QuoteEvidence(
    message=SIGNED.message,
    signature=tpm.sign(AK, SIGNED.message),
    signature_format="ecdsa-der",
    pcrs=pcrs.encode(PcrValues(bank=tpm.SHA256, values=VALUES)),
)
PATH = tpm_certificates.google(AK.public_key())


def test_the_instance_and_its_registers() -> None:
    found = verify_gce(EVIDENCE, DEMAND, PATH.ders(), (PATH.root(),), NOW)
    assert found.instance.instance_id == tpm_certificates.INSTANCE_ID
    assert found.tpm.pcrs == VALUES
    assert found.ak.root.kind == "test"


def failed(evidence: QuoteEvidence, path: tpm_certificates.FakePath, *, pin: bool = True) -> set[str]:
    with pytest.raises(EvidenceRefusedError) as refusal:
        verify_gce(evidence, DEMAND, path.ders(), (path.root(),) if pin else (), NOW)
    return {check.id for check in refusal.value.checks}


def test_all_failed_checks_are_named() -> None:
    other = tpm_certificates.google(tpm.ec_key("another").public_key(), instance_extension(flags=(False,)))
    assert failed(EVIDENCE, other) == {"quote.signature", "ak.production"}
    assert failed(replace(EVIDENCE, signature=tpm.sign(AK, b"")), PATH) == {"quote.signature"}


def test_without_a_pinned_root_nothing_is_read() -> None:
    assert failed(EVIDENCE, PATH, pin=False) == {"ak.root"}
