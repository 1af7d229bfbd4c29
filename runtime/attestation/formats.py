"""The evidence formats: code on the wire, the items each is made of, and how large an item may be. Pure.

Parts are all required and are what a signature, or another part, covers; endorsements are optional, travel
along, and `verify` says what is missing. Sizes are bounds in bytes, looked at before anything is kept. The
bytes of each item and what it commits to are in docs/protocol.md §5; `binding` makes the commitments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

# What a TPM quote is about, exactly: the boot programs (4), the Secure Boot policy (7), the unified kernel
# image's sections (11), what was added to it from outside (12, 13: zeros), the settings (14).
QUOTED_REGISTERS: frozenset[int] = frozenset({4, 7, 11, 12, 13, 14})

_CERTIFICATE, _LIST = 4 * 1024, 64 * 1024
_SNP_REPORT, _TD_QUOTE, _LOG = 1184, 32 * 1024, 128 * 1024

_SNP: Mapping[str, int] = {
    "vek": _CERTIFICATE,
    "intermediate": _CERTIFICATE,
    "root": _CERTIFICATE,
    "crl": _LIST,
    "cert_table": 32 * 1024,
}
_INTEL: Mapping[str, int] = {"tdx_collateral": 128 * 1024}
_AK: Mapping[str, int] = {  # from the key's own certificate up; the second authority may be missing
    "ak_certificate": _CERTIFICATE,
    "ak_authority_1": _CERTIFICATE,
    "ak_authority_2": _CERTIFICATE,
    "ak_root": _CERTIFICATE,
    "ak_crl": _LIST,  # of the key's issuer
    "ak_authority_1_crl": _LIST,  # of that authority's issuer
    "ak_authority_2_crl": _LIST,
}
_GOOGLE: Mapping[str, int] = {"launch_endorsement": 32 * 1024}
_LOGGED: Mapping[str, int] = {"event_log": _LOG}
_QUOTE: Mapping[str, int] = {"tpm_quote": 1024, "tpm_signature": 1024, "tpm_pcrs": 2048}


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One kind of evidence."""

    code: int  # in the hello, 1 to 255
    parts: Mapping[str, int]  # name -> most bytes
    endorsements: Mapping[str, int]


def _format(code: int, parts: Mapping[str, int], *endorsements: Mapping[str, int]) -> Format:
    merged = {name: size for group in endorsements for name, size in group.items()}
    return Format(code=code, parts=MappingProxyType(dict(parts)), endorsements=MappingProxyType(merged))


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "sev-snp": _format(1, {"snp_report": _SNP_REPORT}, _SNP),
        "aws-snp-nitrotpm": _format(
            2, {"snp_report": _SNP_REPORT, "nitrotpm_document": 16 * 1024}, _SNP, _LOGGED
        ),
        "azure-snp": _format(3, {"hcl_report": 16 * 1024, **_QUOTE}, _SNP, _AK, _LOGGED),
        "azure-tdx": _format(
            4, {"hcl_report": 16 * 1024, "td_quote": _TD_QUOTE, **_QUOTE}, _INTEL, _AK, _LOGGED
        ),
        "gcp-snp": _format(5, {"snp_report": _SNP_REPORT, **_QUOTE}, _SNP, _AK, _GOOGLE, _LOGGED),
        "gcp-tdx": _format(6, {"td_quote": _TD_QUOTE, "ccel": _LOG, **_QUOTE}, _INTEL, _AK, _GOOGLE, _LOGGED),
        "qemu-tpm": _format(7, {"ak_public": 1024, **_QUOTE}, _LOGGED),
        "aws-nitrotpm": _format(8, {"nitrotpm_document": 16 * 1024}, _LOGGED),
    }
)
