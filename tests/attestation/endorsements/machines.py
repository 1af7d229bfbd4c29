"""Evidence of each format without its endorsements, and the certificates that belong to it."""

from __future__ import annotations

import re
from hashlib import sha256

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from runtime.attestation.formats import FORMATS
from runtime.attestation.snp_claims import TrustRoot
from runtime.attestation.wire import Evidence
from tests.fakes import azure, td_machine, tpm, tpm_certificates
from tests.fakes.amd import Chip
from tests.fakes.tpm_certificates import FakePath

AIA, CDP = "1.3.6.1.5.5.7.1.1", "2.5.29.31"
HOST = "http://privateca-content-1.storage.googleapis.com"


def evidence(format_: str, parts: dict[str, bytes], /, **endorsements: bytes) -> Evidence:
    """Return evidence; parts that do not matter are filled with something."""
    filled = {name: parts.get(name, b"x") for name in FORMATS[format_].parts}
    return Evidence(format=format_, parts=filled, endorsements=endorsements)


def snp(chip: Chip, format_: str = "sev-snp", /, **endorsements: bytes) -> Evidence:
    """Return a chip's evidence with these endorsements only."""
    report = chip.report(report_data=bytes(64))
    if format_ == "azure-snp":
        text = azure.runtime_json()
        report = chip.report(report_data=azure.report_data(text))
        return evidence(format_, {"hcl_report": azure.hcl(report, text, azure.SNP)}, **endorsements)
    return evidence(format_, {"snp_report": report}, **endorsements)


def roots(chip: Chip) -> tuple[TrustRoot, ...]:
    """Return the pin of a chip's root."""
    digest = sha256(chip.endorsements["root"]).digest()
    return (TrustRoot(kind="test", vendor="amd", product=chip.product, sha256=digest),)


def tdx(format_: str = "gcp-tdx", /, **endorsements: bytes) -> Evidence:
    """Return a TD's evidence."""
    return evidence(format_, {"td_quote": td_machine.QUOTE}, **endorsements)


def access(*urls: str) -> bytes:
    """Return the value of an authority information access extension."""
    issuers = AuthorityInformationAccessOID.CA_ISSUERS
    entries = [x509.AccessDescription(issuers, x509.UniformResourceIdentifier(url)) for url in urls]
    return x509.AuthorityInformationAccess(entries).public_bytes()


def points(*urls: str) -> bytes:
    """Return the value of a CRL distribution points extension."""
    made = [x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None) for url in urls]
    return x509.CRLDistributionPoints(made).public_bytes()


def google_path(base: str = HOST) -> FakePath:
    """Return Google's path of three, each certificate naming where its issuer and its list are."""
    path = tpm_certificates.google(tpm.rsa_key("ak").public_key())
    extra = dict(path.specs[0].extensions) | {
        AIA: access(f"{base}/ca.crt"),
        CDP: points(f"{base}/ak.crl"),
    }
    path = path.but(0, extensions=extra)
    return path.but(1, extensions={AIA: access(f"{base}/root.crt"), CDP: points(f"{base}/ca.crl")})


def year_zero(der: bytes) -> bytes:
    """Return a certificate that ends in 2050 or later with an end in year 0, which no calendar has."""
    wrong, count = re.subn(rb"(\x18\x0f)\d{4}(\d{10}Z\x30)", rb"\g<1>0000\2", der, count=1)
    assert count == 1
    return wrong
