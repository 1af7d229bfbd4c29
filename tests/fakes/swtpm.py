"""A real software TPM for tests: swtpm on a socket in a folder of its own, ended with the test.

Under CI its absence fails, elsewhere it skips. No port, no state that is kept.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from runtime.attestation.attester.tpm.device import SocketDevice
from runtime.errors import UnreachableError

START_S = 30.0
PROGRAM = shutil.which("swtpm")
NEEDED = pytest.mark.skipif(
    PROGRAM is None and os.environ.get("CI") != "true", reason="swtpm is not installed (Debian: swtpm)"
)


@contextlib.contextmanager
def running() -> Generator[SocketDevice]:
    """Yield the way to a TPM that has just been started: registers zero, no key, no NV index."""
    assert PROGRAM is not None, "swtpm is not installed (Debian: swtpm)"
    with tempfile.TemporaryDirectory(prefix="swtpm-") as folder:  # short: a socket's path has 107 bytes
        path = Path(folder, "tpm")
        log = Path(folder, "log")
        command = [
            PROGRAM, "socket", "--tpm2", "--tpmstate", f"dir={folder}", "--server",
            f"type=unixio,path={path}", "--flags", "not-need-init,startup-clear",
            "--log", f"file={log},level=1", "--seccomp", "action=none",
        ]  # fmt: skip
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            device = SocketDevice(path)
            deadline = time.monotonic() + START_S
            while not _answers(device):  # the socket's path is there a moment before anybody listens
                assert process.poll() is None, f"swtpm ended: {log.read_text() if log.exists() else ''}"
                assert time.monotonic() < deadline, f"swtpm does not answer after {START_S} s"
                time.sleep(0.02)
            yield device
        finally:
            process.kill()
            process.wait()


def _answers(device: SocketDevice) -> bool:
    """Tell whether a command gets a response: TPM2_GetRandom of 8 bytes."""
    try:
        with device:
            return len(device.exchange(bytes.fromhex("80010000000c0000017b0008"))) > 10
    except UnreachableError:
        return False
