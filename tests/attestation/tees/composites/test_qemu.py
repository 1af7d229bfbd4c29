"""A software TPM: accepted under purpose test, by the name of its key, and not otherwise."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from hashlib import sha256

import pytest

from runtime.attestation.tees.composites import qemu
from runtime.attestation.tees.composites.qemu import QemuTpm
from runtime.documents import times
from runtime.errors import MalformedError
from tests.attestation.platforms import appraise, document, refused
from tests.fakes import tpm
from tests.fakes.machines import BINDER, FakeMachine

QEMU = "qemu-tpm"


def test_the_name_is_the_tpms_own(platforms: Mapping[str, FakeMachine]) -> None:
    area = tpm.tpm2b_public(tpm.rsa_key("ak"))
    assert qemu.ak_name(area) == struct.pack(">H", tpm.SHA256) + sha256(area[2:]).digest()
    assert appraise(platforms[QEMU]).instance == qemu.ak_name(area).hex()
    assert QemuTpm().endorsements_needed(platforms[QEMU].evidence()) == ()


def test_nothing_vouches_for_the_key_and_nothing_of_it_ends(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms[QEMU]
    claims = QemuTpm().verify(machine.evidence(), BINDER, machine.roots, machine.now)
    assert (claims.endorsed_until, claims.newest_endorsement, claims.roots) == (times.LATEST, 0, ())


def test_another_key_is_another_machine(platforms: Mapping[str, FakeMachine]) -> None:
    key = tpm.rsa_key("another")
    failed = refused(platforms[QEMU], ak=key, area=tpm.tpm2b_public(key))
    assert set(failed) == {"member.instance"}


@pytest.mark.parametrize(
    "area",
    [
        tpm.tpm2b_public(tpm.rsa_key("ak"), attributes=tpm.AK_ATTRIBUTES & ~(1 << 16)),
        tpm.tpm2b_public(tpm.rsa_key("ak"), attributes=tpm.AK_ATTRIBUTES & ~(1 << 1)),
        tpm.tpm2b_public(tpm.rsa_key("ak"), name_algorithm=tpm.SHA384),
    ],
)
def test_a_key_that_could_sign_anything_is_refused(platforms: Mapping[str, FakeMachine], area: bytes) -> None:
    assert set(refused(platforms[QEMU], area=area)) == {"ak.attributes"}


def test_no_key_at_all_is_malformed(platforms: Mapping[str, FakeMachine]) -> None:
    assert set(refused(platforms[QEMU], area=b"\0\1\0")) == {"ak.malformed"}
    log = {"event_log": b"\0"}
    assert set(refused(platforms[QEMU], parts={"tpm_quote": b"\0"})) == {"vtpm.malformed"}
    assert set(refused(platforms[QEMU], endorsements=log)) == {"log.malformed"}


def test_a_production_document_cannot_even_name_it(platforms: Mapping[str, FakeMachine]) -> None:
    fleet = document(
        platforms[QEMU],
        purpose="production",
        least_grade=dict.fromkeys(("server", "client", "key_receiver"), "N"),
    )
    with pytest.raises(MalformedError, match="software TPM"):
        appraise(platforms[QEMU], fleet)
