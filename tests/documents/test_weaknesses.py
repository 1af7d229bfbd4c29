"""An owner accepts published attacks one by one, by ids that this program knows."""

from __future__ import annotations

from types import MappingProxyType

from runtime.documents.reference_values import SnpProduct, SnpProductFloor
from runtime.documents.weaknesses import INCURABLE, SEED_EXTRACTION, WEAKNESSES, unknown


def floor(*accepted: str) -> SnpProductFloor:
    return SnpProductFloor(
        min_tcb=MappingProxyType({}), opt_in=MappingProxyType(dict.fromkeys(accepted, "a reason"))
    )


def test_what_no_firmware_cures_is_on_the_list() -> None:
    assert all(ids <= WEAKNESSES[product] for product, ids in INCURABLE.items())
    assert INCURABLE["Milan"] == {SEED_EXTRACTION}


def test_ids_of_no_attack_or_of_another_products_are_named() -> None:
    products: dict[SnpProduct, SnpProductFloor] = {
        "Milan": floor("zzz", SEED_EXTRACTION, "aaa"),
        "Genoa": floor(SEED_EXTRACTION, "cve-2024-21944"),
        "Turin": floor(),
    }
    assert unknown(products) == (("Milan", "aaa"), ("Milan", "zzz"), ("Genoa", SEED_EXTRACTION))
