"""Azure machines under throw-away roots: good evidence, or evidence with one thing changed."""

from __future__ import annotations

from typing import Any

from runtime.attestation.tees.azure.overlay import AzureDemand
from runtime.attestation.tees.azure.snp import AzureSnpEvidence
from runtime.attestation.tees.azure.tdx import AzureTdxEvidence
from runtime.attestation.tees.tpm import pcrs
from runtime.attestation.tees.tpm.ak import AkRoot
from runtime.attestation.tees.tpm.pcrs import PcrValues
from runtime.attestation.tees.tpm.quote import QuoteDemand, QuoteEvidence
from tests.fakes import azure, td_machine, tpm, tpm_certificates
from tests.fakes.amd import Chip
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


def quote(key: tpm.PrivateKey = AK, **changes: Any) -> QuoteEvidence:
    fields: dict[str, Any] = {"values": VALUES, "qualifying_data": NONCE} | changes
    message = FakeQuote(**fields).message
    return QuoteEvidence(
        message=message,
        signature=tpm.tpmt(key, message),
        signature_format="tpmt",
        pcrs=pcrs.encode(PcrValues(bank=tpm.SHA256, values=VALUES)),
    )


def snp(chip: Chip, text: bytes = TEXT, *, covered: bytes | None = None, **changes: Any) -> AzureSnpEvidence:
    """`covered` is the JSON that the chip signs; it is `text` unless said."""
    report = chip.report(report_data=azure.report_data(text if covered is None else covered))
    fields: dict[str, Any] = {
        "hcl_report": azure.hcl(report, text, azure.SNP),
        "endorsements": dict(chip.endorsements),
        "quote": quote(),
        "ak_certificates": PATH.ders(),
    }
    return AzureSnpEvidence(**(fields | changes))


def tdx(text: bytes = TEXT, *, covered: bytes | None = None, **changes: Any) -> AzureTdxEvidence:
    """`covered` is the JSON that the platform's quote covers; it is `text` unless said."""
    data = azure.report_data(text if covered is None else covered)
    fields: dict[str, Any] = {
        "hcl_report": azure.hcl(azure.td_report(data), text, azure.TDX),
        "td_quote": td_machine.MACHINE.quote(td={"report_data": data}),
        "collateral": td_machine.COLLATERAL,
        "quote": quote(),
        "ak_certificates": PATH.ders(),
    }
    return AzureTdxEvidence(**(fields | changes))
