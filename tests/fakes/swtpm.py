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
            deadline = time.monotonic() + START_S
            while not path.exists():
                assert process.poll() is None, f"swtpm ended: {log.read_text() if log.exists() else ''}"
                assert time.monotonic() < deadline, f"swtpm has no socket after {START_S} s"
                time.sleep(0.02)
            yield SocketDevice(path)
        finally:
            process.kill()
            process.wait()
