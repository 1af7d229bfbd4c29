"""docs/evidence.md is what the command prints today, of real evidence."""

from __future__ import annotations

import os

import pytest

from tests.commands.evidence import transcripts
from tests.corpus import cases


def test_the_page_is_what_the_command_says() -> None:
    corpus = cases.folder()
    if corpus is None:
        assert os.environ.get("CI") != "true", "no evidence corpus"
        pytest.skip("no evidence corpus")
    assert transcripts.PAGE.read_text() == transcripts.page(corpus), (
        "run: python -m tests.commands.evidence.transcripts"
    )


def test_the_page_says_who_vouches_the_grade_and_what_to_change() -> None:
    text = transcripts.PAGE.read_text()
    for words in (
        "according to Microsoft's paravisor",
        "best grade: none: Microsoft's paravisor",
        "best grade: V:",
        "best grade: N:",
        "td.debug",
        "start the TD without the debug attribute",
        "OutOfDate",
        "update microcode",
        "accepted by nobody",
    ):
        assert words in text, words
