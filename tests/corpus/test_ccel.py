"""Every CC event log of the evidence corpus: its facts are found, its mutations are refused.

    EVIDENCE_CORPUS=DIR pytest tests/corpus

The contract is that of `test_corpus`: adding a case adds no code.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from runtime.attestation.eventlog import ccel as logs
from runtime.attestation.model import EvidenceRefusedError
from tests.corpus import cases, ccel, test_tdx
from tests.corpus.cases import Case
from tests.corpus.tdx import NotApplicable

CASES = cases.load(ccel.PLATFORM)
MUTATED = [(case, mutation) for case in CASES for mutation in case.about.get("mutations", [])]


def case_id(value: object) -> str:
    return value.name if isinstance(value, Case) else str(value)


def test_there_is_a_corpus() -> None:
    where = os.environ.get(cases.VARIABLE) or str(cases.DEFAULT)
    if not CASES and os.environ.get("CI") == "true":
        pytest.fail(f"no CCEL case in {where}: the corpus is missing")
    if not CASES:
        pytest.skip(f"no CCEL case in {where}: set {cases.VARIABLE} to a folder of the corpus' layout")


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_facts_are_found(case: Case) -> None:
    topics = case.about["facts"]
    assert set(topics) <= {"ccel", "tdx"}, f"facts of topics that nobody reads: {sorted(topics)}"
    facts: dict[str, Any] = topics["ccel"]
    assert facts, "a case that claims nothing tests nothing"
    found = ccel.facts(case)
    unknown = set(facts) - set(found)
    assert not unknown, f"facts that nothing here can find: {sorted(unknown)}"
    wrong = {name: (found[name], value) for name, value in facts.items() if found[name] != value}
    assert not wrong, f"found and claimed differ: {wrong}"
    if "tdx" in topics:
        test_tdx.check_facts(case)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_verifier_agrees_with_the_facts(case: Case) -> None:
    registers, match = ccel.quoted(case), case.about["facts"]["ccel"].get("rtmr_match")
    if registers is None or match is None or all(match.values()):
        # Without a quote the registers are those that the log itself leads to.
        claims = logs.verify(ccel.log_of(case), registers or ccel.subject(case).rtmrs)
        assert len(claims.measured) > 0
        return
    with pytest.raises(EvidenceRefusedError) as caught:
        logs.verify(ccel.log_of(case), registers)
    failed = {check.id for check in caught.value.checks}
    assert {f"ccel.{name}" for name, same in match.items() if not same} <= failed
    assert not {f"ccel.{name}" for name, same in match.items() if same} & failed


@pytest.mark.parametrize(("case", "mutation"), MUTATED, ids=case_id)
def test_mutation_is_refused(case: Case, mutation: str) -> None:
    assert mutation in ccel.MUTATIONS, f"a mutation that nothing here implements: {mutation}"
    wanted = {str(ccel.VERDICTS[verdict]) for verdict in cases.verdicts(ccel.PLATFORM)[mutation]}
    try:
        changed = ccel.MUTATIONS[mutation](case)
    except NotApplicable as reason:
        pytest.skip(f"not applicable: {reason}")
    found = ccel.reasons(changed)
    assert found & wanted, f"refused for {sorted(found)}, want {sorted(wanted)}"
    assert not ccel.reasons(ccel.subject(case)), "the case is refused without the mutation"


def test_every_mutation_of_the_list_has_an_implementation() -> None:
    assert not CASES or set(cases.verdicts(ccel.PLATFORM)) <= set(ccel.MUTATIONS)
