"""Every TPM case of the evidence corpus: its facts are found, its mutations are refused.

The same contract as `test_corpus`: adding a case adds no code, a fact that nobody can find is a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from runtime.attestation.eventlog.tcg import parse as parse_log
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.tees.tpm import ak, attest, quote
from runtime.errors import MalformedError
from tests.corpus import cases, tcg, topics, tpm
from tests.corpus.cases import Case
from tests.corpus.snp import NotApplicable

CASES = cases.load(tpm.PLATFORM)
MUTATED = [(case, mutation) for case in CASES for mutation in case.about.get("mutations", [])]


def case_id(value: object) -> str:
    return value.name if isinstance(value, Case) else str(value)


def test_there_is_a_corpus() -> None:
    cases.want()
    assert tpm.ak_roots()[0], "roots/ holds no root for attestation keys"


def test_the_pins_of_the_code_are_the_roots_of_the_corpus() -> None:
    if not CASES:
        pytest.skip("no corpus")
    assert {ak.AZURE_ROOT, ak.GOOGLE_ROOT} <= set(tpm.ak_roots()[0])


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_facts_are_found(case: Case) -> None:
    topics.facts_agree(case)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_verifier_agrees_with_the_facts(case: Case) -> None:
    facts = case.about["facts"].get("tpm_quotes", [])
    for subject, claimed in zip(tpm.quotes(case), facts, strict=True):
        if subject.key is None or subject.values is None:
            continue
        if subject.values.bank == attest.SHA1:
            with pytest.raises(MalformedError, match="SHA-256 and longer"):
                tpm.demand_of(subject.parsed)
            continue
        good = claimed.get("signature_valid", True) and claimed.get("pcr_digest_matches", True)
        assert bool(subject.refused(tpm.demand_of(subject.parsed))) is not good
    path = tpm.ak_path(case)
    if path and case.about["facts"].get("ak_chain", {}).get("valid"):
        assert not tpm.ak_refused(path, tpm.now_of(case))
        if tpm.vendor_of(path) == "google":
            for subject in tpm.quotes(case):
                assert tpm.verify_gce(case, subject).instance.production


@pytest.mark.parametrize(("case", "mutation"), MUTATED, ids=case_id)
def test_mutation_is_refused(case: Case, mutation: str) -> None:
    known = mutation in tcg.MUTATIONS or mutation in tpm.QUOTE_MUTATIONS
    assert known, f"a mutation that nothing here implements: {mutation}"
    wanted = [tpm.VERDICTS[verdict] for verdict in cases.verdicts(tpm.PLATFORM)[mutation]]
    try:
        changed, unchanged = refused(case, mutation)
    except NotApplicable as reason:
        pytest.skip(f"not applicable: {reason}")
    new = changed - unchanged
    assert any(verdict(new) for verdict in wanted), (
        f"refused for {sorted(changed)}, before {sorted(unchanged)}"
    )


def refused(case: Case, mutation: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return why the changed and the unchanged case are refused. Raises: NotApplicable."""
    if mutation in tcg.MUTATIONS:
        data = case.one("event_log")
        assert data is not None
        changed = tcg.MUTATIONS[mutation](parse_log(data), data)
        assert changed != data
        return tcg.log_refused(changed, data), tcg.log_refused(data, data)
    subjects = [subject for subject in tpm.quotes(case) if subject.key is not None]
    if not subjects:
        message = "no quote of the case has a key"
        raise NotApplicable(message)
    return quotes_refused(subjects, tpm.QUOTE_MUTATIONS[mutation])


def quotes_refused(
    subjects: list[tpm.QuoteSubject], change: Callable[[tpm.QuoteSubject], tpm.QuoteSubject]
) -> tuple[frozenset[str], frozenset[str]]:
    """Return what is common to the refusals of all changed quotes, and all refusals of the unchanged."""
    changed: frozenset[str] | None = None
    before: frozenset[str] = frozenset()
    for subject in subjects:
        found = quote_refused(change(subject), subject)
        changed = found if changed is None else changed & found
        before |= quote_refused(subject, subject)
    assert changed is not None
    return changed, before


def quote_refused(subject: tpm.QuoteSubject, original: tpm.QuoteSubject) -> frozenset[str]:
    selection = original.parsed.selections
    if subject.values is None or len(selection) != 1 or selection[0].bank == attest.SHA1:
        return subject.signature_refused()
    return subject.refused(tpm.demand_of(original.parsed))


def test_every_mutation_of_the_list_has_an_implementation() -> None:
    assert set(cases.verdicts(tpm.PLATFORM)) <= set(tcg.MUTATIONS) | set(tpm.QUOTE_MUTATIONS)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_a_quote_of_another_use_is_refused(case: Case) -> None:
    """Real quotes, one demand changed at a time."""
    for subject in tpm.quotes(case):
        if subject.key is None or subject.values is None or subject.values.bank == attest.SHA1:
            continue
        demand = tpm.demand_of(subject.parsed)
        for changed, check in (
            (replace(demand, qualifying_data=demand.qualifying_data[:-1] + b"?"), "quote.qualifying_data"),
            (replace(demand, registers=demand.registers - {0}), "quote.pcr_selection"),
            (replace(demand, bank=attest.SHA512), "quote.pcr_selection"),
        ):
            with pytest.raises(EvidenceRefusedError) as refusal:
                quote.verify(subject.evidence(), changed, subject.key)
            assert check in {entry.id for entry in refusal.value.checks}
