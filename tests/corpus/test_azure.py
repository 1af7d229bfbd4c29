"""Every Azure case of the evidence corpus, SNP and TDX: its facts are found, its mutations are refused.

The same contract as `test_corpus`: adding a case adds no code, a fact that nobody can find is a failure.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from runtime.attestation.findings import EvidenceRefusedError, Reason
from runtime.attestation.tees.azure import hcl, runtime_data
from runtime.attestation.tees.tpm import public
from tests.corpus import azure, cases, snp, topics, tpm
from tests.corpus.cases import Case
from tests.corpus.snp import NotApplicable

CASES = [case for platform in azure.PLATFORMS for case in cases.load(platform)]
MUTATED = [(case, mutation) for case in CASES for mutation in case.about.get("mutations", [])]


def case_id(value: object) -> str:
    return f"{value.path.parent.name}/{value.name}" if isinstance(value, Case) else str(value)


def test_there_is_a_corpus() -> None:
    cases.want()


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_facts_are_found(case: Case) -> None:
    topics.facts_agree(case)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_files_of_a_case_are_what_is_inside_its_report(case: Case) -> None:
    report = azure.report_of(case)
    runtime = runtime_data.parse(report.runtime_json)
    for role, inside in (
        ("snp_report", report.tee_report),
        ("td_report", report.tee_report),
        ("runtime_json", report.runtime_json),
        ("user_data", runtime.user_data),
    ):
        assert case.one(role) in {None, inside}, role
    if (key := case.one("ak_public")) is not None:
        assert public.spki(tpm.load_public(key))  # not said to be this machine's


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_a_misfiled_quote_is_refused(case: Case) -> None:
    for entry, subject in zip(case.inputs.get("tpm_quotes", []), tpm.quotes(case), strict=True):
        message = (case.path / entry["message"]).read_bytes()
        if message != subject.message:
            signed = (case.path / entry["signature"]).read_bytes()
            found = replace(subject, message=message, signature=signed).signature_refused()
            assert Reason.SIGNATURE in found


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_verifier_agrees_with_the_facts(case: Case) -> None:
    facts, made = case.about["facts"], azure.subject(case)
    if "signature_valid" not in facts.get("snp", {}):
        made = replace(made, chip=None)  # the case does not say whether its certificates are the chip's
    found = made.refused()
    if made.td_quote is not None and made.td_collateral is None:
        assert "endorsements.collateral" in found
        found -= {"endorsements.collateral", "collateral"}
    assert bool(found) is has_false(facts), found


def has_false(facts: dict[str, Any]) -> bool:
    """Whether the facts say of any signature, chain or binding that it does not hold."""
    topics = [facts.get(name, {}) for name in ("snp", "tdx", "hcl", "ak_chain")] + facts.get("tpm_quotes", [])
    names = (
        *("signature_valid", "chain_valid", "endorsement_tcb_equals_reported_tcb", "hwid_matches_chip_id"),
        *("runtime_data_bound", "valid", "pcr_digest_matches"),
    )
    return any(topic.get(name) is False for topic in topics for name in names)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_parts_are_one_statement(case: Case) -> None:
    made = azure.subject(case)
    try:
        verify = azure.whole(made)
    except NotApplicable:
        return  # parts of it were not published
    if made.td_quote is not None and made.td_collateral is None:
        with pytest.raises(EvidenceRefusedError) as refusal:
            verify()
        assert {check.id for check in refusal.value.checks} == {"endorsements.collateral"}
        return
    claims = verify()
    report = azure.report_of(case)
    assert claims.runtime_digest == sha256(report.runtime_json).digest()
    assert claims.vm_unique_id == runtime_data.parse(report.runtime_json).vm_unique_id.lower()
    assert (claims.ak is not None) is bool(made.ak_path)


@pytest.mark.parametrize(("case", "mutation"), MUTATED, ids=case_id)
def test_mutation_is_refused(case: Case, mutation: str) -> None:
    assert mutation in azure.MUTATIONS, f"a mutation that nothing here implements: {mutation}"
    wanted = [tpm.VERDICTS[verdict] for verdict in cases.verdicts(case.path.parent.name)[mutation]]
    made = azure.subject(case)
    try:
        changed = azure.MUTATIONS[mutation](made, case)
    except NotApplicable as reason:
        pytest.skip(f"not applicable: {reason}")
    assert changed != made
    new = changed.refused() - made.refused()
    assert any(verdict(new) for verdict in wanted), f"refused for {sorted(changed.refused())}"


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_wrong_veks_are_refused(case: Case) -> None:
    for data in case.files("vek_wrong"):
        (leaf,) = cases.certificates_of(data)
        assert replace(azure.subject(case), chip=snp.subject(azure.inner(case), leaf)).refused()


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_another_key_is_refused_even_if_the_report_is_made_to_fit(case: Case) -> None:
    made = azure.subject(case)
    if made.chip is None or case.about["facts"].get("snp", {}).get("signature_valid") is not True:
        return  # no chip vouches for the report
    data = azure.with_other_ak(made.hcl_report)
    wanted = hcl.parse(data).wanted_report_data
    data = data.replace(hcl.parse(data).report_data, wanted)
    found = replace(made, hcl_report=data).refused()
    assert Reason.SIGNATURE in found
    assert "hcl.runtime_data" not in found


def test_every_mutation_of_the_list_has_an_implementation() -> None:
    for platform in azure.PLATFORMS:
        assert set(cases.verdicts(platform)) <= set(azure.MUTATIONS)


def test_no_td_quote_of_another_folder_fits() -> None:
    for case in CASES:
        made = azure.subject(case)
        if made.td_quote is None:
            continue
        for other in (entry for entry in cases.every_case() if entry.path != case.path):
            data = other.one("td_quote")
            if data is not None:
                assert Reason.BINDING in replace(made, td_quote=data).refused(), other.name
