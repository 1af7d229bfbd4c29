"""A quote is believed if, and only if, every one of its checks holds; each fails alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.findings import EvidenceRefusedError, Findings, Reason
from runtime.attestation.tees.tpm import attest, pcrs, public
from runtime.attestation.tees.tpm.pcrs import PcrValues
from runtime.attestation.tees.tpm.quote import QuoteDemand, QuoteEvidence, authenticate, verify
from runtime.attestation.tees.tpm.signature import Format
from runtime.errors import MalformedError
from tests.fakes import tpm
from tests.fakes.tpm import SHA256, SHA384, FakeQuote, FakeTpm

NONCE = sha256(b"binder").digest()
DEMAND = QuoteDemand(qualifying_data=NONCE, bank=SHA256, registers=frozenset({4, 12, 14}))
VALUES = {4: b"\x04" * 32, 12: bytes(32), 14: b"\x0e" * 32}
AK = tpm.rsa_key("ak")
SIGNED = FakeQuote(values=VALUES, qualifying_data=NONCE, reset_count=9)


def evidence(
    signed: FakeQuote = SIGNED,
    *,
    key: tpm.PrivateKey = AK,
    values: Mapping[int, bytes] = VALUES,
    bank: int = SHA256,
    algorithm: int = SHA256,
) -> QuoteEvidence:
    return QuoteEvidence(
        message=signed.message,
        signature=tpm.tpmt(key, signed.message, algorithm=algorithm),
        signature_format="tpmt",
        pcrs=pcrs.encode(PcrValues(bank=bank, values=values)),
    )


def failed(found: QuoteEvidence, demand: QuoteDemand = DEMAND, key: tpm.PrivateKey = AK) -> dict[str, Reason]:
    try:
        verify(found, demand, key.public_key())
    except EvidenceRefusedError as error:
        return {check.id: check.reason for check in error.checks}
    return {}


def test_what_a_tpm_quotes_is_believed() -> None:
    machine = FakeTpm()
    machine.extend(14, b"\x77" * 32)
    message, signed, values = machine.quote(NONCE, [4, 12, 14])
    found = verify(
        QuoteEvidence(
            message=message,
            signature=signed,
            signature_format="tpmt",
            pcrs=pcrs.encode(PcrValues(bank=SHA256, values=values)),
        ),
        DEMAND,
        machine.key.public_key(),
    )
    assert found.pcrs[14] == sha256(bytes(32) + b"\x77" * 32).digest()
    assert found.qualifying_data == NONCE
    assert found.bank == SHA256
    assert (found.clock, found.reset_count, found.restart_count, found.safe) == (1000, 1, 0, True)
    assert found.ak_sha256 == sha256(public.spki(machine.key.public_key())).digest()


@pytest.mark.parametrize("key", [tpm.rsa_key("ak"), tpm.ec_key("ak")])
def test_bare_signatures_of_either_kind(key: tpm.PrivateKey) -> None:
    form: Format = "rsa-pkcs1" if key is AK else "ecdsa-der"
    bare = replace(evidence(), signature=tpm.sign(key, SIGNED.message), signature_format=form)
    assert not failed(bare, key=key)


def test_a_bank_and_a_scheme_of_another_size() -> None:
    values = {14: b"\x0e" * 48}
    digest = PcrValues(bank=SHA384, values=values).digest(SHA384)
    signed = FakeQuote(values=values, bank=SHA384, qualifying_data=NONCE, digest=digest)
    demand = QuoteDemand(qualifying_data=NONCE, bank=SHA384, registers=frozenset({14}))
    assert not failed(evidence(signed, values=values, bank=SHA384, algorithm=SHA384), demand)


OTHER = {4: b"\x04" * 32, 12: bytes(32), 14: b"\x0f" * 32}
ONE_MORE = VALUES | {0: bytes(32)}
TWO_BANKS = (tpm.selection([4, 12, 14]), tpm.selection([4], tpm.SHA1))
SHA384_BANK = (tpm.selection([4, 12, 14], SHA384),)
ALONE: Mapping[str, tuple[QuoteEvidence, Reason]] = {
    "quote.signature": (evidence(key=tpm.rsa_key("another")), Reason.SIGNATURE),
    "quote.qualifying_data": (evidence(replace(SIGNED, qualifying_data=NONCE[:-1])), Reason.BINDING),
    "quote.pcr_digest": (evidence(values=OTHER), Reason.MEASUREMENT),
}


@pytest.mark.parametrize("check", ALONE)
def test_each_check_fails_alone(check: str) -> None:
    found, reason = ALONE[check]
    assert failed(found) == {check: reason}


@pytest.mark.parametrize("selections", [TWO_BANKS, SHA384_BANK, (), (tpm.selection([4, 12]),)])
def test_exactly_one_bank_and_exactly_these_registers(selections: tuple[bytes, ...]) -> None:
    found = failed(evidence(replace(SIGNED, selections=selections)))
    assert found == {"quote.pcr_selection": Reason.MEASUREMENT}


def test_an_unknown_bank_has_a_name_too() -> None:
    assert failed(evidence(replace(SIGNED, selections=(tpm.selection([4], 0x12),))))


def test_values_of_other_registers_are_refused_even_if_the_digest_fits() -> None:
    # The digest is over values without their numbers: 4, 12, 13 may not pass for 4, 12, 14.
    moved = {4: VALUES[4], 12: VALUES[12], 13: VALUES[14]}
    assert failed(evidence(values=moved)) == {"quote.pcr_values": Reason.MEASUREMENT}


def test_more_registers_than_asked_for_are_refused() -> None:
    found = failed(evidence(FakeQuote(values=ONE_MORE, qualifying_data=NONCE), values=ONE_MORE))
    assert set(found) == {"quote.pcr_selection", "quote.pcr_values"}


MOVED = {4: VALUES[4], 12: VALUES[12], 13: VALUES[14]}


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (evidence(), set[str]()),
        (evidence(replace(SIGNED, qualifying_data=b"\1")), set[str]()),  # whatever it was made for
        (evidence(FakeQuote(values=ONE_MORE, qualifying_data=NONCE), values=ONE_MORE), set[str]()),
        (evidence(values=MOVED), {"quote.pcr_values"}),
        (evidence(values=OTHER), {"quote.pcr_digest"}),
        (evidence(key=tpm.rsa_key("another")), {"quote.signature"}),
        *(
            (evidence(replace(SIGNED, selections=selections)), {"quote.pcr_values"})
            for selections in (TWO_BANKS, TWO_BANKS[::-1], SHA384_BANK, (), (tpm.selection([4, 12]),))
        ),
    ],
)
def test_a_quote_is_true_or_not_whatever_it_is_for(found: QuoteEvidence, wanted: set[str]) -> None:
    findings = Findings()
    claims = authenticate(findings, found, AK.public_key())
    assert {check.id for check in findings.failed()} == wanted
    assert claims.ak_sha256 == sha256(public.spki(AK.public_key())).digest()


def test_values_of_another_bank_are_not_those_that_were_asked_for() -> None:
    values = dict.fromkeys(VALUES, bytes(48))
    found = failed(evidence(values=values, bank=SHA384))
    assert found == {"quote.pcr_digest": Reason.MEASUREMENT, "quote.pcr_values": Reason.MEASUREMENT}


@pytest.mark.parametrize(("data", "registers"), [(b"\1", {0}), (bytes(64), {23}), (bytes(1), {0, 23})])
def test_the_least_and_the_most_that_can_be_asked_for(data: bytes, registers: set[int]) -> None:
    demand = QuoteDemand(qualifying_data=data, bank=SHA256, registers=frozenset(registers))
    assert demand.registers == registers


def test_the_hash_of_pcr_digest_is_that_of_the_scheme() -> None:
    digest = PcrValues(bank=SHA256, values=VALUES).digest(SHA384)
    assert set(failed(evidence(replace(SIGNED, digest=digest)))) == {"quote.signature", "quote.pcr_digest"}


def test_a_sha1_digest_is_refused() -> None:
    digest = PcrValues(bank=SHA256, values=VALUES).digest(attest.SHA1)
    signed = replace(SIGNED, digest=digest)
    bare = replace(
        evidence(signed),
        signature=tpm.sign(AK, signed.message, hashes.SHA1()),  # noqa: S303 - what is refused
        signature_format="rsa-pkcs1",
    )
    assert set(failed(bare)) == {"quote.signature", "quote.pcr_digest"}


@cache
def right() -> QuoteEvidence:
    return evidence()


@given(st.integers(0, len(SIGNED.message) * 8 - 1))
def test_any_bit_of_the_message(bit: int) -> None:
    data = bytearray(right().message)
    data[bit // 8] ^= 1 << bit % 8
    try:
        assert "quote.signature" in failed(replace(right(), message=bytes(data)))
    except MalformedError:
        return


@given(st.integers(0, len(right().signature) * 8 - 1))
def test_any_bit_of_the_signature(bit: int) -> None:
    data = bytearray(right().signature)
    data[bit // 8] ^= 1 << bit % 8
    try:
        assert "quote.signature" in failed(replace(right(), signature=bytes(data)))
    except MalformedError:
        return


@given(st.integers(0, len(right().pcrs) * 8 - 1))
def test_any_bit_of_the_values(bit: int) -> None:
    data = bytearray(right().pcrs)
    data[bit // 8] ^= 1 << bit % 8
    try:
        assert failed(replace(right(), pcrs=bytes(data)))
    except MalformedError:
        return


@pytest.mark.parametrize(
    "changes",
    [
        {"qualifying_data": b""},
        {"qualifying_data": bytes(67)},
        {"bank": tpm.SHA1},
        {"bank": 0x12},
        {"registers": frozenset[int]()},
        {"registers": frozenset({24})},
    ],
)
def test_no_demand_may_stay_open(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedError, match="quote demand"):
        replace(DEMAND, **changes)
