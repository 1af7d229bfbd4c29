"""Every Nitro case of the evidence corpus, enclaves and NitroTPM: its facts are found, its mutations refused.

    EVIDENCE_CORPUS=DIR pytest tests/corpus

The contract is that of `test_corpus`: adding a case adds no code.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runtime.attestation.model import EvidenceRefusedError, Reason
from runtime.attestation.tees.nitro import HARDWARE_ROOTS, verify
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
        wanted = nitro.expectation(made)
        claims = verify.verify(made.data, expected=wanted, roots=nitro.roots(), now=made.now)
        assert claims == made.authenticate()
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
    """Real documents, one expectation changed at a time."""
    made = nitro.subject(case)
    wanted, before = nitro.expectation(made), made.reasons()
    registers = dict(wanted.pcrs[0])
    last = max(registers)
    changes: dict[str, tuple[dict[str, Any], Reason]] = {
        "document.module_id": ({"module_id": "i-0"}, Reason.INSTANCE),
        "document.nonce": ({"nonce": (wanted.nonce or b"") + b"?"}, Reason.BINDING),
        "document.user_data": ({"user_data": (wanted.user_data or b"") + b"?"}, Reason.BINDING),
        "document.public_key": ({"public_key": (wanted.public_key or b"") + b"?"}, Reason.BINDING),
        f"document.pcr{last}": ({"pcrs": (registers | {last: b"?" * 48},)}, Reason.MEASUREMENT),
    }
    for check, (change, reason) in changes.items():
        with pytest.raises(EvidenceRefusedError) as refusal:
            verify.verify(made.data, expected=replace(wanted, **change), roots=nitro.roots(), now=made.now)
        assert check in {entry.id for entry in refusal.value.checks}
        assert refusal.value.reasons == before | {reason}
