"""Every case of the evidence corpus: its facts are found, its mutations are refused. Adding one adds no code.

    EVIDENCE_CORPUS=DIR pytest tests/corpus

Without the variable the corpus beside the repository is used. Where there is none the tests say so and are
skipped, except on a build server (CI=true), where a corpus that went missing is a failure.
Platforms that have no verifier yet are passed over.
"""

from __future__ import annotations

import pytest

from runtime.attestation.findings import EvidenceRefusedError, Reason
from runtime.attestation.snp_claims import Claims
from runtime.attestation.tees.snp import report
from runtime.attestation.wire import decode, encode
from runtime.errors import MalformedError
from tests.corpus import cases, snp, topics
from tests.corpus.cases import Case

CASES = cases.load(snp.PLATFORM)
MUTATED = [(case, mutation) for case in CASES for mutation in case.about.get("mutations", [])]
# One entry per file, by number: what is wrong with a case is said by its tests, not while they are collected.
WRONG = [(case, index) for case in CASES for index in range(case.count("vek_wrong"))]


def case_id(value: object) -> str:
    return value.name if isinstance(value, Case) else str(value)


def test_there_is_a_corpus() -> None:
    cases.want()
    assert cases.anchors().pins, "roots/ holds no AMD root"


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_facts_are_found(case: Case) -> None:
    topics.facts_agree(case)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_verifier_agrees_with_the_facts(case: Case) -> None:
    facts = case.about["facts"]["snp"]
    made = snp.subject(case)
    assert decode(encode(made.evidence())) == made.evidence()
    checks = ("signature_valid", "chain_valid", "endorsement_tcb_equals_reported_tcb", "hwid_matches_chip_id")
    claimed = [facts[name] for name in checks if facts.get(name) is not None]
    if made.leaf is not None and claimed and all(claimed):
        claims = made.verify()
        assert claims.measurement == report.parse(made.report).measurement
        assert claims.revocation_checked is False
    else:
        with pytest.raises(EvidenceRefusedError):
            made.verify()


@pytest.mark.parametrize(("case", "mutation"), MUTATED, ids=case_id)
def test_mutation_is_refused(case: Case, mutation: str) -> None:
    assert mutation in snp.MUTATIONS, f"a mutation that nothing here implements: {mutation}"
    wanted = {snp.VERDICTS[verdict] for verdict in cases.verdicts(snp.PLATFORM)[mutation]}
    try:
        changed = snp.mutated(case, mutation)
    except snp.NotApplicable as reason:
        pytest.skip(f"not applicable: {reason}")
    found = reasons(changed)
    assert found & wanted, f"refused for {sorted(found)}, want {sorted(wanted)}"
    assert not reasons(snp.subject(case)) & wanted, "the case is refused so without the mutation"


@pytest.mark.parametrize(("case", "index"), WRONG, ids=case_id)
def test_wrong_vek_is_refused(case: Case, index: int) -> None:
    (leaf,) = cases.certificates_of(case.files("vek_wrong")[index])
    assert reasons(snp.subject(case, leaf))


def reasons(subject: snp.Subject) -> frozenset[Reason]:
    """Return why the verifier refuses; nothing if it does not."""
    try:
        assert isinstance(subject.verify(), Claims)
    except EvidenceRefusedError as error:
        return error.reasons
    except MalformedError:
        return frozenset({Reason.MALFORMED})
    return frozenset()


def test_every_mutation_of_the_list_has_an_implementation() -> None:
    assert set(cases.verdicts(snp.PLATFORM)) <= set(snp.MUTATIONS)
