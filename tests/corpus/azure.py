"""Azure cases, SNP and TDX: how each fact is found, what each mutation changes. Pure, but for `cases`."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from runtime.attestation.findings import EvidenceRefusedError, Findings
from runtime.attestation.tees import Root
from runtime.attestation.tees.azure import hcl, overlay, runtime_data
from runtime.attestation.tees.azure.hcl import HclReport
from runtime.attestation.tees.azure.overlay import AzureDemand, ParavisorClaims
from runtime.attestation.tees.composites import azure as composite
from runtime.attestation.tees.composites import gather
from runtime.attestation.tees.snp import SnpTee
from runtime.attestation.tees.tdx import quote as td_quote
from runtime.attestation.tees.tdx import verify as tdx_verify
from runtime.attestation.wire import Evidence
from runtime.errors import MalformedError
from tests.corpus import cases, tpm
from tests.corpus import snp as snp_cases
from tests.corpus import tdx as tdx_cases
from tests.corpus.cases import Case
from tests.corpus.snp import NotApplicable
from tests.corpus.tpm import MALFORMED, QuoteSubject, flip, refusals
from tests.fakes import azure as fakes

PLATFORMS = ("azure-snp-vtpm", "azure-tdx-vtpm")
_TEE_AT, _JSON_AT = 0x20, 0x4C0 + 20


@dataclass(frozen=True, slots=True)
class InnerCase(Case):
    """A case whose SNP report is the one inside its HCL report."""

    def one(self, role: str) -> bytes | None:
        if role == "snp_report":
            return report_of(self).tee_report
        return Case.one(self, role)


def inner(case: Case) -> Case:
    return InnerCase(case.path, case.about)


def has_report(case: Case) -> bool:
    """Whether the case is a paravisor's: its HCL report, or the two parts of one, came along."""
    return bool(case.count("hcl_report") or case.count("runtime_json"))


def report_bytes(case: Case) -> bytes:
    """Return the HCL report; where only its parts were published, they in the frame that nothing signs."""
    data, text = Case.one(case, "hcl_report"), case.one("runtime_json")
    if data is not None:
        return data
    chip, td = Case.one(case, "snp_report"), case.one("td_report")
    inner = chip or td
    assert text is not None, f"{case.path}: no hcl_report and no runtime_json"
    assert inner is not None, f"{case.path}: no hcl_report, and no report to go with runtime_json"
    return fakes.hcl(inner, text, fakes.SNP if chip else fakes.TDX)


def report_of(case: Case) -> HclReport:
    return hcl.parse(report_bytes(case))


@dataclass(frozen=True, slots=True)
class Subject:
    """A case made ready for the verifiers of its parts."""

    hcl_report: bytes
    td_quote: bytes | None
    td_collateral: bytes | None
    chip: snp_cases.Subject | None  # None where no endorsement of the report came along
    quotes: tuple[QuoteSubject, ...]
    ak_path: tuple[bytes, ...]
    now: int

    def refused(self) -> frozenset[str]:
        """Return why any part of it is refused; nothing if none is."""
        try:
            return self._refused()
        except MalformedError:
            return frozenset({MALFORMED})

    def _refused(self) -> frozenset[str]:
        report = hcl.parse(self.hcl_report)
        findings = Findings()
        report_data = report.report_data
        found: frozenset[str] = frozenset()
        if self.td_quote is not None:
            quoted = td_quote.parse(self.td_quote).report
            report_data = quoted.report_data
            overlay.check_td_report(findings, report, quoted)
            found |= self._tdx_refused(self.td_quote)
        if self.chip is not None:
            found |= self._snp_refused(report)
        try:
            runtime = overlay.read_runtime(findings, report, report_data)
        except EvidenceRefusedError as error:
            return found | refusals(error.checks)
        overlay.check_ak(findings, runtime, self.ak_path, tpm.ak_roots()[0], self.now)
        found |= refusals(findings.failed())
        for quote in self.quotes:
            if quote.values is None:
                found |= quote.signature_refused()
            else:
                found |= quote.refused(tpm.demand_of(quote.parsed))
        return found

    def _snp_refused(self, report: HclReport) -> frozenset[str]:
        assert self.chip is not None
        evidence = replace(self.chip, report=report.tee_report).evidence()
        try:
            SnpTee().verify(evidence, cases.anchors().pins, self.now)
        except EvidenceRefusedError as error:
            return refusals(error.checks)
        return frozenset()

    def _tdx_refused(self, data: bytes) -> frozenset[str]:
        try:
            tdx_verify.verify(data, self.td_collateral, tdx_cases.intel_roots(), self.now)
        except EvidenceRefusedError as error:
            return refusals(error.checks)
        return frozenset()


def subject(case: Case) -> Subject:
    data = report_bytes(case)
    report = hcl.parse(data)
    chip = snp_cases.subject(inner(case)) if report.kind == "snp" else None
    return Subject(
        hcl_report=data,
        td_quote=case.one("td_quote"),
        td_collateral=case.one("td_collateral"),
        chip=chip if chip is not None and chip.leaf is not None else None,
        quotes=tuple(entry for entry in tpm.quotes(case) if entry.key is not None),
        ak_path=tpm.ak_path(case),
        now=tpm.now_of(case),
    )


def whole(made: Subject) -> Callable[[], ParavisorClaims]:
    """Return the steps of the composites, for what this quote answers. Raises: NotApplicable."""
    usable = [entry for entry in made.quotes if entry.values is not None]
    report = hcl.parse(made.hcl_report)
    user_data = runtime_data.parse(report.runtime_json).user_data
    if not usable or user_data is None:
        message = "the case has no quote with values, or no user data"
        raise NotApplicable(message)
    if made.chip is None and made.td_quote is None:
        message = "nothing vouches for the report"
        raise NotApplicable(message)
    demand = AzureDemand(user_data=user_data, quote=tpm.demand_of(usable[0].parsed))
    roots: tuple[Root, ...] = (*cases.anchors().pins, *tdx_cases.intel_roots(), *tpm.ak_roots()[0])
    evidence = _evidence(made)

    def verify() -> ParavisorClaims:
        findings, signed = Findings(), report.report_data
        if made.td_quote is None:
            gather.snp(findings, report.tee_report, evidence, roots, made.now)
        else:
            quoted = td_quote.parse(made.td_quote).report
            pins = gather.intel_roots(roots)
            gather.attempt(
                findings,
                lambda: tdx_verify.verify(made.td_quote or b"", made.td_collateral, pins, made.now),
            )
            overlay.check_td_report(findings, report, quoted)
            signed = quoted.report_data
        runtime, path, _ = composite.vouched(findings, evidence, report, signed, roots, made.now)
        claims = overlay.check(findings, report, runtime, demand, usable[0].evidence(), path)
        findings.settle()
        return claims

    return verify


def _evidence(made: Subject) -> Evidence:
    """Return what came along, by the names of the formats."""
    names = gather.AK_PATH if len(made.ak_path) == len(gather.AK_PATH) else (*gather.AK_PATH[:2], "ak_root")
    chip = {} if made.chip is None else made.chip.evidence().endorsements
    path = dict(zip(names, made.ak_path, strict=True)) if made.ak_path else {}
    return Evidence(format="azure", parts={}, endorsements={**chip, **path})


# Facts


def hcl_facts(case: Case) -> dict[str, Callable[[], Any]]:
    """Return how each fact about the HCL report is found."""
    report = report_of(case)
    runtime = runtime_data.parse(report.runtime_json)

    def bound() -> bool:
        findings = Findings()
        overlay.check_runtime(findings, report, report.report_data)
        return not findings.failed()

    return {
        "report_type": lambda: report.kind,
        "header_version": lambda: report.header_version,
        "hash_type": lambda: "sha256",
        "runtime_data_sha256": report.runtime_digest.hex,
        "runtime_data_size": lambda: len(report.runtime_json),
        "runtime_data_bound": bound,
        "runtime_keys": lambda: list(runtime.keys),
        "vm_unique_id": lambda: runtime.vm_unique_id,
        "measurement": report.measurement.hex,
        "report_data": report.report_data.hex,
        "user_data": lambda: None if runtime.user_data is None else runtime.user_data.hex(),
        "secure_boot": lambda: runtime.secure_boot,
        "console_enabled": lambda: runtime.console_enabled,
    }


# Mutations

Change = Callable[[Subject, Case], Subject]


def _flip_runtime(made: Subject, _: Case) -> Subject:
    return replace(made, hcl_report=flip(made.hcl_report, _JSON_AT + 20))


def _flip_measurement(made: Subject, _: Case) -> Subject:
    if made.chip is None:
        message = "the case has no endorsement"
        raise NotApplicable(message)
    return replace(made, hcl_report=flip(made.hcl_report, _TEE_AT + 0x90))


def _quotes(change: Callable[[QuoteSubject], QuoteSubject]) -> Change:
    def apply(made: Subject, _: Case) -> Subject:
        if not made.quotes:
            message = "the case has no quote with a key"
            raise NotApplicable(message)
        return replace(made, quotes=tuple(change(entry) for entry in made.quotes))

    return apply


@cache
def _other_key() -> rsa.RSAPublicKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()


def with_other_ak(report: bytes) -> bytes:
    """Return an HCL report whose runtime JSON names another key, all sizes made right."""
    (size,) = struct.unpack_from("<I", report, _JSON_AT - 4)
    text = report[_JSON_AT : _JSON_AT + size]
    own = runtime_data.parse(text).ak.public_numbers().n
    names = [
        base64.urlsafe_b64encode(number.to_bytes(256, "big")).rstrip(b"=")
        for number in (own, _other_key().public_numbers().n)
    ]
    assert text.count(names[0]) == 1
    return report[:_JSON_AT] + text.replace(names[0], names[1]) + report[_JSON_AT + size :]


def _other_ak(made: Subject, _: Case) -> Subject:
    return replace(made, hcl_report=with_other_ak(made.hcl_report))


def _other_vek(made: Subject, case: Case) -> Subject:
    if made.chip is None:
        message = "the case has no endorsement"
        raise NotApplicable(message)
    return replace(made, chip=snp_cases.MUTATIONS["snp-other-vek"](inner(case)))


def _flip_td_quote(made: Subject, _: Case) -> Subject:
    if made.td_quote is None:
        message = "the case has no TD quote"
        raise NotApplicable(message)
    mrtd = td_quote.parse(made.td_quote).report.mrtd
    return replace(made, td_quote=flip(made.td_quote, made.td_quote.index(mrtd)))


def _other_td_quote(made: Subject, case: Case) -> Subject:
    for other in cases.every_case():
        data = other.one("td_quote") if other.path != case.path else None
        if data is not None and made.td_quote is not None and data != made.td_quote:
            return replace(made, td_quote=data)
    message = "no other case has a TD quote"
    raise NotApplicable(message)


MUTATIONS: Mapping[str, Change] = {
    "az-flip-runtime": _flip_runtime,
    "az-flip-measurement": _flip_measurement,
    "az-flip-quote": _quotes(tpm.flipped_quote),
    "az-flip-quote-signature": _quotes(tpm.flipped_signature),
    "az-change-pcr": _quotes(tpm.changed_value),
    "az-truncate": lambda made, _: replace(made, hcl_report=made.hcl_report[:0x4BF]),
    "az-other-ak": _other_ak,
    "az-other-vek": _other_vek,
    "az-flip-td-quote": _flip_td_quote,
    "az-other-td-quote": _other_td_quote,
}
