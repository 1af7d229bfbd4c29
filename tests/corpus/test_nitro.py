"""Every Nitro case of the evidence corpus, enclaves and NitroTPM: its facts are found, its mutations refused.

    EVIDENCE_CORPUS=DIR pytest tests/corpus

The contract is that of `test_corpus`: adding a case adds no code.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from runtime.attestation.model import EvidenceRefusedError, Reason
from runtime.attestation.tees.nitro import HARDWARE_ROOTS, verify
from tests.corpus import cases, nitro, tcg, tpm
from tests.corpus.cases import Case
from tests.corpus.snp import NotApplicable

CASES = [case for platform in nitro.KINDS for case in cases.load(platform)]
MUTATED = [(case, mutation) for case in CASES for mutation in case.about.get("mutations", [])]
INPUTS = {"nitro_document", "tpm_quotes", "ak_public", "ak_certs", "event_log"}
TOPICS = {"nitro", "tpm_quotes", "ak_chain", "event_log"}


def case_id(value: object) -> str:
    return value.name if isinstance(value, Case) else str(value)


@pytest.mark.parametrize("platform", nitro.KINDS)
def test_there_is_a_corpus(platform: str) -> None:
    where = os.environ.get(cases.VARIABLE) or str(cases.DEFAULT)
    found = cases.load(platform)
    if not found and os.environ.get("CI") == "true":
        pytest.fail(f"no {platform} case in {where}: the corpus is missing")
    if not found:
        pytest.skip(f"no {platform} case in {where}: set {cases.VARIABLE} to a folder of the corpus' layout")
    assert nitro.roots(), f"{where}/roots holds no AWS Nitro root"


def test_the_pin_of_the_code_is_the_root_of_the_corpus() -> None:
    if not CASES:
        pytest.skip("no corpus")
    assert set(HARDWARE_ROOTS) <= set(nitro.roots())


def agree(claimed: Mapping[str, Any], find: Mapping[str, Callable[[], Any]]) -> None:
    assert claimed, "a topic that claims nothing tests nothing"
    unknown = set(claimed) - set(find)
    assert not unknown, f"facts that nothing here can find: {sorted(unknown)}"
    found = {name: find[name]() for name in claimed}
    wrong = {name: (found[name], value) for name, value in claimed.items() if found[name] != value}
    assert not wrong, f"found and claimed differ: {wrong}"


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_facts_are_found(case: Case) -> None:
    assert not set(case.inputs) - INPUTS, "inputs that nobody reads"
    topics = case.about["facts"]
    assert topics, "a case that claims nothing tests nothing"
    assert not set(topics) - TOPICS, f"facts of topics that nobody reads: {sorted(topics)}"
    if "nitro" in topics:
        agree(topics["nitro"], nitro.facts(case))
    if "tpm_quotes" in topics:
        for made, claimed in zip(nitro.quotes(case), topics["tpm_quotes"], strict=True):
            agree(claimed, tpm.quote_facts(made, claimed))
    if "ak_chain" in topics:
        agree(topics["ak_chain"], tpm.ak_chain_facts(case))
    if "event_log" in topics:
        agree(topics["event_log"], tcg.log_facts(case, topics["event_log"]))


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
