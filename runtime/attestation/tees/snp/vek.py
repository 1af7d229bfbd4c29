"""What AMD certified about the key that signs reports: the extensions of a VCEK or VLEK. Pure.

AMD 57230, section 3.2, arc 1.3.6.1.4.1.3704.1. Every INTEGER has one accepted spelling, every extension of
the arc must be known, and which ones must be there depends on the product and on the kind of key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runtime.attestation.certificates import Certificate
from runtime.attestation.snp_claims import Tcb
from runtime.documents.reference_values import SnpProduct
from runtime.errors import MalformedError

_ARC = "1.3.6.1.4.1.3704.1."
_STRUCT_VERSION, _PRODUCT, _HWID, _CSP_ID = _ARC + "1", _ARC + "2", _ARC + "4", _ARC + "5"
_SPL = _ARC + "3."
_BOOTLOADER, _TEE, _SNP, _MICROCODE, _FMC = (_SPL + part for part in ("1", "2", "3", "8", "9"))
_RESERVED = tuple(_SPL + part for part in ("4", "5", "6", "7"))  # reserved bytes of TCB_VERSION: zero
_KNOWN = {_STRUCT_VERSION, _PRODUCT, _HWID, _CSP_ID, _BOOTLOADER, _TEE, _SNP, _MICROCODE, _FMC, *_RESERVED}

CHIP_ID_BYTES = 64
_TURIN_HWID_BYTES = 8  # the rest of CHIP_ID is zero
_WHAT = "VEK certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class VekClaims:
    """The certified facts: for which chip or cloud, product and firmware this key was made."""

    product_name: str  # Milan-B0, Genoa, Turin, ...
    tcb: Tcb
    chip_id: bytes | None  # 64, as in a report; None for a VLEK
    csp_id: str | None  # None for a VCEK

    @property
    def product_line(self) -> str:
        """The name without the stepping."""
        return self.product_name.partition("-")[0]


def read(certificate: Certificate, product: SnpProduct, signer: Literal["vcek", "vlek"]) -> VekClaims:
    """Read the extensions as `product` and `signer` have them. Raises: MalformedError."""
    values = certificate.unrecognised
    unknown = sorted(oid for oid in values if oid.startswith(_ARC) and oid not in _KNOWN)
    if unknown:
        raise MalformedError(_WHAT, f"has unknown AMD extensions {unknown}")
    if der_integer(_need(values.get(_STRUCT_VERSION), _STRUCT_VERSION), _WHAT) > 1:
        raise MalformedError(_WHAT, "has a structure version above 1")
    for oid in _RESERVED:
        if oid in values and der_integer(values[oid], f"{_WHAT} extension {oid}") != 0:
            raise MalformedError(_WHAT, f"extension {oid} is reserved and not zero")
    turin = product == "Turin"
    if not turin and _FMC in values:
        raise MalformedError(_WHAT, f"names an FMC version, which {product} does not have")
    return VekClaims(
        product_name=der_ia5_string(_need(values.get(_PRODUCT), _PRODUCT), f"{_WHAT} product name"),
        tcb=Tcb(
            fmc=_number(values.get(_FMC), _FMC) if turin else None,
            bootloader=_number(values.get(_BOOTLOADER), _BOOTLOADER),
            tee=_number(values.get(_TEE), _TEE),
            snp=_number(values.get(_SNP), _SNP),
            microcode=_number(values.get(_MICROCODE), _MICROCODE),
        ),
        chip_id=_chip_id(values.get(_HWID), signer, _TURIN_HWID_BYTES if turin else CHIP_ID_BYTES),
        csp_id=_csp_id(values.get(_CSP_ID), signer),
    )


def _need(value: bytes | None, oid: str) -> bytes:
    if value is None:
        raise MalformedError(_WHAT, f"lacks extension {oid}")
    return value


def _number(value: bytes | None, oid: str) -> int:
    return der_integer(_need(value, oid), f"{_WHAT} extension {oid}")


def _chip_id(value: bytes | None, signer: str, size: int) -> bytes | None:
    if signer == "vlek":
        if value is not None:
            raise MalformedError(_WHAT, "is a VLEK that names a chip")
        return None
    return der_octets(_need(value, _HWID), size, f"{_WHAT} HWID").ljust(CHIP_ID_BYTES, b"\0")


def _csp_id(value: bytes | None, signer: str) -> str | None:
    if signer == "vcek":
        if value is not None:
            raise MalformedError(_WHAT, "is a VCEK that names a cloud")
        return None
    return der_ia5_string(_need(value, _CSP_ID), f"{_WHAT} CSP_ID")


def der_integer(data: bytes, what: str) -> int:
    """Read a DER INTEGER from 0 to 255 that fills `data`, in its one spelling. Raises: MalformedError.

    Prefixes, suffixes and padded forms were accepted by other verifiers: 0xDB is 02 02 00 DB and no other.
    """
    value = int.from_bytes(data[-1:], "big")
    if data != (bytes([2, 1, value]) if value < 0x80 else bytes([2, 2, 0, value])):
        raise MalformedError(what, f"is {data[:16].hex()}, want one canonical INTEGER from 0 to 255")
    return value


def der_ia5_string(data: bytes, what: str) -> str:
    """Read a DER IA5String of 1 to 127 printable characters that fills `data`. Raises: MalformedError."""
    text = data[2:]
    if data[:1] != b"\x16" or not 1 <= len(text) <= 127 or data[1] != len(text):
        raise MalformedError(what, f"is {data[:16].hex()}, want one IA5String of 1 to 127 characters")
    if not all(0x20 <= byte < 0x7F for byte in text):
        raise MalformedError(what, "has characters that are not printable ASCII")
    return text.decode("ascii")


def der_octets(data: bytes, size: int, what: str) -> bytes:
    """Read `size` bytes, bare or as a DER OCTET STRING: AMD has issued both. Raises: MalformedError."""
    if len(data) == size:
        return data
    if len(data) == size + 2 and data[:2] == bytes([4, size]):
        return data[2:]
    raise MalformedError(what, f"is {len(data)} bytes, want {size} or an OCTET STRING of {size}")
