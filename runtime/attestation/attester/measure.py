"""Record the settings where they cannot be taken back, before anything uses them. I/O.

SHA-256 of the settings goes into PCR14 of the TPM, its SHA-384 into RTMR3 of a TDX guest
(docs/protocol.md, section 2): exactly one event, and a register that is not zero is refused, since whatever
was measured before us would be in evidence as ours.
"""

from __future__ import annotations

import errno
import os
from hashlib import sha384
from pathlib import Path

from runtime.attestation.attester.machine import Machine
from runtime.attestation.attester.tpm import registers
from runtime.attestation.attester.tpm.commands import Tpm
from runtime.errors import UnsupportedTeeError

# Linux 6.16, Documentation/ABI/testing/sysfs-devices-virtual-misc-tdx_guest
RTMR3 = Path("/sys/devices/virtual/misc/tdx_guest/measurements/rtmr3:sha384")
_RTMR_BYTES = 48


def measure_settings(machine: Machine, settings_digest: bytes, *, rtmr: Path = RTMR3) -> tuple[str, ...]:
    """Record the digest, 32 bytes, in every register that this machine has for it; return their names.

    It blocks for a moment. Raises: UnsupportedTeeError (no register, or one that is not zero), TpmError.
    """
    if len(settings_digest) != 32:
        message = f"the settings digest is {len(settings_digest)} bytes, want 32"
        raise UnsupportedTeeError(message)
    done: list[str] = []
    if rtmr.exists():
        _extend_rtmr(rtmr, sha384(settings_digest).digest())
        done.append("RTMR3")
    if machine.device.present():
        with machine.device as device:
            registers.measure_settings(Tpm(device), settings_digest)
        done.append(f"PCR{registers.SETTINGS_REGISTER}")
    if not done:
        message = "nothing to measure the settings into: no TPM at /dev/tpmrm0, no RTMR3 of a TDX guest"
        raise UnsupportedTeeError(message)
    return tuple(done)


def _extend_rtmr(path: Path, digest: bytes) -> None:
    before = _value(path)
    if any(before):
        message = (
            f"RTMR3 is {before.hex()[:32]}…, want zero: something was measured into it before; "
            "restart the machine, and find out what runs before us"
        )
        raise UnsupportedTeeError(message)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            if os.write(descriptor, digest) != len(digest):
                raise OSError(errno.EIO, "the kernel took a part of the digest")
        finally:
            os.close(descriptor)
    except OSError as error:
        message = f"RTMR3 cannot be extended: {error}"
        raise UnsupportedTeeError(message) from error
    after = _value(path)
    if after != sha384(bytes(_RTMR_BYTES) + digest).digest():
        message = f"RTMR3 is {after.hex()[:32]}… and not what one event makes of it; restart the machine"
        raise UnsupportedTeeError(message)


def _value(path: Path) -> bytes:
    try:
        value = path.read_bytes()
    except OSError as error:
        message = f"RTMR3 cannot be read: {error}"
        raise UnsupportedTeeError(message) from error
    if len(value) != _RTMR_BYTES:
        message = f"RTMR3 at {path} has {len(value)} bytes, want {_RTMR_BYTES}"
        raise UnsupportedTeeError(message)
    return value
