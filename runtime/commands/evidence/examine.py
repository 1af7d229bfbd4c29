"""Evidence part by part: which are true, who vouches, and what they do not prove. Pure, and no verdict.

For evidence that is no member's, or not all of it: a single report, a quote from elsewhere. Each part that is
there is verified as in an appraisal (signature, chain, revocation, dates); rules that need no owner (debug,
migration, a TCB that the vendor calls out of date) are applied at their strictest. Whether anybody accepts
the machine is a fleet document's to say, so the best that comes out is a grade that it could have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest

from runtime.attestation import known_weak
from runtime.attestation.eventlog import ccel
from runtime.attestation.model import Claims, Evidence, Findings, Reason, Statement, TrustRoot
from runtime.attestation.tees import Root
from runtime.attestation.tees.azure import hcl, overlay
from runtime.attestation.tees.azure import tdx as azure_tdx
from runtime.attestation.tees.azure.hcl import HclReport
from runtime.attestation.tees.azure.runtime_data import RuntimeData
from runtime.attestation.tees.composites import gather
from runtime.attestation.tees.nitro import verify as nitro
from runtime.attestation.tees.snp import SnpTee
from runtime.attestation.tees.snp import report as snp_report
from runtime.attestation.tees.tdx import quote as td_quote
from runtime.attestation.tees.tdx import rules
from runtime.attestation.tees.tdx import verify as tdx
from runtime.attestation.tees.tdx.rules import TdxRules
from runtime.attestation.tees.tdx.tcb_info import TcbStatus
from runtime.attestation.tees.tdx.verify import TdxClaims
from runtime.attestation.tees.tpm import attest, public, signature
from runtime.attestation.tees.tpm.public import PublicKey
from runtime.documents import times
from runtime.errors import UsageError

_AMD, _INTEL = "AMD CPU", "Intel CPU"
_PARAVISOR = "Microsoft's paravisor, which the CPU's report covers"
_NITRO = "AWS' Nitro hypervisor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What the caller says it asked for; None: it says nothing, and freshness stays open."""

    report_data: bytes | None  # 64: REPORT_DATA, user data
    nonce: bytes | None  # qualifying data of a quote, nonce of a document


@dataclass(slots=True, kw_only=True)
class Examination:
    """What came out."""

    findings: Findings = field(default_factory=Findings)
    statements: list[Statement] = field(default_factory=list[Statement])
    not_proven: list[str] = field(default_factory=list[str])
    grade: str = "none"
    why: str = "no part of it says who measured an image"

    def say(self, claim: str, value: str, measured_by: str) -> None:
        """Note one true statement and whose it is."""
        self.statements.append(Statement(claim=claim, value=value, measured_by=measured_by))


def examine(
    parts: Mapping[str, bytes],
    endorsements: Mapping[str, bytes],
    roots: tuple[Root, ...],
    challenge: Challenge,
    now: int,
) -> Examination:
    """Look at every part. Raises: MalformedError, UsageError (nothing that can be looked at)."""
    made = _Examiner(parts, endorsements, roots, challenge, now)
    made.run()
    return made.out


class _Examiner:
    def __init__(
        self,
        parts: Mapping[str, bytes],
        endorsements: Mapping[str, bytes],
        roots: tuple[Root, ...],
        challenge: Challenge,
        now: int,
    ) -> None:
        self.parts, self.endorsements = parts, endorsements
        self.roots, self.challenge, self.now = roots, challenge, now
        self.out = Examination()
        self.used: set[str] = set()

    def run(self) -> None:
        steps: dict[str, Callable[[], None]] = {
            "hcl_report": self._azure,
            "snp_report": lambda: self._grade_snp(self._snp(self.parts["snp_report"])),
            "td_quote": self._td,
            "nitrotpm_document": self._nitro,
        }
        for name, step in steps.items():
            if name in self.parts and name not in self.used:
                step()
        if "tpm_quote" in self.parts and "tpm_quote" not in self.used:
            self._quote(None, "nobody: its key came along without anyone's word for it")
        if not self.used:
            message = "there is no part that can be examined by itself"
            raise UsageError(message, hint="give a report, a quote or a document with --part NAME=FILE")
        if self.out.findings.failed():
            self.out.grade, self.out.why = (
                "none",
                "checks failed: what they are about is not true or not acceptable",
            )

    # AMD

    def _snp(self, raw: bytes) -> Claims | None:
        self.used.add("snp_report")
        amd = tuple(root for root in self.roots if isinstance(root, TrustRoot))
        offered = {n: v for n, v in self.endorsements.items() if n in gather.SNP_ENDORSEMENTS}
        inner = Evidence(format="sev-snp", parts={"snp_report": raw}, endorsements=offered)
        claims = gather.attempt(self.out.findings, lambda: SnpTee().verify(inner, amd, self.now))
        if claims is None:
            return None
        certified = f"{_AMD}, certified by AMD"
        self.out.say("memory encryption", f"SEV-SNP on {claims.product}", certified)
        self.out.say("launch digest", claims.measurement.hex(), certified)
        self.out.say("firmware", str(claims.reported_tcb), certified)
        if claims.signer == "vcek":
            self.out.say("chip", claims.chip_id.hex(), certified)
        if claims.csp_id is not None:
            self.out.say("cloud and region", claims.csp_id, "AMD's certificate of the cloud's key")
        for reason, check, bad, remedy in (
            (Reason.DEBUG, "policy.debug", snp_report.POLICY_DEBUG, "launch it without the DEBUG policy bit"),
            (
                Reason.MIGRATION,
                "policy.migration",
                snp_report.POLICY_MIGRATE_MA,
                "launch it without MIGRATE_MA",
            ),
        ):
            self.out.findings.require(
                not claims.policy & bad,
                check,
                reason,
                expected="off",
                actual="on: the host can read or move this machine's memory",
                source=_AMD,
                remedy=remedy,
            )
        if not claims.revocation_checked:
            self.out.not_proven.append(
                "that AMD did not revoke the signing key: no revocation list came along"
            )
        self.out.not_proven += [
            f"that it is not forged: {claims.product} is known to be weak: {entry.effect} [{entry.citation}]"
            for entry in known_weak.weaknesses(claims)
        ]
        return claims

    def _grade_snp(self, claims: Claims | None) -> None:
        if claims is None:
            return
        self._bound("binding.report_data", claims.report_data, "REPORT_DATA", _AMD)
        if self.out.grade == "none":
            self.out.grade = "T"
            self.out.why = "the report speaks of firmware; which image and settings run, only its host says"

    # Intel

    def _td(self) -> None:
        claims = self._td_claims()
        if claims is None:
            return
        self._bound("binding.report_data", claims.report.report_data, "REPORT_DATA", _INTEL)
        self.out.grade = "V"
        self.out.why = (
            "the CPU's TDX module measured what booted (RTMR1, RTMR2); H needs a document that lists this "
            "RTMR0, without it the host could have run code by way of ACPI"
        )
        if "ccel" in self.parts:
            self.used.add("ccel")
            log = self.parts["ccel"]
            gather.attempt(self.out.findings, lambda: ccel.verify(log, claims.report.rtmrs))
        else:
            self.out.not_proven.append("what the registers stand for: no CC log came along")

    def _td_claims(self) -> TdxClaims | None:
        self.used.add("td_quote")
        data, collateral = self.parts["td_quote"], self.endorsements.get("tdx_collateral")
        pins = gather.intel_roots(self.roots)
        claims = gather.attempt(self.out.findings, lambda: tdx.verify(data, collateral, pins, self.now))
        # Debug is told whatever became of the rest: it is the first thing to change.
        if claims is None:
            self._debug(td_quote.parse(data).report.debug)
            return None
        rules.check(self.out.findings, claims, strictest(claims), self.now)
        self.out.say("memory encryption", "Intel TDX", f"{_INTEL}, certified by Intel")
        self.out.say("firmware", claims.report.mrtd.hex(), _INTEL)
        for number, value in enumerate(claims.report.rtmrs):
            self.out.say(f"RTMR{number}", value.hex(), _INTEL)
        self.out.say("TCB status", str(claims.tcb.status), "Intel's TCB info and QE identity")
        self.out.say("processor", claims.platform.ppid.hex(), "Intel's certificate of the platform")
        return claims

    def _debug(self, debug: bool) -> None:  # noqa: FBT001 - what the quote says
        self.out.findings.require(
            not debug,
            "td.debug",
            Reason.DEBUG,
            expected="DEBUG off",
            actual="DEBUG on: the host can read and write this guest's memory",
            source="TDATTRIBUTES of the quote",
            remedy="launch the guest without debug; what it held counts as disclosed",
        )

    # Azure

    def _azure(self) -> None:
        self.used.add("hcl_report")
        report = hcl.parse(self.parts["hcl_report"])
        if report.kind == "snp":
            if self._snp(report.tee_report) is None:
                return
            signed = report.report_data
        else:
            if "td_quote" not in self.parts:
                self.out.findings.require(
                    False,  # noqa: FBT003 - what is required did not come along
                    "td_quote.present",
                    Reason.CHAIN,
                    expected="the quote that the host made of the TDREPORT",
                    actual="none",
                    source="what came along",
                    remedy="ask Azure's metadata service for it: POST /acc/tdquote",
                )
                return
            claims = self._td_claims()
            quoted = td_quote.parse(self.parts["td_quote"]).report
            azure_tdx.check_td_report(self.out.findings, report, quoted)
            if claims is None:
                return
            signed = quoted.report_data
        self._paravisor(report, signed)

    def _paravisor(self, report: HclReport, signed: bytes) -> None:
        runtime = gather.attempt(self.out.findings, lambda: overlay.read_runtime(Findings(), report, signed))
        if runtime is None:
            return
        self.out.say("machine", f"vmUniqueId {runtime.vm_unique_id}", _PARAVISOR)
        self.out.say("Secure Boot", "on" if runtime.secure_boot else "off", _PARAVISOR)
        self._ak(runtime)
        self._bound("hcl.user_data", runtime.user_data or b"", "user-data", _PARAVISOR)
        self.out.grade = "P"
        self.out.why = "Microsoft's paravisor, inside of the TEE, measures the image into its TPM"
        if "tpm_quote" in self.parts:
            self._quote(runtime.ak, _PARAVISOR)
        else:
            self.out.not_proven.append("what booted: no quote of the paravisor's TPM came along")

    def _ak(self, runtime: RuntimeData) -> None:
        certificates = tuple(
            self.endorsements[name]
            for name in ("ak_certificate", "ak_authority_1", "ak_authority_2", "ak_root")
            if name in self.endorsements
        )
        pins = gather.ak_roots(self.roots)
        path = overlay.check_ak(self.out.findings, runtime, certificates, pins, self.now)
        if path is None:
            self.out.not_proven.append(
                "that Microsoft certified the attestation key: only the report names it"
            )
        else:
            self.out.say("attestation key", public_digest(runtime.ak), "Microsoft's certificate authority")

    # TPM

    def _quote(self, key: PublicKey | None, whose: str) -> None:
        self.used.add("tpm_quote")
        read = attest.parse(self.parts["tpm_quote"])
        if key is None:
            if "ak_public" not in self.parts:
                self.out.not_proven.append("the TPM's quote: nothing names its key")
                return
            self.used.add("ak_public")
            key = public.load_tpm2b(self.parts["ak_public"], "attestation key").key
            self.out.grade, self.out.why = "T", "a TPM that nobody vouches for"
        parsed = signature.parse(self.parts.get("tpm_signature", b""), "tpmt")
        algorithm = signature.hash_of(parsed, read.pcr_digest)
        ok = algorithm is not None and signature.made_by(key, parsed, algorithm, read.signed)
        self.out.findings.require(
            ok,
            "tpm.signature",
            Reason.SIGNATURE,
            expected="a signature by the attestation key",
            actual="one by another key, or none",
            source="the TPM's quote",
            remedy="show the quote of the machine whose report this is",
        )
        for chosen in read.selections:
            shown = ", ".join(str(index) for index in sorted(chosen.registers))
            bank = attest.BANK_NAMES.get(chosen.bank, f"{chosen.bank:#06x}")
            self.out.say("registers quoted", f"{bank}: PCR {shown}", f"the TPM of {whose}")
        self._nonce("tpm.qualifying_data", read.qualifying_data, "the quote's qualifying data", "the TPM")

    # AWS

    def _nitro(self) -> None:
        self.used.add("nitrotpm_document")
        data, pins = self.parts["nitrotpm_document"], gather.nitro_roots(self.roots)
        said = gather.attempt(
            self.out.findings,
            lambda: nitro.authenticate(data, kind="nitrotpm", roots=pins, now=self.now),
            "nitro.",
        )
        if said is None:
            return
        vouches = f"{_NITRO}, certified by AWS"
        self.out.say("machine", said.module_id, vouches)
        self.out.say("region", said.region, "AWS' certificate of the NitroTPM")
        self.out.say("made at", times.show(said.timestamp_ms // 1000), _NITRO)
        for index in (4, 7, 12):
            self.out.say(f"PCR{index}", said.pcrs[index].hex() if index in said.pcrs else "missing", vouches)
        if self.challenge.report_data is not None:
            self._bound("binding.nitro_user_data", said.user_data or b"", "user_data", _NITRO)
        self._nonce("nitro.document.nonce", said.nonce or b"", "the document's nonce", _NITRO)
        if self.out.grade == "none" or "snp_report" not in self.parts:
            self.out.grade, self.out.why = "N", "the provider's hypervisor alone says what booted"
        else:
            self.out.grade, self.out.why = (
                "V",
                "the hypervisor measured the image, the CPU encrypts the memory",
            )

    # Freshness

    def _bound(self, check: str, found: bytes, field_name: str, source: str) -> None:
        self._held(check, found, self.challenge.report_data, field_name, source, "--report-data")

    def _nonce(self, check: str, found: bytes, field_name: str, source: str) -> None:
        self._held(check, found, self.challenge.nonce, field_name, source, "--nonce")

    def _held(
        self, check: str, found: bytes, wanted: bytes | None, field_name: str, source: str, option: str
    ) -> None:
        if wanted is None:
            shown = found.hex() or "empty"
            self.out.not_proven.append(
                f"that it is fresh: {field_name} is {shown}, and no {option} says what it should be"
            )
            return
        self.out.findings.require(
            compare_digest(found, wanted),
            check,
            Reason.BINDING,
            expected=wanted.hex(),
            actual=found.hex() or "none",
            source=source,
            remedy="this evidence answers another challenge: ask the machine again, with yours",
        )


def public_digest(key: PublicKey) -> str:
    """Return how a key is named to people: SHA-256 of its SubjectPublicKeyInfo."""
    return sha256(public.spki(key)).hexdigest()


def strictest(claims: TdxClaims) -> TdxRules:
    """Return the rules that need no owner; what only one can say (firmware, module) is taken as it is."""
    report = claims.report
    return TdxRules(
        least_evaluation_number=0,
        statuses=frozenset({TcbStatus.UP_TO_DATE}),
        out_of_date_grace_days=0,
        refused_advisories=frozenset(),
        mrtd=frozenset({report.mrtd}),
        mrseam=frozenset({report.mrseam}),
        mrconfigid=report.mrconfigid,
        mrowner=report.mrowner,
        mrownerconfig=report.mrownerconfig,
        xfam_allowed=report.xfam,
        sept_ve_disable=bool(report.td_attributes & tdx.ATTRIBUTE_SEPT_VE_DISABLE),
        allow_pks=True,
        allow_key_locker=True,
        allow_perfmon=False,
        allow_dynamic_platform=True,
        allow_cached_keys=True,
        allow_smt=True,
    )
