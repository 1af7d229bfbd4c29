"""SEV-SNP reports in the real format, every field settable (AMD 56860, table 23). Pure; signs when asked."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

SIGNED_BYTES = 0x2A0
CPUID = {"Milan": (0x19, 0x01, 0x01), "Genoa": (0x19, 0x11, 0x01), "Turin": (0x1A, 0x02, 0x01)}
# What `tests.fakes.fleets` demands, and more than any floor there.
TCBS: Mapping[str, Mapping[str, int]] = {
    "Milan": {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219},
    "Genoa": {"bootloader": 10, "tee": 0, "snp": 23, "microcode": 84},
    "Turin": {"fmc": 0, "bootloader": 1, "tee": 0, "snp": 2, "microcode": 71},
}
POLICY = 0x30000  # SMT allowed, reserved bit 17
PLATFORM_INFO = 0x25  # SMT, ECC, alias check complete


def raw_tcb(product: str, tcb: Mapping[str, int]) -> bytes:
    """Return the 8 bytes of a TCB_VERSION."""
    if product == "Turin":
        return bytes([tcb["fmc"], tcb["bootloader"], tcb["tee"], tcb["snp"], 0, 0, 0, tcb["microcode"]])
    return bytes([tcb["bootloader"], tcb["tee"], 0, 0, 0, 0, tcb["snp"], tcb["microcode"]])


def unsigned(product: str, *, version: int = 3, tcb: Mapping[str, int] | None = None, **fields: Any) -> bytes:
    """Return the first 0x2A0 bytes. `fields` are the names of Report; the four TCBs default to `tcb`."""
    same = raw_tcb(product, tcb or TCBS[product])
    values: dict[str, Any] = {
        "guest_svn": 0,
        "policy": POLICY,
        "family_id": bytes(16),
        "image_id": bytes(16),
        "vmpl": 0,
        "signature_algo": 1,
        "current_tcb": same,
        "platform_info": PLATFORM_INFO,
        "author_key_en": 0,
        "mask_chip_key": 0,
        "signing_key": 0,
        "report_data": bytes(64),
        "measurement": bytes(48),
        "host_data": bytes(32),
        "id_key_digest": bytes(48),
        "author_key_digest": bytes(48),
        "report_id": b"\x5a" * 32,
        "report_id_ma": b"\xff" * 32,
        "reported_tcb": same,
        "cpuid": CPUID[product] if version >= 3 else (0, 0, 0),
        "chip_id": bytes(64),
        "committed_tcb": same,
        "current_version": (1, 55, 40),
        "committed_version": (1, 55, 40),
        "launch_tcb": same,
        "mitigations": (0, 0),
    }
    unknown = set(fields) - set(values)
    if unknown:
        message = f"no such report fields: {sorted(unknown)}"
        raise TypeError(message)
    values |= fields
    key_bits = values["author_key_en"] | values["mask_chip_key"] << 1 | values["signing_key"] << 2
    out = bytearray(SIGNED_BYTES)
    struct.pack_into("<IIQ", out, 0x000, version, values["guest_svn"], values["policy"])
    struct.pack_into("<II", out, 0x030, values["vmpl"], values["signature_algo"])
    struct.pack_into("<QI", out, 0x040, values["platform_info"], key_bits)
    for offset, size, name in (
        (0x010, 16, "family_id"),
        (0x020, 16, "image_id"),
        (0x038, 8, "current_tcb"),
        (0x050, 64, "report_data"),
        (0x090, 48, "measurement"),
        (0x0C0, 32, "host_data"),
        (0x0E0, 48, "id_key_digest"),
        (0x110, 48, "author_key_digest"),
        (0x140, 32, "report_id"),
        (0x160, 32, "report_id_ma"),
        (0x180, 8, "reported_tcb"),
        (0x1A0, 64, "chip_id"),
        (0x1E0, 8, "committed_tcb"),
        (0x1F0, 8, "launch_tcb"),
    ):
        value = values[name]
        if len(value) != size:
            message = f"{name} is {len(value)} bytes, want {size}"
            raise ValueError(message)
        out[offset : offset + size] = value
    out[0x188:0x18B] = bytes(values["cpuid"])
    out[0x1E8:0x1EB] = bytes(reversed(values["current_version"]))
    out[0x1EC:0x1EF] = bytes(reversed(values["committed_version"]))
    if version >= 5:
        struct.pack_into("<QQ", out, 0x1F8, *values["mitigations"])
    return bytes(out)


def sign(body: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the 1184-byte report: the body with R and S as a chip writes them."""
    r, s = decode_dss_signature(key.sign(body, ec.ECDSA(hashes.SHA384())))
    return body + r.to_bytes(72, "little") + s.to_bytes(72, "little") + bytes(512 - 144)
