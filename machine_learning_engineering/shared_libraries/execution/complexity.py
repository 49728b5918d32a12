"""McCabe's cyclomatic complexity of a script's functions, as radon counts it."""

import ast
from collections.abc import Iterator

from machine_learning_engineering.shared_libraries.records import Record

_Function = (ast.FunctionDef, ast.AsyncFunctionDef)


class FunctionComplexity(Record):
    """How often the flow of a function divides, plus one; `<module>` is the code outside functions and classes."""

    name: str
    line: int
    value: int


def complexities(tree: ast.Module) -> Iterator[FunctionComplexity]:
    """That of the code outside functions first, then that of each function."""
    yield FunctionComplexity(name="<module>", line=1, value=1 + _decisions(tree.body))
    for node in ast.walk(tree):
        if isinstance(node, _Function):
            yield FunctionComplexity(name=node.name, line=node.lineno, value=1 + _decisions(node.body))


def _decisions(body: list[ast.stmt]) -> int:
    """Points where the flow divides; functions and classes inside are counted by themselves, or not at all."""
    total, waiting = 0, list[ast.AST](body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (*_Function, ast.ClassDef)):
            continue
        total += _branches(node)
        if not isinstance(node, ast.Assert):
            waiting += ast.iter_child_nodes(node)
    return total


def _branches(node: ast.AST) -> int:
    match node:
        case ast.If() | ast.IfExp() | ast.Assert():
            return 1
        case ast.For() | ast.AsyncFor() | ast.While():
            return 1 + bool(node.orelse)
        case ast.Try():
            return len(node.handlers) + bool(node.orelse)
        case ast.BoolOp():
            return len(node.values) - 1
        case ast.comprehension():
            return 1 + len(node.ifs)
        case ast.Match():
            has_default = any(isinstance(c.pattern, ast.MatchAs) and c.pattern.pattern is None for c in node.cases)
            return max(0, len(node.cases) - has_default)
    return 0
