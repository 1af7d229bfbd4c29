"""Is this quote true: signed by this attestation key, fresh, about exactly these registers? Pure.

TpmClaims are made here alone. Why the key is a TPM's attestation key is the caller's part: the runtime JSON
that an Azure report covers, a certificate path (`ak`), or, under `purpose: test`, the fleet document.

The attacker has every byte of message, signature and register values. Not defended: whoever runs the TPM. A
vTPM that a hypervisor runs says what the hypervisor wants, and its claims are worth that much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest

from runtime.attestation.findings import Findings, Reason
from runtime.attestation.tees.tpm import attest, pcrs, public, signature
from runtime.attestation.tees.tpm.attest import BANK_NAMES, DIGEST_BYTES, REGISTERS, Quote, Selection
from runtime.attestation.tees.tpm.pcrs import PcrValues
from runtime.attestation.tees.tpm.public import PublicKey
from runtime.attestation.tees.tpm.signature import Format
from runtime.errors import MalformedError

_SOURCE = "the TPM's quote"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteEvidence:
    """What an Attester hands over for one quote: believe nothing."""

    message: bytes  # TPMS_ATTEST
    signature: bytes
    signature_format: Format
    pcrs: bytes  # the wire form of `pcrs`


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteDemand:
    """What the quote has to be about; there is no field that may stay open."""

    qualifying_data: bytes
    bank: int  # TPM_ALG_ID
    registers: frozenset[int]

    def __post_init__(self) -> None:
        if not 1 <= len(self.qualifying_data) <= attest.MAX_DATA_BYTES:
            raise MalformedError("quote demand", "has no qualifying data, or too much")
        if self.bank not in DIGEST_BYTES or self.bank == attest.SHA1:
            raise MalformedError("quote demand", f"bank is {self.bank:#06x}, want one of SHA-256 and longer")
        if not self.registers or not all(0 <= index < REGISTERS for index in self.registers):
            raise MalformedError("quote demand", "names no register, or one that does not exist")


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmClaims:
    """What a TPM signed, for whoever believes its key. Made by `verify` alone."""

    qualifying_data: bytes
    bank: int  # TPM_ALG_ID
    pcrs: Mapping[int, bytes]
    clock: int  # milliseconds
    reset_count: int  # with restart_count: did it boot again between two attestations?
    restart_count: int
    safe: bool
    firmware_version: int
    ak_sha256: bytes  # 32: of the key's SubjectPublicKeyInfo


def verify(evidence: QuoteEvidence, demand: QuoteDemand, ak: PublicKey) -> TpmClaims:
    """Return what the quote says. Raises: EvidenceRefusedError, MalformedError."""
    findings = Findings()
    claims = check(findings, evidence, demand, ak)
    findings.settle()
    return claims


def authenticate(findings: Findings, evidence: QuoteEvidence, ak: PublicKey) -> TpmClaims:
    """Note whether it is true, whatever it was made for: signed, and its values those that were quoted.

    The claims hold only if the findings settle. Raises: MalformedError.
    """
    message, values = _true(findings, evidence, ak)
    found = message.selections
    one = found[0] if len(found) == 1 else Selection(bank=0, registers=frozenset())  # values are of one bank
    _check_values(findings, values, one.bank, one.registers)
    return _claims(message, values, ak)


def check(findings: Findings, evidence: QuoteEvidence, demand: QuoteDemand, ak: PublicKey) -> TpmClaims:
    """Note every check of one quote; the claims hold only if the findings settle. Raises: MalformedError."""
    # 1. It is true: a quote by the attestation key, and the values that it is about.
    message, values = _true(findings, evidence, ak)
    # 2. It was made for this very use.
    findings.require(
        compare_digest(message.qualifying_data, demand.qualifying_data),
        "quote.qualifying_data",
        Reason.BINDING,
        expected=demand.qualifying_data.hex(),
        actual=message.qualifying_data.hex() or "none",
        source=_SOURCE,
        remedy="the quote was made for another connection or is an old one: ask for a new one",
    )
    # 3. It is about exactly the registers that are wanted, of one bank, and so are the values.
    _check_selection(findings, message, demand)
    _check_values(findings, values, demand.bank, demand.registers)
    return _claims(message, values, ak)


def _true(findings: Findings, evidence: QuoteEvidence, ak: PublicKey) -> tuple[Quote, PcrValues]:
    message = attest.parse(evidence.message)
    signed = signature.parse(evidence.signature, evidence.signature_format)
    values = pcrs.parse(evidence.pcrs)
    check_signature(findings, message, signed, ak)
    check_pcr_digest(findings, message, signed, values)
    return message, values


def _claims(message: Quote, values: PcrValues, ak: PublicKey) -> TpmClaims:
    return TpmClaims(
        qualifying_data=message.qualifying_data,
        bank=values.bank,
        pcrs=values.values,
        clock=message.clock,
        reset_count=message.reset_count,
        restart_count=message.restart_count,
        safe=message.safe,
        firmware_version=message.firmware_version,
        ak_sha256=sha256(public.spki(ak)).digest(),
    )


def check_signature(findings: Findings, message: Quote, signed: signature.Signature, ak: PublicKey) -> None:
    """Note whether `ak` signed the quote."""
    algorithm = signature.hash_of(signed, message.pcr_digest)
    findings.require(
        algorithm is not None and signature.made_by(ak, signed, algorithm, message.signed),
        "quote.signature",
        Reason.SIGNATURE,
        expected="a signature of the quote by the attestation key",
        actual="one whose hash is not that of pcrDigest" if algorithm is None else "one that does not verify",
        source="the quote's signature",
        remedy="the quote was altered, or another key signed it: send the quote of this machine's own key",
    )


def _check_selection(findings: Findings, message: Quote, demand: QuoteDemand) -> None:
    found = message.selections
    findings.require(
        len(found) == 1 and found[0].bank == demand.bank and found[0].registers == demand.registers,
        "quote.pcr_selection",
        Reason.MEASUREMENT,
        expected=lambda: _show(demand.bank, demand.registers),
        actual=lambda: ", ".join(_show(entry.bank, entry.registers) for entry in found) or "no register",
        source=_SOURCE,
        remedy="quote exactly these registers of this one bank: fewer hide something, more are not compared",
    )


def check_pcr_digest(
    findings: Findings, message: Quote, signed: signature.Signature, values: PcrValues
) -> None:
    """Note whether the values are those that the quote is about."""
    algorithm = signature.hash_of(signed, message.pcr_digest)
    digest = b"" if algorithm is None else values.digest(algorithm)
    findings.require(
        compare_digest(digest, message.pcr_digest),
        "quote.pcr_digest",
        Reason.MEASUREMENT,
        expected=message.pcr_digest.hex(),
        actual=digest.hex() or "no hash that both agree on",
        source="the register values that came along",
        remedy="read the registers again and quote them anew: they changed in between, or were altered",
    )


def _check_values(findings: Findings, values: PcrValues, bank: int, registers: frozenset[int]) -> None:
    findings.require(
        values.bank == bank and frozenset(values.values) == registers,
        "quote.pcr_values",
        Reason.MEASUREMENT,
        expected=lambda: _show(bank, registers),
        actual=lambda: _show(values.bank, frozenset(values.values)),
        source="the register values that came along",
        remedy="send the values of exactly the registers that were quoted",
    )


def _show(bank: int, registers: frozenset[int]) -> str:
    name = BANK_NAMES.get(bank, f"{bank:#06x}")
    return f"{name} PCR {','.join(map(str, sorted(registers))) or 'none'}"
