"""Which attester a machine gets: by what it has, the stronger first, and never by anything else."""

from __future__ import annotations

import inspect

import pytest

from runtime.attestation.attester import choice
from runtime.attestation.attester.azure import AzureAttester
from runtime.attestation.attester.choice import choose
from runtime.attestation.attester.gcp import GcpAttester
from runtime.attestation.attester.nitro import AwsSnpAttester, NitroTpmAttester
from runtime.attestation.attester.snp import SnpAttester
from runtime.attestation.attester.software_tpm import SoftwareTpmAttester
from runtime.attestation.attester.tpm.device import SocketDevice
from runtime.errors import UnsupportedTeeError
from tests.attestation.attester.conftest import MakeMachine
from tests.attestation.attester.test_azure import report
from tests.fakes import azure, swtpm, tpm_hosts
from tests.fakes.tpm_hosts import NitroHost, Paravisor
from tests.fakes.tsm import FakeTsm

CHIP, TD = FakeTsm(), FakeTsm(provider="tdx_guest")


def test_the_chip_alone(machine: MakeMachine) -> None:
    assert isinstance(choose(machine(CHIP)), SnpAttester)


@swtpm.NEEDED
def test_a_tpm_alone(machine: MakeMachine, swtpm_device: SocketDevice) -> None:
    assert isinstance(choose(machine(device=swtpm_device)), SoftwareTpmAttester)


@swtpm.NEEDED
def test_the_chip_and_a_tpm_of_nobody(machine: MakeMachine, swtpm_device: SocketDevice) -> None:
    assert isinstance(choose(machine(CHIP, swtpm_device)), SnpAttester)


@swtpm.NEEDED
def test_aws(machine: MakeMachine, swtpm_device: SocketDevice) -> None:
    host = NitroHost(swtpm_device, lambda _: None)
    assert isinstance(choose(machine(CHIP, host)), AwsSnpAttester)
    assert isinstance(choose(machine(device=host)), NitroTpmAttester)


@swtpm.NEEDED
def test_google(machine: MakeMachine, swtpm_device: SocketDevice) -> None:
    tpm_hosts.google(swtpm_device, lambda _: b"\x30\x82\x00\x01c", kinds="ecc")
    chosen = choose(machine(CHIP, swtpm_device))
    assert isinstance(chosen, GcpAttester)
    assert chosen.provider == "sev_guest"
    chosen = choose(machine(TD, swtpm_device))
    assert isinstance(chosen, GcpAttester)
    assert chosen.provider == "tdx_guest"


@swtpm.NEEDED
@pytest.mark.parametrize("kind", [azure.SNP, azure.TDX])
def test_azure(machine: MakeMachine, swtpm_device: SocketDevice, kind: int) -> None:
    host = Paravisor(swtpm_device, report(kind))
    host.boot()
    assert isinstance(choose(machine(device=host)), AzureAttester)


def test_nothing_says_what_was_looked_for(machine: MakeMachine) -> None:
    with pytest.raises(UnsupportedTeeError, match="/sys/kernel/config/tsm/report"):
        choose(machine())


@swtpm.NEEDED
def test_a_td_without_its_cloud_s_tpm_is_not_attested_by_less(
    machine: MakeMachine, swtpm_device: SocketDevice
) -> None:
    for device in (None, swtpm_device):
        with pytest.raises(UnsupportedTeeError, match="TDX guest"):
            choose(machine(TD, device))


def test_no_argument_chooses() -> None:
    assert list(inspect.signature(choose).parameters) == ["machine"]
    assert not {"environ", "getenv", "argv"} & set(inspect.getsource(choice).replace(".", " ").split())
