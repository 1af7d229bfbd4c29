"""Every Nitro case of the evidence corpus, enclaves and NitroTPM: its facts are found, its mutations refused.

    EVIDENCE_CORPUS=DIR pytest tests/corpus

The contract is that of `test_corpus`: adding a case adds no code.
"""

from __future__ import annotations

import pytest

from runtime.attestation.findings import EvidenceRefusedError, Reason
from runtime.attestation.tees.nitro import HARDWARE_ROOTS
from runtime.commands.evidence.examination import Challenge
from runtime.commands.evidence.examine import examine
from tests.corpus import cases, nitro, topics
from tests.corpus.cases import Case
from tests.corpus.snp import NotApplicable

CASES = [case for platform in nitro.KINDS for case in cases.load(platform)]
MUTATED = [(case, mutation) for case in CASES for mutation in case.about.get("mutations", [])]


def case_id(value: object) -> str:
    return value.name if isinstance(value, Case) else str(value)


def test_there_is_a_corpus() -> None:
    cases.want()
    assert nitro.roots(), "roots/ holds no AWS Nitro root"


def test_the_pin_of_the_code_is_the_root_of_the_corpus() -> None:
    if not CASES:
        pytest.skip("no corpus")
    assert set(HARDWARE_ROOTS) <= set(nitro.roots())


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_facts_are_found(case: Case) -> None:
    topics.facts_agree(case)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_verifier_agrees_with_the_facts(case: Case) -> None:
    claimed, made = case.about["facts"].get("nitro", {}), nitro.subject(case)
    authentic = claimed.get("signature_valid", True) and claimed.get("chain_valid", True)
    if authentic and not claimed.get("debug"):
        claims = made.authenticate()
        assert (claims.module_id, claims.pcrs) == (made.said.module_id, made.said.pcrs)
    else:
        reasons = made.reasons()
        assert reasons
        assert Reason.MALFORMED not in reasons
        assert not authentic or reasons <= {Reason.DEBUG, Reason.MEASUREMENT}


@pytest.mark.parametrize(("case", "mutation"), MUTATED, ids=case_id)
def test_mutation_is_refused(case: Case, mutation: str) -> None:
    assert mutation in nitro.MUTATIONS, f"a mutation that nothing here implements: {mutation}"
    wanted = {nitro.VERDICTS[verdict] for verdict in cases.verdicts(case.path.parent.name)[mutation]}
    made = nitro.subject(case)
    try:
        changed = nitro.MUTATIONS[mutation](made, case)
    except NotApplicable as reason:
        pytest.skip(f"not applicable: {reason}")
    found = changed.reasons()
    assert found & wanted, f"refused for {sorted(found)}, want {sorted(wanted)}"
    assert not made.reasons() & wanted, "the case is refused so without the mutation"


@pytest.mark.parametrize("platform", nitro.KINDS)
def test_every_mutation_of_the_list_has_an_implementation(platform: str) -> None:
    assert set(cases.verdicts(platform)) <= set(nitro.MUTATIONS)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_a_real_document_of_another_use_is_refused(case: Case) -> None:
    """Real documents, as the commands look at them: what they answer, and one byte more."""
    made = nitro.subject(case)
    said = made.said
    part = {"enclave": "enclave_document", "nitrotpm": "nitrotpm_document"}[made.kind]
    nonce, before = said.nonce or b"", {f"nitro.{check}" for check in failed(made)}
    for asked, wanted in ((nonce, before), (nonce + b"?", before | {"nitro.document.nonce"})):
        challenge = Challenge(report_data=None, nonce=asked)
        out = examine({part: made.data}, {}, nitro.roots(), challenge, made.now)
        found = {check.id for check in out.findings.failed()}
        # Nothing more is looked at of a document that is not true.
        assert found == (before or wanted)


def failed(made: nitro.Subject) -> set[str]:
    try:
        made.authenticate()
    except EvidenceRefusedError as error:
        return {check.id for check in error.checks}
    return set()
