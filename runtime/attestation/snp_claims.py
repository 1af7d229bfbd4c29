"""What a genuine AMD chip signed, as types. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from runtime.documents.reference_values import SnpProduct


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRoot:
    """A root certificate by the SHA-256 of its DER; whatever chains to a `test` root is grade T."""

    kind: Literal["hardware", "test"]
    vendor: Literal["amd"]
    product: SnpProduct
    sha256: bytes  # 32


@dataclass(frozen=True, slots=True, kw_only=True)
class EndorsementRef:
    """One endorsement that the evidence lacks: the name it travels under, and where AMD's KDS keeps it."""

    name: str
    path: str  # of AMD's key distribution service (AMD 57230), without scheme and host


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcb:
    """Security version numbers of a chip's firmware parts (AMD 56860, TCB_VERSION), 0..255 each."""

    fmc: int | None  # Turin and later only
    bootloader: int
    tee: int
    snp: int
    microcode: int

    def components(self) -> dict[str, int]:
        """Return the parts this product has, by the names the fleet document uses."""
        parts = {} if self.fmc is None else {"fmc": self.fmc}
        return parts | {
            "bootloader": self.bootloader,
            "tee": self.tee,
            "snp": self.snp,
            "microcode": self.microcode,
        }

    def reaches(self, floor: Mapping[str, int]) -> bool:
        """Tell whether every part of `floor` exists here and is not below it."""
        mine = self.components()
        return all(name in mine and mine[name] >= least for name, least in floor.items())

    def __str__(self) -> str:
        return " ".join(f"{name} {value}" for name, value in self.components().items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a genuine chip signed; field names as in AMD 56860, table 23. Made by `tees` alone."""

    tee: Literal["snp"]
    product: SnpProduct
    report_version: int
    guest_svn: int
    policy: int  # 64 bits
    platform_info: int  # 64 bits
    vmpl: int
    report_data: bytes  # 64
    measurement: bytes  # 48
    host_data: bytes  # 32
    id_key_digest: bytes  # 48
    author_key_digest: bytes  # 48
    author_key_en: bool
    report_id_ma: bytes  # 32
    chip_id: bytes  # 64; zeros when a VLEK signed
    signer: Literal["vcek", "vlek"]
    csp_id: str | None  # of a VLEK: which cloud, and where
    current_tcb: Tcb
    reported_tcb: Tcb
    committed_tcb: Tcb
    launch_tcb: Tcb
    current_version: tuple[int, int, int]  # firmware: major, minor, build
    committed_version: tuple[int, int, int]
    mitigations: tuple[int, int] | None  # launch and current vectors; None before report version 5
    root: TrustRoot
    revocation_checked: bool
    endorsed_until: int  # Unix seconds: the first moment at which an endorsement is no longer valid
    newest_endorsement: int  # Unix seconds: the newest signed timestamp among the endorsements
