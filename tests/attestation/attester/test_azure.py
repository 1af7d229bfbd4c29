"""Azure's vTPM over a real software TPM: a report renewed late, never, or for somebody else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime.attestation import wire
from runtime.attestation.attester import azure as subject
from runtime.attestation.attester.azure import AzureAttester
from runtime.attestation.attester.machine import Machine
from runtime.attestation.attester.tpm import nv
from runtime.attestation.attester.tpm.commands import Tpm
from runtime.attestation.attester.tpm.device import SocketDevice
from runtime.attestation.binding import tpm_qualifying
from runtime.attestation.formats import QUOTED_REGISTERS
from runtime.attestation.tees.azure import hcl, runtime_data
from runtime.attestation.tees.tpm import attest, public, quote
from runtime.attestation.tees.tpm.public import PublicKey
from runtime.attestation.tees.tpm.quote import QuoteDemand, QuoteEvidence
from runtime.errors import MalformedError, UnreachableError
from tests.attestation.attester.conftest import MakeMachine
from tests.attestation.attester.test_metadata import serving
from tests.fakes import azure, swtpm, tpm_certificates
from tests.fakes.tpm_hosts import Paravisor

pytestmark = swtpm.NEEDED
DATA = bytes(range(64))
OTHER = bytes(reversed(range(64)))


def report(
    kind: int, said: Callable[[bytes], bytes] = lambda data: data
) -> Callable[[PublicKey, bytes], bytes]:
    def make(ak: PublicKey, user_data: bytes) -> bytes:
        jwk = azure.jwk(ak)  # type: ignore[arg-type]  # RSA, as the template has it
        usual = azure.runtime()["vm-configuration"]
        machine = {name: value for name, value in usual.items() if not name.startswith("root")}
        changes = {"keys": [jwk], "vm-configuration": machine, "user-data": said(user_data).hex().upper()}
        text = azure.runtime_json(**changes)
        inner = azure.td_report(azure.report_data(text)) if kind == azure.TDX else bytes(1184)
        return azure.hcl(inner, text, kind, pad=0)

    return make


def attester(machine: Machine) -> AzureAttester:
    clock = iter(float(second) for second in range(1000))
    return AzureAttester(machine, pause=lambda _: None, monotonic=lambda: next(clock))


async def test_a_renewed_report_and_a_quote_by_the_key_in_it(
    machine: MakeMachine, swtpm_device: SocketDevice
) -> None:
    host = Paravisor(swtpm_device, report(azure.SNP))
    certificate = tpm_certificates.azure(host.boot(lambda key: tpm_certificates.azure(key).ders()[0]))
    one = attester(machine(device=host))
    assert one.available()
    for data in (DATA, OTHER):
        evidence = await one.collect(data)
        assert evidence.format == "azure-snp"
        assert wire.decode(wire.encode(evidence)) == evidence
        assert evidence.endorsements == {"ak_certificate": certificate.ders()[0]}
        runtime = runtime_data.parse(hcl.parse(evidence.parts["hcl_report"]).runtime_json)
        assert runtime.user_data == data
        checked = QuoteEvidence(
            message=evidence.parts["tpm_quote"],
            signature=evidence.parts["tpm_signature"],
            signature_format="tpmt",
            pcrs=evidence.parts["tpm_pcrs"],
        )
        demand = QuoteDemand(
            qualifying_data=tpm_qualifying(data), bank=attest.SHA256, registers=QUOTED_REGISTERS
        )
        quote.verify(checked, demand, runtime.ak)
        assert public.spki(runtime.ak) == public.spki(host.ak)


async def test_the_host_makes_the_quote_of_a_td(machine: MakeMachine, swtpm_device: SocketDevice) -> None:
    host = Paravisor(swtpm_device, report(azure.TDX))
    host.boot()
    async with serving(lambda td_report: b"quote of " + td_report) as base:
        evidence = await attester(machine(device=host, metadata=base)).collect(DATA)
    assert evidence.format == "azure-tdx"
    assert wire.decode(wire.encode(evidence)) == evidence
    inner = hcl.parse(evidence.parts["hcl_report"]).tee_report
    assert evidence.parts["td_quote"] == b"quote of " + inner
    assert evidence.endorsements == {}


async def test_a_report_that_is_never_renewed(machine: MakeMachine, swtpm_device: SocketDevice) -> None:
    host = Paravisor(swtpm_device, report(azure.SNP), renews=False)
    host.boot()
    with pytest.raises(UnreachableError, match="0x01400002"):
        await attester(machine(device=host)).collect(DATA)


async def test_a_report_over_somebody_else_s_bytes(machine: MakeMachine, swtpm_device: SocketDevice) -> None:
    host = Paravisor(swtpm_device, report(azure.SNP, lambda _: OTHER))
    host.boot()
    with pytest.raises(UnreachableError, match="another program"):
        await attester(machine(device=host)).collect(DATA)


async def test_an_index_that_exists_is_used_again(machine: MakeMachine, swtpm_device: SocketDevice) -> None:
    host = Paravisor(swtpm_device, report(azure.SNP))
    host.boot()
    with swtpm_device:
        nv.define(Tpm(swtpm_device), subject.USER_DATA, 64, nv.OWNER_READ | nv.OWNER_WRITE | nv.AUTH_READ)
    evidence = await attester(machine(device=host)).collect(DATA)
    assert runtime_data.parse(hcl.parse(evidence.parts["hcl_report"]).runtime_json).user_data == DATA


async def test_report_data_is_64_bytes(machine: MakeMachine) -> None:
    with pytest.raises(MalformedError):
        await attester(machine()).collect(bytes(63))


def test_another_tpm_is_not_azure_s(machine: MakeMachine, swtpm_device: SocketDevice) -> None:
    assert not attester(machine()).available()
    assert not attester(machine(device=swtpm_device)).available()
    with swtpm_device:
        tpm = Tpm(swtpm_device)
        index = nv.define(tpm, subject.HCL_REPORT, 64, nv.OWNER_READ | nv.OWNER_WRITE)
        nv.write(tpm, index, b"something else".ljust(64))
    assert not attester(machine(device=swtpm_device)).available()
