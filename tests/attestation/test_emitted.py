"""Every check that a verifier can say has a vector, or a word on why it cannot have one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from runtime.attestation.tees.snp.report import PLATFORM_BITS, POLICY_BITS
from runtime.documents.waivable import WAIVABLE
from tests.attestation import emitted, parts_tdx, parts_tpm, platforms
from tests.attestation.checks import WITHOUT
from tests.attestation.vectors import VECTORS
from tests.fakes import simulated
from tests.fakes.amd import FakeAmd
from tests.fakes.machines import FakeMachine

FORMATS_OF: Mapping[str, frozenset[str]] = {
    check: frozenset(vector.format for vector in VECTORS if vector.check == check)
    for check in {vector.check for vector in VECTORS}
}


def appraisals(
    made: Mapping[str, FakeMachine], amd: FakeAmd
) -> Iterator[tuple[FakeMachine, dict[str, Any], dict[str, Any]]]:
    """Yield good evidence of every platform, with what may come along and with what an owner may ask."""
    for machine in (*made.values(), simulated.machine(amd)):
        yield machine, {}, machine.document()
    lists = {
        name: value
        for depth in range(3)
        for name, value in parts_tpm.revocation_list(depth)(made["azure-snp"], amd)["endorsements"].items()
    }
    yield made["azure-snp"], {"endorsements": lists}, made["azure-snp"].document()
    tdx = parts_tdx.signer("qe_identity")(made["gcp-tdx"], amd)
    yield made["gcp-tdx"], tdx, made["gcp-tdx"].document()
    chip = {"version": 5, "policy": 0x3FF0000 & ~(3 << 18), "platform_info": 0xFF, "mitigations": (1, 1)}
    wanted = {
        "platform_require": sorted(
            bit for bit in PLATFORM_BITS if f"platform.{bit}" in WAIVABLE and bit != "smt"
        ),
        "guest_policy": {
            "smt": "allowed",
            "cxl": "allowed",
            "min_abi": "0.0",
            "require": sorted(POLICY_BITS),
        },
    }
    asked = platforms.document(made["gcp-snp"], values={"snp": wanted})
    yield made["gcp-snp"], {"snp": chip}, asked


@pytest.fixture(scope="module")
def spoken(platforms: Mapping[str, FakeMachine], amd: FakeAmd) -> Mapping[tuple[str, str], frozenset[str]]:
    """Return in which formats' good evidence a check of a module comes up."""
    return listen(platforms, amd)


def listen(made: Mapping[str, FakeMachine], amd: FakeAmd) -> Mapping[tuple[str, str], frozenset[str]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for machine, options, fleet in appraisals(made, amd):
        with emitted.listening() as heard:
            platforms.appraise(machine, fleet, **options)
        for check, places in heard.items():
            for place in places:
                found[place, check].add(machine.format)
    return {key: frozenset(formats) for key, formats in found.items()}


def excused(check: str) -> bool:
    return any(emitted.fits(pattern, [check]) for pattern in WITHOUT)


def test_what_good_evidence_is_asked_has_a_vector(
    spoken: Mapping[tuple[str, str], frozenset[str]],
) -> None:
    """Two platforms may have a check of one name: each module's own has to fail somewhere."""
    assert len(spoken) > 200
    missing = [
        (check, place)
        for (place, check), formats in sorted(spoken.items())
        if not formats & FORMATS_OF.get(check, frozenset()) and not excused(check)
    ]
    assert missing == []


def test_what_the_sources_can_say_has_a_vector() -> None:
    sources = emitted.written()
    assert len(sources) > 100
    missing = [
        (pattern, sorted(places))
        for pattern, places in sorted(sources.items())
        if not emitted.fits(pattern, FORMATS_OF) and not excused(pattern)
    ]
    assert missing == []


def test_what_an_owner_can_waive_has_a_vector() -> None:
    assert sorted(check for check in WAIVABLE if check not in FORMATS_OF) == []


def test_no_excuse_is_for_what_has_a_vector_or_is_not_there(
    spoken: Mapping[tuple[str, str], frozenset[str]],
) -> None:
    there = {check for _, check in spoken} | set(emitted.written())
    for pattern in WITHOUT:
        assert emitted.fits(pattern, there), pattern
        assert not emitted.fits(pattern, FORMATS_OF), pattern
