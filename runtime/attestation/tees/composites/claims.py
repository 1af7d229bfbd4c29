"""What evidence of any format says of one machine: the parts that held, each under its own name. Pure.

MachineClaims are made by the composites alone, after every signature, chain and tie between the parts held.
What they leave to policy: whether the parts carry the binder that was asked for (`unbound`, checks that
have failed), and every demand of the owner's. A part that a format does not have is None; no rule reads a
part that is not there as one that passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runtime.attestation.findings import Check
from runtime.attestation.snp_claims import Claims, TrustRoot
from runtime.attestation.tees.azure.overlay import ParavisorClaims
from runtime.attestation.tees.google.launch_endorsement import GoogleRoot, LaunchClaims
from runtime.attestation.tees.nitro.chain import NitroRoot
from runtime.attestation.tees.nitro.verify import NitroClaims
from runtime.attestation.tees.tdx.pck import IntelRoot
from runtime.attestation.tees.tdx.verify import TdxClaims
from runtime.attestation.tees.tpm.ak import AkRoot
from runtime.attestation.tees.tpm.instance import GceInstance
from runtime.documents.settings import Bank

Root = TrustRoot | IntelRoot | AkRoot | NitroRoot | GoogleRoot


@dataclass(frozen=True, slots=True, kw_only=True)
class BootRegisters:
    """A TPM's registers, and whose word they are."""

    bank: Bank
    values: Mapping[int, bytes]
    source: str  # who vouches: "AWS' hypervisor (NitroTPM)"


@dataclass(frozen=True, slots=True, kw_only=True)
class AkClaims:
    """Who vouches for the attestation key, and whether a revocation list spoke for its certificates."""

    root: AkRoot
    revocation_checked: bool
    endorsed_until: int  # Unix seconds
    newest_endorsement: int  # Unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineClaims:
    """One machine's evidence, all parts of it true. Made by the composites alone."""

    format: str
    unbound: tuple[Check, ...]  # failed: of the parts that have to carry the binder, and do not
    snp: Claims | None
    tdx: TdxClaims | None
    paravisor: ParavisorClaims | None
    nitro: NitroClaims | None
    instance: GceInstance | None
    ak: AkClaims | None
    ak_name: bytes | None  # TPM name, 34: of a software TPM's attestation key
    launch: LaunchClaims | None  # about any firmware: `endorsed_version` is about this one
    registers: BootRegisters | None
    log_checked: bool  # an event log came along and explains the registers
    roots: tuple[Root, ...]  # that the parts chain to; empty: nothing vouches for any of it
    endorsed_until: int  # Unix seconds: the first moment at which an endorsement is no longer valid
    newest_endorsement: int  # Unix seconds: the newest signed timestamp among the endorsements

    @property
    def simulated(self) -> bool:
        """Whether any part rests on a test root, or on none."""
        return not self.roots or any(root.kind == "test" for root in self.roots)

    @property
    def firmware(self) -> bytes | None:
        """What the CPU measured before anything ran: MRTD or MEASUREMENT, 48 bytes; None: no CPU says."""
        if self.tdx is not None:
            return self.tdx.report.mrtd
        return None if self.snp is None else self.snp.measurement

    @property
    def endorsed_version(self) -> int | None:
        """Google's version of this very firmware; None: what came along is about another, or nothing did."""
        known = self.launch is not None and self.firmware in self.launch.measurements
        return self.launch.svn if self.launch is not None and known else None
