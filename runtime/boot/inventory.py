"""What a test has to see from inside a booted image: sockets that listen, what is writable. I/O.

Run by the test variant's unit alone; a release image holds no unit that asks for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

# Two attributes of one device. The inventory's unit, with /sys read-only like every other, names the folder
# of the first as writable, the way tunnel-settings.service does with RTMR3's.
_SYSFS = (
    "sys/devices/virtual/misc/cpu_dma_latency/power/control",
    "sys/devices/virtual/misc/cpu_dma_latency/uevent",
)
_LISTEN = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07", "raw": "07", "raw6": "07"}


def lines(root: Path) -> Iterator[str]:
    """Yield one line of JSON per thing, each with its kind."""
    for family, state in _LISTEN.items():
        for local, inode in _sockets(root / "proc/net" / family, state):
            yield json.dumps({"kind": "socket", "family": family, "local": local, "inode": inode})
    for point, system, options in _mounts(root / "proc/1/mounts"):
        writable = "rw" in options.split(",")
        yield json.dumps({"kind": "mount", "at": point, "type": system, "writable": writable})
    for bank in ("sha256", "sha384"):
        for index in range(24):
            value = _text(root / f"sys/class/tpm/tpm0/pcr-{bank}/{index}").lower()
            if value:
                yield json.dumps({"kind": "pcr", "bank": bank, "index": index, "value": value})
    for path in _SYSFS:
        yield json.dumps({"kind": "sysfs", "at": path, "opens": _opens(root / path)})
    yield json.dumps(
        {"kind": "modules", "value": [line.split()[0] for line in _text(root / "proc/modules").splitlines()]}
    )
    yield json.dumps({"kind": "kernel", "value": _text(root / "proc/sys/kernel/osrelease")})
    yield json.dumps({"kind": "uptime", "value": _text(root / "proc/uptime").split(" ", 1)[0]})
    yield json.dumps({"kind": "lockdown", "value": _text(root / "sys/kernel/security/lockdown")})
    yield json.dumps({"kind": "cmdline", "value": _text(root / "proc/cmdline")})
    yield json.dumps({"kind": "memory", "value": _text(root / "proc/meminfo").splitlines()[:3]})


def _sockets(path: Path, state: str) -> Iterator[tuple[str, str]]:
    for row in _text(path).splitlines()[1:]:
        fields = row.split()
        if len(fields) > 9 and fields[3] == state:
            address, _, port = fields[1].rpartition(":")
            yield f"{address}:{int(port, 16)}", fields[9]


def _mounts(path: Path) -> Iterator[tuple[str, str, str]]:
    for row in _text(path).splitlines():
        _, point, system, options, *_ = row.split()
        yield point, system, options


def _opens(path: Path) -> str:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
    except OSError as error:
        return os.strerror(error.errno or 0)
    return "yes"


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""
