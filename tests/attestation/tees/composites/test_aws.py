"""EC2: report and document speak of one machine, or are refused."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from runtime.attestation.binding import tied_qualifying
from runtime.attestation.tees import TEES
from runtime.attestation.tees.composites.aws import AwsNitroTpm, AwsSnpNitroTpm
from tests.attestation.platforms import appraise, document, refused
from tests.fakes.machines import BINDER, FakeMachine

AWS, ALONE = "aws-snp-nitrotpm", "aws-nitrotpm"


def test_both_parts_are_in_the_claims(platforms: Mapping[str, FakeMachine]) -> None:
    claims = TEES[AWS].verify(platforms[AWS].evidence(), BINDER, platforms[AWS].roots, platforms[AWS].now)
    assert claims.snp is not None
    assert claims.nitro is not None
    assert claims.registers is not None
    assert claims.registers.bank == "sha384"
    assert claims.unbound == ()
    assert AwsSnpNitroTpm().endorsements_needed(platforms[AWS].evidence()) == ()
    assert AwsNitroTpm().endorsements_needed(platforms[ALONE].evidence()) == ()


def test_another_binder_is_left_to_policy(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms[ALONE]
    claims = TEES[ALONE].verify(machine.evidence(), bytes(64), machine.roots, machine.now)
    assert [check.id for check in claims.unbound] == ["binding.nitro_user_data"]


def test_a_splice_of_two_machines_is_refused(platforms: Mapping[str, FakeMachine]) -> None:
    """Decision 0004: a rented TEE's report beside the document of an enrolled machine, one binder in both."""
    machine = platforms[AWS]
    enrolled, rented = machine.evidence(), machine.evidence(snp={"report_id": b"\x01" * 32})
    parts = {
        "snp_report": rented.parts["snp_report"],
        "nitrotpm_document": enrolled.parts["nitrotpm_document"],
    }
    assert set(refused(machine, parts=parts)) == {"nitro.document.nonce"}


def test_a_document_that_stands_alone_does_not_stand_beside_a_report(
    platforms: Mapping[str, FakeMachine],
) -> None:
    alone = platforms[ALONE].evidence().parts["nitrotpm_document"]
    assert "nitro.document.nonce" in refused(platforms[AWS], parts={"nitrotpm_document": alone})
    tied = tied_qualifying(BINDER, b"report")
    assert set(refused(platforms[ALONE], nitro={"nonce": tied})) == {"nitro.document.nonce"}


def test_what_is_wrong_with_both_parts_is_in_one_refusal(platforms: Mapping[str, FakeMachine]) -> None:
    assert set(refused(platforms[AWS], roots=())) == {"chain.root", "nitro.chain.root"}


def test_another_binder_is_refused_in_both(platforms: Mapping[str, FakeMachine]) -> None:
    failed = refused(platforms[AWS], binder=bytes(64))
    assert set(failed) == {"nitro.document.nonce"}
    made = platforms[AWS].evidence(bytes(64))
    assert set(refused(platforms[AWS], parts=dict(made.parts))) == {"nitro.document.nonce"}


@pytest.mark.parametrize("form", [AWS, ALONE])
def test_a_log_is_optional_and_has_to_agree(platforms: Mapping[str, FakeMachine], form: str) -> None:
    assert appraise(platforms[form], endorsements={"event_log": None}).image == "test-image"
    moved = document(platforms[form], measurements={"pcr11_sha384": "01" * 48})
    assert "log.replay.11" in refused(platforms[form], moved, registers={11: b"\x01" * 48})


@pytest.mark.parametrize("form", [AWS, ALONE])
@pytest.mark.parametrize("carried", [None, b"", BINDER[:-1], BINDER + b"\0"])
def test_a_document_that_carries_no_binder_is_refused(
    platforms: Mapping[str, FakeMachine], form: str, carried: bytes | None
) -> None:
    assert "binding.nitro_user_data" in refused(platforms[form], nitro={"user_data": carried})
