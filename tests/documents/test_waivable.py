"""The closed list knows every bit of AMD's that an owner may demand, and every check on it exists."""

from __future__ import annotations

import re
from pathlib import Path

from runtime.attestation.tees.snp.report import PLATFORM_BITS, POLICY_BITS
from runtime.documents.waivable import WAIVABLE

CODE = Path(__file__).resolve().parents[2] / "runtime" / "attestation"


def test_every_bit_that_may_be_demanded_may_be_waived() -> None:
    assert {f"policy.{bit}" for bit in POLICY_BITS} | {f"platform.{bit}" for bit in PLATFORM_BITS} <= WAIVABLE


def test_every_check_on_the_list_is_one_that_somebody_makes() -> None:
    text = "\n".join(path.read_text("utf-8") for path in CODE.rglob("*.py"))
    for check in WAIVABLE:
        stage, _, name = check.partition(".")
        made = f'"{check}"' in text or (f'f"{stage}.' in text and re.search(rf'"{name.split(".")[0]}"', text))
        made = made or check.startswith(("image.", "firmware."))
        assert made, check
