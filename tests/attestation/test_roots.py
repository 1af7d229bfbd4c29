"""The pins are of hardware, one per product, and they are those of AMD's published certificates."""

from __future__ import annotations

from typing import get_args

import pytest

from runtime.attestation.roots import AMD_ROOTS, HARDWARE_ROOTS
from runtime.documents.reference_values import SnpProduct
from tests.corpus import cases


def test_one_root_of_hardware_per_product() -> None:
    assert [root.product for root in AMD_ROOTS] == list(get_args(SnpProduct))
    assert all(root.kind == "hardware" and len(root.sha256) == 32 for root in HARDWARE_ROOTS)


@pytest.mark.skipif(cases.folder() != cases.DEFAULT, reason="needs the corpus beside the repository")
def test_pins_are_amd_s_own() -> None:
    assert set(AMD_ROOTS) == set(cases.anchors().pins)
