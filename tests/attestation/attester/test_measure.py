"""The settings' one event: in a real software TPM's PCR14, and in a file that behaves as RTMR3 does."""

from __future__ import annotations

import errno
import os
from hashlib import sha256, sha384
from pathlib import Path

import pytest

from runtime.attestation.attester.measure import measure_settings
from runtime.attestation.attester.tpm import registers
from runtime.attestation.attester.tpm.commands import Tpm
from runtime.attestation.attester.tpm.device import SocketDevice
from runtime.attestation.tees.tpm import attest
from runtime.documents import settings
from runtime.errors import UnsupportedTeeError
from tests.attestation.attester.conftest import MakeMachine
from tests.fakes import swtpm

DIGEST = sha256(b"settings").digest()


@pytest.fixture
def rtmr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that a write of 48 bytes at its start extends, and no other, as Linux' tsm-mr.c has it."""
    path = tmp_path / "rtmr3:sha384"
    path.write_bytes(bytes(48))
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        if Path(f"/proc/self/fd/{descriptor}").resolve() != path:
            return real(descriptor, data)
        if os.lseek(descriptor, 0, os.SEEK_CUR) != 0 or len(data) != 48:
            raise OSError(errno.EINVAL, "partial writes are not supported")
        return real(descriptor, sha384(path.read_bytes() + data).digest())

    monkeypatch.setattr(os, "write", write)
    return path


def test_rtmr3_holds_what_the_verifier_recomputes(machine: MakeMachine, rtmr: Path) -> None:
    assert measure_settings(machine(), DIGEST, rtmr=rtmr) == ("RTMR3",)
    assert rtmr.read_bytes() == settings.register(DIGEST, "sha384")


@swtpm.NEEDED
def test_every_register_of_the_machine(machine: MakeMachine, rtmr: Path, swtpm_device: SocketDevice) -> None:
    assert measure_settings(machine(device=swtpm_device), DIGEST, rtmr=rtmr) == ("RTMR3", "PCR14")
    with swtpm_device:
        found = registers.read(Tpm(swtpm_device), attest.SHA256, (14,)).values[14]
    assert found == settings.register(DIGEST, "sha256")


def test_a_second_event_is_refused(machine: MakeMachine, rtmr: Path) -> None:
    measure_settings(machine(), DIGEST, rtmr=rtmr)
    before = rtmr.read_bytes()
    with pytest.raises(UnsupportedTeeError, match="restart the machine"):
        measure_settings(machine(), DIGEST, rtmr=rtmr)
    assert rtmr.read_bytes() == before


def test_an_event_beside_ours_is_seen(
    machine: MakeMachine, rtmr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = os.write

    def twice(descriptor: int, data: bytes) -> int:
        once(descriptor, b"\x66" * 48)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return once(descriptor, data)

    monkeypatch.setattr(os, "write", twice)
    with pytest.raises(UnsupportedTeeError, match="not what one event makes"):
        measure_settings(machine(), DIGEST, rtmr=rtmr)


@pytest.mark.parametrize("size", [0, 31, 47, 49])
def test_a_register_of_another_size_is_no_register(machine: MakeMachine, tmp_path: Path, size: int) -> None:
    (tmp_path / "rtmr").write_bytes(bytes(size))
    with pytest.raises(UnsupportedTeeError, match="want 48"):
        measure_settings(machine(), DIGEST, rtmr=tmp_path / "rtmr")


def test_a_register_that_cannot_be_used(
    machine: MakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnsupportedTeeError, match="cannot be read"):
        measure_settings(machine(), DIGEST, rtmr=tmp_path)  # a folder
    (tmp_path / "rtmr").write_bytes(bytes(48))
    monkeypatch.setattr(os, "write", lambda *_: 1)
    with pytest.raises(UnsupportedTeeError, match="cannot be extended"):
        measure_settings(machine(), DIGEST, rtmr=tmp_path / "rtmr")


def test_nowhere_to_measure(machine: MakeMachine, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedTeeError, match="nothing to measure"):
        measure_settings(machine(), DIGEST, rtmr=tmp_path / "none")


def test_the_register_takes_whole_events_at_its_start_only(rtmr: Path) -> None:
    """The double's own behaviour: as documented in sysfs-devices-virtual-misc-tdx_guest."""
    descriptor = os.open(rtmr, os.O_WRONLY)
    try:
        for data in (b"", bytes(47), bytes(49)):
            with pytest.raises(OSError, match="partial"):
                os.write(descriptor, data)
        assert os.write(descriptor, bytes(48)) == 48
        with pytest.raises(OSError, match="partial"):
            os.write(descriptor, bytes(48))
    finally:
        os.close(descriptor)
    assert rtmr.read_bytes() == sha384(bytes(96)).digest()


def test_a_digest_has_32_bytes(machine: MakeMachine, rtmr: Path) -> None:
    with pytest.raises(UnsupportedTeeError, match="want 32"):
        measure_settings(machine(), DIGEST + b"\0", rtmr=rtmr)
    assert not any(rtmr.read_bytes())
