"""Each kind of change is made once and alone; a test that can fail fails; words of people stay."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.__main__ import MODULES, explained, passes
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
    for name in ("runtime", "tests", "pyproject.toml"):
        (tmp_path / name).symlink_to(PROJECT / name)
    (tmp_path / "runtime").unlink()
    (tmp_path / module).parent.mkdir(parents=True)
    for path in (PROJECT / "runtime").rglob("*"):
        if path.suffix in {".py", ".json"}:
            copy = tmp_path / path.relative_to(PROJECT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    source = (PROJECT / module).read_text("utf-8")
    assert passes(tmp_path, module, source)
    assert not passes(tmp_path, module, source.replace("86_400", "86_401") + "\nraise ValueError\n")


def test_an_explanation_is_about_one_change_of_one_module() -> None:
    mutant = Mutant(3, "a == b", "a != b", "")
    page = "| `runtime/x.py` | `a == b` | `a != b` | both are the same |"
    assert explained("runtime/x.py", mutant, page)
    assert not explained("runtime/y.py", mutant, page)
    assert not explained("runtime/x.py", Mutant(3, "a == b", "a <= b", ""), page)
