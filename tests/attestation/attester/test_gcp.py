"""Google's vTPM over a real software TPM: templates and certificates in NV, a quote tied to the report."""

from __future__ import annotations

from hashlib import sha512

import pytest

from runtime.attestation import wire
from runtime.attestation.attester import gcp
from runtime.attestation.attester.gcp import GcpAttester
from runtime.attestation.attester.tpm.device import SocketDevice
from runtime.attestation.attester.tsm import Provider
from runtime.attestation.binding import tied_qualifying
from runtime.attestation.formats import QUOTED_REGISTERS
from runtime.attestation.tees.tpm import attest
from runtime.attestation.tees.tpm.gce import verify_gce
from runtime.attestation.tees.tpm.quote import QuoteDemand, QuoteEvidence
from runtime.errors import MalformedError, UnsupportedTeeError
from tests.attestation.attester.conftest import MakeMachine
from tests.fakes import swtpm, tpm_certificates, tpm_hosts
from tests.fakes.tpm_certificates import NOW
from tests.fakes.tsm import FakeTsm

pytestmark = swtpm.NEEDED
DATA = bytes(range(64))


def report_of(data: bytes) -> bytes:
    return b"report over " + sha512(data).digest()


@pytest.mark.parametrize("kinds", ["ecc rsa", "ecc", "rsa"])
@pytest.mark.parametrize(("provider", "name"), [("sev_guest", "gcp-snp"), ("tdx_guest", "gcp-tdx")])
async def test_the_quote_is_google_s_and_names_the_report(
    machine: MakeMachine, swtpm_device: SocketDevice, provider: Provider, name: str, kinds: str
) -> None:
    key = tpm_hosts.google(swtpm_device, lambda key: tpm_certificates.google(key).ders()[0], kinds=kinds)
    one = machine(FakeTsm(provider=provider, report=report_of), swtpm_device)
    one.ccel.write_bytes(b"cc log")
    attester = GcpAttester(one, provider)
    assert attester.available()
    evidence = await attester.collect(DATA)
    assert evidence.format == name
    assert wire.decode(wire.encode(evidence)) == evidence
    report = evidence.parts["snp_report" if provider == "sev_guest" else "td_quote"]
    assert report == report_of(DATA)
    assert evidence.endorsements.get("cert_table") == (b"TABLE" if provider == "sev_guest" else None)
    path = tpm_certificates.google(key)
    quote = QuoteEvidence(
        message=evidence.parts["tpm_quote"],
        signature=evidence.parts["tpm_signature"],
        signature_format="tpmt",
        pcrs=evidence.parts["tpm_pcrs"],
    )
    demand = QuoteDemand(
        qualifying_data=tied_qualifying(DATA, report), bank=attest.SHA256, registers=QUOTED_REGISTERS
    )
    certificates = (evidence.endorsements["ak_certificate"], *path.ders()[1:])
    assert verify_gce(quote, demand, certificates, (path.root(),), NOW).ak.root == path.root()


async def test_a_tdx_guest_needs_its_cc_log(machine: MakeMachine, swtpm_device: SocketDevice) -> None:
    tpm_hosts.google(swtpm_device, lambda _: b"\x30\x82\x00\x01c")
    with pytest.raises(UnsupportedTeeError, match="CC event log"):
        await GcpAttester(machine(FakeTsm(provider="tdx_guest"), swtpm_device), "tdx_guest").collect(DATA)


async def test_a_tpm_without_google_s_keys_is_another_cloud_s(
    machine: MakeMachine, swtpm_device: SocketDevice
) -> None:
    attester = GcpAttester(machine(FakeTsm(), swtpm_device), "sev_guest")
    assert not attester.available()
    with pytest.raises(UnsupportedTeeError, match="is the vTPM enabled"):
        await attester.collect(DATA)


async def test_a_provider_that_changed_is_noticed(machine: MakeMachine, swtpm_device: SocketDevice) -> None:
    attester = GcpAttester(machine(FakeTsm(), swtpm_device), "tdx_guest")
    assert not attester.available()
    with pytest.raises(UnsupportedTeeError, match="it was tdx_guest"):
        await attester.collect(DATA)


@pytest.mark.parametrize(
    "data", [b"", b"\x30\x82\x00\x05four", b"\x31\x82\x00\x04four", b"\x30\x82\x00\x04four more"]
)
def test_an_index_that_begins_with_no_certificate(data: bytes) -> None:
    with pytest.raises(MalformedError):
        gcp.der_in(data)


def test_zeros_behind_a_certificate_are_cut() -> None:
    assert gcp.der_in(b"\x30\x82\x00\x04four" + bytes(9)) == b"\x30\x82\x00\x04four"
