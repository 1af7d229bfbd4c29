"""`tunnel evidence inspect FILE`: what the bytes say, for people; nothing is verified. I/O: one file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from runtime.attestation.eventlog import events, tcg
from runtime.attestation.tees.azure import hcl, runtime_data
from runtime.attestation.tees.nitro import cose, document
from runtime.attestation.tees.snp import report as snp_report
from runtime.attestation.tees.tdx import quote as td_quote
from runtime.attestation.tees.tpm import attest
from runtime.commands.evidence import files
from runtime.commands.evidence.files import Collected
from runtime.documents import times
from runtime.errors import MalformedError, UsageError

Rows = list[tuple[str, str]]
WARNING = "NOT VERIFIED: anybody can write such a file; `tunnel evidence verify` looks at signatures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("file", metavar="FILE", help="evidence, or a single report, quote, document or log")


def verb(options: argparse.Namespace) -> None:
    """Run the verb. Raises: UsageError, MalformedError."""
    print("\n".join(render(files.load(options.file))))


def render(data: bytes) -> list[str]:
    """Return the lines. Raises: UsageError for bytes that are nothing known, MalformedError."""
    lines = [WARNING]
    if data[:4] == b"CTE1" or data.lstrip()[:1] == b"{":
        found = files.read(data)
        evidence = found.evidence if isinstance(found, Collected) else found
        lines.append(f"evidence of the format {evidence.format}")
        if isinstance(found, Collected):
            lines += _lines(
                [
                    ("asked by", files.ASKED_BY[found.bound.label]),
                    ("nonce", found.bound.verifier_nonce.hex()),
                    ("settings", found.bound.settings_digest.hex()),
                ]
            )
        lines.append(f"  endorsements  {files.items(evidence.endorsements)}")
        for name, part in sorted(evidence.parts.items()):
            lines += [f"{name}, {len(part)} bytes:", *_part(name, part)]
        return lines
    name = kind_of(data)
    return [*lines, f"{name}, {len(data)} bytes:", *_part(name, data)]


def kind_of(data: bytes) -> str:
    """Return the part that the bytes look like. Raises: UsageError."""
    if data[:4] == b"HCLA":
        return "hcl_report"
    if data[:4] == attest.GENERATED_VALUE.to_bytes(4, "big"):
        return "tpm_quote"
    if data[:1] in {b"\x84", b"\xd2"}:
        return "nitrotpm_document"
    if len(data) >= 48 and data[4:8] == b"\x81\0\0\0" and data[1] == 0:
        return "td_quote"
    if len(data) == 1184:
        return "snp_report"
    if data[4:8] == b"\x03\0\0\0" and b"Spec ID Event03" in data[:64]:
        return "event_log"
    message = "this is no evidence, report, quote, document or log that is known here"
    raise UsageError(message, hint="it begins with " + data[:8].hex())


def _part(name: str, data: bytes) -> list[str]:
    reader = _READERS.get(name)
    if reader is None:
        return []
    try:
        return _lines(reader(data))
    except MalformedError as error:
        return [f"  cannot be read: {error}"]


def _lines(rows: Rows) -> list[str]:
    width = max(len(name) for name, _ in rows)
    return [f"  {name:<{width}}  {value}" for name, value in rows]


def _snp(data: bytes) -> Rows:
    found = snp_report.parse(data)
    return [
        ("version", str(found.version)),
        ("product", found.product or "not named"),
        ("signed by", found.signer),
        ("policy", f"{found.policy:#x}" + (" (DEBUG on)" if found.debug else "")),
        ("vmpl", str(found.vmpl)),
        ("MEASUREMENT", found.measurement.hex()),
        ("REPORT_DATA", found.report_data.hex()),
        ("HOST_DATA", found.host_data.hex()),
        ("CHIP_ID", found.chip_id.hex()),
    ]


def _td(data: bytes) -> Rows:
    found = td_quote.parse(data)
    report = found.report
    return [
        ("version", str(found.version)),
        ("attributes", f"{report.td_attributes:#x}" + (" (DEBUG on)" if report.debug else "")),
        ("MRTD", report.mrtd.hex()),
        *((f"RTMR{number}", value.hex()) for number, value in enumerate(report.rtmrs)),
        ("MRSEAM", report.mrseam.hex()),
        ("TEE_TCB_SVN", report.tee_tcb_svn.hex()),
        ("REPORT_DATA", report.report_data.hex()),
    ]


def _hcl(data: bytes) -> Rows:
    found = hcl.parse(data)
    runtime = runtime_data.parse(found.runtime_json)
    return [
        ("inner report", found.kind),
        ("measurement", found.measurement.hex()),
        ("vmUniqueId", runtime.vm_unique_id),
        ("Secure Boot", "on" if runtime.secure_boot else "off"),
        ("console", "on" if runtime.console_enabled else "off"),
        ("user-data", "none" if runtime.user_data is None else runtime.user_data.hex()),
        ("keys", ", ".join(runtime.keys)),
    ]


def _nitro(data: bytes) -> Rows:
    payload = cose.parse(data).payload
    kind: Any = "nitrotpm" if b"nitrotpm_pcrs" in payload else "enclave"
    found = document.parse(payload, kind)
    return [
        ("kind", kind),
        ("module_id", found.module_id),
        ("made at", times.show(found.timestamp_ms // 1000)),
        *((f"PCR{index}", value.hex()) for index, value in sorted(found.pcrs.items()) if any(value)),
        ("user_data", "none" if found.user_data is None else found.user_data.hex()),
        ("nonce", "none" if found.nonce is None else found.nonce.hex()),
    ]


def _quote(data: bytes) -> Rows:
    found = attest.parse(data)
    rows: Rows = [("qualifying data", found.qualifying_data.hex()), ("PCR digest", found.pcr_digest.hex())]
    for chosen in found.selections:
        bank = attest.BANK_NAMES.get(chosen.bank, f"{chosen.bank:#06x}")
        rows.append((f"bank {bank}", "PCR " + ", ".join(str(index) for index in sorted(chosen.registers))))
    return [*rows, ("resets", f"{found.reset_count}, restarts {found.restart_count}")]


def _log(data: bytes) -> Rows:
    replayed = tcg.replay(tcg.parse(data), events.SHA256)
    return [(f"PCR{index}", value.hex()) for index, value in sorted(replayed.items())] or [("events", "none")]


_READERS: Mapping[str, Callable[[bytes], Rows]] = {
    "snp_report": _snp,
    "td_quote": _td,
    "hcl_report": _hcl,
    "nitrotpm_document": _nitro,
    "tpm_quote": _quote,
    "event_log": _log,
}
