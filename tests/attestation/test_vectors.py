"""Each negative vector fails by its one check and by nothing else; docs/checks.md is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from runtime.attestation import verifier
from runtime.attestation.findings import EvidenceRefusedError, Reason
from runtime.attestation.verifier import AppraisalRequest
from runtime.documents import strict_json
from runtime.errors import MalformedError
from tests.attestation import checks, platforms
from tests.attestation.vector import Vector
from tests.attestation.vectors import VECTORS
from tests.fakes import simulated
from tests.fakes.amd import FakeAmd
from tests.fakes.machines import BINDER, SETTINGS, FakeMachine


def request(vector: Vector, made: Mapping[str, FakeMachine], amd: FakeAmd) -> AppraisalRequest:
    machine = simulated.machine(amd) if vector.format == "sev-snp" else made[vector.format]
    options: dict[str, Any] = dict(vector.options)
    if vector.lazy is not None:
        options |= vector.lazy(machine, amd)
    fleet = options.pop("fleet", None) or platforms.document(machine, **dict(vector.fleet))
    how: dict[str, Any] = {
        "binder": BINDER,
        "settings_digest": SETTINGS,
        "role": "client",
        "roots": (*options.pop("roots", machine.roots), *options.pop("pins", ())),
        "now": machine.now,
    } | dict(vector.how)
    if how["roots"] == "hardware":
        how["roots"] = platforms.as_hardware(machine.roots)
    elif isinstance(how["roots"], str):
        gone = how["roots"].removeprefix("without ")
        how["roots"] = tuple(root for root in machine.roots if type(root).__name__ != gone)
    if "evidence" not in how:
        how["evidence"] = platforms.encoded(machine, options)
    return AppraisalRequest(document=strict_json.canonical(fleet), **how)


@pytest.mark.parametrize(
    "vector", VECTORS, ids=lambda vector: f"{vector.format}-{vector.what}".replace(" ", "-")
)
def test_a_vector_fails_only_by_its_check(
    vector: Vector, platforms: Mapping[str, FakeMachine], amd: FakeAmd
) -> None:
    made = request(vector, platforms, amd)
    try:
        verifier.appraise(made)
    except MalformedError as error:
        assert vector.check == "malformed", error
        assert vector.says, "a parser has many reasons: say which"
        assert vector.says in str(error)
        return
    except EvidenceRefusedError as error:
        failed = {check.id: str(check.reason) for check in error.checks}
        assert set(failed) == {vector.check, *vector.also}
        assert failed[vector.check] == vector.reason
        if vector.reason == Reason.MALFORMED:
            assert vector.says, "a parser has many reasons: say which"
            (unread,) = (check for check in error.checks if check.id == vector.check)
            assert vector.says in str(unread.actual)
        assert all(check.remedy and check.source and check.expected for check in error.checks)
        return
    pytest.fail("accepted")


def test_the_table_in_the_docs_is_made_of_the_vectors() -> None:
    assert checks.PAGE.read_text("utf-8") == checks.page(), "run: python -m tests.attestation.checks"


def test_no_vector_stands_twice() -> None:
    assert len({(vector.format, vector.what) for vector in VECTORS}) == len(VECTORS)
