"""Evidence part by part: which are true, who vouches, and what they do not prove. Pure, and no verdict.

For evidence that is no member's, or not all of it: a single report, a quote from elsewhere. Each item that is
there is verified by the checks that an appraisal makes (signature, chain, revocation, dates, registers, log),
those for which a challenge is wanted only if the caller states one; rules that need no owner (debug,
migration, a TCB that the vendor calls out of date) are applied at their strictest. What could not be looked
at is named. Whether anybody accepts the machine is a fleet document's to say, so the best that comes out is
a grade that it could have.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Literal

from runtime.attestation import known_weak, platform_policy, snp_policy
from runtime.attestation.eventlog import ccel
from runtime.attestation.findings import Reason
from runtime.attestation.snp_claims import Claims
from runtime.attestation.tees import Root
from runtime.attestation.tees.azure import hcl, overlay
from runtime.attestation.tees.composites import azure, gather
from runtime.attestation.tees.nitro import Kind, NitroClaims
from runtime.attestation.tees.nitro import verify as nitro
from runtime.attestation.tees.tdx import quote as td_quote
from runtime.attestation.tees.tdx import rules
from runtime.attestation.tees.tdx import verify as tdx
from runtime.attestation.tees.tdx.rules import TdxRules
from runtime.attestation.tees.tdx.tcb_info import TcbStatus
from runtime.attestation.tees.tdx.verify import TdxClaims
from runtime.attestation.tees.tpm import attest, public
from runtime.attestation.wire import Evidence
from runtime.commands.evidence import examine_tpm, files
from runtime.commands.evidence.examination import Challenge, Examination
from runtime.commands.evidence.examine_tpm import Held, Key
from runtime.documents import times
from runtime.errors import UsageError

_AMD, _INTEL = "AMD CPU", "Intel CPU"
_PARAVISOR = "Microsoft's paravisor, which the CPU's report covers"
_NITRO = "AWS' Nitro hypervisor"
_DOCUMENTS: Mapping[Kind, str] = {"nitrotpm": "nitrotpm_document", "enclave": files.ENCLAVE}


def examine(
    parts: Mapping[str, bytes],
    endorsements: Mapping[str, bytes],
    roots: tuple[Root, ...],
    challenge: Challenge,
    now: int,
) -> Examination:
    """Look at every part. Raises: MalformedError, UsageError (nothing that can be looked at)."""
    examiner = _Examiner(parts, endorsements, roots, challenge, now)
    examiner.run()
    return examiner.out


class _Examiner:
    def __init__(
        self,
        parts: Mapping[str, bytes],
        endorsements: Mapping[str, bytes],
        roots: tuple[Root, ...],
        challenge: Challenge,
        now: int,
    ) -> None:
        self.evidence = Evidence(format="examined", parts=parts, endorsements=endorsements)
        self.parts, self.roots, self.now = parts, roots, now
        self.out = Examination(challenge=challenge)
        self.chip: Claims | None = None  # of AMD's report, if it holds
        self.held = Held(evidence=self.evidence, roots=roots, now=now, out=self.out)

    def run(self) -> None:
        if "hcl_report" in self.parts:
            self._azure()
        else:
            if "snp_report" in self.parts:
                self._snp_alone()
            if "td_quote" in self.parts:
                self._td_alone()
        for kind, name in _DOCUMENTS.items():
            if name in self.parts:
                self._nitro(kind, name)
        if "tpm_quote" in self.parts:
            examine_tpm.look(self.held)
        if not self.held.used:
            message = "there is no part that can be examined by itself"
            raise UsageError(message, hint="give a report, a quote or a document with --part NAME=FILE")
        self._left()
        if not files.one_platform(self.parts):
            self.out.not_proven.append(f"that these parts are of one machine: {files.TOGETHER_NOWHERE}")
        self._grade()

    def _left(self) -> None:
        """Name what came along and nothing above looked at."""
        for name in sorted({*self.parts, *self.evidence.endorsements} - self.held.used):
            why = self.held.left.get(name, "what it belongs to did not come along, or does not hold")
            self.out.not_proven.append(f"{name}, which was not examined: {why}")

    def _grade(self) -> None:
        if self.out.findings.failed():
            self.out.grade, self.out.why = (
                "none",
                "checks failed: what they are about is not true or not acceptable",
            )
        elif not files.one_platform(self.parts):
            self.out.why = f"{files.TOGETHER_NOWHERE}, so no machine can have been shown"
        elif self.held.graded:
            self.out.grade, self.out.why = min(self.held.graded, key=lambda one: "HPVNT".index(one[0]))
            if any(root.kind == "test" for root in self.held.chained):
                self.out.grade, self.out.why = "T", "it chains to a root of tests: nobody vouches for it"

    # AMD

    def _snp(self, raw: bytes) -> Claims | None:
        claims = gather.snp(self.out.findings, raw, self.evidence, self.roots, self.now)
        if claims is None:
            return None
        offered = set(self.evidence.endorsements)
        table = {"cert_table"} if not {"vek", "intermediate", "root", "crl"} <= offered else set[str]()
        self.held.use(*({*gather.SNP_ENDORSEMENTS} - {"cert_table"}), *table)
        self.held.left["cert_table"] = "its certificates came along by themselves, and they were looked at"
        self.held.chained.append(claims.root)
        certified = f"{_AMD}, certified by AMD"
        self.out.say("memory encryption", f"SEV-SNP on {claims.product}", certified)
        self.out.say("launch digest", claims.measurement.hex(), certified)
        self.out.say("firmware", str(claims.reported_tcb), certified)
        if claims.signer == "vcek":
            self.out.say("chip", claims.chip_id.hex(), certified)
        if claims.csp_id is not None:
            self.out.say("cloud and region", claims.csp_id, "AMD's certificate of the cloud's key")
        snp_policy.check_never(self.out.findings, claims)
        self.chip = claims
        if not claims.revocation_checked:
            self.out.not_proven.append(
                "that AMD did not revoke the signing key: no revocation list came along"
            )
        self.out.not_proven += [
            f"that it is not forged: {claims.product} is known to be weak: {entry.effect} [{entry.citation}]"
            for entry in known_weak.weaknesses(claims)
        ]
        return claims

    def _snp_alone(self) -> None:
        self.held.use("snp_report")
        claims = self._snp(self.parts["snp_report"])
        if claims is None:
            return
        self.held.report = ("snp_report", self.parts["snp_report"], claims.report_data)
        self.out.bound("binding.report_data", claims.report_data, "REPORT_DATA", _AMD)
        self._launch("snp", claims.measurement)
        self.held.graded.append(
            ("T", "the report speaks of firmware; which image and settings run, only its host says")
        )

    def _launch(self, technology: Literal["snp", "tdx"], measurement: bytes) -> None:
        """Look at Google's word for the firmware, if it came along."""
        said = gather.launch(self.out.findings, self.evidence, technology, self.roots, self.now)
        if "launch_endorsement" in self.evidence.endorsements:
            self.held.use("launch_endorsement")
        if said is None:
            return
        self.held.chained.append(said.root)
        if measurement in said.measurements:
            self.out.say("firmware's version", str(said.svn), "Google's launch endorsement")
        else:
            self.out.not_proven.append(
                "launch_endorsement: that Google endorses this firmware: it is about others"
            )

    # Intel

    def _td_alone(self) -> None:
        claims = self._td()
        if claims is None:
            return
        self.held.report = ("td_quote", self.parts["td_quote"], claims.report.report_data)
        self.out.bound("binding.report_data", claims.report.report_data, "REPORT_DATA", _INTEL)
        self._launch("tdx", claims.report.mrtd)
        self.held.settings("RTMR3", claims.report.rtmrs[3])
        self.held.graded.append(
            (
                "V",
                "the CPU's TDX module measured what booted (RTMR1, RTMR2); H needs a document that lists "
                "this RTMR0, without it the host could have run code by way of ACPI",
            )
        )
        if "ccel" not in self.parts:
            self.out.not_proven.append("what the registers stand for: no CC log came along")

    def _td(self) -> TdxClaims | None:
        self.held.use("td_quote")
        data, collateral = self.parts["td_quote"], self.evidence.endorsements.get("tdx_collateral")
        pins = gather.intel_roots(self.roots)
        claims = gather.attempt(self.out.findings, lambda: tdx.verify(data, collateral, pins, self.now))
        # Debug and the like are told whatever became of the rest: they are the first things to change.
        if claims is None:
            rules.check_never(self.out.findings, td_quote.parse(data).report)
            return None
        self.held.use("tdx_collateral")
        self.held.chained.append(claims.root)
        rules.check(self.out.findings, claims, strictest(claims), self.now)
        self.out.not_proven += rules.unseen(claims)
        self.out.say("memory encryption", "Intel TDX", f"{_INTEL}, certified by Intel")
        self.out.say("firmware", claims.report.mrtd.hex(), _INTEL)
        for number, value in enumerate(claims.report.rtmrs):
            self.out.say(f"RTMR{number}", value.hex(), _INTEL)
        self.out.say("TCB status", str(claims.tcb.status), "Intel's TCB info and QE identity")
        self.out.say("processor", claims.platform.ppid.hex(), "Intel's certificate of the platform")
        if "ccel" in self.parts:
            self.held.use("ccel")
            log = self.parts["ccel"]
            gather.attempt(self.out.findings, lambda: ccel.verify(log, claims.report.rtmrs), part="log")
            self.out.not_proven.append("ccel: the types and texts of its events: registers prove digests")
        return claims

    # Azure

    def _azure(self) -> None:
        self.held.use("hcl_report")
        report = hcl.parse(self.parts["hcl_report"])
        signed = report.report_data
        if report.kind == "snp":
            if self._snp(report.tee_report) is None:
                return
        elif "td_quote" not in self.parts:
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
        else:
            quoted = td_quote.parse(self.parts["td_quote"]).report
            overlay.check_td_report(self.out.findings, report, quoted)
            if self._td() is None:
                return
            signed = quoted.report_data
            self.out.not_proven.append(
                "hcl_report: what its TDREPORT says beside MRTD and REPORT_DATA, which nothing here reads"
            )
        self._paravisor(report, signed)

    def _paravisor(self, report: hcl.HclReport, signed: bytes) -> None:
        found = self.out.settled(
            lambda own: azure.vouched(own, self.evidence, report, signed, self.roots, self.now)
        )
        if found is None:
            return
        runtime, _, ak = found
        self.out.say("machine", f"vmUniqueId {runtime.vm_unique_id.lower()}", _PARAVISOR)
        self.out.say("Secure Boot", "on" if runtime.secure_boot else "off", _PARAVISOR)
        if ak is None:
            self.out.not_proven.append(
                "that Microsoft certified the attestation key: only the report names it"
            )
        else:
            self.held.certified(ak, "Microsoft")
            named = sha256(public.spki(runtime.ak)).hexdigest()
            self.out.say("attestation key", named, "Microsoft's certificate authority")
        self.out.bound("hcl.user_data", runtime.user_data or b"", "user-data", _PARAVISOR)
        self.held.key = Key(
            public=runtime.ak,
            whose=_PARAVISOR,
            grade="P",
            why="Microsoft's paravisor, inside of the TEE, measures the image into its TPM",
        )
        if "tpm_quote" not in self.parts:
            self.out.not_proven.append("what booted: no quote of the paravisor's TPM came along")

    # AWS

    def _nitro(self, kind: Kind, name: str) -> None:
        self.held.use(name)
        data, pins = self.parts[name], gather.nitro_roots(self.roots)
        said = gather.attempt(
            self.out.findings,
            lambda: nitro.authenticate(data, kind=kind, roots=pins, now=self.now),
            "nitro.",
        )
        if said is None:
            return
        self.held.chained.append(said.root)
        vouches = f"{_NITRO}, certified by AWS"
        self.out.say("machine" if kind == "nitrotpm" else "enclave", said.module_id, vouches)
        self.out.say("region", said.region, "AWS' certificate of the signing key")
        self.out.say("made at", times.show(said.timestamp_ms // 1000), _NITRO)
        for index in (4, 7, 12) if kind == "nitrotpm" else (0, 1, 2, 8):
            value = said.pcrs.get(index)
            self.out.say(f"PCR{index}", "missing" if value is None else value.hex(), vouches)
        if said.public_key is not None:
            self.out.say("public key", sha256(said.public_key).hexdigest() + " (SHA-256)", vouches)
        if self.out.challenge.report_data is not None:
            self.out.bound("binding.nitro_user_data", said.user_data or b"", "user_data", _NITRO)
        self.out.answers("nitro.document.nonce", said.nonce or b"", "the document's nonce", _NITRO)
        if kind == "enclave":
            self.held.graded.append(("N", "the provider's hypervisor alone keeps and measures the enclave"))
            return
        self._nitro_machine(said)

    def _nitro_machine(self, said: NitroClaims) -> None:
        if self.chip is not None:
            platform_policy.check_one_place(self.out.findings, said, self.chip)
        if said.public_key is not None:
            self.out.not_proven.append(
                "nitrotpm_document: what its public key is for: the document of a member has none"
            )
        whose = "AWS' hypervisor (NitroTPM)"
        if self.held.alone(attest.SHA384, said.pcrs, whose):
            self._nitro_grade(said)
        self.held.explained(attest.SHA384, said.pcrs, whose)

    def _nitro_grade(self, said: NitroClaims) -> None:
        self.held.graded.append(("N", "the provider's hypervisor alone says what booted"))
        if self.held.tied(said.nonce or b"", "nitrotpm_document"):
            self.held.graded.append(("V", "the hypervisor measured the image, the CPU encrypts the memory"))


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
