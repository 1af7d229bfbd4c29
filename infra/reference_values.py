"""Reference Values that a new fleet document starts from: TCB floors seen on real machines, dated. Pure.

Only what the fleet's machines need is listed: a product, signer or region that no member uses is refused.
Firmware launch digests are not here: they are read from a machine of one's own, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from infra.capabilities import Machine
from runtime.documents.reference_values import SnpProduct

CHOSEN = "2026-11-22"  # the day the floors below were written down

# What patched machines reported in 2025 (real reports: Milan on 2025-01-15, Genoa of the same generation).
# They were not compared with AMD's bulletins: an owner raises them to what AMD's newest one asks for.
_FLOORS: Mapping[SnpProduct, Mapping[str, int]] = {
    "Milan": {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219},
    "Genoa": {"bootloader": 10, "tee": 0, "snp": 23, "microcode": 84},
}
_NO_ID_BLOCK = "0" * 96  # no ID block: the clouds' launch has none, and ours adds none


def reference_values(
    machines: Iterable[Machine], opt_in: Mapping[SnpProduct, str], *, simulated: bool
) -> dict[str, Any]:
    """Return the document's `reference_values` for these machines.

    A simulated fleet has no hardware: its TEEs may name any product and signer of the table.
    """
    snp = [machine for machine in machines if machine.tee == "sev-snp"]
    if not snp and not simulated:
        return {}
    products = {machine.product for machine in snp if machine.product is not None}
    regions = sorted({machine.region for machine in snp if machine.cloud == "aws"})
    # Shared EC2 hosts sign with AWS's VLEK, which names the region; everybody else with the chip's VCEK.
    signers = ["vcek"] if simulated or any(machine.cloud != "aws" for machine in snp) else []
    return {
        "snp": {
            "report_versions": [3, 5],
            "signers": [*signers, *(["vlek"] if regions else [])],
            "csp_ids": [f"CN=cc-{region}.amazonaws.com" for region in regions],
            "products": {
                name: {"min_tcb": dict(floor), "opt_in": opt_in.get(name)}
                for name, floor in _FLOORS.items()
                if simulated or name in products
            },
            "guest_policy": {"smt": "allowed", "cxl": "forbidden", "min_abi": "0.0", "require": []},
            "platform_require": ["alias_check_complete"],
            "provisional_firmware": False,
            "min_guest_svn": 0,
            "id_key_digests": [_NO_ID_BLOCK],
            "author_key_digests": [_NO_ID_BLOCK],
            "required_mitigations": "0x0",
            "revocation": "when_present",
        }
    }
