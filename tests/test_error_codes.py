"""docs/errors.md has one section for every code that this program can say, and for no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from runtime.channel.messages import PUBLIC_CODES
from runtime.limits import BOUNDS
from runtime.tunnel.frames import CloseCode, ResetCode
from runtime.tunnel.relay import Refusal

ROOT = Path(__file__).resolve().parents[1]
# name -> which arguments may be the code
RAISERS = {
    "PeerError": (0,),
    "refuse": (0, 1),
    "join_refused": (0,),
    "_end": (1,),
    "_code": (0,),
}


def literals(tree: ast.AST) -> Iterator[str]:
    """Codes in one file: what our errors are made with, and the `code` of their classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            for place in RAISERS.get(name, ()):
                if len(node.args) > place:
                    yield from strings(node.args[place])
        elif isinstance(node, ast.ClassDef):
            for line in node.body:
                target = line.target if isinstance(line, ast.AnnAssign) else None
                targets = line.targets if isinstance(line, ast.Assign) else [target] if target else []
                named = any(isinstance(each, ast.Name) and each.id == "code" for each in targets)
                value = line.value if isinstance(line, ast.Assign | ast.AnnAssign) else None
                if named and value is not None:
                    yield from strings(value)


def strings(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if (
            isinstance(part, ast.Constant)
            and isinstance(part.value, str)
            and re.fullmatch(r"[a-z_]+", part.value)
        ):
            yield part.value


def said() -> set[str]:
    """Every code of the runtime."""
    found = {
        code for path in (ROOT / "runtime").rglob("*.py") for code in literals(ast.parse(path.read_text()))
    }
    found |= {bounds.code for bounds in BOUNDS.values()} | set(PUBLIC_CODES) | {"refused"}
    found |= {code.name.lower() for code in (*CloseCode, *ResetCode)} | {reason.value for reason in Refusal}
    return found


def documented() -> dict[str, str]:
    """Code -> its section."""
    parts = re.split(r"^### `([a-z_]+)`\n", (ROOT / "docs/errors.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_scan_finds_what_is_known_to_be_there() -> None:
    assert {"silent", "pin_mismatch", "usage", "no_route", "origin_tls", "credit_exceeded", "busy"} <= said()


def test_every_code_has_its_section_and_no_section_is_of_no_code() -> None:
    missing, strange = said() - documented().keys(), documented().keys() - said()
    assert (sorted(missing), sorted(strange)) == ([], [])


def test_every_section_says_what_it_means_who_sees_it_and_what_to_do() -> None:
    for code, text in documented().items():
        assert re.match(r"\S.*\n\nSeen by: .+\n\nDo: .+", text, re.DOTALL), code


def test_no_code_has_two_sections() -> None:
    heads = re.findall(r"^### `([a-z_]+)`$", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    assert len(heads) == len(set(heads))


def test_the_section_of_a_limit_s_code_names_the_limit_s_setting() -> None:
    sections = documented()
    assert [name for name, bounds in BOUNDS.items() if f"`{name}`" not in sections[bounds.code]] == []


def names_in(tree: ast.AST) -> Iterator[str]:
    """Codes that a test asks for: as a word in a string, or as a member of an enumeration of codes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"[a-z_]+", node.value.lower())
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in {"CloseCode", "ResetCode"}:
            yield node.attr.lower()


# Never reached by a peer: what says them is unreachable in a test, and each has its reason.
UNPROVOKED = {
    "not_open": "our own caller's fault: the switchboard asks first",
}


def test_every_code_is_asked_for_by_name_in_some_test() -> None:
    """A code that no test names is a limit or a refusal that can be deleted with every test green."""
    asked: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        if "broken" not in path.parts and path != Path(__file__):
            tree = ast.parse(path.read_text())
            asked |= set(names_in(tree))
    assert sorted(documented().keys() - asked - UNPROVOKED.keys()) == []
    assert sorted(UNPROVOKED.keys() & asked) == []
