"""Reads a script from its top to its end as it would run, with what is known of each value.

Both branches of an `if` are read, one after the other; loops once, or for each of a few known things; a function where
it is called, with what it is called with. Nothing is executed.
"""

import ast
from dataclasses import dataclass, field
from typing import Literal

from machine_learning_engineering.shared_libraries.scoring.leak_values import (
    COLUMNS,
    ID,
    INDEX,
    NOTHING,
    PART,
    STATISTIC,
    TARGET,
    TEST,
    TRAIN,
    Value,
    union,
)

Rule = Literal["fit_on_test", "target_feature", "id_join", "learned_before_split"]
_DEEPEST = 12  # calls of the script's own functions inside one another
_FEW = 4  # things that a loop is read for one by one
_MOST = 50_000  # expressions that are looked at


@dataclass(frozen=True)
class Call:
    """A call with what is known of its parts; `owner` is what a method is called on."""

    node: ast.Call
    name: str
    owner: Value
    args: tuple[Value, ...]
    named: dict[str, Value]

    @property
    def all(self) -> Value:
        return union([self.owner, *self.args, *self.named.values()])

    def get(self, place: int, *names: str) -> Value:
        if place < len(self.args):
            return self.args[place]
        return next((self.named[name] for name in names if name in self.named), NOTHING)

    def says(self, name: str, value: object) -> bool:
        """Whether a keyword is the constant `value`."""
        return any(
            one.arg == name and isinstance(one.value, ast.Constant) and one.value.value == value
            for one in self.node.keywords
        )


@dataclass
class Flow:
    """Collects in `found`, by line and rule, the expression at fault and what else there is to say."""

    target: str
    id: str | None
    found: dict[tuple[int, Rule], tuple[ast.expr, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names: dict[str, Value] = {}
        self._functions: dict[str, ast.FunctionDef] = {}
        self.classes: set[str] = set()  # the script's own, of which nothing is known
        self.nodes: dict[int, ast.expr] = {}  # by line, what learned there
        self._returned: list[Value] = []
        self._depth = self._looked = 0

    def read(self, tree: ast.Module) -> None:
        self._run(tree.body)

    def note(self, rule: Rule, node: ast.expr, what: str = "") -> None:
        self.found.setdefault((node.lineno, rule), (node, what))

    # --- statements ---

    def _run(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self._step(statement)

    def _step(self, node: ast.stmt) -> None:
        match node:
            case ast.FunctionDef():
                self._functions[node.name] = node
            case ast.Assign():
                value = self._value(node.value)
                for target in node.targets:
                    self._bind(target, value)
            case ast.AnnAssign(value=ast.expr() as value):
                self._bind(node.target, self._value(value))
            case ast.AugAssign():
                self._bind(node.target, self._value(node.target) | self._value(node.value))
            case ast.ClassDef():
                self.classes.add(node.name)
            case ast.For():
                for value in _elements(self._value(node.iter)):
                    self._bind(node.target, value)
                    self._run(node.body)
                self._run(node.orelse)
            case ast.If() | ast.While():
                self._value(node.test)
                self._run(node.orelse if self._is_given(node.test) else node.body + node.orelse)
            case ast.With():
                for item in node.items:
                    opened = self._value(item.context_expr)
                    if item.optional_vars:
                        self._bind(item.optional_vars, opened)
                self._run(node.body)
            case ast.Try():
                self._run(node.body + [line for one in node.handlers for line in one.body] + node.orelse)
                self._run(node.finalbody)
            case ast.Return(value=ast.expr() as value):
                self._returned.append(self._value(value))
            case ast.Expr():
                self._value(node.value)
            case ast.Delete():
                for one in node.targets:
                    if isinstance(one, ast.Subscript):
                        self.drop_from(one.value, self._value(one.slice).texts)

    def _is_given(self, test: ast.expr) -> bool:
        """Whether a test is `x is None` for an x that is known to be something: a fitted scaler, say."""
        match test:
            case ast.Compare(left=ast.Name(id=name), ops=[ast.Is()], comparators=[ast.Constant(value=None)]):
                return bool(self.names.get(name, NOTHING).tags)
        return False

    def _bind(self, target: ast.expr, value: Value) -> None:
        match target:
            case ast.Name():
                self.names[target.id] = value
            case ast.Tuple(elts=names) | ast.List(elts=names):
                known = value.parts if value.parts is not None and len(value.parts) == len(names) else None
                for place, name in enumerate(names):
                    self._bind(name, known[place] if known else value.one_of())
            case ast.Starred():
                self._bind(target.value, value)
            case ast.Subscript():
                self._store(target, value)

    def _store(self, place: ast.Subscript, value: Value) -> None:
        """A column of a table is written: the table now holds what it is made of."""
        root = _root(place)
        if root is None:
            return
        table = self.names.get(root, NOTHING)
        columns = self._value(place.slice).texts
        held = set(columns) if value.has(TARGET) and not value.has(STATISTIC) else set()
        own = {self.target} if self.target in columns else set()
        self.names[root] = (table | Value(value.learned)).holding(table.held | held | own | value.held)
        if not table.rows and value.rows:  # a table that is filled column by column
            self.names[root] = self.names[root].plus(*value.rows)

    def drop_from(self, owner: ast.expr, columns: tuple[str, ...]) -> None:
        if isinstance(owner, ast.Name):
            table = self.names.get(owner.id, NOTHING)
            self.names[owner.id] = table.holding(table.held - set(columns))

    # --- expressions ---

    def _value(self, node: ast.expr) -> Value:
        self._looked += 1
        if self._looked > _MOST:
            return NOTHING
        match node:
            case ast.Constant(value=str() as text):
                return Value(texts=(text,))
            case ast.Name():
                return self.names.get(node.id, NOTHING)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                values = tuple(map(self._value, parts))
                return Value(union(values).tags, union(values).texts, values)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Subscript():
                return self._subscript(node)
            case ast.Call():
                return self._call(node)
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp():
                return self._comprehension(node.elt, node.generators)
            case ast.DictComp():
                return self._comprehension(ast.Tuple([node.key, node.value], ast.Load()), node.generators)
            case ast.Compare() | ast.UnaryOp(op=ast.Invert()):
                return self._parts_of(node).minus(TARGET).plus(INDEX)
            case ast.BinOp(op=ast.Sub() | ast.Div()):
                return self._scaled(node)
            case ast.BoolOp(op=ast.And() | ast.Or()) | ast.BinOp() | ast.UnaryOp() | ast.IfExp() | ast.JoinedStr():
                return self._parts_of(node)
            case ast.Dict() | ast.Set() | ast.FormattedValue() | ast.Starred() | ast.Slice() | ast.Await():
                return self._parts_of(node)
            case ast.NamedExpr():
                value = self._value(node.value)
                self._bind(node.target, value)
                return value
        return NOTHING

    def _parts_of(self, node: ast.expr) -> Value:
        return union(self._value(one) for one in ast.iter_child_nodes(node) if isinstance(one, ast.expr))

    def _scaled(self, node: ast.BinOp) -> Value:
        left, right = self._value(node.left), self._value(node.right)
        if right.has(STATISTIC, TEST) and not left.has(STATISTIC):
            self.note("fit_on_test", node.right)
        return (left | right).minus(STATISTIC)

    def _attribute(self, node: ast.Attribute) -> Value:
        owner = self._value(node.value)
        if node.attr == "columns":
            return Value(frozenset({COLUMNS})).holding(owner.held)
        if node.attr in ("shape", "size", "dtypes", "ndim"):
            return NOTHING
        return self.column(owner, (node.attr,)) if node.attr in (self.target, self.id) else owner

    def column(self, table: Value, names: tuple[str, ...]) -> Value:
        """One column, by its name."""
        rest = table.holding(()).minus(COLUMNS)
        if table.held & set(names):
            return rest.plus(TARGET)
        return rest.plus(ID) if self.id in names else rest

    def _subscript(self, node: ast.Subscript) -> Value:
        base, key = self._value(node.value), self._value(node.slice)
        if base.parts is not None:
            number = node.slice.value if isinstance(node.slice, ast.Constant) else None
            known = isinstance(number, int) and -len(base.parts) <= number < len(base.parts)
            return base.parts[number] if known else base.one_of()  # type: ignore[index]
        self.look_up(node, base, key)
        if base.has(COLUMNS):
            return base
        if isinstance(node.slice, ast.Slice):
            return _sliced(base, node.slice)
        if key.has(INDEX):
            return base.plus(PART).minus(TEST) if base.has(TRAIN, TEST) else base.plus(PART)
        if key.has(COLUMNS):
            return base.holding(base.held & key.held)
        if len(key.texts) == 1 and key.parts is None:
            return self.column(base, key.texts)
        return base.holding(base.held & set(key.texts))

    def look_up(self, node: ast.expr, table: Value, key: Value) -> None:
        """Notes a look-up of training targets by the ids of test rows."""
        labelled = table.has(TRAIN) and (table.has(TARGET) or table.held)
        if key.has(TEST, ID) and not key.has(TRAIN) and labelled:
            self.note("id_join", node)

    def _comprehension(self, element: ast.expr, generators: list[ast.comprehension]) -> Value:
        first = self._value(generators[0].iter)
        if first.parts is not None and len(generators) == 1:
            values = []
            for part in first.parts:
                self._bind(generators[0].target, part)
                values.append(self._value(element))
            return Value(union(values).tags, union(values).texts, tuple(values))
        for one in generators:
            self._bind(one.target, _element(self._value(one.iter)))
        if first.has(COLUMNS) and generators[0].ifs:
            tests = union(self._parts_of(test) for test in generators[0].ifs)
            kept = first.held - set(tests.texts) if tests.texts else ()
            return first.holding(kept)
        value = self._value(element)
        return Value(value.tags, value.texts)

    # --- calls ---

    def _call(self, node: ast.Call) -> Value:
        callee = node.func
        name = callee.attr if isinstance(callee, ast.Attribute) else callee.id if isinstance(callee, ast.Name) else ""
        owner = self._value(callee.value) if isinstance(callee, ast.Attribute) else NOTHING
        args = tuple(map(self._value, node.args))
        call = Call(node, name, owner, args, {one.arg or "": self._value(one.value) for one in node.keywords})
        if isinstance(callee, ast.Name) and name in self._functions:
            return self._own(self._functions[name], call)
        value = self.known(call)
        if call.says("inplace", True) and isinstance(callee, ast.Attribute) and isinstance(callee.value, ast.Name):
            self.names[callee.value.id] = value
        return value

    def _own(self, function: ast.FunctionDef, call: Call) -> Value:
        """What a function of the script returns for these arguments."""
        if self._depth >= _DEEPEST:
            return call.all.one_of()
        before, returned = self.names, self._returned
        self._depth += 1
        defaults = zip(reversed(function.args.args), reversed(function.args.defaults), strict=False)
        given = {one.arg: self._value(default) for one, default in defaults}
        given |= dict(zip((one.arg for one in function.args.args), call.args, strict=False)) | call.named
        self.names, self._returned = {**before, **given}, []
        self._run(function.body)
        values = self._returned
        self.names, self._returned = before, returned
        self._depth -= 1
        return values[0] if len(values) == 1 else union(values)

    def known(self, call: Call) -> Value:
        """What a call of a library returns."""
        raise NotImplementedError


def _elements(values: Value) -> tuple[Value, ...]:
    """What a loop goes over: a few known things one by one, or any of those in a container."""
    return values.parts if values.parts and len(values.parts) <= _FEW else (_element(values),)


def _element(values: Value) -> Value:
    """One of the things in a container; of several rows, one is as good as another."""
    if values.has(INDEX) and not values.parts:
        return values
    if values.parts:
        return Value(union(values.parts).tags, union(values.parts).texts).one_of()
    return Value(values.tags, values.texts)


def _sliced(base: Value, key: ast.Slice) -> Value:
    """Some of the rows; of joined files, those before or after a place are taken for one file's."""
    if key.lower is None and key.upper is None:
        return base
    if base.has(TRAIN, TEST):
        return base.minus(TEST) if key.lower is None else base.minus(TRAIN).holding(())
    return base.plus(PART)


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
