"""What an Azure machine adds to its hardware's report, under throw-away roots."""

from __future__ import annotations

from typing import Any

from runtime.attestation.tees.azure.overlay import AzureDemand
from runtime.attestation.tees.tpm import pcrs
from runtime.attestation.tees.tpm.ak import AkRoot
from runtime.attestation.tees.tpm.pcrs import PcrValues
from runtime.attestation.tees.tpm.quote import QuoteDemand, QuoteEvidence
from tests.fakes import azure, tpm, tpm_certificates
from tests.fakes.tpm import FakeQuote

AK = tpm.rsa_key("ak")
NONCE = b"n" * 32
VALUES = {4: b"\x04" * 32, 14: b"\x0e" * 32}
DEMAND = AzureDemand(
    user_data=azure.USER_DATA,
    quote=QuoteDemand(qualifying_data=NONCE, bank=tpm.SHA256, registers=frozenset(VALUES)),
)
PATH = tpm_certificates.azure(AK.public_key())
AK_ROOTS: tuple[AkRoot, ...] = (PATH.root(),)
TEXT = azure.runtime_json()
REPORT = azure.hcl(azure.td_report(azure.report_data(TEXT)), TEXT, azure.TDX)


def quote(key: tpm.PrivateKey = AK, **changes: Any) -> QuoteEvidence:
    fields: dict[str, Any] = {"values": VALUES, "qualifying_data": NONCE} | changes
    message = FakeQuote(**fields).message
    return QuoteEvidence(
        message=message,
        signature=tpm.tpmt(key, message),
        signature_format="tpmt",
        pcrs=pcrs.encode(PcrValues(bank=tpm.SHA256, values=VALUES)),
    )
