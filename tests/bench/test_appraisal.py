"""What an appraisal costs is measured on real cases, each believed, nothing remembered in between."""

from __future__ import annotations

import pytest

from bench import appraisal
from runtime.attestation import certificates
from runtime.attestation.tees.nitro import chain
from tests.corpus import cases


def test_every_kind_is_measured_on_a_case_that_is_believed() -> None:
    cases.want()
    lines = appraisal.measure(rounds=2)
    ours = [one.evidence for one in lines if one.system == "ours"]
    assert ours == [subject.kind for subject in appraisal.SUBJECTS]
    assert [one.evidence for one in lines if one.system == appraisal.PEER] == ["TDX"]
    for one in lines:
        assert 0 < one.least_ms <= one.cpu_ms
        assert one.signatures_ms > 0
    shown = appraisal.table(lines)
    assert all(one.evidence in shown for one in lines)


def test_what_was_remembered_is_forgotten_before_each() -> None:
    cases.want()
    appraisal.measure(rounds=1)
    appraisal._forget()
    assert certificates.load_authority.cache_info().currsize == 0
    assert chain._load.cache_info().currsize == 0


def test_without_a_corpus_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cases.VARIABLE, "/nowhere")
    assert cases.VARIABLE in str(appraisal.missing())
    monkeypatch.setenv(cases.VARIABLE, "/")
    assert appraisal.missing() is None


def test_the_word_is_about_the_median() -> None:
    made = appraisal.Appraisal(
        system="ours",
        mode="m",
        evidence="SNP",
        cpu_ms=1.1,
        least_ms=0.9,
        signatures_ms=0.6,
        must_ms=1.0,
        rounds=3,
    )
    assert made.word == "SHORT"
