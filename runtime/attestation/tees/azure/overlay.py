"""What every Azure confidential VM adds to its hardware's evidence: paravisor, attestation key, TPM. Pure.

    hardware ─ signs ─▶ REPORT_DATA = SHA-256(runtime JSON) ─ names ─▶ attestation key ─ signs ─▶ TPM quote

Microsoft's paravisor runs the TPM inside the TEE: what the quote says is as true as that paravisor, which the
hardware measured and nobody outside can review (grade P). The report is of boot time, or of the last write
to NV index 0x01400002; only `user_data` and the quote's qualifying data are fresh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest

from runtime.attestation.findings import Findings, Reason
from runtime.attestation.tees.azure import runtime_data
from runtime.attestation.tees.azure.hcl import HclReport
from runtime.attestation.tees.azure.runtime_data import USER_DATA_BYTES, RuntimeData
from runtime.attestation.tees.tdx.quote import TdReport
from runtime.attestation.tees.tpm import ak, quote
from runtime.attestation.tees.tpm.ak import AkPath, AkRoot
from runtime.attestation.tees.tpm.quote import QuoteDemand, QuoteEvidence, TpmClaims
from runtime.errors import MalformedError


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureDemand:
    """What the evidence has to be bound to, in both of the places that can be fresh."""

    user_data: bytes  # 64: the binder
    quote: QuoteDemand

    def __post_init__(self) -> None:
        if len(self.user_data) != USER_DATA_BYTES:
            raise MalformedError("Azure demand", f"user_data is {len(self.user_data)} bytes, want 64")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParavisorClaims:
    """What the paravisor says, and its TPM signed; true if the hardware's report is."""

    vm_unique_id: str  # in lower case, as fleet documents have it
    secure_boot: bool
    console_enabled: bool
    user_data: bytes  # 64
    runtime_digest: bytes  # 32
    tpm: TpmClaims
    ak: AkPath | None  # None: no certificates came along; the hardware alone vouches for the key


def check_runtime(findings: Findings, report: HclReport, report_data: bytes) -> None:
    """Note whether the hardware signed this very runtime data. `report_data`: 64, of the signed evidence."""
    wanted = report.wanted_report_data
    findings.require(
        compare_digest(report_data, wanted),
        "hcl.runtime_data",
        Reason.BINDING,
        expected=wanted.hex(),
        actual=report_data.hex(),
        source="REPORT_DATA that the hardware signed",
        remedy="the runtime data was altered, or is not that of this report: read both from one NV index",
    )


def check_td_report(findings: Findings, report: HclReport, quoted: TdReport) -> None:
    """Note whether the quote speaks of the TD that the report speaks of.

    Raises: MalformedError if the report is not of a TD.
    """
    if report.kind != "tdx":
        raise MalformedError("HCL report", f"holds a report of {report.kind}, want tdx")
    findings.require(
        quoted.mrtd == report.measurement and quoted.report_data == report.report_data,
        "hcl.td_report",
        Reason.BINDING,
        expected=f"the quote of a TD with MRTD {report.measurement.hex()[:32]}…",
        actual=f"MRTD {quoted.mrtd.hex()[:32]}…",
        source="the TD quote, beside the TDREPORT in the HCL report",
        remedy="have the TDREPORT of this very HCL report quoted",
    )


def read_runtime(findings: Findings, report: HclReport, report_data: bytes) -> RuntimeData:
    """Read the runtime data once the hardware covers it: nothing that nobody signed reaches the JSON reader.

    Raises: EvidenceRefusedError with all that failed up to here, MalformedError.
    """
    check_runtime(findings, report, report_data)
    findings.settle()
    return runtime_data.parse(report.runtime_json)


def check_user_data(findings: Findings, runtime: RuntimeData, wanted: bytes) -> None:
    """Note whether the report was made for this use."""
    found = runtime.user_data
    findings.require(
        found is not None and compare_digest(found, wanted),
        "hcl.user_data",
        Reason.BINDING,
        expected=wanted.hex(),
        actual="no user data at all" if found is None else found.hex(),
        source="user-data of the runtime data",
        remedy="write the binder to NV index 0x01400002, wait for the paravisor, and read the report again",
    )


def check_ak(
    findings: Findings,
    runtime: RuntimeData,
    certificates: Sequence[bytes],
    roots: tuple[AkRoot, ...],
    now: int,
) -> AkPath | None:
    """Note whether Microsoft vouches for the attestation key; None where nothing came along.

    Raises: MalformedError.
    """
    if not certificates:
        return None
    path = ak.check_path(findings, certificates, "microsoft", roots, now)
    if path is not None:
        ak.check_key(findings, path, runtime.ak)
    return path


def check(
    findings: Findings,
    report: HclReport,
    runtime: RuntimeData,
    demand: AzureDemand,
    evidence: QuoteEvidence,
    path: AkPath | None,
) -> ParavisorClaims:
    """Note what is left once the hardware spoke: freshness, and the TPM's quote. Raises: MalformedError."""
    check_user_data(findings, runtime, demand.user_data)
    claims = quote.check(findings, evidence, demand.quote, runtime.ak)
    return ParavisorClaims(
        vm_unique_id=runtime.vm_unique_id.lower(),
        secure_boot=runtime.secure_boot,
        console_enabled=runtime.console_enabled,
        user_data=demand.user_data,
        runtime_digest=report.runtime_digest,
        tpm=claims,
        ak=path,
    )
