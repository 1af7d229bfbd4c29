"""Each kind of change is made once and alone; a test that can fail fails; words of people stay."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.coverage_alone.__main__ import own_tests
from tests.mutants.__main__ import BESIDE, DECIDING, LISTED, MODULES, Nursery, copy, explained
from tests.mutants.changes import Mutant, mutants

PROJECT = Path(__file__).resolve().parents[2]


def changes(source: str) -> set[tuple[str, str]]:
    return {(mutant.old, mutant.new) for mutant in mutants(source)}


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("x = a == b", {("a == b", "a != b")}),
        ("x = a < b", {("a < b", "a <= b"), ("a < b", "a >= b")}),
        ("x = a and b", {("a and b", "a or b"), ("a and b", "a"), ("a and b", "b")}),
        ("x = not a", {("not a", "a")}),
        ("x = a & b", {("a & b", "a | b")}),
        ("x = True", {("True", "False")}),
        ("x = 32", {("32", "33")}),
        ("x = b'CT'", {("b'CT'", "b'BT'")}),
        ("check(a)", {("check(a)", "pass")}),
        ("raise Error('text', 3)", set()),
        ("'''A docstring.'''", set()),
        (
            "require(a, expected=3, remedy=f'{b == c}')",
            {("require(a, expected=3, remedy=f'{b == c}')", "pass")},
        ),
        ("x: 'list[3]' = y", set()),
    ],
)
def test_changes_of_one_line(source: str, wanted: set[tuple[str, str]]) -> None:
    assert changes(source) == wanted


@pytest.mark.timeout(240)
@pytest.mark.parametrize("module", MODULES[:2])
def test_every_mutant_is_a_module_that_differs_in_one_place(module: str) -> None:
    source = (PROJECT / module).read_text("utf-8")
    plain = ast.unparse(ast.parse(source))
    found = list(mutants(source))
    assert found
    for mutant in found:
        compile(mutant.source, module, "exec")
        assert mutant.source != plain


@pytest.mark.timeout(240)
def test_a_mutant_that_matters_does_not_survive(tmp_path: Path) -> None:
    module = "runtime/documents/times.py"
    source = (PROJECT / module).read_text("utf-8")
    tree = copy(tmp_path / "tree")
    with Nursery(tree, module, own_tests(module)) as nursery:
        assert nursery.survives(source)
        assert not nursery.survives(source.replace('+ "Z"', '+ "Y"'))
        assert not nursery.survives(source + "\nraise ValueError\n")
        assert not nursery.survives(source + "\nimport os; os.kill(os.getpid(), 9)\n")
        assert nursery.survives(source)
    assert (tree / module).read_text("utf-8") == source


@pytest.mark.timeout(240)
def test_tests_that_fail_anyway_notice_nothing(tmp_path: Path) -> None:
    module = "runtime/documents/times.py"
    tree = copy(tmp_path / "tree")
    (tree / module).write_text("raise ValueError\n", "utf-8")
    with pytest.raises(RuntimeError, match="fail as it is"):
        Nursery(tree, module, own_tests(module))


def test_an_explanation_is_about_one_change_of_one_module() -> None:
    mutant = Mutant(3, "a == b", "a != b", "")
    page = "| `runtime/x.py` | `a == b` | `a != b` | both are the same |"
    assert explained("runtime/x.py", mutant, page)
    assert not explained("runtime/y.py", mutant, page)
    assert not explained("runtime/x.py", Mutant(3, "a == b", "a <= b", ""), page)


def test_the_promised_modules_must_not_be_survived() -> None:
    names = {Path(module).stem for module in DECIDING}
    assert {"binding", "verifier", "policy", "image_policy", "member_policy", "snp_policy"} <= names
    assert {path.name for path in (PROJECT / "runtime/attestation/tees/snp").glob("[a-z]*.py")} <= {
        Path(module).name for module in DECIDING
    }
    assert len(LISTED) > 30
    assert all((PROJECT / name).exists() for name in BESIDE)
