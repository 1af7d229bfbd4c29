"""Fleet documents of `purpose: test`, valid as they are; a test changes what it is about. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.documents import dsse, fleet, strict_json, times
from runtime.documents.fleet import Role
from runtime.documents.reference_values import SnpProduct
from runtime.documents.weaknesses import INCURABLE
from tests.fakes import snp_report

NOW = times.parse("2026-11-22T12:00:00Z")  # inside the life of every fake certificate but a VLEK's
MEASUREMENT = b"\x11" * 48
ZERO_DIGEST = "00" * 48


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetMember:
    """One member of a test's fleet."""

    name: str
    role: Role
    settings_digest: bytes  # 32
    chip_id: bytes  # 64
    hostnames: tuple[str, ...] = ()


def opt_in(product: SnpProduct, reason: str) -> list[dict[str, str]]:
    """Return what accepts a fake chip of this product: the attack that no firmware cures."""
    return [{"weakness": weakness, "reason": reason} for weakness in sorted(INCURABLE[product])]


def snp_values(lines: Iterable[SnpProduct] = ("Milan", "Genoa", "Turin"), **overrides: Any) -> dict[str, Any]:
    """Return `reference_values.snp`: the floor of each product is what the fake chips report."""
    return {
        "report_versions": [3, 5],
        "signers": ["vcek"],
        "csp_ids": [],
        "products": {
            product: {
                "min_tcb": dict(snp_report.TCBS[product]),
                "opt_in": opt_in(product, "simulated: no seed to extract"),
            }
            for product in lines
        },
        "guest_policy": {"smt": "allowed", "cxl": "forbidden", "min_abi": "0.0", "require": []},
        "platform_require": ["alias_check_complete"],
        "provisional_firmware": False,
        "min_guest_svn": 0,
        "id_key_digests": [ZERO_DIGEST],
        "author_key_digests": [ZERO_DIGEST],
        "required_mitigations": "0x0",
        "revocation": "required",
    } | overrides


def fleet_document(
    members: Sequence[FleetMember],
    *,
    measurement: bytes = MEASUREMENT,
    products: Iterable[SnpProduct] = ("Milan", "Genoa", "Turin"),
    version: int = 1,
    now: int = NOW,
    snp: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> dict[str, Any]:
    """Return the document as JSON values: issued an hour before `now`, for 14 days.

    `snp` changes single Reference Values, `overrides` whole keys of the document.
    """
    document: dict[str, Any] = {
        "schema": "tunnel-fleet/1",
        "fleet": "test",
        "version": version,
        "purpose": "test",
        "issued_at": times.show(now - 3600),
        "expires_at": times.show(now - 3600 + 14 * times.DAY_S),
        "tunnel_name": "tunnel.test",
        "least_grade": {"server": "T", "client": "T", "key_receiver": "T"},
        "images": [
            {
                "id": "test-image",
                "manifest_sha256": "22" * 32,
                "not_after": times.show(now + 30 * times.DAY_S),
                "measurements": {"snp_launch": [measurement.hex()]},
            }
        ],
        "firmware": [],
        "reference_values": {"sev-snp": {"snp": snp_values(products, **(snp or {}))}},
        "members": [
            {
                "name": member.name,
                "role": member.role,
                "settings_sha256": member.settings_digest.hex(),
                "instance": {"kind": "chip_id", "value": member.chip_id.hex()},
                "hostnames": list(member.hostnames),
            }
            for member in members
        ],
        "waivers": [],
    }
    return document | overrides


def fleet_payload(members: Sequence[FleetMember], **options: Any) -> bytes:
    """Return the bytes that an owner would sign; `options` as in `fleet_document`."""
    return strict_json.canonical(fleet_document(members, **options))


def open_signed(envelope: bytes, owner_keys: tuple[bytes, ...]) -> fleet.FleetDocument:
    """Read a published fleet document as a member does: the owner's signature first."""
    return fleet.read(dsse.open_envelope(envelope, dsse.FLEET_TYPE, owner_keys))
