"""What a Nitro document says: its fields, read and bounded, nothing about them verified. Pure.

Fields and limits: aws-nitro-enclaves-nsm-api, docs/attestation_process.md, sections 2.2 and 3.2.2; the EC2
User Guide's "Validate a NitroTPM Attestation Document" is the same but for the name of the registers. Both
say that no field is null; both kinds of real document spell an absent optional field so, and it is read as
absent. A field that the specification does not name is refused: nobody here knows what it would mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from runtime.attestation.tees.nitro import cbor
from runtime.attestation.tees.nitro.cbor import Item
from runtime.errors import MalformedError

Kind = Literal["enclave", "nitrotpm"]

# Specification constants.
PCR_BYTES = 48  # SHA-384; the specification's other lengths go with digests it does not allow
DIGEST = "SHA384"
MAX_USER_BYTES = 1024  # of public_key, user_data and nonce
MAX_CERTIFICATE_BYTES = 1024
_REGISTERS: Mapping[Kind, tuple[str, int]] = MappingProxyType(  # the field, and one above the last index
    {"enclave": ("pcrs", 32), "nitrotpm": ("nitrotpm_pcrs", 24)}  # TCG PC Client Platform TPM Profile: 24
)
_MANDATORY = frozenset({"module_id", "timestamp", "digest", "certificate", "cabundle"})
_OPTIONAL = frozenset({"public_key", "user_data", "nonce"})
# What the registers of a kind say when nothing was measured: an enclave in debug mode has zeros in 0 to 2
# (Nitro Enclaves User Guide, "Cryptographic attestation"). Firmware extends each of 0 to 7 at every boot,
# if only with a separator (TCG PC Client Platform Firmware Profile, EV_SEPARATOR).
MEASURED: Mapping[Kind, range] = MappingProxyType({"enclave": range(3), "nitrotpm": range(8)})

# Ours.
MAX_BUNDLE = 8  # certificates; AWS sends four
MAX_TIMESTAMP_MS = 253_402_300_799_999  # the last moment of the year 9999, after which no date is written
_MODULE_ID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)  # i-01cf…-tpm0000000000000000
_WHAT = "Nitro document"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The fields of a document; names as AWS spells them."""

    kind: Kind
    module_id: str
    timestamp_ms: int  # milliseconds since 1970
    digest: str
    pcrs: Mapping[int, bytes]  # 48 each
    certificate: bytes  # DER, 1 to 1024
    cabundle: tuple[bytes, ...]  # DER, root first
    certificates_at: tuple[int, int]  # where the fields cabundle and certificate begin
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None

    @property
    def unmeasured(self) -> tuple[int, ...]:
        """Return the registers that hold no measurement and have to: zeros, or not there."""
        nothing = bytes(PCR_BYTES)
        return tuple(index for index in MEASURED[self.kind] if self.pcrs.get(index, nothing) == nothing)


def parse(payload: bytes, kind: Kind, *, at: int = 0) -> Document:
    """Read the payload as a document of this kind. `at` is its place in what was sent.

    Raises: MalformedError.
    """
    item = cbor.decode(payload, _WHAT, at=at)
    registers, end = _REGISTERS[kind]
    fields = _fields(item, registers)
    module_id = cbor.text_string(fields["module_id"], _WHAT, "module_id")
    if _MODULE_ID.fullmatch(module_id) is None:
        raise _wrong(fields["module_id"], "module_id is not 1 to 64 letters, digits and hyphens")
    timestamp = cbor.unsigned(fields["timestamp"], _WHAT, "timestamp")
    if not 0 < timestamp <= MAX_TIMESTAMP_MS:
        raise _wrong(fields["timestamp"], f"timestamp is {timestamp}, want 1 to {MAX_TIMESTAMP_MS}")
    digest = cbor.text_string(fields["digest"], _WHAT, "digest")
    if digest != DIGEST:
        raise _wrong(fields["digest"], f"digest is not {DIGEST}")
    return Document(
        kind=kind,
        module_id=module_id,
        timestamp_ms=timestamp,
        digest=digest,
        pcrs=_registers(fields[registers], registers, end),
        certificate=_sized(fields["certificate"], "certificate", 1, MAX_CERTIFICATE_BYTES),
        cabundle=_bundle(fields["cabundle"]),
        certificates_at=(fields["cabundle"].offset, fields["certificate"].offset),
        public_key=_optional(fields.get("public_key"), "public_key", 1),
        user_data=_optional(fields.get("user_data"), "user_data", 0),
        nonce=_optional(fields.get("nonce"), "nonce", 0),
    )


def _fields(item: Item, registers: str) -> dict[str, Item]:
    mandatory = _MANDATORY | {registers}
    found = cbor.mapping(item, _WHAT, "payload")
    fields = {name: value for name, value in found.items() if isinstance(name, str)}
    missing = mandatory - set(fields)
    if missing:
        raise _wrong(item, f"has no {', '.join(sorted(missing))}")
    unknown = [name for name in found if name not in mandatory | _OPTIONAL]
    if unknown:
        raise _wrong(found[unknown[0]], f"has the unknown field {str(unknown[0])[: cbor.MAX_SHOWN]!r}")
    return fields


def _registers(item: Item, field: str, end: int) -> Mapping[int, bytes]:
    found = cbor.mapping(item, _WHAT, field)
    if not found:
        raise _wrong(item, f"{field} is empty")
    out: dict[int, bytes] = {}
    for index, value in found.items():
        if not isinstance(index, int) or not 0 <= index < end:
            raise _wrong(
                value, f"{field} has the index {str(index)[: cbor.MAX_SHOWN]!r}, want 0 to {end - 1}"
            )
        out[index] = _sized(value, f"{field}[{index}]", PCR_BYTES, PCR_BYTES)
    return MappingProxyType(out)


def _bundle(item: Item) -> tuple[bytes, ...]:
    found = cbor.array(item, _WHAT, "cabundle")
    if not 0 < len(found) <= MAX_BUNDLE:
        raise _wrong(item, f"cabundle has {len(found)} certificates, want 1 to {MAX_BUNDLE}")
    return tuple(
        _sized(value, f"cabundle[{index}]", 1, MAX_CERTIFICATE_BYTES) for index, value in enumerate(found)
    )


def _optional(item: Item | None, field: str, least: int) -> bytes | None:
    return None if item is None or item.value is None else _sized(item, field, least, MAX_USER_BYTES)


def _sized(item: Item, field: str, least: int, most: int) -> bytes:
    value = cbor.byte_string(item, _WHAT, field)
    if not least <= len(value) <= most:
        wanted = str(most) if least == most else f"{least} to {most}"
        raise _wrong(item, f"{field} is {len(value)} bytes, want {wanted}")
    return value


def _wrong(item: Item, detail: str) -> MalformedError:
    return MalformedError(_WHAT, detail, offset=item.offset)
