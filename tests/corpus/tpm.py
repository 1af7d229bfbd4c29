"""TPM cases: quotes, keys and logs of a case, how each fact is found, what each mutation changes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Any

from cryptography import x509

from runtime.attestation import certificates
from runtime.attestation.eventlog import tcg
from runtime.attestation.findings import Check, EvidenceRefusedError, Findings, Reason
from runtime.attestation.tees.azure import hcl, runtime_data
from runtime.attestation.tees.tpm import ak, attest, gce, pcrs, public, quote, signature
from runtime.attestation.tees.tpm.ak import AkRoot, Vendor
from runtime.attestation.tees.tpm.attest import BANK_NAMES, Quote
from runtime.attestation.tees.tpm.pcrs import PcrValues
from runtime.attestation.tees.tpm.public import PublicKey
from runtime.attestation.tees.tpm.quote import QuoteDemand, QuoteEvidence
from runtime.attestation.tees.tpm.signature import Format
from runtime.errors import MalformedError
from tests.corpus import cases
from tests.corpus.cases import Case
from tests.corpus.snp import NotApplicable

PLATFORM = "tpm-eventlog"
MALFORMED = "malformed"
_BANKS = {name: number for number, name in BANK_NAMES.items()}
_ROOT_NAMES: Mapping[Vendor, str] = {
    "microsoft": "Azure Virtual TPM Root Certificate Authority 2023",
    "google": "EK/AK CA Root",
}


# Errata of the corpus, by the SHA-256 of a message: the case names a quote that its key did not sign (its
# RSA signature opens to noise under every key of the folder), while its facts are about the one that was
# published beside it, in the JSON file with this SHA-256. The test `test_a_misfiled_quote_is_refused` holds
# that the verifier takes the one and not the other; where that file is missing, the facts fail.
MISFILED: Mapping[str, str] = {
    "f6a3735d2cbe9b66ae2b7c0206fc270b0a1c1f7ee39a8f892360cd3f0587fb51": (
        "6cd588dbe17105a4e57abe71f614403ddd8664f7ac2853fb11d5f3a2cd63d990"
    ),
}


def refusals(checks: tuple[Check, ...]) -> frozenset[str]:
    """Return why something was refused: reasons, and ids of the failed checks."""
    return frozenset(str(check.reason) for check in checks) | frozenset(check.id for check in checks)


def now_of(case: Case) -> int:
    text = case.about.get("verification_time")
    return 0 if text is None else int(datetime.fromisoformat(text).timestamp())


# Keys and certificates


@cache
def ak_roots() -> tuple[tuple[AkRoot, ...], tuple[bytes, ...]]:
    """Return the pins made from `roots/`, and the certificates."""
    root = cases.folder()
    assert root is not None
    pins: list[AkRoot] = []
    found: list[bytes] = []
    for file in sorted((root / "roots").iterdir()):
        if file.suffix not in {".pem", ".der", ".crt", ".cer"}:
            continue
        try:
            certificate = certificates.load(file.read_bytes(), "root")
        except MalformedError:
            continue  # several certificates, or of a kind that is read nowhere here
        for vendor, name in _ROOT_NAMES.items():
            if cases.common_name(certificate) == name:
                digest = sha256(certificate.der).digest()
                pins.append(AkRoot(kind="hardware", vendor=vendor, sha256=digest))
                found.append(certificate.der)
    return tuple(pins), tuple(found)


def ak_path(case: Case) -> tuple[bytes, ...]:
    """Order what the case and `roots/` hold into a path: the first file is the leaf."""
    offered = [entry for data in case.files("ak_certs") for entry in cases.certificates_of(data)]
    if not offered:
        return ()
    roots = [certificates.load(der, "root") for der in ak_roots()[1]]
    path = [offered[0]]
    while path[-1].subject != path[-1].issuer and len(path) <= ak.MAX_PATH:
        above = next((entry for entry in (*offered, *roots) if entry.subject == path[-1].issuer), None)
        if above is None:
            break
        path.append(above)
    return tuple(entry.der for entry in path)


def vendor_of(path: tuple[bytes, ...]) -> Vendor:
    last = certificates.load(path[-1], "root")
    return "google" if cases.common_name(last).startswith("EK/AK") else "microsoft"


def key_of(case: Case, named: str | None) -> PublicKey | None:
    """Find the key that `tpm_quotes[].key` names."""
    if named is None:
        return None
    if named in {"hcl_report", "runtime_json"}:
        data = case.one(named)
        assert data is not None, f"{case.path}: a key is said to be in {named}, which is not there"
        return runtime_data.parse(data if named == "runtime_json" else hcl.parse(data).runtime_json).ak
    if named == "ak_public":
        data = case.one("ak_public")
        assert data is not None
        return load_public(data)
    match = re.fullmatch(r"ak_certs\[(\d+)\]", named)
    assert match is not None, f"{case.path}: a key is said to be in {named!r}, where nobody looks"
    (leaf,) = cases.certificates_of(case.files("ak_certs")[int(match[1])])
    return public.accept(leaf.public_key, "AK certificate")


def load_public(data: bytes) -> PublicKey:
    if data[:1] == b"\0":  # a TPM2B_PUBLIC begins with its size, under 256 * 256
        return public.load_tpm2b(data, "AK").key
    return public.load(data, "AK")


# Quotes


@dataclass(frozen=True, slots=True)
class QuoteSubject:
    """One quote of a case made ready for the verifier."""

    message: bytes
    signature: bytes
    form: Format
    key: PublicKey | None
    values: PcrValues | None

    @property
    def parsed(self) -> Quote:
        return attest.parse(self.message)

    def evidence(self) -> QuoteEvidence:
        assert self.values is not None
        return QuoteEvidence(
            message=self.message,
            signature=self.signature,
            signature_format=self.form,
            pcrs=pcrs.encode(self.values),
        )

    def refused(self, demand: QuoteDemand) -> frozenset[str]:
        """Return why the verifier refuses; nothing if it does not."""
        assert self.key is not None
        try:
            quote.verify(self.evidence(), demand, self.key)
        except EvidenceRefusedError as error:
            return refusals(error.checks)
        except MalformedError:
            return frozenset({MALFORMED})
        return frozenset()

    def signature_refused(self) -> frozenset[str]:
        """Return why the signature alone is refused: for cases whose register values are not published."""
        assert self.key is not None
        findings = Findings()
        try:
            signed = signature.parse(self.signature, self.form)
            quote.check_signature(findings, self.parsed, signed, self.key)
        except MalformedError:
            return frozenset({MALFORMED})
        return refusals(findings.failed())


def demand_of(parsed: Quote) -> QuoteDemand:
    """Return a demand that the unchanged quote meets."""
    (selection,) = parsed.selections
    return QuoteDemand(
        qualifying_data=parsed.qualifying_data, bank=selection.bank, registers=selection.registers
    )


def quotes(case: Case) -> list[QuoteSubject]:
    """Return the case's quotes in order, with the register values that facts or log tell."""
    facts = case.about.get("facts", {}).get("tpm_quotes", [])
    found: list[QuoteSubject] = []
    for index, entry in enumerate(case.inputs.get("tpm_quotes", [])):
        form = entry["signature_format"]
        assert form in signature.FORMATS, f"{case.path}: signature format {form!r}"
        message, signed = _files(case, entry)
        claimed = facts[index].get("pcrs") if index < len(facts) else None
        found.append(
            QuoteSubject(
                message=message,
                signature=signed,
                form=form,
                key=key_of(case, entry["key"]),
                values=_values(claimed) or _logged_values(case, attest.parse(message)),
            )
        )
    return found


def _files(case: Case, entry: Mapping[str, str]) -> tuple[bytes, bytes]:
    message = (case.path / entry["message"]).read_bytes()
    wanted = MISFILED.get(sha256(message).hexdigest())
    beside = [path.read_bytes() for path in case.path.iterdir() if path.is_file() and wanted is not None]
    for data in beside:
        if sha256(data).hexdigest() == wanted:
            published = json.loads(data)
            return bytes.fromhex(published["message"]), bytes.fromhex(published["signature"])
    return message, (case.path / entry["signature"]).read_bytes()


def _values(claimed: Mapping[str, Mapping[str, str]] | None) -> PcrValues | None:
    if claimed is None:
        return None
    ((bank, values),) = claimed.items()
    return PcrValues(
        bank=_BANKS[bank], values={int(index): bytes.fromhex(value) for index, value in values.items()}
    )


def _logged_values(case: Case, parsed: Quote) -> PcrValues | None:
    data = case.one("event_log")
    if data is None or len(parsed.selections) != 1:
        return None
    (selection,) = parsed.selections
    replayed = tcg.replay(tcg.parse(data), selection.bank)
    if not selection.registers <= set(replayed):
        return None
    return PcrValues(bank=selection.bank, values={index: replayed[index] for index in selection.registers})


def quote_facts(subject: QuoteSubject, claimed: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """Return how each fact about a quote is found."""
    parsed = subject.parsed

    def pcr_digest_matches() -> bool:
        findings = Findings()
        assert subject.values is not None, "facts claim a match, and nothing tells the values"
        signed = signature.parse(subject.signature, subject.form)
        quote.check_pcr_digest(findings, parsed, signed, subject.values)
        return not findings.failed()

    def values() -> Any:
        # The TPM signed their hash: what is claimed is what was quoted if, and only if, the hash says so.
        assert claimed.get("pcr_digest_matches") is False or pcr_digest_matches()
        return claimed["pcrs"]

    return {
        "signature_valid": lambda: not subject.signature_refused(),
        "pcr_digest_matches": pcr_digest_matches,
        "extra_data": lambda: parsed.qualifying_data.hex(),
        "pcr_selection": lambda: [
            {"bank": BANK_NAMES[entry.bank], "pcrs": sorted(entry.registers)} for entry in parsed.selections
        ],
        "bank": lambda: BANK_NAMES[parsed.selections[0].bank],
        "pcr_digest": lambda: parsed.pcr_digest.hex(),
        "firmware_version": lambda: f"{parsed.firmware_version:016x}",
        "clock": lambda: parsed.clock,
        "reset_count": lambda: parsed.reset_count,
        "restart_count": lambda: parsed.restart_count,
        "safe": lambda: int(parsed.safe),
        "pcrs": values,
    }


# Certificate paths


def ak_chain_facts(case: Case) -> dict[str, Callable[[], Any]]:
    """Return how each fact about a path of certificates is found."""
    path = ak_path(case)

    def valid() -> bool:
        return not ak_refused(path, now_of(case)) - {"expired"} - {f"ak.dates.{depth}" for depth in range(4)}

    return {
        "subjects": lambda: [x509.load_der_x509_certificate(der).subject.rfc4514_string() for der in path],
        "valid": valid,
    }


def ak_refused(path: tuple[bytes, ...], now: int) -> frozenset[str]:
    """Return why the path is refused; nothing if it is not."""
    findings = Findings()
    try:
        ak.check_path(findings, path, vendor_of(path), ak_roots()[0], now)
    except MalformedError:
        return frozenset({MALFORMED})
    return refusals(findings.failed())


def verify_gce(case: Case, subject: QuoteSubject) -> gce.GceTpmClaims:
    return gce.verify_gce(
        subject.evidence(), demand_of(subject.parsed), ak_path(case), ak_roots()[0], now_of(case)
    )


# Mutations of a quote


def flip(data: bytes, offset: int) -> bytes:
    """Return the bytes with the lowest bit of one of them changed."""
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


def flipped_quote(subject: QuoteSubject) -> QuoteSubject:
    """Flip a bit of clockInfo.clock: the message stays a quote about the same registers."""
    parsed = subject.parsed
    at = 4 + 2 + 2 + len(parsed.qualified_signer) + 2 + len(parsed.qualifying_data) + 7
    return replace(subject, message=flip(subject.message, at))


def flipped_signature(subject: QuoteSubject) -> QuoteSubject:
    """Flip the last bit of the signature."""
    return replace(subject, signature=flip(subject.signature, len(subject.signature) - 1))


def changed_value(subject: QuoteSubject) -> QuoteSubject:
    """Change one register value that goes with the quote."""
    values = subject.values
    if values is None:
        message = "the values that were quoted are not published"
        raise NotApplicable(message)
    index = min(values.values)
    changed = dict(values.values) | {index: flip(values.values[index], 0)}
    return replace(subject, values=replace(values, values=changed))


QUOTE_MUTATIONS: Mapping[str, Callable[[QuoteSubject], QuoteSubject]] = {"tpm-flip-quote": flipped_quote}

# What each verdict looks like among the refusals that the unchanged case has not. (Old shims log one byte
# more than they measure: a real log can have flagged events, and the mutation has to add one.)
VERDICTS: Mapping[str, Callable[[frozenset[str]], bool]] = {
    "signature": lambda found: Reason.SIGNATURE in found,
    "binding": lambda found: Reason.BINDING in found,
    "chip id": lambda found: Reason.CHIP_ID in found,
    "PCR digest": lambda found: "quote.pcr_digest" in found,
    MALFORMED: lambda found: MALFORMED in found,
    "replay differs": lambda found: any(name.startswith("log.replay.") for name in found),
    "replay equal, event flagged": lambda found: (
        any(name.startswith("flagged at") for name in found)
        and not any(name.startswith("log.replay.") for name in found)
    ),
}
