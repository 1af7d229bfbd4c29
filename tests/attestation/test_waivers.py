"""The closed list of what may be waived never holds what says who the peer is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from runtime.documents import times
from runtime.documents.waivable import WAIVABLE
from tests.attestation.platforms import appraise, as_hardware, document, refused
from tests.fakes import tpm
from tests.fakes.machines import FakeMachine

NEVER = (
    "binding.",
    "settings.",
    "member.",
    "chain.",
    "vek.",
    "report.",
    "quote.",
    "qe.",
    "hcl.",
    "ak.key",
    "ak.root",
    "nitro.document",
    "nitro.chain",
    "purpose.",
    "grade.",
    "ccel.",
    "launch.",
    "endorsements.",
    "revocation.",
)


def test_what_says_who_the_peer_is_is_not_on_the_list() -> None:
    assert not [check for check in WAIVABLE if check.startswith(NEVER)]
    for check in ("td.debug", "td.migratable", "policy.debug", "snp.vmpl", "image.pcr12", "image.pcr13"):
        assert check not in WAIVABLE
    for check in ("tcb.platform.revoked", "image.generation", "aws.region", "gce.project", "format.parts"):
        assert check not in WAIVABLE


def test_a_waiver_of_a_check_that_cannot_be_waived_changes_nothing(
    platforms: Mapping[str, FakeMachine],
) -> None:
    machine = platforms["qemu-tpm"]
    cases = (
        ("image.pcr12", {"registers": {12: b"\x01" * 32}}),
        ("settings.register", {"registers": {14: bytes(32)}}),
        ("quote.signature", {"ak": tpm.rsa_key("another")}),
    )
    for check, options in cases:
        fleet = document(machine, waivers=[waiver(check, machine.now)])
        assert set(refused(machine, fleet, **options)) == {check}


@pytest.mark.parametrize(
    ("form", "check", "grade"),
    [("azure-snp", "ak.revocation", "P"), ("gcp-tdx", "firmware.measurement", "N")],
)
def test_a_waiver_has_an_end(platforms: Mapping[str, FakeMachine], form: str, check: str, grade: str) -> None:
    machine = platforms[form]
    change: dict[str, Any] = (
        {"values": {"azure": {"ak_revocation": "required"}}}
        if form == "azure-snp"
        else {"firmware": {"mrtd": None}}
    )
    now = document(machine, waivers=[waiver(check, machine.now)], **change)
    result = appraise(machine, now, roots=as_hardware(machine.roots))
    assert ([entry.check for entry in result.waivers], result.grade) == ([check], grade)
    over = document(machine, waivers=[waiver(check, machine.now - 1)], **change)
    assert set(refused(machine, over)) == {check}


def waiver(check: str, until: int) -> dict[str, str]:
    return {
        "name": "known-gap",
        "check": check,
        "member": "*",
        "reason": "until the next image",
        "not_after": times.show(until),
    }
