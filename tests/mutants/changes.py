"""The small changes: comparisons, conditions, constants, calls dropped, one per mutant. Pure.

Texts of errors and of findings are not changed (sentences are for people), nor docstrings, annotations, and
the declarations of dataclasses' options.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.Mult: ast.Add,
}
# Arguments that only people read.
_WORDS = frozenset({"expected", "actual", "source", "remedy"})


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: where, what it was, what it is, and the whole changed source."""

    line: int
    old: str
    new: str
    source: str

    @property
    def name(self) -> str:
        return f"{self.line}: {self.old} → {self.new}"


def mutants(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module."""
    tree = ast.parse(source)
    for index, node in enumerate(_mutable(tree)):
        for variant in range(len(_changed(node))):
            copied = copy.deepcopy(tree)
            target = next(entry for number, entry in enumerate(_mutable(copied)) if number == index)
            new = _changed(target)[variant]
            old = ast.unparse(target)
            _Replace(target, new).visit(copied)
            ast.fix_missing_locations(copied)
            yield Mutant(getattr(node, "lineno", 0), old[:90], ast.unparse(new)[:90], ast.unparse(copied))


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def _mutable(tree: ast.Module) -> Iterator[ast.expr | ast.stmt]:
    """Yield the nodes that may change, in order of the tree."""
    yield from _inside(tree)


def _inside(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    for child in _children(node):
        if isinstance(child, ast.expr | ast.stmt) and _changed(child):
            yield child
        yield from _inside(child)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may hold code that decides."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.ImportFrom | ast.Import):
        return
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "bases", "type_params"}:
            continue
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, ast.keyword) and entry.arg in _WORDS:
                continue
            if isinstance(entry, ast.AST) and not _is_docstring(entry):
                yield entry


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _changed(node: ast.expr | ast.stmt) -> list[ast.expr | ast.stmt]:
    """Return the replacements of one node."""
    match node:
        case ast.Compare(left=left, ops=[operator], comparators=right):
            kinds = _COMPARISONS[type(operator)]
            return [ast.Compare(left=left, ops=[kind()], comparators=right) for kind in kinds]
        case ast.BoolOp(op=operator, values=values):
            other = ast.Or() if isinstance(operator, ast.And) else ast.And()
            out: list[ast.expr | ast.stmt] = [ast.BoolOp(op=other, values=values)]
            for index in range(len(values)):  # each part of a condition left out, once
                rest = [value for number, value in enumerate(values) if number != index]
                out.append(rest[0] if len(rest) == 1 else ast.BoolOp(op=operator, values=rest))
            return out
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return [operand]
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            return [ast.BinOp(left=left, op=_OPERATORS[type(operator)](), right=right)]
        case ast.Constant(value=bool() as value):
            return [ast.Constant(value=not value)]
        case ast.Constant(value=int() as value):
            return [ast.Constant(value=value + 1)]
        case ast.Constant(value=bytes() as value) if value:
            return [ast.Constant(value=bytes([value[0] ^ 1]) + value[1:])]
        case ast.Expr(value=ast.Call()):
            return [ast.Pass()]  # a check that is not made
        case _:
            return []
