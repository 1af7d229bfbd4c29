"""The runtime JSON of an Azure confidential VM: which keys its paravisor made, for which machine. Pure.

The paravisor wrote it, and the hardware report covers its SHA-256; field names are Microsoft's ("guest
attestation for confidential VMs", runtime claims). Two readers that disagree about a signed document are an
attack: names come once, keys are base64url in one spelling, and the attestation key is there exactly once.
Members of `vm-configuration` that no rule here reads are passed over, since the paravisor adds to them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric import rsa

from runtime.attestation.tees.tpm import public
from runtime.documents import strict_json
from runtime.errors import MalformedError

AK_KID = "HCLAkPub"
USER_DATA_BYTES = 64
MAX_RUNTIME_DATA_SIZE = 8 * 1024  # bytes; today's are under 1.3 KiB
_MAX_KEYS = 8
_KEY_MEMBERS = {"kid", "key_ops", "kty", "e", "n"}
_MEMBERS = {"keys", "vm-configuration", "user-data"}
_KID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){64}")
_WHAT = "Azure runtime data"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeData:
    """What the paravisor says about the machine; as true as the report that covers it."""

    keys: tuple[str, ...]  # kid of every key, in order
    ak: rsa.RSAPublicKey
    vm_unique_id: str  # as it stands: a UUID, whatever its case
    secure_boot: bool
    console_enabled: bool  # a serial console that the host can type into
    user_data: bytes | None  # 64; None: the paravisor is older than this field


def parse(data: bytes) -> RuntimeData:
    """Read the JSON. Raises: MalformedError."""
    document = _object(strict_json.parse(data, _WHAT, max_size=MAX_RUNTIME_DATA_SIZE), "$")
    if unknown := sorted(set(document) - _MEMBERS):
        raise MalformedError(_WHAT, f"has unknown members {unknown}")
    keys = _keys(document.get("keys"))
    machine = _object(document.get("vm-configuration"), "vm-configuration")
    unique = machine.get("vmUniqueId")
    if not isinstance(unique, str) or not _UUID.fullmatch(unique):
        raise MalformedError(_WHAT, "vm-configuration.vmUniqueId is no UUID")
    if AK_KID not in keys:
        raise MalformedError(_WHAT, f"keys has no {AK_KID}")
    if not _flag(machine, "tpm-enabled"):
        raise MalformedError(_WHAT, "vm-configuration.tpm-enabled is false, and there is an attestation key")
    return RuntimeData(
        keys=tuple(keys),
        ak=keys[AK_KID],
        vm_unique_id=unique,
        secure_boot=_flag(machine, "secure-boot"),
        console_enabled=_flag(machine, "console-enabled"),
        user_data=_user_data(document),
    )


def _object(value: object, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedError(_WHAT, f"{field} is no object")
    return cast("dict[str, Any]", value)


def _flag(machine: Mapping[str, Any], name: str) -> bool:
    value = machine.get(name)
    if not isinstance(value, bool):
        raise MalformedError(_WHAT, f"vm-configuration.{name} is neither true nor false")
    return value


def _keys(value: object) -> dict[str, rsa.RSAPublicKey]:
    if not isinstance(value, list):
        raise MalformedError(_WHAT, "keys is no array")
    entries = cast("list[object]", value)
    if not 1 <= len(entries) <= _MAX_KEYS:
        raise MalformedError(_WHAT, f"keys has {len(entries)} entries, want 1 to {_MAX_KEYS}")
    found: dict[str, rsa.RSAPublicKey] = {}
    for index, entry in enumerate(entries):
        kid, key = _key(_object(entry, f"keys[{index}]"), index)
        if kid in found:
            raise MalformedError(_WHAT, f"keys has {kid} twice")
        found[kid] = key
    return found


def _key(key: dict[str, Any], index: int) -> tuple[str, rsa.RSAPublicKey]:
    kid, operations = key.get("kid"), key.get("key_ops")
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise MalformedError(_WHAT, f"keys[{index}].kid is no name of 1 to 64 characters")
    if set(key) != _KEY_MEMBERS:
        raise MalformedError(_WHAT, f"{kid} has the members {sorted(key)}, want {sorted(_KEY_MEMBERS)}")
    # Early paravisors wrote "encrypt" for the attestation key too.
    if operations not in (["sign"], ["encrypt"]):
        raise MalformedError(_WHAT, f"{kid}.key_ops is neither ['sign'] nor ['encrypt']")
    return kid, public.load_jwk(key, f"{_WHAT} {kid}")


def _user_data(document: Mapping[str, Any]) -> bytes | None:
    if "user-data" not in document:
        return None
    text = document["user-data"]
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise MalformedError(_WHAT, f"user-data is not {USER_DATA_BYTES} bytes in hexadecimal")
    return bytes.fromhex(text)
