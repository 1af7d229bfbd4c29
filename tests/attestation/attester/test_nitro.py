"""The exchange with a NitroTPM: a host that checks the session as a TPM does and really signs documents."""

from __future__ import annotations

import pytest

from runtime.attestation import wire
from runtime.attestation.attester.nitro import AwsSnpAttester, NitroTpmAttester
from runtime.attestation.attester.tpm import nv, session
from runtime.attestation.attester.tpm.commands import Tpm
from runtime.attestation.attester.tpm.device import SocketDevice
from runtime.attestation.attester.tpm.wire import TpmError
from runtime.attestation.binding import tied_qualifying
from runtime.attestation.tees.nitro import cose, document, verify
from runtime.errors import MalformedError, UnsupportedTeeError
from tests.attestation.attester.conftest import MakeMachine
from tests.fakes import nitro, swtpm, tpm_hosts
from tests.fakes.tpm_hosts import NitroHost, NsmRequest
from tests.fakes.tsm import FakeTsm

pytestmark = swtpm.NEEDED
DATA = bytes(range(64))


@pytest.fixture(scope="module")
def aws() -> nitro.FakeNitro:
    return nitro.FakeNitro.create()


@pytest.fixture
def host(swtpm_device: SocketDevice, aws: nitro.FakeNitro) -> NitroHost:
    def answer(asked: NsmRequest) -> object:
        return {"Attestation": {"document": aws.document(user_data=asked.user_data, nonce=asked.nonce)}}

    return NitroHost(swtpm_device, answer)


def left(host: NitroHost) -> tuple[int, ...]:
    with host.real:
        return Tpm(host.real).handles(nv.FIRST_INDEX)


async def test_the_document_alone(machine: MakeMachine, host: NitroHost, aws: nitro.FakeNitro) -> None:
    attester = NitroTpmAttester(machine(device=host))
    assert attester.available()
    evidence = await attester.collect(DATA)
    assert evidence.format == "aws-nitrotpm"
    assert wire.decode(wire.encode(evidence)) == evidence
    said = verify.authenticate(
        evidence.parts["nitrotpm_document"], kind="nitrotpm", roots=aws.roots(), now=nitro.NOW
    )
    assert (said.user_data, said.nonce, said.public_key) == (DATA, None, None)
    assert host.requests == [NsmRequest(DATA, None, None)]
    assert (host.open, left(host)) == (set(), ())


async def test_beside_a_report_the_document_names_the_report(machine: MakeMachine, host: NitroHost) -> None:
    attester = AwsSnpAttester(machine(FakeTsm(), host))
    assert attester.available()
    evidence = await attester.collect(DATA)
    assert evidence.format == "aws-snp-nitrotpm"
    assert wire.decode(wire.encode(evidence)) == evidence
    assert evidence.parts["snp_report"] == b"REPORT"
    assert evidence.endorsements == {"cert_table": b"TABLE"}
    read = document.parse(cose.parse(evidence.parts["nitrotpm_document"]).payload, "nitrotpm")
    assert (read.user_data, read.nonce) == (DATA, tied_qualifying(DATA, b"REPORT"))


async def test_a_host_that_knows_no_session_key_is_refused(machine: MakeMachine, host: NitroHost) -> None:
    host.lies_in_answer = True
    with pytest.raises(MalformedError, match="somebody between us and the TPM"):
        await NitroTpmAttester(machine(device=host)).collect(DATA)
    assert (host.open, left(host)) == (set(), ())


async def test_the_host_checks_the_session(
    machine: MakeMachine, host: NitroHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "session_key", lambda *_: bytes(64))
    with pytest.raises(TpmError) as caught:
        await NitroTpmAttester(machine(device=host)).collect(DATA)
    assert caught.value.kind == 0x08E
    assert (host.open, left(host)) == (set(), ())


async def test_a_refusal_says_why(machine: MakeMachine, swtpm_device: SocketDevice) -> None:
    host = NitroHost(swtpm_device, lambda _: {"Error": "InternalError"})
    with pytest.raises(UnsupportedTeeError, match="InternalError"):
        await NitroTpmAttester(machine(device=host)).collect(DATA)
    assert left(host) == ()


async def test_two_requests_leave_nothing_behind(machine: MakeMachine, host: NitroHost) -> None:
    attester = NitroTpmAttester(machine(device=host))
    for _ in range(2):
        await attester.collect(DATA)
    assert (host.open, left(host)) == (set(), ())


def test_another_tpm_is_no_nitro_tpm(machine: MakeMachine, swtpm_device: SocketDevice) -> None:
    assert not NitroTpmAttester(machine(device=swtpm_device)).available()
    assert not NitroTpmAttester(machine()).available()
    host = tpm_hosts.NitroHost(swtpm_device, lambda _: None)
    assert not AwsSnpAttester(machine(device=host)).available()
