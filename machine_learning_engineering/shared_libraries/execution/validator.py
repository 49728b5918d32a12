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
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal

from pydantic import Field

from machine_learning_engineering.shared_libraries.execution.complexity import FunctionComplexity, complexities
from machine_learning_engineering.shared_libraries.records import Record

Level = Literal["off", "warn", "block"]
Rule = Literal[
    "syntax", "process", "native", "network", "dynamic_code", "unpickle", "introspection", "toy_data", "outside_path",
    "complexity", "depth",
]  # fmt: skip
NAMES: dict[Rule, tuple[str, ...]] = {
    "process": (
        *(f"{module}.{call}" for module in ("os", "posix") for call in ("system", "popen", "exec[lv]*", "*spawn*")),
        *(f"{module}.{call}" for module in ("os", "posix") for call in ("fork*", "kill*")), "subprocess",
        "_posixsubprocess", "pty", "pexpect", "pip", "asyncio.subprocess", "asyncio.create_subprocess_*",
    ),
    "native": ("ctypes", "_ctypes", "cffi"),
    "network": (
        "socket", "_socket", "socketserver", "ssl", "urllib.request", "urllib3", "http.client", "http.server", "httpx",
        "requests", "aiohttp", "ftplib", "smtplib", "telnetlib", "xmlrpc", "paramiko", "websockets",
    ),
    "dynamic_code": (
        "builtins.eval", "builtins.exec", "builtins.compile", "builtins.__import__", "code.interact", "marshal.load*",
        "importlib.import_module", "importlib.__import__", "importlib.machinery", "importlib.util.spec_from_file*",
        "runpy", "imp", "types.FunctionType", "types.CodeType",
    ),
    "unpickle": ("pickle.loads", "_pickle.loads", "dill.loads", "cloudpickle.loads"),
    "introspection": ("sys._getframe", "inspect.currentframe", "gc.get_objects"),
    "toy_data": ("sklearn.datasets.load_[!sf]*", "sklearn.datasets.load_sample*", "sklearn.datasets.fetch_*"),
}  # fmt: skip


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
_IMPORTERS = frozenset({"builtins.__import__", "importlib.__import__", "importlib.import_module"})
_GETTER = "operator.attrgetter"
_FOLLOWED = ("builtins.getattr", "builtins.vars", "sys.modules", _GETTER)  # no rule of their own: they lead on
_GADGETS = ("__subclasses__", "__globals__", "__builtins__", "__loader__")
_OPENERS = re.compile(r"open|Path|(read|to)_\w+|load(_\w+|txt)?|genfromtxt|dump|save\w*|rmtree|listdir")
_IMPORTED_OPENERS = re.compile(r"walk|glob|remove|copy")  # words for much else where they are no module's
_OUTSIDE = re.compile(r"(/(?!tmp/|tmp$|dev/)\w|~|[A-Za-z]:[\\/]|\.\.([\\/]|$)|file:)")
_REMOTE = re.compile(r"(https?|ftp|s3|gs|hf)://")
_MODULE = "*"  # stands for any imported thing without a rule
_REACHABLE = frozenset({"builtins", "ctypes", "importlib", "os", "pickle", "pty", "socket", "subprocess", "sys"})
_LONGEST_NAME = 6  # parts; a script may write longer chains, all of one fate
_REMEMBERED = 200  # characters of a name; scripts may write long ones, and memory is for all scripts of a process
_LONGEST_TEXT = 100_000  # characters of a folded constant
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


def _prefixes(dotted: str) -> list[str]:
    parts = dotted.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


class _Rules:
    """The rules of a policy by dotted name; `parents` are names that lead to those of a rule."""

    def __init__(self, rows: tuple[tuple[Rule, str], ...]) -> None:
        self._rows = rows
        followed = [name for _, name in rows] + [f"{name}." for name in _FOLLOWED]
        self.parents = {parent for name in followed for parent in _prefixes(name)[:-1]}
        self._remembered = lru_cache(maxsize=4096)(self._look_up)

    def broken_by(self, dotted: str) -> Rule | None:
        """The rule that a name breaks."""
        return self._remembered(dotted) if len(dotted) <= _REMEMBERED else self._look_up(dotted)

    def _look_up(self, dotted: str) -> Rule | None:
        names = _prefixes(dotted)
        return next((rule for rule, pattern in self._rows if any(fnmatchcase(name, pattern) for name in names)), None)


_rules_of = lru_cache(maxsize=8)(_Rules)  # scripts of a run use the same names again and again


class _Names:
    """What each expression of a script may stand for: dotted names, over all scopes and assignments at once."""

    def __init__(self, nodes: list[ast.AST], policy: Policy) -> None:
        self._rules = _rules_of(tuple((rule, name) for rule, names in policy.names.items() for name in names))
        self.rule = self._rules.broken_by
        self._bound: dict[str, frozenset[str]] = {}
        self._constants: dict[str, str | None] = {}
        self._stars = ["builtins"]
        self._resolved: dict[ast.AST, frozenset[str]] = {}
        for node in nodes:
            self._learn(node)
        self._resolved.clear()  # what was resolved before the last name was bound

    def _known(self, dotted: str) -> str:
        return dotted if dotted in self._rules.parents or self.rule(dotted) else _MODULE

    def _learn(self, node: ast.AST) -> None:
        match node:
            case ast.Import():
                for alias in node.names:
                    name = alias.name if alias.asname else alias.name.partition(".")[0]
                    self._bind(alias.asname or name, {self._known(name)})
            case ast.ImportFrom():
                for alias in node.names:
                    self._bind(alias.asname or alias.name, {self._known(f"{node.module}.{alias.name}")})
                self._stars += [str(node.module) for alias in node.names if alias.name == "*"]
            case ast.Assign():
                self._assign(node.targets, node.value)
            case ast.AnnAssign(value=ast.expr() as value) | ast.NamedExpr(value=value):
                self._assign([node.target], value)
            case ast.For() | ast.AsyncFor() | ast.comprehension():
                self._assign([ast.Tuple([node.target])], node.iter)
            case ast.arguments():
                self._parameters(node)
            case ast.ClassDef():
                self._bind(node.name)
                self._attributes(node)
            case ast.Match():
                for part in (part for case in node.cases for part in ast.walk(case.pattern)):
                    self._bind(_captured(part), self.resolve(node.subject))
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ExceptHandler():
                self._bind(node.name or "")
            case ast.Name(ctx=ast.Store()):
                self._bind(node.id)

    def _assign(self, targets: list[ast.expr], value: ast.expr) -> None:
        """Binds names, and attributes as `.name`, since what has the attribute is rarely known."""
        for target in targets:
            if isinstance(target, ast.Name):
                self._constants[target.id] = None if target.id in self._bound else self.fold(value)
            for node in ast.walk(target):
                if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
                    name = node.id if isinstance(node, ast.Name) else f".{node.attr}"
                    self._bind(name, self.resolve(value))

    def _parameters(self, node: ast.arguments) -> None:
        """Binds the parameters of a function, those with a default to what it stands for."""
        placed = [*node.posonlyargs, *node.args]
        defaults = dict(zip(reversed(placed), reversed(node.defaults), strict=False))
        defaults |= {one: value for one, value in zip(node.kwonlyargs, node.kw_defaults, strict=True) if value}
        for one in (*placed, *node.kwonlyargs, *filter(None, (node.vararg, node.kwarg))):
            self._bind(one.arg, self.resolve(defaults[one]) if one in defaults else ())

    def _attributes(self, node: ast.ClassDef) -> None:
        """Binds what the body of a class assigns as attributes; its names are bound where they stand."""
        assigned = [part for part in node.body if isinstance(part, ast.Assign)]
        for name, value in ((one, part.value) for part in assigned for one in part.targets):
            if isinstance(name, ast.Name):
                self._bind(f".{name.id}", self.resolve(value))

    def _bind(self, name: str, origins: Collection[str] = ()) -> None:
        self._bound[name] = self._bound.get(name, frozenset()) | frozenset(origins)

    def resolve(self, node: ast.AST) -> frozenset[str]:
        """The dotted names that an expression may stand for; a container stands for what it holds."""
        if node not in self._resolved:
            self._resolved[node] = self._resolve(node)
        return self._resolved[node]

    def _resolve(self, node: ast.AST) -> frozenset[str]:
        match node:
            case ast.Name(id="__builtins__"):
                return frozenset({"builtins"})
            case ast.Name():
                known = frozenset(self._known(f"{module}.{node.id}") for module in self._stars)
                return self._bound.get(node.id, known - {_MODULE})
            case ast.Attribute():
                found = self._member(self.resolve(node.value), node.attr)
                return found or self._bound.get(f".{node.attr}", frozenset())
            case ast.Subscript():
                bases, key = self.resolve(node.value), self.fold(node.slice)
                return bases | (self._member(bases - {_MODULE}, key) if key else frozenset())
            case ast.Call(func=ast.Attribute(value=owner, attr="__getattribute__"), args=[*others, name]):
                return self._got(others[0] if others else owner, name)
            case ast.Call(func=ast.Call(func=maker, args=[name]), args=[owner]) if _GETTER in self.resolve(maker):
                return self._got(owner, name)
            case ast.Call(args=[first, *rest]):
                return self._result(self.resolve(node.func), first, rest)
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Dict(values=parts) | ast.BoolOp(values=parts):
                return frozenset[str]().union(*map(self.resolve, parts))
            case ast.IfExp():
                return self.resolve(node.body) | self.resolve(node.orelse)
            case ast.NamedExpr():
                return self.resolve(node.value)
        return frozenset()

    def _member(self, bases: frozenset[str], name: str) -> frozenset[str]:
        if name == "__dict__":
            return bases
        modules = {self._known(name)} if "sys.modules" in bases else set()
        return frozenset({self._member_of(base, name) for base in bases} | modules)

    def _member_of(self, base: str, name: str) -> str:
        if base == _MODULE:  # a module may lead to those that it imports
            return name if name in _REACHABLE else _MODULE
        return base if base.count(".") >= _LONGEST_NAME else self._known(f"{base}.{name}")

    def _got(self, owner: ast.expr, name: ast.expr) -> frozenset[str]:
        """What the attribute of this name is, where the name is known."""
        text = self.fold(name)
        return self._member(self.resolve(owner), text) if text else frozenset()

    def _result(self, callee: frozenset[str], first: ast.expr, rest: list[ast.expr]) -> frozenset[str]:
        """What a call with these arguments gives, where it gives a module or a member of one."""
        if "builtins.vars" in callee:
            return self.resolve(first)
        if "builtins.getattr" in callee and rest:
            return self._got(first, rest[0])
        if callee & _IMPORTERS and (name := self.fold(first)):
            return frozenset({self._known(name), self._known(name.partition(".")[0])})
        return frozenset()

    def fold(self, node: ast.expr) -> str | None:
        """The value of an expression that is a text in disguise, such as `'sys' + 'tem'`."""
        match node:
            case ast.Constant(value=str() as text):
                return text
            case ast.Name():
                return self._constants.get(node.id)
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                return self.fold(value)
            case ast.JoinedStr(values=parts):
                return self._joined(parts)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined([left, right])
        return None

    def _joined(self, parts: list[ast.expr]) -> str | None:
        texts = [text for text in map(self.fold, parts) if text is not None]
        whole = len(texts) == len(parts) and sum(map(len, texts)) <= _LONGEST_TEXT
        return "".join(texts) if whole else None


class _Check:
    """The findings on one tree; `at` is the place to name for code that is itself a constant of the script."""

    def __init__(
        self, tree: ast.Module, policy: Policy, lines: list[str], texts: set[str], at: tuple[int, int] | None = None
    ) -> None:
        self.findings: dict[tuple[int, int, Rule], Finding] = {}
        self._policy, self._lines, self._texts, self._at = policy, lines, texts, at
        nodes = [*ast.walk(tree)]
        self._names = _Names(nodes, policy)
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
        if first is not None and (callee & _IMPORTERS or (callee & _CODE and self._look_into(call, first))):
            self._cleared.add(call.func)
        if "builtins.getattr" in callee and len(call.args) > 1 and self._names.fold(call.args[1]) is None:
            for name in self._names.resolve(call.args[0]) - {_MODULE}:
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


def _captured(pattern: ast.AST) -> str:
    """The name that a part of a `match` pattern binds; empty if it binds none."""
    match pattern:
        case ast.MatchAs(name=str() as name) | ast.MatchStar(name=str() as name) | ast.MatchMapping(rest=str() as name):
            return name
    return ""


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
