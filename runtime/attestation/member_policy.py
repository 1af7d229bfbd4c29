"""Is this the member, on this connection, with these settings, on the machine that the owner enrolled? Pure.

None of these checks can be waived: they say who the peer is, and to whom it speaks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hmac import compare_digest

from runtime.attestation.findings import Findings, Reason
from runtime.attestation.tees import MachineClaims
from runtime.documents import settings
from runtime.documents.fleet import FleetDocument, Member, Role
from runtime.documents.settings import Bank

_SETTINGS_PCR, _SETTINGS_RTMR = 14, 3
_MODULE = r"{instance}-tpm[0-9a-f]{{16}}"  # NitroTPM's module_id: i-01cf…-tpm0000000000000000


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom the evidence is said to be about, and what it has to be bound to."""

    member: Member
    role: Role
    binder: bytes  # 64
    settings_digest: bytes  # 32
    evidence: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineName:
    """What a machine is called by those who vouch for it."""

    kind: str  # of `fleet.Instance`
    value: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsRegister:
    """What the register for settings holds, and whose word that is."""

    value: bytes
    bank: Bank
    source: str


def check_settings(
    findings: Findings, claims: MachineClaims, subject: Subject, document: FleetDocument
) -> None:
    """Note whether the VM measured the settings it says it booted with, once, and nothing else there."""
    digest = subject.settings_digest
    register = settings_register(claims)
    if register is None:
        _check_host_data(findings, claims, digest, document)
    else:
        wanted = settings.register(digest, register.bank)
        _check_register(findings, register.value, wanted, register.source)


def settings_register(claims: MachineClaims) -> SettingsRegister | None:
    """Return the register that the VM itself extended with its settings; None where evidence has none."""
    if claims.tdx is not None and claims.registers is None:
        value = claims.tdx.report.rtmrs[_SETTINGS_RTMR]
        return SettingsRegister(value=value, bank="sha384", source="RTMR3 of the TD quote")
    if claims.registers is None:
        return None
    return SettingsRegister(
        value=claims.registers.values.get(_SETTINGS_PCR, b""),
        bank=claims.registers.bank,
        source=f"PCR14, according to {claims.registers.source}",
    )


def _check_register(findings: Findings, found: bytes, wanted: bytes, source: str) -> None:
    findings.require(
        compare_digest(found, wanted),
        "settings.register",
        Reason.SETTINGS,
        expected=f"{wanted.hex()[:32]}… (these settings, measured once)",
        actual="zeros: nothing was measured" if not any(found) else f"{found.hex()[:32]}…",
        source=source,
        remedy="the VM booted with other settings than it says, or something else was measured there as well",
    )


def _check_host_data(
    findings: Findings, claims: MachineClaims, digest: bytes, document: FleetDocument
) -> None:
    source = "HOST_DATA in the chip's signed report"
    found = b"" if claims.snp is None else claims.snp.host_data
    findings.require(
        compare_digest(found, digest),
        "settings.digest",
        Reason.SETTINGS,
        expected=digest.hex()[:32] + "…",
        actual=found.hex()[:32] + "…",
        source=source,
        remedy="the VM booted with other settings than it says",
    )
    findings.require(
        document.purpose == "test",
        "settings.register",
        Reason.SETTINGS,
        expected="a register that the VM itself extended with its settings",
        actual="HOST_DATA, which the host wrote",
        source=source,
        remedy="an SNP report alone proves no settings: production needs the vTPM's quote beside it",
    )


def check_member(findings: Findings, claims: MachineClaims, subject: Subject) -> None:
    """Note whether it acts in its role, on the machine enrolled under its name."""
    findings.require(
        subject.role == subject.member.role,
        "member.role",
        Reason.ROLE,
        expected=subject.member.role,
        actual=subject.role,
        source="the fleet document",
        remedy="a member acts in the role the owner gave it",
    )
    wanted, name = subject.member.instance, machine_name(claims)
    findings.require(
        wanted.kind == name.kind and _same(wanted.kind, wanted.value, name.value),
        "member.instance",
        Reason.INSTANCE,
        expected=f"{wanted.kind} {wanted.value[:64]}",
        actual=f"{name.kind} {name.value[:64]}" if name.value else "no machine that evidence names",
        source=name.source,
        remedy="the VM moved or was copied: enrol its new instance in the fleet document",
    )


def instance_of(name: MachineName) -> str:
    """Return the instance as a fleet document names it: without what NitroTPM's module_id adds."""
    if name.kind != "aws_instance_id":
        return name.value
    return re.sub(r"-tpm[0-9a-f]{16}$", "", name.value)


def _same(kind: str, wanted: str, found: str) -> bool:
    if not found:
        return False
    if kind == "aws_instance_id":
        return re.fullmatch(_MODULE.format(instance=re.escape(wanted)), found) is not None
    return wanted == found


def machine_name(claims: MachineClaims) -> MachineName:
    """Return what the evidence calls this machine; an empty value where nothing names it."""
    if claims.ak_name is not None:
        return MachineName(
            kind="tpm_ak_name", value=claims.ak_name.hex(), source="the software TPM's attestation key"
        )
    if claims.paravisor is not None:
        return MachineName(
            kind="azure_vm_unique_id",
            value=claims.paravisor.vm_unique_id,
            source="Microsoft's paravisor (vmUniqueId)",
        )
    if claims.instance is not None:
        return MachineName(
            kind="gcp_instance_id",
            value=str(claims.instance.instance_id),
            source="Google's certificate of the attestation key",
        )
    if claims.nitro is not None:
        return MachineName(
            kind="aws_instance_id",
            value=claims.nitro.module_id,
            source="AWS' certificate of the NitroTPM (module_id)",
        )
    snp = claims.snp
    return MachineName(
        kind="chip_id",
        value=snp.chip_id.hex() if snp is not None and snp.signer == "vcek" else "",
        source="CHIP_ID in the chip's signed report",
    )
