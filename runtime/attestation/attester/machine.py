"""Where a machine keeps what it attests with, and the parts of evidence that several platforms share. I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runtime.attestation.attester.gate import Gate
from runtime.attestation.attester.tpm import registers
from runtime.attestation.attester.tpm.commands import Key, Tpm
from runtime.attestation.attester.tpm.device import Device, FileDevice
from runtime.attestation.attester.tsm import ConfigFs, Report, Tsm
from runtime.attestation.formats import FORMATS, QUOTED_REGISTERS
from runtime.attestation.tees.tpm import pcrs
from runtime.attestation.tees.tpm.attest import SHA256
from runtime.errors import UnsupportedTeeError

EVENT_LOG = Path("/sys/kernel/security/tpm0/binary_bios_measurements")
CCEL = Path("/sys/firmware/acpi/tables/data/CCEL")
METADATA = "http://169.254.169.254"  # Azure's instance metadata service, link-local


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The doors of one machine. What it has decides how it attests; nothing here is a switch."""

    tsm: Tsm = field(default_factory=lambda: Tsm(ConfigFs()))
    device: Device = field(default_factory=FileDevice)
    event_log: Path = EVENT_LOG
    ccel: Path = CCEL
    metadata: str = METADATA
    gate: Gate = field(default_factory=Gate)


def tpm_parts(tpm: Tpm, key: Key, qualifying_data: bytes) -> dict[str, bytes]:
    """Return the three parts of a TPM's quote over the registers that every format has (formats.py)."""
    quoted = registers.quote(tpm, key, qualifying_data, SHA256, sorted(QUOTED_REGISTERS))
    return {
        "tpm_quote": quoted.message,
        "tpm_signature": quoted.signature,
        "tpm_pcrs": pcrs.encode(quoted.values),
    }


def table_of(report: Report) -> dict[str, bytes]:
    """Return the certificate table as the endorsement it is, if the host gave one."""
    return {"cert_table": report.table} if report.table else {}


def event_log(machine: Machine, format_: str) -> Mapping[str, bytes]:
    """Return the TCG log as the endorsement it is; nothing where there is none or it does not fit.

    A verifier that needs it says that it is missing; one that does not should not be kept from deciding.
    """
    limit = FORMATS[format_].endorsements["event_log"]
    data = _read(machine.event_log, limit)
    return {"event_log": data} if data and len(data) <= limit else {}


def ccel(machine: Machine, format_: str) -> bytes:
    """Return the CC log. Raises: UnsupportedTeeError."""
    limit = FORMATS[format_].parts["ccel"]
    data = _read(machine.ccel, limit)
    if not data or len(data) > limit:
        found = "is not there or not readable" if not data else f"is over {limit} bytes"
        message = (
            f"the CC event log {machine.ccel} {found}: the kernel needs CONFIG_TDX_GUEST_DRIVER and ACPI"
        )
        raise UnsupportedTeeError(message)
    return data


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError:
        return b""
