"""The published attacks that an owner may accept, by product line: a closed list, for whoever signs. Pure.

An `opt_in` names each of them by its id: an attack that becomes known later is accepted by nobody until the
owner has written its id, and why, into a new document. What each of them does, by whose word, and which
machines it applies to is `runtime.attestation.known_weak`'s.

Whoever signs is refused an id that is not here. A member only warns of one: it may run an older release than
the owner's, and an id that it does not know lets nothing in.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from runtime.documents.reference_values import SnpProduct, SnpProductFloor

SEED_EXTRACTION = "arxiv-2605.12990"
WEAKNESSES: Mapping[SnpProduct, frozenset[str]] = MappingProxyType(
    {
        "Milan": frozenset({SEED_EXTRACTION, "cve-2024-56161", "cve-2024-21944"}),
        "Genoa": frozenset({"cve-2024-56161", "cve-2024-21944"}),
        "Turin": frozenset(),
    }
)
# What no firmware cures: without these opt-ins the product is refused whatever it runs.
INCURABLE: Mapping[SnpProduct, frozenset[str]] = MappingProxyType(
    {"Milan": frozenset({SEED_EXTRACTION}), "Genoa": frozenset(), "Turin": frozenset()}
)


def unknown(products: Mapping[SnpProduct, SnpProductFloor]) -> tuple[tuple[SnpProduct, str], ...]:
    """Return each product with the ids of its `opt_in` that no attack on it has, in order."""
    return tuple(
        (product, weakness)
        for product, floor in products.items()
        for weakness in sorted(set(floor.opt_in) - WEAKNESSES[product])
    )
