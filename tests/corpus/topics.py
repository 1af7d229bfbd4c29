"""The facts of a case by topic, whatever folder it lies in and whichever inputs came along.

A topic, an input or a fact that nobody here knows is a failure: what nobody looks at tests nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from runtime.attestation.tees.snp import report
from tests.corpus import azure, ccel, nitro, snp, tcg, tdx, tpm
from tests.corpus.cases import Case

Find = Mapping[str, Callable[[], Any]]


def agree(claimed: Mapping[str, Any], find: Find) -> None:
    """Fail unless every claimed fact is known, and is found as claimed."""
    assert claimed, "a topic that claims nothing tests nothing"
    unknown = set(claimed) - set(find)
    assert not unknown, f"facts that nothing here can find: {sorted(unknown)}"
    found = {name: find[name]() for name in claimed}
    wrong = {name: (found[name], value) for name, value in claimed.items() if not same(found[name], value)}
    assert not wrong, f"found and claimed differ: {wrong}"


def same(found: Any, claimed: Any) -> bool:
    """Tell whether they are equal; of two numbers in hexadecimal, whether they are one number."""
    if isinstance(found, str) and isinstance(claimed, str) and found.startswith("0x"):
        return int(found, 16) == int(claimed, 16)
    return isinstance(found, bool) is isinstance(claimed, bool) and bool(found == claimed)


def known(values: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """Return values that are there already as facts that are found."""
    return {name: partial(values.__getitem__, name) for name in values}


def _snp(case: Case, claimed: Any) -> None:
    inner = azure.inner(case) if azure.has_report(case) else case
    data = inner.one("snp_report")
    assert data is not None, f"{case.path}: facts about a report that is not there"
    agree(claimed, known(snp.parsed_facts(report.parse(data))) | snp.endorsed_facts(inner))


def _tdx(case: Case, claimed: Any) -> None:
    data = case.one("td_quote")
    assert data is not None, f"{case.path}: facts about a quote that is not there"
    agree(claimed, known(tdx.parsed_facts(data)) | tdx.endorsed_facts(case))


def _quotes(case: Case, claimed: Any) -> None:
    made = nitro.quotes(case) if case.count("nitro_document") else tpm.quotes(case)
    for subject, facts in zip(made, claimed, strict=True):
        agree(facts, tpm.quote_facts(subject, facts))


TOPICS: Mapping[str, Callable[[Case, Any], None]] = {
    "snp": _snp,
    "tdx": _tdx,
    "hcl": lambda case, claimed: agree(claimed, azure.hcl_facts(case)),
    "tpm_quotes": _quotes,
    "ak_chain": lambda case, claimed: agree(claimed, tpm.ak_chain_facts(case)),
    "event_log": lambda case, claimed: agree(claimed, tcg.log_facts(case, claimed)),
    "ccel": lambda case, claimed: agree(claimed, known(ccel.facts(case))),
    "nitro": lambda case, claimed: agree(claimed, nitro.facts(case)),
}


def facts_agree(case: Case) -> None:
    """Find every fact of a case."""
    assert not case.unknown_roles(), f"inputs that nobody reads: {case.unknown_roles()}"
    topics = case.about["facts"]
    assert topics, "a case that claims nothing tests nothing"
    assert not set(topics) - set(TOPICS), f"facts of topics that nobody reads: {sorted(topics)}"
    for name, claimed in topics.items():
        TOPICS[name](case, claimed)
