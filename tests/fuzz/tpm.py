"""The structures of a TPM: quotes, signatures, register values, public keys; Google's instance extension."""

from __future__ import annotations

import json

from cryptography.hazmat.primitives import serialization

from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.tees.tpm import attest, instance, pcrs, public, quote, signature
from runtime.attestation.tees.tpm.quote import QuoteDemand, QuoteEvidence
from runtime.documents import strict_json
from runtime.errors import MalformedError
from tests.fakes import azure, tpm, tpm_certificates
from tests.fuzz.target import Target, harmless, prefixed, split

_VALUES = {4: b"4" * 32, 11: b"b" * 32, 14: b"e" * 32}
_NONCE = b"\x22" * 32
_KEYS = (tpm.rsa_key("ak"), tpm.ec_key("ak"))


def _values() -> bytes:
    return pcrs.encode(pcrs.PcrValues(bank=attest.SHA256, values=_VALUES))


def _message() -> bytes:
    return tpm.FakeQuote(values=_VALUES, qualifying_data=_NONCE).message


def _signature(data: bytes) -> None:
    for form in signature.FORMATS:
        harmless(signature.parse, data, form)


def _pcrs(data: bytes) -> None:
    assert pcrs.encode(pcrs.parse(data)) == data


def _public(data: bytes) -> None:
    harmless(public.load, data, "fuzz")
    harmless(public.load_tpm2b, data, "fuzz")


def _public_seeds() -> list[bytes]:
    encodings = (serialization.Encoding.DER, serialization.Encoding.PEM)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    found = [key.public_key().public_bytes(encoding, form) for key in _KEYS for encoding in encodings]
    return found + [tpm.tpm2b_public(key) for key in _KEYS]


def _jwk(data: bytes) -> None:
    value = strict_json.parse(data, "fuzz", max_size=8192)
    if isinstance(value, dict):
        public.load_jwk(value, "fuzz")


def _whole(data: bytes) -> None:
    message, signed, values = split(data, 3)
    evidence = QuoteEvidence(message=message, signature=signed, signature_format="tpmt", pcrs=values)
    demand = QuoteDemand(qualifying_data=_NONCE, bank=attest.SHA256, registers=frozenset(_VALUES))
    claims = quote.verify(evidence, demand, _KEYS[0].public_key())
    assert dict(claims.pcrs) == _VALUES  # nothing else was signed


TARGETS = (
    Target(
        name="tpm_quote", read=attest.parse, seeds=lambda: [_message()], roles=("tpm_quotes",), max_size=1100
    ),
    Target(
        name="tpm_signature",
        read=_signature,
        seeds=lambda: [make(key, b"m") for key in _KEYS for make in (tpm.sign, tpm.tpmt)],
        max_size=700,
    ),
    Target(name="tpm_pcrs", read=_pcrs, seeds=lambda: [_values()], max_size=1600),
    Target(name="tpm_public", read=_public, seeds=_public_seeds, roles=("ak_public",), max_size=4200),
    Target(
        name="jwk",
        read=_jwk,
        seeds=lambda: [json.dumps(azure.jwk(tpm.rsa_key("ak").public_key())).encode()],
        max_size=1024,
    ),
    Target(
        name="tpm_evidence",
        read=_whole,
        seeds=lambda: [prefixed(_message(), tpm.tpmt(_KEYS[0], _message()), _values())],
        max_size=2048,
        refuses=(MalformedError, EvidenceRefusedError),
    ),
    Target(
        name="gce_instance",
        read=instance.parse,
        seeds=lambda: [tpm_certificates.instance_extension()],
        max_size=1100,
    ),
)
