"""The whole way, through a process boundary: cheap questions first, and two kinds of error only."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.attestation import verifier, wire
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.roots import HARDWARE_ROOTS
from runtime.documents import fleet, times
from runtime.documents.fleet import FleetDocument
from runtime.errors import MalformedError
from tests.attestation.scene import BINDER, SETTINGS, Scene
from tests.fakes.amd import PRODUCTS, FakeAmd, SimulatedSnpAttester
from tests.fakes.fleets import MEASUREMENT, NOW

Scenes = Callable[..., Scene]


@pytest.mark.parametrize("product", PRODUCTS)
async def test_a_simulated_attester_is_accepted_across_a_process(
    amd: FakeAmd, scene: Scenes, product: Any
) -> None:
    chip = amd.chip("client-1", product)
    attester = SimulatedSnpAttester(chip=chip, measurement=MEASUREMENT, host_data=SETTINGS)
    assert attester.available()
    evidence = wire.encode(await attester.collect(BINDER))
    request = scene(chip=chip).request(evidence)
    result = verifier.appraise(pickle.loads(pickle.dumps(request)))  # noqa: S301 - our own object
    assert (result.member, result.grade) == ("client-1", "T")


def test_hardware_roots_do_not_know_the_simulated_tee(scene: Scenes) -> None:
    assert scene(roots=HARDWARE_ROOTS).refuse() == {"chain.root"}


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({"settings_digest": bytes(32)}, {"member.known"}),
        ({"role": "server"}, {"member.role"}),
        ({"now": NOW - 3601}, {"document.issued_at"}),
        ({"now": NOW - 3600 + 14 * times.DAY_S + 1}, {"document.expires_at"}),
        ({"now": 0, "settings_digest": bytes(32)}, {"document.issued_at", "member.known"}),
    ],
)
def test_cheap_questions_come_before_the_evidence(
    scene: Scenes, change: dict[str, Any], failed: set[str]
) -> None:
    assert scene(**change).refuse() == failed
    garbage = scene(**change).request(b"not evidence")
    with pytest.raises(EvidenceRefusedError):
        verifier.appraise(garbage)


def test_the_last_second_of_a_document_counts(scene: Scenes) -> None:
    assert scene(now=NOW - 3600 + 14 * times.DAY_S).accept().member == "client-1"
    assert scene(now=NOW - 3600).accept().member == "client-1"


def test_a_document_without_snp_accepts_none(scene: Scenes) -> None:
    assert scene(document={"reference_values": {}}).refuse() == {"sev-snp.accepted"}


def test_a_format_without_values_is_refused_before_any_signature(scene: Scenes) -> None:
    assert scene(document={"reference_values": {}}, roots=()).refuse() == {"sev-snp.accepted"}


def test_no_appraisal_reads_a_document_that_was_prepared(
    scene: Scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = scene(document={"version": 78}).request()
    verifier.prepare(request.document)

    def read(_: bytes) -> FleetDocument:
        pytest.fail("it was read again")

    monkeypatch.setattr(fleet, "read", read)
    assert verifier.appraise(request).document_version == 78


def test_a_broken_document_is_malformed_and_not_kept(scene: Scenes) -> None:
    request = scene().request()
    for document in (b"", b"{}", request.document[:-3], request.document.replace(b'"test"', b'"tset"')):
        with pytest.raises(MalformedError):
            verifier.appraise(dataclasses.replace(request, document=document))


def test_a_document_is_read_once(scene: Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    request = scene(document={"version": 77}).request()
    reads: list[bytes] = []
    real = fleet.read

    def read(data: bytes) -> fleet.FleetDocument:
        reads.append(data)
        return real(data)

    monkeypatch.setattr(fleet, "read", read)
    for _ in range(3):
        verifier.appraise(pickle.loads(pickle.dumps(request)))  # noqa: S301 - our own object
    assert len(reads) == 1


def test_the_member_can_be_found_before_evidence_is_asked_for(scene: Scenes) -> None:
    document = fleet.read(scene().payload())
    assert verifier.find_member(document, SETTINGS, "client", NOW).name == "client-1"
    with pytest.raises(EvidenceRefusedError):
        verifier.find_member(document, BINDER[:32], "client", NOW)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120, deadline=None)
@given(st.floats(0, 1), st.binary(max_size=12), st.sampled_from(["patch", "cut", "extend", "replace"]))
def test_hostile_evidence_is_refused_or_malformed(
    scene: Scenes, where: float, patch: bytes, how: str
) -> None:
    right = scene().request()
    offset = int(where * len(right.evidence))
    wrong = {
        "patch": right.evidence[:offset] + patch + right.evidence[offset + len(patch) :],
        "cut": right.evidence[:offset],
        "extend": right.evidence + patch,
        "replace": patch,
    }[how]
    if wrong == right.evidence:
        return
    with pytest.raises((EvidenceRefusedError, MalformedError)):
        verifier.appraise(dataclasses.replace(right, evidence=wrong))
