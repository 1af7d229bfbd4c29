"""The roots of hardware, pinned by the SHA-256 of the DER certificate. Pure.

The certificates travel with the evidence; only these hashes decide. They were computed from the
certificates that the vendors publish, equal in at least two independent public copies.
"""

from __future__ import annotations

from runtime.attestation.snp_claims import TrustRoot
from runtime.attestation.tees import Root
from runtime.attestation.tees.google.launch_endorsement import GOOGLE_TCB_ROOT
from runtime.attestation.tees.nitro import HARDWARE_ROOTS as NITRO_ROOTS
from runtime.attestation.tees.tdx.pck import INTEL_ROOT
from runtime.attestation.tees.tpm.ak import AZURE_ROOT, GOOGLE_ROOT
from runtime.documents.reference_values import SnpProduct


def _amd(product: SnpProduct, sha256: str) -> TrustRoot:
    return TrustRoot(kind="hardware", vendor="amd", product=product, sha256=bytes.fromhex(sha256))


AMD_ROOTS: tuple[TrustRoot, ...] = (
    _amd("Milan", "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd"),  # ARK-Milan
    _amd("Genoa", "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1"),  # ARK-Genoa
    _amd("Turin", "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a"),  # ARK-Turin
)

HARDWARE_ROOTS: tuple[Root, ...] = (
    *AMD_ROOTS,
    INTEL_ROOT,
    *NITRO_ROOTS,
    AZURE_ROOT,
    GOOGLE_ROOT,  # attestation keys of instances
    GOOGLE_TCB_ROOT,  # firmware
)
