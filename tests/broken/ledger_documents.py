"""Defences of what an owner signs: read strictly, and shown whole before it is signed. Pure."""

from __future__ import annotations

from tests.broken.entry import Break

TESTS = "tests/documents/test_fleet.py"

BREAKS: tuple[Break, ...] = (
    Break(
        name="an image, a waiver or a firmware value hidden under the name of another",
        file="runtime/documents/fleet.py",
        old="            if value in seen:",
        new='            if value in seen and part == "members":',
        tests=(f"{TESTS}::test_nothing_hides_under_the_name_of_another",),
    ),
    Break(
        name="registers of zeros as a Reference Value: firmware that measures nothing is known",
        file="runtime/documents/fleet.py",
        old='if set(value) == {"0"}]',
        new="if not value]",
        tests=(
            f"{TESTS}::test_what_nothing_was_measured_into_is_no_reference_value",
            f"{TESTS}::test_nor_are_zeros_among_others",
        ),
    ),
    Break(
        name="a difference that no rule knows shown to the owner as harmless",
        file="infra/changes.py",
        old="        case _:\n            return False",
        new="        case _:\n            return True",
        tests=("tests/infra/test_changes.py",),
    ),
    Break(
        name="an entry of another name's whose beginning is the same, not shown",
        file="infra/changes.py",
        old="tuple(str(entry[part]) for part in KEYED[name])",
        new="tuple(str(entry[part])[:64] for part in KEYED[name])",
        tests=("tests/infra/test_changes.py",),
    ),
    Break(
        name="a word of the Reference Values that the sentences leave out",
        file="infra/meaning.py",
        old="    yield f\"SEPT_VE_DISABLE is {'on' if values.sept_ve_disable else 'off'}\"\n",
        new="",
        tests=("tests/infra/test_meaning.py::test_no_word_changes_unsaid",),
    ),
    Break(
        name="a draft's own words shown to whoever signs as lines of the answer",
        file="infra/commands/document.py",
        old="    shown = map(printable, [",
        new="    shown = map(str, [",
        tests=("tests/infra/commands/test_document.py",),
    ),
    Break(
        name="a least grade that a platform never reaches, not told before it is signed",
        file="infra/doubts.py",
        old="        if GRADES.index(best) > GRADES.index(least):",
        new="        if False:",
        tests=("tests/infra/test_doubts.py",),
    ),
)
