"""All negative vectors, in the order of docs/checks.md. Pure."""

from __future__ import annotations

from tests.attestation.vector import Vector
from tests.attestation.vectors_ak import AK
from tests.attestation.vectors_cross import CROSS
from tests.attestation.vectors_intel import INTEL
from tests.attestation.vectors_nitro import NITRO
from tests.attestation.vectors_snp import SNP
from tests.attestation.vectors_tdx import TDX
from tests.attestation.vectors_tpm import TPM

VECTORS: tuple[Vector, ...] = (*SNP, *TDX, *INTEL, *TPM, *AK, *NITRO, *CROSS)
