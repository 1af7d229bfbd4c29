"""SNP reports, and whole SNP evidence: nobody unpinned is ever believed."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from runtime.attestation import wire
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.tees import TEES
from runtime.attestation.tees.snp import report, vek
from runtime.attestation.wire import Evidence
from runtime.errors import MalformedError
from tests.corpus.cases import PRODUCTS
from tests.fakes import snp_report
from tests.fuzz import x509
from tests.fuzz.target import Target, harmless

_NOW = 1_800_000_000


def _report(data: bytes) -> None:
    parsed = report.parse(data)
    assert parsed.signed == data[: report.SIGNED_BYTES]
    for raw in (parsed.current_tcb, parsed.reported_tcb, parsed.committed_tcb, parsed.launch_tcb):
        for product in PRODUCTS:
            harmless(report.tcb, raw, product)


def _report_seeds() -> list[bytes]:
    key = ec.generate_private_key(ec.SECP384R1())
    lines = [snp_report.unsigned(product, version=version) for product in PRODUCTS for version in (2, 3, 5)]
    return [snp_report.sign(line, key) for line in lines]


def _extension(data: bytes) -> None:
    harmless(vek.der_integer, data, "fuzz")
    harmless(vek.der_ia5_string, data, "fuzz")
    harmless(vek.der_octets, data, 64, "fuzz")


def _evidence(data: bytes) -> None:
    evidence = wire.decode(data)
    assert wire.encode(evidence) == data


def _whole(data: bytes) -> None:
    evidence, tee = wire.decode(data), TEES["sev-snp"]
    if evidence.format != "sev-snp":
        return
    harmless(tee.endorsements_needed, evidence)
    tee.verify(evidence, bytes(64), (), _NOW)
    message = "claims without a pinned root"
    raise AssertionError(message)


def _evidence_seeds() -> list[bytes]:
    root, middle, leaf, crl = x509.amd()
    endorsements = {"root": root, "intermediate": middle, "vek": leaf, "crl": crl}
    made = Evidence(format="sev-snp", parts={"snp_report": _report_seeds()[0]}, endorsements=endorsements)
    return [wire.encode(made), b"CTE1\x07sev-snp"]


TARGETS = (
    Target(name="snp_report", read=_report, seeds=_report_seeds, roles=("snp_report",), max_size=1200),
    Target(
        name="vek_extension",
        read=_extension,
        seeds=lambda: [b"\2\2\0\xdb", b"\x16\5Genoa", b"\4\x40" + bytes(64), bytes(64)],
        max_size=256,
    ),
    Target(name="evidence", read=_evidence, seeds=_evidence_seeds, max_size=8192),
    Target(
        name="snp_evidence",
        read=_whole,
        seeds=_evidence_seeds,
        max_size=8192,
        refuses=(MalformedError, EvidenceRefusedError),
    ),
)
