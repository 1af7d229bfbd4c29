"""Reference Values that a new fleet document starts from: TCB floors seen on real machines, dated. Pure.

Only what the fleet's machines need is listed: a product, signer or region that no member uses is refused.
Firmware launch digests are not here: they are read from a machine of one's own, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from infra.capabilities import Machine
from infra.config import OptIns
from runtime.documents.reference_values import SnpProduct

CHOSEN = "2026-11-22"  # the day the floors below were written down

# What patched machines reported in 2025 (real reports: Milan on 2025-01-15, Genoa of the same generation).
# They were not compared with AMD's bulletins: an owner raises them to what AMD's newest one asks for.
_FLOORS: Mapping[SnpProduct, Mapping[str, int]] = {
    "Milan": {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219},
    "Genoa": {"bootloader": 10, "tee": 0, "snp": 23, "microcode": 84},
}
_NO_ID_BLOCK = _ZERO = "0" * 96  # no ID block, no owner's configuration: AWS' and Google's launches have none
# Who signs Azure's ID blocks: the digest of Microsoft's key in real reports of 2025 (Milan, three machines).
_AZURE_ID_KEY = (
    "942fd93ebde6ea7a96efadeafc60f1c6b3d10e703b1dafd7555b92f7f3d32d0e006767648cba5b102af3d65756af4177"
)
# Intel's TCB recovery that both TCB info and QE identity have to have reached: set 19 was current in 2025.
_EVALUATION_NUMBER = 19
# x87, SSE, AVX, AVX-512, PKRU, AMX; on Azure control-flow enforcement (CET) too: what real quotes show.
_XFAM = {"azure": "0x61ae7", "gcp": "0x602e7"}
_FORMATS: Mapping[tuple[str, str], str] = {
    ("aws", "sev-snp"): "aws-snp-nitrotpm",
    ("azure", "sev-snp"): "azure-snp",
    ("azure", "tdx"): "azure-tdx",
    ("gcp", "sev-snp"): "gcp-snp",
    ("gcp", "tdx"): "gcp-tdx",
}


def reference_values(machines: Iterable[Machine], opt_in: OptIns, *, simulated: bool) -> dict[str, Any]:
    """Return the document's `reference_values` for these machines, by evidence format.

    A simulated fleet has no hardware: its TEEs may name any product of the table. What a configuration does
    not know (Google's project ids) stays an empty list, which accepts nothing until the owner fills it.
    """
    if simulated:
        return {"sev-snp": {"snp": _snp(_FLOORS, ["vcek"], [], opt_in, _NO_ID_BLOCK)}}
    found: dict[tuple[str, str], list[Machine]] = {}
    for machine in machines:
        found.setdefault((machine.cloud, machine.tee), []).append(machine)
    return {
        _FORMATS[cloud, tee]: _values(cloud, tee, entries, opt_in)
        for (cloud, tee), entries in sorted(found.items())
    }


def _values(cloud: str, tee: str, machines: list[Machine], opt_in: OptIns) -> dict[str, Any]:
    regions = sorted({machine.region for machine in machines})
    if tee == "tdx":
        processor: dict[str, Any] = {"tdx": _tdx(cloud)}
    else:
        products: set[SnpProduct] = {machine.product for machine in machines if machine.product is not None}
        # Shared EC2 hosts sign with AWS's VLEK, which names the region; everybody else with the chip's VCEK.
        signer, csp_ids = (
            ("vlek", [f"CN=cc-{region}.amazonaws.com" for region in regions])
            if cloud == "aws"
            else ("vcek", [])
        )
        id_key = _AZURE_ID_KEY if cloud == "azure" else _NO_ID_BLOCK
        processor = {"snp": _snp(products, [signer], csp_ids, opt_in, id_key)}
    match cloud:
        case "aws":
            provider: dict[str, Any] = {"nitrotpm": {"regions": regions, "max_age_s": 300, "max_skew_s": 60}}
        case "azure":
            provider = {
                "azure": {
                    "console": "allowed",
                    "ak_certificates": "when_present",
                    "ak_revocation": "when_present",
                }
            }
        case _:
            zones = sorted({machine.zone for machine in machines})
            provider = {
                "gce": {
                    "projects": [],
                    "zones": zones,
                    "endorsed_firmware": {"min_svn": 1},
                    "ak_revocation": "when_present",
                }
            }
    return processor | provider


def _snp(
    products: Iterable[SnpProduct], signers: list[str], csp_ids: list[str], opt_in: OptIns, id_key: str
) -> dict[str, Any]:
    wanted = set(products)
    return {
        "report_versions": [3, 5],
        "signers": signers,
        "csp_ids": csp_ids,
        "products": {
            name: {
                "min_tcb": dict(floor),
                "opt_in": [
                    {"weakness": weakness, "reason": reason}
                    for weakness, reason in sorted(opt_in.get(name, {}).items())
                ],
            }
            for name, floor in _FLOORS.items()
            if name in wanted
        },
        "guest_policy": {"smt": "allowed", "cxl": "forbidden", "min_abi": "0.0", "require": []},
        "platform_require": ["alias_check_complete"],
        "provisional_firmware": False,
        "min_guest_svn": 0,
        "id_key_digests": [id_key],
        "author_key_digests": [_NO_ID_BLOCK],
        "required_mitigations": "0x0",
        "revocation": "when_present",
    }


def _tdx(cloud: str) -> dict[str, Any]:
    return {
        "min_evaluation_number": _EVALUATION_NUMBER,
        "statuses": ["UpToDate"],
        "out_of_date_grace_days": 0,
        "refused_advisories": [],
        "mrseam": "any_signed_by_intel",
        "mrconfigid": _ZERO,
        "mrowner": _ZERO,
        "mrownerconfig": _ZERO,
        "xfam_allowed": _XFAM[cloud],
        "sept_ve_disable": cloud
        != "azure",  # whose paravisor handles #VE itself; elsewhere a host injects it
        "allow": ["cached_keys", "dynamic_platform", "smt"],  # what the clouds' multi-socket hosts are
    }
