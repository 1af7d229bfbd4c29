"""HCL reports as Azure's paravisor leaves them, around any inner report; every field settable. Pure."""

from __future__ import annotations

import base64
import json
import struct
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakes import tpm

VM_UNIQUE_ID = "8D9962F0-6A8A-4A65-B0F9-881BA6515BA8"
USER_DATA = bytes(range(64))
SNP, TDX = 2, 4


def jwk(key: rsa.RSAPublicKey, kid: str = "HCLAkPub", use: str = "sign") -> dict[str, Any]:
    """Return a key as the paravisor writes it."""
    modulus = key.public_numbers().n
    text = base64.urlsafe_b64encode(modulus.to_bytes(key.key_size // 8, "big")).rstrip(b"=").decode()
    return {"kid": kid, "key_ops": [use], "kty": "RSA", "e": "AQAB", "n": text}


def runtime(**changes: Any) -> dict[str, Any]:
    """Return the runtime data as an object; a member that is changed to None is left out."""
    document: dict[str, Any] = {
        "keys": [
            jwk(tpm.rsa_key("ak").public_key()),
            jwk(tpm.rsa_key("ek").public_key(), "HCLEkPub", "encrypt"),
        ],
        "vm-configuration": {
            "console-enabled": True,
            "root-cert-thumbprint": "6nZZnYaJc4KqUZ_yvA-mucFdYNouvlPnITnNMXsHl-0",
            "secure-boot": False,
            "tpm-enabled": True,
            "tpm-persisted": True,
            "vmUniqueId": VM_UNIQUE_ID,
        },
        "user-data": USER_DATA.hex().upper(),
    } | changes
    return {name: value for name, value in document.items() if value is not None}


def runtime_json(**changes: Any) -> bytes:
    """Return the runtime JSON in the paravisor's spelling."""
    return json.dumps(runtime(**changes), separators=(",", ":")).encode()


def report_data(text: bytes) -> bytes:
    """Return what the hardware has to sign for this JSON."""
    return sha256(text).digest() + bytes(32)


def td_report(data: bytes, mrtd: bytes = b"\x22" * 48) -> bytes:
    """Return a TDREPORT of 1024 bytes; nothing in it is authentic."""
    out = bytearray(1024)
    out[0] = 0x81
    out[128:192] = data
    out[528:576] = mrtd
    return bytes(out)


def hcl(tee_report: bytes, text: bytes, kind: int, *, pad: int = 2600, **changes: Any) -> bytes:
    """Return the bytes of the NV index."""
    fields: dict[str, Any] = {
        "magic": b"HCLA",
        "version": 2,
        "used": 32 + 1184 + 20 + len(text),
        "request": 2,
        "status": 0,
        "reserved": bytes(12),
        "size": 20 + len(text),
        "request_version": 1,
        "hash_type": 1,
        "json_size": len(text),
    } | changes
    header = struct.pack(
        "<4sIIII12s",
        *(fields[name] for name in ("magic", "version", "used", "request", "status", "reserved")),
    )
    request = struct.pack(
        "<IIIII",
        *(fields["size"], fields["request_version"], kind, fields["hash_type"], fields["json_size"]),
    )
    return (header + tee_report.ljust(1184, b"\0") + request + text).ljust(pad, b"\0")
