"""The chip's report alone."""

from __future__ import annotations

from runtime.attestation import wire
from runtime.attestation.attester.snp import SnpAttester
from tests.attestation.attester.conftest import MakeMachine
from tests.fakes.tsm import FakeTsm

DATA = bytes(range(64))


async def test_report_and_table_become_evidence(machine: MakeMachine) -> None:
    evidence = await SnpAttester(machine(FakeTsm())).collect(DATA)
    assert (evidence.format, evidence.parts) == ("sev-snp", {"snp_report": b"REPORT"})
    assert evidence.endorsements == {"cert_table": b"TABLE"}
    assert wire.decode(wire.encode(evidence)) == evidence


def test_it_needs_the_chip(machine: MakeMachine) -> None:
    assert SnpAttester(machine(FakeTsm())).available()
    assert not SnpAttester(machine(FakeTsm(provider="tdx_guest"))).available()
    assert not SnpAttester(machine()).available()
