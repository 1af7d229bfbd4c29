"""The TPM's part of an examination: whose key, what it signed, what registers and log say. Pure.

A quote is as good as whoever names its key: Microsoft's paravisor in a report, Google by a certificate,
nobody for a software TPM. That it is of the machine of a report beside it has to be in what it answers
(decision 0004): otherwise two machines could be shown as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest

from runtime.attestation import image_policy
from runtime.attestation.binding import tied_qualifying
from runtime.attestation.findings import Findings
from runtime.attestation.formats import QUOTED_REGISTERS
from runtime.attestation.tees import Root
from runtime.attestation.tees.composites import gather, qemu
from runtime.attestation.tees.composites.claims import AkClaims, BootRegisters
from runtime.attestation.tees.tpm import attest, gce, quote, signature
from runtime.attestation.tees.tpm.ak import AkPath, AkRoot
from runtime.attestation.tees.tpm.instance import GceInstance
from runtime.attestation.tees.tpm.public import PublicKey
from runtime.attestation.wire import Evidence
from runtime.commands.evidence.examination import Examination
from runtime.documents.settings import Bank

_QUOTE = ("tpm_quote", "tpm_signature", "tpm_pcrs")
_BANKS: Mapping[int, Bank] = {attest.SHA256: "sha256", attest.SHA384: "sha384"}
_GOOGLE = "Google's hypervisor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An attestation key, and what a quote of its TPM is worth."""

    public: PublicKey
    whose: str
    grade: str
    why: str


@dataclass(slots=True, kw_only=True)
class Held:
    """What an examination knows so far."""

    evidence: Evidence
    roots: tuple[Root, ...]
    now: int
    out: Examination
    used: set[str] = field(default_factory=set[str])  # items that were examined
    left: dict[str, str] = field(default_factory=dict[str, str])  # why one was not
    chained: list[Root] = field(default_factory=list[Root])
    graded: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # grade, why
    key: Key | None = None  # of the TPM, as far as a report names it
    report: tuple[str, bytes, bytes] | None = None  # of the CPU: the part, its bytes, its REPORT_DATA

    def use(self, *names: str) -> None:
        """Note items as examined."""
        self.used.update(names)

    def certified(self, ak: AkClaims, authority: str) -> None:
        """Note a path of certificates that held, and whether revocation lists spoke for all of it."""
        present = [name for name in gather.AK_PATH if name in self.evidence.endorsements]
        self.use(*present, *gather.AK_LISTS[: len(present) - 1])
        self.chained.append(ak.root)
        if not ak.revocation_checked:
            self.out.not_proven.append(
                f"that {authority} did not revoke the attestation key: not every revocation list came along"
            )

    def tied(self, answered: bytes, part: str) -> bool:
        """Tell whether a part was made for the CPU's report that is here; if it is another's, say so."""
        if self.report is None:
            return False
        name, data, report_data = self.report
        if compare_digest(answered, tied_qualifying(report_data, data)):
            return True
        self.out.not_proven.append(
            f"{part}: that it is of the machine of {name}: what it answers does not name that report"
        )
        return False

    def alone(self, bank: int, values: Mapping[int, bytes], source: str) -> bool:
        """Look at registers by themselves: some have to be zero; tell whether all that a grade needs came.

        They are those that a member's quote is about: what booted beside the image is open without them.
        """
        name = _BANKS.get(bank)
        if name is not None:
            registers = BootRegisters(bank=name, values=values, source=source)
            for index in sorted(values.keys() & set(image_policy.OUTSIDE)):
                image_policy.check_outside(self.out.findings, index, registers)
        if 14 in values:
            self.settings("PCR14", values[14])
        missing = QUOTED_REGISTERS if name is None else QUOTED_REGISTERS - values.keys()
        if missing:
            shown = ", ".join(map(str, sorted(missing)))
            self.out.not_proven.append(
                f"what booted: no PCR {shown} of SHA-256 or SHA-384 is told by {source}"
            )
        return not missing

    def settings(self, register: str, value: bytes) -> None:
        """Say what nobody looked at: the settings that a VM measured are one member's, in a document."""
        self.out.not_proven.append(
            f"which settings it booted with: {register} is held against a member's, in a fleet document"
            if any(value)
            else f"that it measured its settings: {register} is zeros"
        )

    def explained(self, bank: int, values: Mapping[int, bytes], source: str) -> None:
        """Hold the event log, if one came along, against registers that somebody vouched for."""
        if "event_log" not in self.evidence.endorsements:
            return
        name = _BANKS.get(bank)
        if name is None or not set(values) >= gather.LOGGED:
            wanted = ", ".join(str(index) for index in sorted(gather.LOGGED))
            self.left["event_log"] = f"no quote is about PCR {wanted} of SHA-256 or SHA-384"
            return
        self.use("event_log")
        registers = BootRegisters(bank=name, values=values, source=source)
        gather.explained(self.out.findings, self.evidence, registers)
        shown = ", ".join(str(index) for index in sorted(gather.LOGGED))
        self.out.not_proven.append(
            f"event_log: events of other registers than PCR {shown}, and texts that no digest covers"
        )


def look(held: Held) -> None:
    """Examine the quote, its values and the log. Raises: MalformedError."""
    missing = "tpm_signature" not in held.evidence.parts
    key = None if missing else _key(held)
    if key is None:
        why = "its tpm_signature did not come along" if missing else "nothing that holds names its key"
        held.left |= dict.fromkeys((*_QUOTE, "event_log"), f"of the TPM's quote: {why}")
        if not held.used:  # so that a quote by itself is not nothing
            attest.parse(held.evidence.parts["tpm_quote"])
            held.use("")
        return
    held.use(*_QUOTE)
    message = attest.parse(held.evidence.parts["tpm_quote"])
    whose = f"the TPM of {key.whose}"
    enough = _registers(held, key, message, whose)
    if enough is None:
        held.left["event_log"] = "the quote that it would be held against does not hold"
        return
    for chosen in message.selections:
        shown = ", ".join(str(index) for index in sorted(chosen.registers))
        bank = attest.BANK_NAMES.get(chosen.bank, f"{chosen.bank:#06x}")
        held.out.say("registers quoted", f"{bank}: PCR {shown}", whose)
    answered = message.qualifying_data
    held.out.answers("quote.qualifying_data", answered, "the quote's qualifying data", "the TPM")
    _grade(held, key, answered, enough=enough)


def _registers(held: Held, key: Key, message: attest.Quote, whose: str) -> bool | None:
    """Tell whether a quote that holds has every register that a grade needs; None if it does not hold."""
    parts = held.evidence.parts
    if "tpm_pcrs" not in parts:
        parsed = signature.parse(parts["tpm_signature"], "tpmt")
        held.out.not_proven.append("tpm_pcrs, the values of what was quoted: they did not come along")
        held.left["event_log"] = "no register values (tpm_pcrs) came along to hold it against"
        signed = held.out.settled(lambda own: _signed(own, message, parsed, key))
        return None if signed is None else held.alone(0, {}, whose)
    quoted = gather.quote_evidence(parts)
    said = held.out.settled(lambda own: quote.authenticate(own, quoted, key.public))
    if said is None:
        return None
    for index, value in sorted(said.pcrs.items()):
        held.out.say(f"PCR{index}", value.hex(), whose)
    held.explained(said.bank, said.pcrs, whose)
    return held.alone(said.bank, said.pcrs, whose)


def _signed(findings: Findings, message: attest.Quote, parsed: signature.Signature, key: Key) -> attest.Quote:
    quote.check_signature(findings, message, parsed, key.public)
    return message


def _grade(held: Held, key: Key, answered: bytes, *, enough: bool) -> None:
    """Grade by what was measured; a vTPM beside the TEE is this machine's if it answers for the report."""
    if key.grade != "T" and not enough:
        held.out.why = (
            f"{key.why}, but no quote tells every register that a document names: what booted is open"
        )
        return
    held.graded.append((key.grade, key.why))
    if held.key is None and held.tied(answered, "tpm_quote") and key.grade == "N":
        held.graded.append(("V", f"{_GOOGLE} measured the image, the CPU encrypts the memory"))


def _key(held: Held) -> Key | None:
    """Return the key that a report, a certificate or, for a software TPM, nobody vouches for."""
    if held.key is not None or "hcl_report" in held.evidence.parts:
        return held.key
    certificates = gather.ak_certificates(held.evidence)
    if certificates:
        return _google(held, certificates)
    area = held.evidence.parts.get("ak_public")
    if area is None:
        return None
    held.use("ak_public")
    public = qemu.attestation_key(held.out.findings, area)
    return Key(
        public=public,
        whose="nobody: its key came along without anyone's word for it",
        grade="T",
        why="a TPM that nobody vouches for",
    )


def _vouched(
    findings: Findings, held: Held, certificates: tuple[bytes, ...], pins: tuple[AkRoot, ...]
) -> tuple[AkPath, GceInstance, AkClaims]:
    path, named = gce.vouched(findings, certificates, pins, held.now)
    return path, named, gather.ak_claims(findings, held.evidence, path, certificates, held.now)


def _google(held: Held, certificates: tuple[bytes, ...]) -> Key | None:
    pins = gather.ak_roots(held.roots)
    root = sha256(certificates[-1]).digest()
    if any(pin.vendor == "microsoft" and pin.sha256 == root for pin in pins):
        return None  # Microsoft's name no machine: that is in the HCL report
    found = held.out.settled(lambda own: _vouched(own, held, certificates, pins))
    if found is None:
        return None
    path, named, ak = found
    held.certified(ak, "Google")
    where = f"{named.instance_id} in {named.zone}, project {named.project_id}"
    held.out.say("instance", where, "Google's certificate of the attestation key")
    return Key(
        public=path.key,
        whose=f"{_GOOGLE}, certified by Google",
        grade="N",
        why=f"{_GOOGLE} alone says what booted",
    )
