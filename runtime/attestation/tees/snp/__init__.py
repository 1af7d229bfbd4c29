"""AMD SEV-SNP, by stage: `report` and `cert_table` parse, `vek` reads the leaf, `verify` decides."""

from runtime.attestation.tees.snp.verify import SnpTee

__all__ = ["SnpTee"]
