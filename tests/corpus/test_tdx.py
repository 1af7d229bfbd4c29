"""Every TDX case of the evidence corpus: its facts are found, its mutations are refused.

    EVIDENCE_CORPUS=DIR pytest tests/corpus

The contract is that of `test_corpus`: adding a case adds no code.
"""

from __future__ import annotations

import pytest

from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.tees.tdx.pck import INTEL_ROOT
from tests.corpus import cases, tdx, topics
from tests.corpus.cases import Case

CASES = cases.load(tdx.PLATFORM)
MUTATED = [(case, mutation) for case in CASES for mutation in case.about.get("mutations", [])]


def case_id(value: object) -> str:
    return value.name if isinstance(value, Case) else str(value)


def test_there_is_a_corpus() -> None:
    cases.want()
    assert tdx.intel_roots(), "roots/ holds no Intel root"


def test_the_pin_of_the_code_is_the_root_of_the_corpus() -> None:
    if not CASES:
        pytest.skip("no corpus")
    assert INTEL_ROOT in tdx.intel_roots()


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_facts_are_found(case: Case) -> None:
    topics.facts_agree(case)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_verifier_agrees_with_the_facts(case: Case) -> None:
    facts, made = case.about["facts"]["tdx"], tdx.subject(case)
    holds = all(facts[name] for name in ("signature_valid", "chain_valid") if name in facts)
    if holds and facts.get("collateral_verdict", {}).get("result") == "ok":
        assert tdx.parsed_facts(made.quote)["mrtd"] == made.appraise().report.mrtd.hex()
        return
    with pytest.raises(EvidenceRefusedError) as caught:
        made.appraise()
    if holds and made.collateral is None and not any(made.quote[len(made.quote.rstrip(b"\0")) :]):
        assert "endorsements.collateral" in {check.id for check in caught.value.checks}


@pytest.mark.parametrize(("case", "mutation"), MUTATED, ids=case_id)
def test_mutation_is_refused(case: Case, mutation: str) -> None:
    assert mutation in tdx.MUTATIONS, f"a mutation that nothing here implements: {mutation}"
    wanted = {str(tdx.VERDICTS[verdict]) for verdict in cases.verdicts(tdx.PLATFORM)[mutation]}
    try:
        changed = tdx.MUTATIONS[mutation](case)
    except tdx.NotApplicable as reason:
        pytest.skip(f"not applicable: {reason}")
    found = tdx.reasons(changed)
    assert found & wanted, f"refused for {sorted(found)}, want {sorted(wanted)}"
    assert not tdx.reasons(tdx.subject(case)) & wanted, "the case is refused so without the mutation"


def test_every_mutation_of_the_list_has_an_implementation() -> None:
    assert not CASES or set(cases.verdicts(tdx.PLATFORM)) <= set(tdx.MUTATIONS)
