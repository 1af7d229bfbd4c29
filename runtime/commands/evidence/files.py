"""Evidence in files: a challenge and its answer, bare evidence, or single parts. I/O: reads files.

`tunnel evidence collect` writes JSON: `{"kind": "tunnel-evidence-v1", "evidence": base64, "nonce": hex,
"settings_sha256": hex, "spki": base64}`. The binder follows from the last three as for endpoint evidence
(docs/protocol.md, section 9), so that no caller chooses what is signed.

`tunnel evidence read --out` writes what a member showed its owner: `"kind": "tunnel-owner-evidence-v1"`, the
same members, and `owner_spki` (base64), `transcript` and `exporter` (hex, 32 bytes) of the connection that it
was made for (section 15). A file that is cut short is none: it is JSON, with all of these and nothing else.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from runtime.attestation import certificates, wire
from runtime.attestation.binding import Direction, Label
from runtime.attestation.formats import FORMATS
from runtime.attestation.wire import Evidence
from runtime.channel.bound import Bound
from runtime.documents import strict_json
from runtime.errors import DocumentError, MalformedError, UsageError
from runtime.web.tunnel_name import endpoint_bound

KIND = "tunnel-evidence-v1"
OWNER_KIND = "tunnel-owner-evidence-v1"
_MEMBERS = frozenset({"kind", "evidence", "nonce", "settings_sha256", "spki"})
_OWNER_MEMBERS = _MEMBERS | {"owner_spki", "transcript", "exporter"}
ASKED_BY: Mapping[Label, str] = {
    Label.ENDPOINT: "whoever knew the nonce, on no connection",
    Label.OWNER: "an owner, on a connection of its own",
}
MAX_FILE_SIZE = 1024 * 1024  # bytes; evidence is at most 256 KiB
_WHAT = "evidence file"
ENCLAVE = "enclave_document"  # of a Nitro enclave: no format of a member has it
PARTS = frozenset(name for form in FORMATS.values() for name in form.parts) | {ENCLAVE}
TOGETHER_NOWHERE = "no format of a member has these parts together"
ENDORSEMENTS = frozenset(name for form in FORMATS.values() for name in form.endorsements)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """Evidence, and the challenge that it answers."""

    evidence: Evidence
    bound: Bound  # as endpoint evidence, or as a member's to its owner: nothing else is written


def write(collected: Collected) -> bytes:
    """Return the file's bytes."""
    bound = collected.bound
    value = {
        "kind": KIND,
        "evidence": base64.b64encode(wire.encode(collected.evidence)).decode(),
        "nonce": bound.verifier_nonce.hex(),
        "settings_sha256": bound.settings_digest.hex(),
        "spki": base64.b64encode(bound.spki_attester).decode(),
    }
    if bound.label is Label.OWNER:
        value |= {
            "kind": OWNER_KIND,
            "owner_spki": base64.b64encode(bound.spki_verifier).decode(),
            "transcript": bound.transcript.hex(),
            "exporter": bound.exporter.hex(),
        }
    return json.dumps(value, indent=1).encode() + b"\n"


def read(data: bytes) -> Collected | Evidence:
    """Read a file of `collect`, or bare evidence (CTE1). Raises: MalformedError."""
    if data[:4] == b"CTE1":
        return wire.decode(data)
    try:
        value = strict_json.parse(data, _WHAT, max_size=MAX_FILE_SIZE)
        bound = _bound(value)
        evidence = wire.decode(base64.b64decode(value["evidence"], validate=True))
    except (DocumentError, UsageError, ValueError, TypeError, KeyError) as error:
        raise MalformedError(_WHAT, f"cannot be read: {error}") from error
    return Collected(evidence=evidence, bound=bound)


def _bound(value: Any) -> Bound:
    """Return what a file's evidence was asked for. Raises: MalformedError and what its reader catches."""
    found = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    kind = found.get("kind")
    if kind not in (KIND, OWNER_KIND) or found.keys() != (_MEMBERS if kind == KIND else _OWNER_MEMBERS):
        want = f'"{KIND}" or "{OWNER_KIND}", with the members of that kind'
        raise MalformedError(_WHAT, f'is neither evidence nor an object whose "kind" is {want}')
    spki = base64.b64decode(value["spki"], validate=True)
    nonce = sized(value["nonce"], 32, "nonce")
    settings_digest = sized(value["settings_sha256"], 32, "settings_sha256")
    if kind == KIND:
        return endpoint_bound(spki=spki, nonce=nonce, settings_digest=settings_digest)
    return Bound(
        label=Label.OWNER,
        direction=Direction.MEMBER_TO_OWNER,
        epoch=0,
        transcript=sized(value["transcript"], 32, "transcript"),
        exporter=sized(value["exporter"], 32, "exporter"),
        spki_attester=spki,
        spki_verifier=base64.b64decode(value["owner_spki"], validate=True),
        verifier_nonce=nonce,
        settings_digest=settings_digest,
    )


def sized(text: str, size: int, what: str) -> bytes:
    """Read hexadecimal of `size` bytes. Raises: UsageError."""
    try:
        value = bytes.fromhex(text)
    except (ValueError, TypeError):
        value = b""
    if len(value) != size:
        message = f"{what} wants {2 * size} hexadecimal digits"
        raise UsageError(message)
    return value


def load(path: str) -> bytes:
    """Return a file's bytes. Raises: UsageError."""
    return load_up_to(path, MAX_FILE_SIZE)


def load_up_to(path: str, limit: int) -> bytes:
    """Return the bytes of a file that may have this many. Raises: UsageError."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise UsageError(message) from error
    if len(data) > limit:
        message = f"{path} is over {limit} bytes"
        raise UsageError(message)
    return data


def want_new(path: str) -> None:
    """Look before the work whether a file may be written there. Raises: UsageError."""
    if os.path.lexists(path):
        message = f"{path} exists: evidence is never written over a file"
        raise UsageError(message, hint="name another file, or remove that one")


def save(path: str, data: bytes) -> None:
    """Write a new file, whole or not at all. Raises: UsageError; an existing file stays as it is."""
    want_new(path)
    try:
        with Path(path).open("xb") as file, contextlib.ExitStack() as undo:
            undo.callback(Path(path).unlink)  # it was made here: half of it is no evidence
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            undo.pop_all()
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise UsageError(message) from error


def named(options: Sequence[str], known: frozenset[str], option: str) -> dict[str, bytes]:
    """Read NAME=FILE options; one certificate in PEM becomes the DER it stands for. Raises: UsageError."""
    found: dict[str, bytes] = {}
    for text in options:
        name, equals, path = text.partition("=")
        if not equals or name not in known or name in found:
            message = f"{option} {text}: want NAME=FILE, each NAME once, of {', '.join(sorted(known))}"
            raise UsageError(message)
        found[name] = _der(load(path))
    return found


def _der(data: bytes) -> bytes:
    if not data.lstrip().startswith(b"-----BEGIN CERTIFICATE-----"):
        return data
    try:
        return x509.load_pem_x509_certificate(data).public_bytes(Encoding.DER)
    except certificates.READ_ERRORS:
        return data  # its reader says what is wrong with it


def items(evidence: Mapping[str, bytes]) -> str:
    """Return names and sizes for people."""
    return ", ".join(f"{name} ({len(value)} bytes)" for name, value in sorted(evidence.items())) or "none"


def one_platform(parts: Mapping[str, bytes]) -> bool:
    """Tell whether one machine could have made all of these: a single part, or those of one format."""
    return len(parts) == 1 or any(set(parts) <= set(form.parts) for form in FORMATS.values())


def missing_for_members(parts: Mapping[str, bytes]) -> list[str]:
    """Say which parts each format that has these still lacks; nothing if one lacks none."""
    fitting = {
        name: set(form.parts) - set(parts) for name, form in FORMATS.items() if set(parts) <= set(form.parts)
    }
    if any(not lacks for lacks in fitting.values()):
        return []
    if not fitting:
        return [TOGETHER_NOWHERE]
    return [f"{name} lacks {', '.join(sorted(lacks))}" for name, lacks in sorted(fitting.items())]
