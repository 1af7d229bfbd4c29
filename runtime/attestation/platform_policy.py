"""The owner's demands on each part that evidence has: each against its own Reference Values. Pure.

A part without Reference Values is a refusal: the schema ties both together, and this says so again.
"""

from __future__ import annotations

from runtime.attestation import snp_policy, tdx_policy
from runtime.attestation.findings import Findings, Reason
from runtime.attestation.snp_claims import Claims
from runtime.attestation.tees import MachineClaims
from runtime.attestation.tees.azure.overlay import ParavisorClaims
from runtime.attestation.tees.nitro.verify import NitroClaims
from runtime.attestation.tees.tpm.instance import GceInstance
from runtime.documents import times
from runtime.documents.platform_values import AzureReferenceValues, GceReferenceValues, NitroReferenceValues
from runtime.documents.reference_values import FormatValues

_GOOGLE = "Google's certificate of the attestation key"


def check(findings: Findings, claims: MachineClaims, values: FormatValues, now: int) -> None:
    """Note every check of the format's Reference Values."""
    _check_all_parts(findings, claims, values)
    if claims.snp is not None and values.snp is not None:
        snp_policy.check(findings, claims.snp, values.snp)
    if claims.tdx is not None and values.tdx is not None:
        tdx_policy.check(findings, claims.tdx, values.tdx, now)
    if claims.nitro is not None and values.nitrotpm is not None:
        _check_nitro(findings, claims.nitro, claims, values.nitrotpm, now)
    if claims.paravisor is not None and values.azure is not None:
        _check_azure(findings, claims.paravisor, claims, values.azure)
    if claims.instance is not None and values.gce is not None:
        _check_gce(findings, claims.instance, claims, values.gce)
    if values.qemu is not None:
        findings.require(
            claims.log_checked or not values.qemu.event_log_required,
            "log.present",
            Reason.EVENT_LOG,
            expected="the event log of this boot",
            actual="none",
            source="what came along with the evidence",
            remedy="have the Attester send the log, or set qemu.event_log to when_present",
        )


def _check_all_parts(findings: Findings, claims: MachineClaims, values: FormatValues) -> None:
    pairs = (
        ("snp", claims.snp, values.snp),
        ("tdx", claims.tdx, values.tdx),
        ("nitrotpm", claims.nitro, values.nitrotpm),
        ("azure", claims.paravisor, values.azure),
        ("gce", claims.instance, values.gce),
        ("qemu", claims.ak_name, values.qemu),
    )
    missing = [name for name, part, rules in pairs if part is not None and rules is None]
    findings.require(
        not missing,
        "format.parts",
        Reason.DOCUMENT,
        expected="Reference Values for every part of the evidence",
        actual=f"none for {', '.join(missing)}",
        source="the fleet document",
        remedy="add them to reference_values of this format",
    )


def _check_nitro(
    findings: Findings, said: NitroClaims, claims: MachineClaims, values: NitroReferenceValues, now: int
) -> None:
    findings.require(
        said.region in values.regions,
        "nitro.region",
        Reason.REGION,
        expected=", ".join(sorted(values.regions)),
        actual=said.region,
        source="AWS' certificate of the NitroTPM",
        remedy="the machine runs in another region than the owner listed",
    )
    age_ms = now * 1000 - said.timestamp_ms
    findings.require(
        -values.max_skew_s * 1000 <= age_ms <= values.max_age_s * 1000,
        "nitro.document.timestamp",
        Reason.EXPIRED,
        expected=f"at most {values.max_age_s} s before and {values.max_skew_s} s after {times.show(now)}",
        actual=times.show(said.timestamp_ms // 1000),
        source="the Nitro hypervisor's signed document",
        remedy="ask the instance for a new document, and look at this machine's clock",
    )
    if claims.snp is not None:
        check_one_place(findings, said, claims.snp)


def check_one_place(findings: Findings, said: NitroClaims, chip: Claims) -> None:
    """Note whether chip and hypervisor are in one region: whatever an owner says, without a waiver."""
    cloud = chip.csp_id
    findings.require(
        cloud is None or cloud == f"CN=cc-{said.region}.amazonaws.com",
        "aws.region",
        Reason.REGION,
        expected=f"CN=cc-{said.region}.amazonaws.com, where the NitroTPM is",
        actual=str(cloud),
        source="AMD's certificate for the signing key",
        remedy="chip and hypervisor name two places: these parts are of two machines",
    )


def _check_azure(
    findings: Findings, said: ParavisorClaims, claims: MachineClaims, values: AzureReferenceValues
) -> None:
    findings.require(
        values.console_allowed or not said.console_enabled,
        "azure.console",
        Reason.PLATFORM,
        expected="no serial console that the host can type into",
        actual="console-enabled is true",
        source="Microsoft's paravisor",
        remedy="turn the serial console off, or set azure.console to allowed",
    )
    findings.require(
        claims.ak is not None or not values.ak_certificates_required,
        "ak.certified",
        Reason.CHAIN,
        expected="Microsoft's certificates of the attestation key",
        actual="missing",
        source="what came along with the evidence",
        remedy="have the Attester send them, or set azure.ak_certificates to when_present",
    )
    _check_revocation(findings, claims, required=values.ak_revocation_required)


def _check_gce(
    findings: Findings, said: GceInstance, claims: MachineClaims, values: GceReferenceValues
) -> None:
    for name, found, accepted in (
        ("project", said.project_id, values.projects),
        ("zone", said.zone, values.zones),
    ):
        findings.require(
            found in accepted,
            f"gce.{name}",
            Reason.REGION,
            expected=", ".join(sorted(accepted)),
            actual=found,
            source=_GOOGLE,
            remedy=f"the machine runs in another {name} than the owner listed",
        )
    _check_revocation(findings, claims, required=values.ak_revocation_required)


def _check_revocation(findings: Findings, claims: MachineClaims, *, required: bool) -> None:
    findings.require(
        not required or (claims.ak is not None and claims.ak.revocation_checked),
        "ak.revocation",
        Reason.REVOCATION_UNKNOWN,
        expected="a revocation list for every certificate of the attestation key",
        actual="none, or not for every one",
        source="what came along with the evidence",
        remedy="have the Attester fetch the lists, or set ak_revocation to when_present",
    )
