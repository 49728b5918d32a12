"""What each expression of a script may stand for: dotted names, over all aliases, scopes and assignments at once."""

import ast
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal

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
IMPORTERS = frozenset({"builtins.__import__", "importlib.__import__", "importlib.import_module"})
_GETTER = "operator.attrgetter"
_HANDING_ON = frozenset((
    *(f"builtins.{name}" for name in ("dict", "enumerate", "iter", "list", "next", "reversed", "set", "tuple", "zip")),
    "contextlib.nullcontext", "copy.copy",
))  # fmt: skip
_SCOPES = frozenset({"builtins.globals", "builtins.locals", "builtins.vars"})
TYPE_TESTS = frozenset({"builtins.isinstance", "builtins.issubclass"})
# They have no rule of their own: they lead on.
_FOLLOWED = ("builtins.getattr", "sys.modules", _GETTER, *_HANDING_ON, *_SCOPES, *TYPE_TESTS)
MODULE = "*"  # stands for any imported thing without a rule
_REACHABLE = frozenset({"builtins", "ctypes", "importlib", "os", "pickle", "pty", "socket", "subprocess", "sys"})
_LONGEST_NAME = 6  # parts; a script may write longer chains, all of one fate
_REMEMBERED = 200  # characters of a name; scripts may write long ones, and memory is for all scripts of a process
_LONGEST_TEXT = 100_000  # characters of a folded constant


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


class Names:
    """What each expression of a script may stand for; `rules` are dotted names by rule, with all below them."""

    def __init__(self, nodes: list[ast.AST], rules: Mapping[Rule, tuple[str, ...]]) -> None:
        self._rules = _rules_of(tuple((rule, name) for rule, names in rules.items() for name in names))
        self.rule = self._rules.broken_by
        self._bound: dict[str, frozenset[str]] = {}
        self._constants: dict[str, str | None] = {}
        self._stars = ["builtins"]
        self._resolved: dict[ast.AST, frozenset[str]] = {}
        for node in nodes:
            self._learn(node)
        self._resolved.clear()  # what was resolved before the last name was bound

    def _known(self, dotted: str) -> str:
        return dotted if dotted in self._rules.parents or self.rule(dotted) else MODULE

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
            case ast.withitem(optional_vars=ast.expr() as target):
                self._assign([target], node.context_expr)
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
            case ast.Name():
                return self._named(node.id)
            case ast.Attribute():
                found = self._member(self.resolve(node.value), node.attr)
                return found or self._bound.get(f".{node.attr}", frozenset())
            case ast.Subscript():
                return self._item(node.value, node.slice)
            case ast.Call(func=ast.Attribute(value=owner, attr="__getattribute__"), args=[*others, name]):
                return self._got(others[0] if others else owner, name)
            case ast.Call(func=ast.Call(func=maker, args=[name]), args=[owner]) if _GETTER in self.resolve(maker):
                return self._got(owner, name)
            case ast.Call(func=ast.Attribute(value=owner, attr="get" | "pop" | "__getitem__"), args=[key, *_]):
                return self._item(owner, key) if "sys.modules" in self.resolve(owner) else frozenset()
            case ast.Call(args=[first, *rest]):
                return self._result(self.resolve(node.func), first, rest)
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Dict(values=parts) | ast.BoolOp(values=parts):
                return frozenset[str]().union(*map(self.resolve, parts))
            case ast.IfExp():
                return self.resolve(node.body) | self.resolve(node.orelse)
            case ast.NamedExpr():
                return self.resolve(node.value)
        return frozenset()

    def _item(self, owner: ast.expr, key: ast.expr) -> frozenset[str]:
        """What lies in a container under a key, also where that is all names of a scope."""
        name = self.fold(key)
        if name and isinstance(owner, ast.Call) and not owner.args and self.resolve(owner.func) & _SCOPES:
            return self._named(name)
        bases = self.resolve(owner)
        return bases | (self._member(bases - {MODULE}, name) if name else frozenset())

    def _named(self, name: str) -> frozenset[str]:
        if name == "__builtins__":
            return frozenset({"builtins"})
        known = frozenset(self._known(f"{module}.{name}") for module in self._stars)
        return self._bound.get(name, known - {MODULE})

    def _member(self, bases: frozenset[str], name: str) -> frozenset[str]:
        if name == "__dict__":
            return bases
        modules = {self._known(name)} if "sys.modules" in bases else set()
        return frozenset({self._member_of(base, name) for base in bases} | modules)

    def _member_of(self, base: str, name: str) -> str:
        if base == MODULE:  # a module may lead to those that it imports
            return name if name in _REACHABLE else MODULE
        return base if base.count(".") >= _LONGEST_NAME else self._known(f"{base}.{name}")

    def _got(self, owner: ast.expr, name: ast.expr) -> frozenset[str]:
        """What the attribute of this name is, where the name is known."""
        text = self.fold(name)
        return self._member(self.resolve(owner), text) if text else frozenset()

    def _result(self, callee: frozenset[str], first: ast.expr, rest: list[ast.expr]) -> frozenset[str]:
        """What a call with these arguments gives, where it gives a module, a member of one, or what it was given."""
        if "builtins.vars" in callee:
            return self.resolve(first)
        if callee & _HANDING_ON:
            return frozenset[str]().union(*map(self.resolve, (first, *rest)))
        if "builtins.getattr" in callee and rest:
            return self._got(first, rest[0])
        if callee & IMPORTERS and (name := self.fold(first)):
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
        try:
            texts = [text for text in map(self.fold, parts) if text is not None]
        except RecursionError:  # a sum of very many parts
            return None
        whole = len(texts) == len(parts) and sum(map(len, texts)) <= _LONGEST_TEXT
        return "".join(texts) if whole else None


def _captured(pattern: ast.AST) -> str:
    """The name that a part of a `match` pattern binds; empty if it binds none."""
    match pattern:
        case ast.MatchAs(name=str() as name) | ast.MatchStar(name=str() as name) | ast.MatchMapping(rest=str() as name):
            return name
    return ""
