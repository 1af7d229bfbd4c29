"""A software TPM's evidence, read by the verifier's own parsers."""

from __future__ import annotations

import pytest

from runtime.attestation import wire
from runtime.attestation.attester.software_tpm import SoftwareTpmAttester
from runtime.attestation.attester.tpm.device import SocketDevice
from runtime.attestation.binding import tpm_qualifying
from runtime.attestation.formats import QUOTED_REGISTERS
from runtime.attestation.tees.tpm import attest, public
from runtime.attestation.tees.tpm.quote import QuoteDemand, QuoteEvidence, verify
from runtime.errors import MalformedError
from tests.attestation.attester.conftest import MakeMachine
from tests.fakes import swtpm

pytestmark = swtpm.NEEDED
DATA = bytes(range(64))


async def test_the_quote_verifies_under_its_own_key(machine: MakeMachine, swtpm_device: SocketDevice) -> None:
    one = machine(device=swtpm_device)
    one.event_log.write_bytes(b"log")
    attester = SoftwareTpmAttester(one)
    assert attester.available()
    evidence = await attester.collect(DATA)
    assert wire.decode(wire.encode(evidence)) == evidence
    assert evidence.endorsements == {"event_log": b"log"}
    key = public.load_tpm2b(evidence.parts["ak_public"], "ak")
    assert key.is_attestation_key
    demand = QuoteDemand(qualifying_data=tpm_qualifying(DATA), bank=attest.SHA256, registers=QUOTED_REGISTERS)
    quote = QuoteEvidence(
        message=evidence.parts["tpm_quote"],
        signature=evidence.parts["tpm_signature"],
        signature_format="tpmt",
        pcrs=evidence.parts["tpm_pcrs"],
    )
    assert set(verify(quote, demand, key.key).pcrs) == QUOTED_REGISTERS


async def test_the_key_stays_the_same(machine: MakeMachine, swtpm_device: SocketDevice) -> None:
    attester = SoftwareTpmAttester(machine(device=swtpm_device))
    first, second = [await attester.collect(bytes([n]) * 64) for n in (1, 2)]
    assert first.parts["ak_public"] == second.parts["ak_public"]
    assert first.parts["tpm_quote"] != second.parts["tpm_quote"]


async def test_a_binder_has_64_bytes(machine: MakeMachine, swtpm_device: SocketDevice) -> None:
    with pytest.raises(MalformedError):
        await SoftwareTpmAttester(machine(device=swtpm_device)).collect(bytes(63))


def test_it_needs_a_tpm(machine: MakeMachine) -> None:
    assert not SoftwareTpmAttester(machine()).available()
