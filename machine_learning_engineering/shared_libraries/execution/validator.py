"""Advice on a script before it runs: what Python cannot read, what the sandbox will refuse, what is hard to follow.

The validator advises; the sandbox is the boundary. A script can hide any call from a reader of its source, for instance
behind a function's result, so a report without findings proves nothing. A finding tells what will not work or count.
"""

import ast
import re
import threading
import warnings
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache
from typing import Literal

from pydantic import Field

from machine_learning_engineering.shared_libraries.execution.complexity import FunctionComplexity, complexities
from machine_learning_engineering.shared_libraries.execution.names import (
    IMPORTERS,
    MODULE,
    NAMES,
    TYPE_TESTS,
    Names,
    Rule,
)
from machine_learning_engineering.shared_libraries.records import Record

Level = Literal["off", "warn", "block"]


class Policy(Record):
    """What each rule does: `off` nothing, `warn` a finding, `block` a finding that makes the report say `blocked`."""

    levels: dict[Rule, Level] = Field(
        {}, description="by rule; of those not named, `syntax` blocks and the others warn"
    )
    names: dict[Rule, tuple[str, ...]] = Field(NAMES, description="dotted names, with all below them; `*`: any text")
    max_complexity: int = Field(30, ge=1, description="cyclomatic complexity that a function or the top level may have")


class Finding(Record):
    """One piece of advice; line and column (in characters) count from 1."""

    rule: Rule
    line: int
    column: int
    message: str
    severity: Literal["warn", "block"]


class Report(Record):
    """What the validator has to say; findings are in the order of the source."""

    findings: tuple[Finding, ...] = ()
    complexity: tuple[FunctionComplexity, ...] = ()

    @property
    def blocked(self) -> bool:
        return any(finding.severity == "block" for finding in self.findings)

    @property
    def text(self) -> str:
        """One line a finding, for the author of the script; empty when there is nothing to say."""
        return "\n".join(f"line {one.line}, column {one.column}: {one.message}" for one in self.findings)


_ADVICE: dict[Rule, str] = {
    "process": "starts or ends other programs, which the sandbox limits; do the work in this process",
    "native": "reaches past Python into native code; use the library's own Python interface",
    "network": "needs the network, which scripts do not have; use the files in ./input and installed packages",
    "dynamic_code": "runs code that cannot be read beforehand; write the code out",
    "unpickle": "runs whatever code the pickled bytes name; read data with pandas, or a model from a file of its own",
    "introspection": "looks into the interpreter's own objects; use what is in scope",
    "toy_data": "loads a data set that is not the task's, so the score will not count; read ./input instead",
    "outside_path": "lies outside the script's folder and is not there when it runs; inputs are in ./input",
}
_CODE = frozenset({"builtins.eval", "builtins.exec", "builtins.compile"})
_GADGETS = ("__subclasses__", "__globals__", "__builtins__", "__loader__")
_OPENERS = re.compile(r"open|Path|(read|to)_\w+|load(_\w+|txt)?|genfromtxt|dump|save\w*|rmtree|listdir")
_IMPORTED_OPENERS = re.compile(r"walk|glob|remove|copy")  # words for much else where they are no module's
_OUTSIDE = re.compile(r"(/(?!tmp/|tmp$|dev/)\w|~|[A-Za-z]:[\\/]|\.\.([\\/]|$)|file:)")
_REMOTE = re.compile(r"(https?|ftp|s3|gs|hf)://")
_MOST_TEXTS = 20  # constants given to exec that are read, each once; texts can make texts without end
_warnings = threading.Lock()  # the filters of `warnings` belong to the whole process


ADVISING = Policy(levels={"syntax": "off", "depth": "off"})  # the interpreter says that better


@lru_cache(maxsize=64)
def advise(source: str) -> Report:
    """What there is to say about a script that will run; remembered, since several look at the same script."""
    return validate(source, ADVISING)


def validate(source: str, policy: Policy) -> Report:
    """Advice on a script, which is read and never run."""
    data = source.encode("utf-8", errors="replace")  # what the sandbox writes to the script's file
    try:
        return _report(_read(data), policy, re.split(r"\r\n|\r|\n", source))
    except SyntaxError as exc:
        shown = f": `{exc.text.strip()[:100]}`" if exc.text and exc.text.strip() else ""
        what = f"{type(exc).__name__}: {exc.msg}{shown}. Nothing of the script can run until this is corrected."
        return Report(findings=tuple(_kept(policy, "syntax", exc.lineno or 1, max(exc.offset or 1, 1), what)))
    except (RecursionError, MemoryError):
        what = "an expression is nested too deeply to be read; split it into several statements."
        return Report(findings=tuple(_kept(policy, "depth", 1, 1, what)))


def _report(tree: ast.Module, policy: Policy, lines: list[str]) -> Report:
    findings = [*_Check(tree, policy, lines, set()).findings.values()]
    complexity = tuple(complexities(tree))
    for one in complexity:
        if one.value > policy.max_complexity:
            what = f"{one.name} has a cyclomatic complexity of {one.value}, over {policy.max_complexity}; divide it."
            findings += _kept(policy, "complexity", one.line, 1, what)
    return Report(findings=tuple(sorted(findings, key=lambda one: (one.line, one.column))), complexity=complexity)


def _kept(policy: Policy, rule: Rule, line: int, column: int, message: str) -> list[Finding]:
    level = policy.levels.get(rule, "block" if rule == "syntax" else "warn")
    return [] if level == "off" else [Finding(rule=rule, line=line, column=column, message=message, severity=level)]


def _read(data: bytes) -> ast.Module:
    try:
        with _warnings, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(data, "<script>", "exec", dont_inherit=True)  # refuses more than the parser does
            return ast.parse(data)
    except SystemError:  # CPython 3.11, when another thread parses as well
        return _read(data)
    except ValueError as exc:  # a NUL
        raise SyntaxError(str(exc)) from exc


class _Check:
    """The findings on one tree; `at` is the place to name for code that is itself a constant of the script."""

    def __init__(
        self, tree: ast.Module, policy: Policy, lines: list[str], texts: set[str], at: tuple[int, int] | None = None
    ) -> None:
        self.findings: dict[tuple[int, int, Rule], Finding] = {}
        self._policy, self._lines, self._texts, self._at = policy, lines, texts, at
        nodes = [*ast.walk(tree)]
        self._names = Names(nodes, policy.names)
        self._cleared: set[ast.AST] = set()  # names of calls that were looked at with their arguments
        for node in nodes:  # a call comes before its parts
            self._look(node)

    def _look(self, node: ast.AST) -> None:
        match node:
            case ast.Import():
                self._use(node, [alias.name for alias in node.names])
            case ast.ImportFrom():
                self._use(node, [f"{node.module}.{alias.name}" for alias in node.names])
            case ast.Call():
                self._call(node, self._names.resolve(node.func))
                self._use(node, self._names.resolve(node))
            case ast.Attribute(attr=name) if name in _GADGETS:
                self._add("introspection", node, name)
            case ast.Name() | ast.Attribute() | ast.Subscript() if isinstance(node.ctx, ast.Load):
                self._use(node, self._names.resolve(node))

    def _use(self, node: ast.expr | ast.stmt, names: Collection[str]) -> None:
        for name in names if node not in self._cleared else ():
            if rule := self._names.rule(name):
                self._add(rule, node, name)

    def _call(self, call: ast.Call, callee: frozenset[str]) -> None:
        first = self._names.fold(call.args[0]) if call.args else None
        if first is not None and (callee & IMPORTERS or (callee & _CODE and self._look_into(call, first))):
            self._cleared.add(call.func)
        if callee & TYPE_TESTS:  # to ask whether something is a function makes none
            self._cleared.update(part for argument in call.args[1:] for part in ast.walk(argument))
        if "builtins.getattr" in callee and len(call.args) > 1 and self._names.fold(call.args[1]) is None:
            for name in self._names.resolve(call.args[0]) - {MODULE}:
                self._add("dynamic_code", call, f"getattr on {name} with a computed name")
        opens = _IMPORTED_OPENERS if callee else None
        if first and any(one.fullmatch(_last_name(call.func)) for one in filter(None, (_OPENERS, opens))):
            if _OUTSIDE.match(first):
                self._add("outside_path", call, first[:100])
            if _REMOTE.match(first):
                self._add("network", call, first[:100])
        if call.args and isinstance(call.args[0], ast.Call) and _last_name(call.args[0].func) == "dumps":
            self._cleared.add(call.func)  # loads(dumps(x)) copies x

    def _look_into(self, call: ast.Call, source: str) -> bool:
        """Whether code that a script holds as a text was looked at."""
        if source not in self._texts:
            if len(self._texts) >= _MOST_TEXTS:
                return False
            self._texts.add(source)
            with suppress(SyntaxError):
                tree, place = _read(source.strip().encode(errors="replace")), self._place(call)
                self.findings |= _Check(tree, self._policy, [], self._texts, place).findings
        return True

    def _add(self, rule: Rule, node: ast.expr | ast.stmt, what: str) -> None:
        line, column = self._place(node)
        for finding in _kept(self._policy, rule, line, column, f"`{what}` {_ADVICE[rule]}."):
            self.findings.setdefault((line, column, rule), finding)

    def _place(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        if self._at:
            return self._at
        line = self._lines[node.lineno - 1] if node.lineno <= len(self._lines) else ""
        return node.lineno, len(line.encode(errors="replace")[: node.col_offset].decode(errors="replace")) + 1


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
