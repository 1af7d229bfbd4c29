"""Every CC event log of the evidence corpus: its facts are found, its mutations are refused.

    EVIDENCE_CORPUS=DIR pytest tests/corpus

The contract is that of `test_corpus`: adding a case adds no code.
"""

from __future__ import annotations

import pytest

from runtime.attestation.eventlog import ccel as logs
from runtime.attestation.findings import EvidenceRefusedError
from tests.corpus import cases, ccel, topics
from tests.corpus.cases import Case
from tests.corpus.tdx import NotApplicable

CASES = cases.load(ccel.PLATFORM)
MUTATED = [(case, mutation) for case in CASES for mutation in case.about.get("mutations", [])]


def case_id(value: object) -> str:
    return value.name if isinstance(value, Case) else str(value)


def test_there_is_a_corpus() -> None:
    cases.want()


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_facts_are_found(case: Case) -> None:
    topics.facts_agree(case)


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
