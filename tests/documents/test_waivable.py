"""The closed list knows every bit of AMD's that an owner may demand, and every check on it exists."""

from __future__ import annotations

import re
from pathlib import Path

from runtime.attestation.tees.snp.report import PLATFORM_BITS, POLICY_BITS
from runtime.documents.waivable import CARRY_GRADE, WAIVABLE

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


CARRIES_NONE = {
    # something beside a boot that is known: until when, by which policy (PCR4 pins the boot programs whatever
    # Secure Boot's says), with a log that explains its registers
    "image.date",
    "firmware.pcr7",
    "firmware.pcr7.date",
    "log.present",
    # where it runs
    "snp.csp_id",
    "nitro.region",
    "gce.zone",
    # what nobody said: each has a line of its own in `not_proven`
    "snp.revocation",
    "ak.revocation",
    "ak.certified",
    # how the guest is launched and what is switched on around it
    "snp.guest_svn",
    "snp.id_key",
    "snp.author_key",
    "azure.console",
    "td.pks",
    "td.key_locker",
    "td.perfmon",
    "td.xfam",
}


def test_of_every_waivable_check_it_is_decided_whether_a_grade_rests_on_it() -> None:
    switches = {check for check in WAIVABLE if check.startswith(("policy.", "platform."))}
    assert CARRY_GRADE | CARRIES_NONE | switches == WAIVABLE
    assert not CARRY_GRADE & (CARRIES_NONE | switches)
