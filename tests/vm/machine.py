"""One virtual machine under QEMU's own translation, with OVMF and a software TPM. I/O.

Not KVM: hosted machines offer a /dev/kvm that cannot run OVMF. Everything waits for a line on the
console, with a generous deadline; the host's ports are taken a moment before QEMU binds them.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runtime.attestation.attester.tpm import keys, wire
from runtime.attestation.attester.tpm.commands import Tpm
from runtime.attestation.attester.tpm.device import SocketDevice

FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
PROGRAMS = ("qemu-system-x86_64", "qemu-img", "swtpm", "swtpm_setup")
DEADLINE_S = 420.0  # a boot takes 35 s alone on two cores, and four times that beside others


class NeverSaidError(AssertionError):
    """The console did not say what was waited for; holds what it said."""


def free_port() -> int:
    """Return a port of loopback that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Vm:
    """A machine that runs; `lines` is what its console said, with seconds since its start."""

    folder: Path
    process: subprocess.Popen[bytes]
    began: float
    tpm: subprocess.Popen[bytes] | None = None
    lines: list[tuple[float, str]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def text(self) -> str:
        """Everything the console said."""
        with self.changed:
            return "\n".join(line for _, line in self.lines)

    def mark(self) -> int:
        """Return how many lines the console has said, for `wait_for` to look after."""
        with self.changed:
            return len(self.lines)

    def wait_for(
        self, pattern: str, deadline_s: float = DEADLINE_S, *, after: int = 0
    ) -> tuple[float, re.Match[str]]:
        """Wait for a line; returns the seconds after start and the match. Raises: NeverSaidError."""
        end = time.monotonic() + deadline_s
        seen = after
        with self.changed:
            while True:
                for at, line in self.lines[seen:]:
                    if found := re.search(pattern, line):
                        return at, found
                seen = len(self.lines)
                left = end - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self.changed.wait(2)):
                    said = "\n".join(line for _, line in self.lines)
                    message = f"{pattern!r} was not said; the console:\n{said[-4000:]}"
                    raise NeverSaidError(message)
                self.changed.wait(min(left, 1))

    def wait_until_off(self, deadline_s: float = DEADLINE_S) -> int:
        """Wait for the machine to switch itself off; returns QEMU's status."""
        return self.process.wait(deadline_s)

    def inventory(self, kind: str) -> list[dict[str, object]]:
        """Return what the test variant's inventory said of one kind."""
        import json

        found = re.findall(r"tunnel: inventory (\{.*\})", self.text())
        return [entry for entry in map(json.loads, found) if entry["kind"] == kind]

    def read_console(self) -> None:
        """Collect the console until it ends, in `console.log` too; run in a thread."""
        stream = self.process.stdout
        if stream is None:
            return
        with (self.folder / "console.log").open("w", encoding="utf-8", buffering=1) as log:
            for raw in stream:
                line = re.sub(r"\x1b\[[0-9;?=!]*[A-Za-z]?", "", raw.decode("utf-8", "replace")).rstrip()
                at = time.monotonic() - self.began
                log.write(f"{at:8.2f} {line}\n")
                with self.changed:
                    self.lines.append((at, line))
                    self.changed.notify_all()


def make_tpm(folder: Path) -> str:
    """Make a software TPM's state below `folder`; returns the name of the attestation key it will have."""
    state = folder / "tpm"
    state.mkdir(parents=True)
    setup = ["swtpm_setup", "--tpm2", "--tpmstate", str(state), "--pcr-banks", "sha256,sha384", "--overwrite"]
    subprocess.run(setup, check=True, capture_output=True, timeout=120)
    port = folder / "tpm.data"
    with (
        _swtpm(
            folder, ["--server", f"type=unixio,path={port}", "--flags", "startup-clear,not-need-init"], port
        ),
        SocketDevice(port) as device,
        Tpm(device).primary(wire.RH_ENDORSEMENT, keys.AK_ECC) as key,
    ):
        return key.name.hex()


@contextlib.contextmanager
def _swtpm(folder: Path, arguments: Sequence[str], appears: Path) -> Generator[subprocess.Popen[bytes]]:
    appears.unlink(missing_ok=True)
    command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder / 'tpm'}", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while not appears.exists():
            assert time.monotonic() < end, "swtpm did not start"
            assert process.poll() is None, "swtpm ended"
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def running(
    folder: Path,
    disk: Path,
    *,
    settings: bytes | None,
    forward: Sequence[tuple[int, int]] = (),
    memory_mib: int = 768,
    tpm: bool = True,
    more: Sequence[str] = (),
) -> Generator[Vm]:
    """Boot a disk that stays as it is; what the machine writes is thrown away.

    `forward` is of TCP ports: of the host's loopback, and the machine's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vars.fd").write_bytes(VARIABLES.read_bytes())
    hosts = "".join(f",hostfwd=tcp:127.0.0.1:{ours}-:{theirs}" for ours, theirs in forward)
    command = [
        # One processor: with two, an emulated one can meet the breakpoint with which the kernel changes its
        # own code after that is gone again, and the kernel panics (QEMU 7.2, once in some thirty boots).
        "qemu-system-x86_64", "-accel", "tcg,tb-size=256", "-machine", "q35", "-cpu", "max",
        "-smp", "1", "-m", str(memory_mib), "-nographic", "-nodefaults", "-no-user-config", "-no-reboot",
        "-monitor", "none", "-serial", "stdio",
        "-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}",
        "-drive", f"if=pflash,format=raw,file={folder / 'vars.fd'}",
        "-drive", f"if=none,id=disk,format=raw,snapshot=on,file={disk}",
        # A kernel on the command line takes the first place for itself.
        "-device", f"virtio-blk-pci,drive=disk,bootindex={1 if '-kernel' in more else 0}",
        "-netdev", f"user,id=net{hosts}", "-device", "virtio-net-pci,netdev=net,romfile=",
        "-device", "virtio-rng-pci",
    ]  # fmt: skip
    if settings is not None:
        (folder / "settings").write_bytes(settings)
        command += ["-fw_cfg", f"name=opt/tunnel/settings,file={folder / 'settings'}"]
    with contextlib.ExitStack() as stack:
        software_tpm = None
        if tpm:
            control = folder / "tpm.control"
            software_tpm = stack.enter_context(
                _swtpm(folder, ["--ctrl", f"type=unixio,path={control}", "--terminate"], control)
            )
            command += [
                "-chardev", f"socket,id=tpm,path={control}", "-tpmdev", "emulator,id=tpm0,chardev=tpm",
                "-device", "tpm-crb,tpmdev=tpm0",
            ]  # fmt: skip
        process = subprocess.Popen(
            [*command, *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        vm = Vm(folder, process, time.monotonic(), software_tpm)
        reader = threading.Thread(target=vm.read_console)
        reader.start()
        try:
            yield vm
        finally:
            process.kill()
            process.wait()
            reader.join()
            if process.stdout is not None:
                process.stdout.close()
