"""Logs that are there, too large or missing, and the parts of a quote in the names of the format."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.attestation.attester import machine as subject
from runtime.attestation.attester.machine import Machine
from runtime.attestation.attester.tpm import keys, wire
from runtime.attestation.attester.tpm.commands import Tpm
from runtime.attestation.attester.tpm.device import SocketDevice
from runtime.attestation.attester.tsm import Report
from runtime.attestation.formats import FORMATS, QUOTED_REGISTERS
from runtime.attestation.tees.tpm import attest, pcrs
from runtime.errors import UnsupportedTeeError
from tests.attestation.attester.conftest import MakeMachine
from tests.fakes import swtpm

LIMIT = FORMATS["gcp-tdx"].parts["ccel"]


@pytest.mark.parametrize(("size", "found"), [(0, False), (1, True), (LIMIT, True), (LIMIT + 1, False)])
def test_an_event_log_travels_if_it_fits(machine: MakeMachine, size: int, found: bool) -> None:
    one = machine()
    one.event_log.write_bytes(bytes(size))
    assert subject.event_log(one, "qemu-tpm") == ({"event_log": bytes(size)} if found else {})


def test_without_an_event_log_the_verifier_decides(machine: MakeMachine) -> None:
    assert subject.event_log(machine(), "qemu-tpm") == {}


@pytest.mark.parametrize(("size", "words"), [(None, "not there"), (0, "not there"), (LIMIT + 1, "over")])
def test_a_cc_log_has_to_be_there(machine: MakeMachine, size: int | None, words: str) -> None:
    one = machine()
    if size is not None:
        one.ccel.write_bytes(bytes(size))
    with pytest.raises(UnsupportedTeeError, match=words):
        subject.ccel(one, "gcp-tdx")


def test_a_cc_log(machine: MakeMachine) -> None:
    one = machine()
    one.ccel.write_bytes(b"log")
    assert subject.ccel(one, "gcp-tdx") == b"log"


def test_a_table_is_an_endorsement_if_there_is_one() -> None:
    assert subject.table_of(Report(provider="sev_guest", report=b"r", table=b"t")) == {"cert_table": b"t"}
    assert subject.table_of(Report(provider="sev_guest", report=b"r", table=b"")) == {}


def test_the_doors_of_a_real_machine() -> None:
    assert Machine().event_log == Path("/sys/kernel/security/tpm0/binary_bios_measurements")


@swtpm.NEEDED
def test_a_quote_is_over_the_registers_of_every_format(swtpm_device: SocketDevice) -> None:
    with swtpm_device as device:
        tpm = Tpm(device)
        with tpm.primary(wire.RH_ENDORSEMENT, keys.AK_ECC) as key:
            parts = subject.tpm_parts(tpm, key, b"q" * 32)
    assert set(parts) == {"tpm_quote", "tpm_signature", "tpm_pcrs"}
    assert set(pcrs.parse(parts["tpm_pcrs"]).values) == QUOTED_REGISTERS
    assert attest.parse(parts["tpm_quote"]).qualifying_data == b"q" * 32
