"""TPM 2.0 quotes: `attest`, `pcrs`, `signature`, `public` read, `quote` decides, `ak` and `gce` say whose."""

from runtime.attestation.tees.tpm.gce import GceTpmClaims, verify_gce
from runtime.attestation.tees.tpm.quote import QuoteDemand, QuoteEvidence, TpmClaims, verify

__all__ = ["GceTpmClaims", "QuoteDemand", "QuoteEvidence", "TpmClaims", "verify", "verify_gce"]
