"""What a measured boot leaves behind in a fake machine: logs, registers, and a quote of them. Pure.

Registers are extended record by record, so that they and the logs agree as on a real machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.attestation.eventlog import ccel, events
from runtime.attestation.formats import QUOTED_REGISTERS
from runtime.attestation.tees.tpm import pcrs
from runtime.attestation.tees.tpm.pcrs import PcrValues
from runtime.documents import settings
from tests.fakes import event_log, tpm
from tests.fakes.tpm import FakeQuote

Options = Mapping[str, Any]
AK = tpm.rsa_key("ak")
LOG_RECORDS: tuple[
    tuple[int, int, bytes], ...
] = (  # register, type, data: the firmware's part ends by a separator
    *((register, 0x00000004, bytes(4)) for register in range(8)),
    (4, 0x80000003, b"boot program"),
    (7, 0x80000001, b"secure boot variable"),
    (11, 0x0000000D, b"unified kernel image"),
)
CCEL_RECORDS: tuple[tuple[int, int, bytes], ...] = (
    (1, 0x80000001, b"firmware configuration"),
    (2, 0x80000003, b"boot program"),
    (3, 0x0000000D, b"unified kernel image"),
)


def _boot(bank: int) -> dict[int, bytes]:
    size = events.DIGEST_BYTES[bank]
    values = {index: bytes(size) for index in range(24)}
    for register, _, data in LOG_RECORDS:
        values[register] = events.extend(bank, values[register], events.hash_of(bank, data))
    return values


SHA256_PCRS, SHA384_PCRS = _boot(events.SHA256), _boot(events.SHA384)
EVENT_LOG = event_log.log(
    *(
        event_log.record(register, kind, data, banks=(events.SHA256, events.SHA384))
        for register, kind, data in LOG_RECORDS
    ),
    banks=(events.SHA256, events.SHA384),
    register=0,
)
CCEL = event_log.log(*(event_log.record(*entry) for entry in CCEL_RECORDS))
RTMRS = {index: ccel.replay(ccel.parse(CCEL)).get(index, bytes(48)) for index in range(4)}
MEASUREMENTS: dict[str, Any] = {
    "pcr4_sha256": SHA256_PCRS[4].hex(),
    "pcr11_sha256": SHA256_PCRS[11].hex(),
    "pcr4_sha384": SHA384_PCRS[4].hex(),
    "pcr11_sha384": SHA384_PCRS[11].hex(),
    "rtmr1": [RTMRS[1].hex()],
    "rtmr2": [RTMRS[2].hex()],
}


def registers(
    measured: Mapping[int, bytes], bank: settings.Bank, digest: bytes, options: Options
) -> dict[int, bytes]:
    """Return the registers after the settings were measured; `registers` changes some."""
    return dict(measured) | {14: settings.register(digest, bank)} | dict(options.get("registers", {}))


def quote_parts(qualifying: bytes, digest: bytes, options: Options) -> dict[str, bytes]:
    """Return a TPM quote's parts; `registers`, `quote`, `ak`, `qualifying`, `selected`, `shown` change it."""
    values = registers(SHA256_PCRS, "sha256", digest, options)
    chosen = {index: values[index] for index in sorted(options.get("selected", QUOTED_REGISTERS))}
    fields: dict[str, Any] = {"values": chosen, "qualifying_data": options.get("qualifying", qualifying)}
    message = FakeQuote(**(fields | dict(options.get("quote", {})))).message
    shown = PcrValues(bank=tpm.SHA256, values=options.get("shown", chosen))
    return {
        "tpm_quote": message,
        "tpm_signature": tpm.tpmt(options.get("ak", AK), message),
        "tpm_pcrs": pcrs.encode(shown),
    }
