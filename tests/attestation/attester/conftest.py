"""A machine of doubles and one real software TPM."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from runtime.attestation.attester.machine import Machine
from runtime.attestation.attester.tpm.device import Device, FileDevice, SocketDevice
from tests.fakes import swtpm
from tests.fakes.tsm import FakeTsm

MakeMachine = Callable[..., Machine]


@pytest.fixture
def swtpm_device() -> Generator[SocketDevice]:
    with swtpm.running() as device:
        yield device


@pytest.fixture
def machine(tmp_path: Path) -> MakeMachine:
    """Return what makes a machine: without arguments it has neither TEE nor TPM."""

    def make(
        tsm: FakeTsm | None = None, device: Device | None = None, metadata: str = "http://[::1]:1"
    ) -> Machine:
        return Machine(
            tsm=(tsm or FakeTsm(provider="none")).asked(),
            device=device or FileDevice(tmp_path / "no-tpm"),
            event_log=tmp_path / "event-log",
            ccel=tmp_path / "ccel",
            metadata=metadata,
        )

    return make
