"""`tunnel evidence inspect FILE`: what the bytes say, for people; nothing is verified. I/O: one file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from runtime.attestation.eventlog import ccel, tcg
from runtime.attestation.eventlog.events import Event, EventType
from runtime.attestation.tees.azure import hcl, runtime_data
from runtime.attestation.tees.nitro import cose, document
from runtime.attestation.tees.snp import report as snp_report
from runtime.attestation.tees.tdx import quote as td_quote
from runtime.attestation.tees.tpm import attest, pcrs, public, signature
from runtime.commands import answers
from runtime.commands.evidence import files
from runtime.commands.evidence.files import Collected
from runtime.documents import times
from runtime.errors import MalformedError, UsageError

Rows = list[tuple[str, str]]
WARNING = "NOT VERIFIED: anybody can write such a file; `tunnel evidence verify` looks at signatures"


ABOUT = """
Shows what a file of evidence, or a single report, quote, document or log, says, field by field. Nothing is
verified: anybody can write such a file.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("file", metavar="FILE", help="evidence, or a single report, quote, document or log")
    parser.add_argument("--json", action="store_true", help="answer with JSON")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One item, read for people."""

    name: str
    size: int  # bytes
    rows: Rows
    error: str | None  # why it cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What a file says."""

    format: str | None  # of evidence; None: a single part
    asked: Rows  # what evidence in a file of ours was asked for
    items: tuple[Shown, ...]
    endorsements: Mapping[str, bytes]  # certificates and the like, which are named only


def verb(options: argparse.Namespace) -> None:
    """Run the verb. Raises: UsageError, MalformedError (also for one item that cannot be read)."""
    found = look(files.load(options.file))
    bad = ", ".join(item.name for item in found.items if item.error is not None)
    answers.give(
        answer(found),
        render(found),
        as_json=options.json,
        refusal=MalformedError(bad, "cannot be read: the reason is beside it") if bad else None,
    )


def look(data: bytes) -> Inspection:
    """Read a file. Raises: UsageError for bytes that are nothing known, MalformedError."""
    if (name := single(data)) is not None:
        return Inspection(format=None, asked=[], items=(_item(name, data),), endorsements={})
    found = files.read(data)
    evidence = found.evidence if isinstance(found, Collected) else found
    asked: Rows = []
    if isinstance(found, Collected):
        asked = [
            ("asked by", files.ASKED_BY[found.bound.label]),
            ("nonce", found.bound.verifier_nonce.hex()),
            ("settings", found.bound.settings_digest.hex()),
        ]
    logs = {name: value for name, value in evidence.endorsements.items() if name in _READERS}
    return Inspection(
        format=evidence.format,
        asked=asked,
        items=tuple(_item(name, value) for name, value in sorted({**evidence.parts, **logs}.items())),
        endorsements={name: value for name, value in evidence.endorsements.items() if name not in logs},
    )


def render(found: Inspection) -> list[str]:
    """Return the lines for people."""
    lines = [WARNING]
    if found.format is not None:
        lines.append(f"evidence of the format {found.format}")
        lines += _lines([*found.asked, ("endorsements", files.items(found.endorsements))])
    for item in found.items:
        lines += [f"{item.name}, {item.size} bytes:", *_lines(item.rows)]
        lines += [] if item.error is None else [f"  cannot be read: {item.error}"]
    return lines


def answer(found: Inspection) -> dict[str, Any]:
    """Return it as JSON values; nothing of it is verified."""
    return {
        "verified": False,
        "format": found.format,
        "asked": [{"name": name, "value": value} for name, value in found.asked],
        "items": [
            {
                "name": item.name,
                "bytes": item.size,
                "fields": [{"name": name, "value": value} for name, value in item.rows],
                "error": item.error,
            }
            for item in found.items
        ],
        "endorsements": {name: len(value) for name, value in sorted(found.endorsements.items())},
    }


def single(data: bytes) -> str | None:
    """Return which single part a file is; None for evidence. Raises: UsageError for nothing known."""
    return None if data[:4] == b"CTE1" or data.lstrip()[:1] == b"{" else kind_of(data)


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
        return "ccel" if _reads(ccel.parse, data) else "event_log"
    for name, read in _PLAIN.items():  # these begin with nothing of their own
        if _reads(read, data):
            return name
    message = "this is no evidence, report, quote, document or log that is known here"
    raise UsageError(message, hint="it begins with " + data[:8].hex())


def _reads(read: Callable[[bytes], object], data: bytes) -> bool:
    try:
        read(data)
    except MalformedError:
        return False
    return True


def _item(name: str, data: bytes) -> Shown:
    rows: Rows = []
    error = None
    try:
        rows = _READERS[name](data)
    except MalformedError as found:
        error = str(found)
    return Shown(name=name, size=len(data), rows=rows, error=error)


def _lines(rows: Rows) -> list[str]:
    width = max((len(name) for name, _ in rows), default=0)
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


def _pcrs(data: bytes) -> Rows:
    found = pcrs.parse(data)
    return [
        ("bank", found.bank_name),
        *((f"PCR{index}", value.hex()) for index, value in sorted(found.values.items())),
    ]


def _signature(data: bytes) -> Rows:
    found = signature.parse(data, "tpmt")
    name = "not named" if found.hash is None else attest.BANK_NAMES.get(found.hash, f"{found.hash:#06x}")
    return [("scheme", found.scheme), ("hash", name), ("value", found.value.hex())]


def _key(data: bytes) -> Rows:
    found = public.load_tpm2b(data, "attestation key")
    return [
        ("SHA-256 of the key", sha256(public.spki(found.key)).hexdigest()),
        (
            "kind",
            f"{type(found.key).__name__.removesuffix('PublicKey').lstrip('_')}, {found.key.key_size} bits",
        ),
        ("attributes", f"{found.attributes:#010x}"),
        (
            "attestation key",
            "yes" if found.is_attestation_key else "no: it may leave its TPM, or sign anything",
        ),
    ]


def _log(data: bytes) -> Rows:
    """Every bank, replayed, and every event, of which a quoted register proves the digests alone."""
    log = tcg.parse(data)
    if not any(event.data or any(map(any, event.digests.values())) for event in log.events):
        raise MalformedError("TCG event log", "says nothing")  # zeros read as records of the old form
    rows: Rows = [("form", "SHA-1 only" if log.spec_id is None else "crypto-agile")]
    for bank in log.banks:
        name = tcg.BANK_NAMES.get(bank, f"{bank:#06x}")
        if bank not in tcg.HASHED:
            rows.append((f"{name} bank", "cannot be replayed here"))
            continue
        rows += [
            (f"{name} PCR{index}", value.hex()) for index, value in sorted(tcg.replay(log, bank).items())
        ]
    return [*rows, *_events(log.events, "PCR", 0)]


def _ccel(data: bytes) -> Rows:
    log = ccel.parse(data)
    rows: Rows = [(f"RTMR{number}", value.hex()) for number, value in sorted(ccel.replay(log).items())]
    return [*rows, *_events(log.events, "RTMR", 1)]


def _events(found: Iterable[Event], register: str, first: int) -> Rows:
    """Return one row per extension, with the digest of the last bank it has."""
    return [
        (f"event {number}", f"{register}{event.register - first} {_type(event.type)} {_last(event)}")
        for number, event in enumerate(found)
        if event.extends
    ]


def _type(number: int) -> str:
    return EventType(number).name if number in list(EventType) else f"{number:#x}"


def _last(event: Event) -> str:
    return list(event.digests.values())[-1].hex() if event.digests else "no digest"


_PLAIN: Mapping[str, Callable[[bytes], Rows]] = {
    "event_log": _log,
    "ak_public": _key,
    "tpm_pcrs": _pcrs,
    "tpm_signature": _signature,
}
_READERS: Mapping[str, Callable[[bytes], Rows]] = {
    **_PLAIN,
    "snp_report": _snp,
    "td_quote": _td,
    "hcl_report": _hcl,
    "nitrotpm_document": _nitro,
    "tpm_quote": _quote,
    "ccel": _ccel,
}
