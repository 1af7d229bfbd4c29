"""Azure's HCL report with the report inside it, and its runtime data."""

from __future__ import annotations

from runtime.attestation.findings import EvidenceRefusedError, Findings
from runtime.attestation.tees.azure import hcl, overlay, runtime_data
from runtime.attestation.tees.snp import report
from runtime.errors import MalformedError
from tests.fakes import azure, snp_report
from tests.fuzz.target import Target, harmless


def _hcl(data: bytes) -> None:
    parsed = hcl.parse(data)
    assert len(parsed.report_data) == 64
    assert len(parsed.measurement) == 48
    if parsed.kind == "snp":
        harmless(report.parse, parsed.tee_report)
    overlay.read_runtime(Findings(), parsed, parsed.report_data)


def _hcl_seeds() -> list[bytes]:
    text = azure.runtime_json()
    wanted = azure.report_data(text)
    snp = snp_report.unsigned("Milan", report_data=wanted)
    return [
        azure.hcl(snp, text, azure.SNP),
        azure.hcl(azure.td_report(wanted), text, azure.TDX, pad=0),
    ]


TARGETS = (
    Target(
        name="hcl_report",
        read=_hcl,
        seeds=_hcl_seeds,
        roles=("hcl_report",),
        refuses=(MalformedError, EvidenceRefusedError),
    ),
    Target(
        name="runtime_data",
        read=runtime_data.parse,
        seeds=lambda: [azure.runtime_json(), azure.runtime_json(**{"user-data": None})],
        roles=("runtime_json",),
    ),
)
