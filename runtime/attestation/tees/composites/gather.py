"""How composites take evidence apart: items, roots by vendor, parts tried one after the other. Pure.

A part that refuses, or cannot be read, does not end the appraisal of the others: `attempt` keeps its checks,
`read` notes where its bytes stopped to make sense, so that one refusal names what is wrong with every part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hmac import compare_digest
from typing import Literal, TypeVar

from runtime.attestation import certificates
from runtime.attestation.certificates import Certificate, RevocationList
from runtime.attestation.eventlog import tcg
from runtime.attestation.findings import Check, EvidenceRefusedError, Findings, Reason
from runtime.attestation.formats import QUOTED_REGISTERS
from runtime.attestation.snp_claims import Claims, TrustRoot
from runtime.attestation.tees.composites.claims import AkClaims, BootRegisters, Root
from runtime.attestation.tees.google import launch_endorsement
from runtime.attestation.tees.google.launch_endorsement import GoogleRoot, LaunchClaims
from runtime.attestation.tees.nitro.chain import NitroRoot
from runtime.attestation.tees.snp import SnpTee
from runtime.attestation.tees.tdx.pck import IntelRoot
from runtime.attestation.tees.tpm import ak, attest
from runtime.attestation.tees.tpm.ak import AkPath, AkRoot
from runtime.attestation.tees.tpm.quote import QuoteDemand, QuoteEvidence
from runtime.attestation.wire import Evidence
from runtime.documents import times
from runtime.errors import MalformedError

SNP_ENDORSEMENTS = ("vek", "intermediate", "root", "crl", "cert_table")
AK_PATH = ("ak_certificate", "ak_authority_1", "ak_authority_2", "ak_root")
AK_LISTS = ("ak_crl", "ak_authority_1_crl", "ak_authority_2_crl")  # of the issuers, the leaf's first
LOGGED = frozenset({4, 7, 11})  # registers that a boot log has to explain; PCR14 is extended after it ends
_BANKS = {"sha256": attest.SHA256, "sha384": attest.SHA384}

T = TypeVar("T")


Part = Literal["snp", "tdx", "vtpm", "ak", "hcl", "nitro", "launch", "log"]


def read(findings: Findings, part: Part, make: Callable[[], T]) -> T | None:
    """Return what `make` returns; if the part's bytes are malformed, note where, and return None."""
    try:
        return make()
    except MalformedError as error:
        where = "" if error.offset is None else f" at byte {error.offset}"
        findings.require(
            False,  # noqa: FBT003 - what is required could not be read
            f"{part}.malformed",
            Reason.MALFORMED,
            expected=f"a well-formed {error.what}",
            actual=f"malformed{where}: {error.detail}",
            source=f"the bytes that came as {error.what}",
            remedy="have the Attester collect the evidence again: these bytes were cut or altered",
        )
        return None


def attempt(
    findings: Findings, make: Callable[[], T], prefix: str = "", *, part: Part | None = None
) -> T | None:
    """Return what `make` returns; if it refuses, keep its checks, ids behind `prefix`, and return None.

    Bytes that cannot be read are a failed check of `part`. Raises: MalformedError where no part is named.
    """
    try:
        return make() if part is None else read(findings, part, make)
    except EvidenceRefusedError as error:
        for check in error.checks:
            findings.require(
                False,  # noqa: FBT003 - what is required did not hold
                prefix + check.id,
                check.reason,
                expected=check.expected,
                actual=check.actual,
                source=check.source,
                remedy=check.remedy,
            )
        return None


def needed(findings: Findings, value: T | None) -> T:
    """Return a part that the next ones hang on. Raises: EvidenceRefusedError where it could not be read."""
    return findings.held(value) if value is None else value


def held(findings: Findings, value: T | None) -> T:
    """Return a part once everything held. Raises: EvidenceRefusedError, MalformedError."""
    return findings.held(value)


def snp(
    findings: Findings, report: bytes, evidence: Evidence, roots: tuple[Root, ...], now: int
) -> Claims | None:
    """Try an SNP report with AMD's endorsements of the evidence."""
    amd = tuple(root for root in roots if isinstance(root, TrustRoot))
    inner = Evidence(
        format="sev-snp",
        parts={"snp_report": report},
        endorsements={
            name: evidence.endorsements[name] for name in SNP_ENDORSEMENTS if name in evidence.endorsements
        },
    )
    return attempt(findings, lambda: SnpTee().verify(inner, amd, now), part="snp")


def intel_roots(roots: tuple[Root, ...]) -> tuple[IntelRoot, ...]:
    """Return Intel's."""
    return tuple(root for root in roots if isinstance(root, IntelRoot))


def ak_roots(roots: tuple[Root, ...]) -> tuple[AkRoot, ...]:
    """Return those for attestation keys."""
    return tuple(root for root in roots if isinstance(root, AkRoot))


def nitro_roots(roots: tuple[Root, ...]) -> tuple[NitroRoot, ...]:
    """Return AWS'."""
    return tuple(root for root in roots if isinstance(root, NitroRoot))


def quote_evidence(parts: Mapping[str, bytes]) -> QuoteEvidence:
    """Return the TPM's quote of the evidence."""
    return QuoteEvidence(
        message=parts["tpm_quote"],
        signature=parts["tpm_signature"],
        signature_format="tpmt",
        pcrs=parts["tpm_pcrs"],
    )


def quote_demand(qualifying_data: bytes) -> QuoteDemand:
    """Return what every quote has to be about: the same registers of the same bank."""
    return QuoteDemand(qualifying_data=qualifying_data, bank=attest.SHA256, registers=QUOTED_REGISTERS)


def ak_certificates(evidence: Evidence) -> tuple[bytes, ...]:
    """Return the certificates of the attestation key that came along, leaf first, root last."""
    return tuple(evidence.endorsements[name] for name in AK_PATH if name in evidence.endorsements)


def ak_claims(
    findings: Findings, evidence: Evidence, path: AkPath, ders: tuple[bytes, ...], now: int
) -> AkClaims:
    """Note what revocation lists say of the path; every certificate needs its own to count as looked at."""
    loaded = [certificates.load(data, "AK certificate") for data in ders]
    lists: list[RevocationList] = []
    for depth, issuer in enumerate(loaded[1:]):  # each list is of the authority above, the leaf's first
        name = AK_LISTS[depth]
        data = evidence.endorsements.get(name)
        if data is not None:
            lists.append(_check_list(findings, name, data, issuer, loaded[depth], now))
    return AkClaims(
        root=path.root,
        revocation_checked=len(lists) == len(loaded) - 1,
        endorsed_until=min((path.endorsed_until, *(crl.next_update for crl in lists))),
        newest_endorsement=max((path.newest_endorsement, *(crl.this_update for crl in lists))),
    )


def _check_list(
    findings: Findings, name: str, data: bytes, issuer: Certificate, below: Certificate, now: int
) -> RevocationList:
    crl = certificates.load_crl(data)
    check = "ak.crl" if name == "ak_crl" else name.replace("_", ".", 1)
    findings.require(
        ak.is_list_of(crl, issuer),
        f"{check}.signature",
        Reason.REVOCATION_UNKNOWN,
        expected="a complete list signed by the authority above",
        actual="another list",
        source="the revocation list",
        remedy="offer the lists of this path's authorities, or none",
    )
    findings.require(
        crl.this_update <= now < crl.next_update,
        f"{check}.dates",
        Reason.REVOCATION_UNKNOWN,
        expected=f"a time from {times.show(crl.this_update)} and before {times.show(crl.next_update)}",
        actual=times.show(now),
        source="the revocation list",
        remedy="fetch a current revocation list, and look at this machine's clock",
    )
    findings.require(
        below.serial not in crl.serials,
        f"{check}.revoked",
        Reason.REVOKED,
        expected=f"no entry for serial {below.serial:#x}",
        actual="an entry for it",
        source="the revocation list",
        remedy="the provider revoked this certificate: find out why before this machine is used again",
    )
    return crl


def bound(findings: Findings, check: str, found: bytes, wanted: bytes, source: str) -> None:
    """Note whether one carrier holds what ties it to this connection."""
    findings.require(
        compare_digest(found, wanted),
        check,
        Reason.BINDING,
        expected=wanted.hex()[:32] + "…",
        actual=found.hex()[:32] + ("…" if found else "none"),
        source=source,
        remedy="evidence of another connection, direction or epoch: somebody may be relaying it",
    )


def report_binding(found: bytes, binder: bytes) -> tuple[Check, ...]:
    """Return what fails of the check that a CPU's report carries the binder."""
    findings = Findings()
    bound(findings, "binding.report_data", found, binder, "REPORT_DATA in the chip's signed report")
    return findings.failed()


def explained(findings: Findings, evidence: Evidence, registers: BootRegisters) -> bool:
    """Note whether the event log, if one came along, leads to the registers; tell whether one did."""
    data = evidence.endorsements.get("event_log")
    if data is None:
        return False
    bank = _BANKS[registers.bank]  # a log without its digests is as good as one that cannot be read
    events = read(
        findings, "log", lambda: tcg.explain(findings, tcg.parse(data), bank, registers.values, LOGGED)
    )
    return events is not None


def launch(
    findings: Findings,
    evidence: Evidence,
    technology: Literal["snp", "tdx"],
    roots: tuple[Root, ...],
    now: int,
) -> LaunchClaims | None:
    """Try Google's launch endorsement, if one came along."""
    data = evidence.endorsements.get("launch_endorsement")
    if data is None:
        return None
    google = tuple(root for root in roots if isinstance(root, GoogleRoot))
    return attempt(findings, lambda: launch_endorsement.verify(data, technology, google, now), part="launch")


def missing_ak(findings: Findings) -> None:
    """Note that nobody vouches for the attestation key."""
    findings.require(
        False,  # noqa: FBT003 - what is required did not come along
        "endorsements.ak_certificate",
        Reason.CHAIN,
        expected="the certificates of the attestation key",
        actual="missing",
        source="what came along with the evidence",
        remedy="the Attester sends them: read them from the TPM and the provider",
    )
