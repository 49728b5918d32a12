"""A script as an ordered set of named parts: cut from the recipe library, read back from its text, merged, rendered."""

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from machine_learning_engineering.shared_libraries.common_util import parse_python

_LIBRARY = Path(__file__).with_name("recipes")
_HEADER = re.compile(r"^# --- (?P<title>.+?) -+$")
SECTIONS = ("Task", "Data", "Features", "Models", "Validation", "Submission", "Ablation")
WIDTH = 120


@dataclass(frozen=True)
class Part:
    """One top-level definition of a script: its name, its source text and the section it stands in."""

    name: str
    text: str
    section: str

    @property
    def uses(self) -> frozenset[str]:
        """Every name that the text mentions."""
        return _names(self.text)


@dataclass(frozen=True)
class Program:
    """A script: what its docstring says and its parts, in order; imports follow from the names the parts use."""

    doc: str
    parts: tuple[Part, ...]

    def __contains__(self, name: str) -> bool:
        return any(part.name == name for part in self.parts)

    def __getitem__(self, name: str) -> Part:
        return next(part for part in self.parts if part.name == name)

    def listed(self, name: str) -> list[str]:
        """The names in a list such as `MODELS = [lightgbm, linear]`; empty when the script has no such list."""
        if name not in self:
            return []
        tree = parse_python(self[name].text)
        return [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]

    @property
    def names(self) -> frozenset[str]:
        """Every name that a part mentions and no part defines: what has to be imported, and the builtins."""
        return frozenset[str]().union(*(part.uses for part in self.parts)) - {part.name for part in self.parts}

    def with_parts(self, *parts: Part) -> "Program":
        """This program with each part in place of its namesake, new ones before the list that ends their section."""
        mine = list(self.parts)
        for part in parts:
            known = [i for i, old in enumerate(mine) if old.name == part.name]
            if known:
                mine[known[0]] = part
            else:
                mine.insert(_place(mine, part.section), part)
        return replace(self, parts=tuple(mine))

    def closure(self, roots: Iterable[str]) -> list[Part]:
        """The parts that `roots` need, in the order of the script."""
        needed, waiting = set[str](), list(roots)
        while waiting:
            name = waiting.pop()
            if name in self and name not in needed:
                needed.add(name)
                waiting.extend(self[name].uses)
        return [part for part in self.parts if part.name in needed]

    def pruned(self) -> "Program":
        """This program without the parts that `main` does not need."""
        return replace(self, parts=tuple(self.closure(["main"])))

    def render(self) -> str:
        """The script's text."""
        body = "\n\n\n".join(_render_section(title, self.parts) for title in SECTIONS if _in(title, self.parts))
        head = f'"""{self.doc}"""\n\n{render_imports(self.names)}\n\n'
        return f'{head}{body}\n\n\nif __name__ == "__main__":\n    main()\n'


def _in(title: str, parts: Iterable[Part]) -> list[Part]:
    return [part for part in parts if part.section == title]


def _place(parts: list[Part], section: str) -> int:
    """Where a new part goes: before the list that names its section's members, else at the section's end."""
    closing = {"Features": "FEATURES", "Models": "MODELS"}.get(section)
    spots = [i for i, part in enumerate(parts) if part.name == closing]
    ends = [i + 1 for i, part in enumerate(parts) if SECTIONS.index(part.section) <= SECTIONS.index(section)]
    return spots[0] if spots else max(ends, default=0)


def _render_section(title: str, parts: Iterable[Part]) -> str:
    text = f"# --- {title} ".ljust(WIDTH, "-")
    constants = True
    for part in _in(title, parts):
        constant = not part.text.startswith(("def ", "class ", "@"))
        text += ("\n" if constant and constants else "\n\n\n") + part.text
        constants = constant
    return text


def render_imports(names: Iterable[str]) -> str:
    """The import lines that these names need, sorted."""
    modules: dict[str, set[str]] = {}
    for module, name, alias in (_imports()[name] for name in names if name in _imports()):
        modules.setdefault(module, set()).add(f"{name} as {alias}" if alias != name else name)
    lines = [_import_line(module, names) for module, names in modules.items()]
    own = {"pathlib", "collections.abc", "itertools", "functools", "typing", "warnings"}
    groups = [[x for x in lines if (x.split()[1] in own) is standard] for standard in (True, False)]
    ordered = [sorted(group, key=lambda line: (line.startswith("from"), line.split()[1])) for group in groups if group]
    return "\n\n".join("\n".join(group) for group in ordered)


def _import_line(module: str, names: set[str]) -> str:
    if module.startswith("import "):
        return module
    line = f"from {module} import {', '.join(sorted(names))}"
    if len(line) <= WIDTH:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in sorted(names)) + ")"


@cache
def _names(text: str) -> frozenset[str]:
    return frozenset(node.id for node in ast.walk(parse_python(text)) if isinstance(node, ast.Name))


# --- The library ------------------------------------------------------------------------------------------------------


@cache
def _module(name: str) -> tuple[tuple[Part, ...], tuple[tuple[str, str, str], ...]]:
    """A recipe module: its parts, and its imports as (module, name, alias)."""
    text = (_LIBRARY / f"{name}.py").read_text(encoding="utf-8")
    tree = parse_python(text)
    doc = ast.get_docstring(tree) or name
    return tuple(_parts(text, tree, doc.splitlines()[0])), tuple(_imported(tree))


_MODULES = ("task", "data", "features", "kernels", "values", "classes", "validation", "submission", "ablation")


@cache
def _imports() -> Mapping[str, tuple[str, str, str]]:
    return {alias: (module, name, alias) for key in _MODULES for module, name, alias in _module(key)[1]}


def _imported(tree: ast.Module) -> Iterable[tuple[str, str, str]]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            for name in node.names:
                yield (
                    f"import {name.name} as {name.asname}" if name.asname else f"import {name.name}",
                    "",
                    str(name.asname or name.name),
                )
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for name in node.names:
                yield str(node.module), name.name, name.asname or name.name


def _parts(text: str, tree: ast.Module, title: str) -> Iterable[Part]:
    for node in tree.body:
        name = _defined(node)
        if name:
            yield Part(name, _source(text, node), title)


def _source(text: str, node: ast.stmt) -> str:
    """A definition's own lines, its decorators included."""
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])


def _defined(node: ast.stmt) -> str:
    if isinstance(node, ast.FunctionDef):
        return node.name
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    return target.id if isinstance(target, ast.Name) else ""


def library(problem: str) -> Mapping[str, Part]:
    """Every part of the library under its own name; models are those of the problem (regression or not)."""
    left_out = "classes" if problem == "regression" else "values"
    return {part.name: part for key in _MODULES if key != left_out for part in _module(key)[0]}


def cut(problem: str, name: str, variant: str = "") -> Part:
    """One part of the library, a variant of it under its plain name."""
    part = library(problem)[f"{name}__{variant}" if variant else name]
    return Part(name, re.sub(rf"\b{part.name}\b", name, part.text), part.section)


def compose(doc: str, problem: str, variants: Mapping[str, str], given: Iterable[Part]) -> Program:
    """A whole script: the `given` parts, and whatever of the library they and `main` need, in the library's order."""
    parts = {part.name: part for part in given}
    known, waiting, seen = library(problem), ["main"], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or not (name in parts or name in known):
            continue
        seen.add(name)
        parts.setdefault(name, cut(problem, name, variants.get(name, "")))
        waiting.extend(parts[name].uses)
    order = {name: i for i, name in enumerate(known)}
    return Program(doc, tuple(sorted((parts[name] for name in seen), key=lambda part: order.get(part.name, -1))))


# --- Reading a script back --------------------------------------------------------------------------------------------

_ESSENTIAL = ("read", "encode", "MODELS", "out_of_fold", "write_submission", "main")


def parse(script: str) -> Program | None:
    """The program that a script of ours is, blocks that were rewritten included; None for anybody else's script."""
    try:
        tree = parse_python(script)
    except SyntaxError:
        return None
    lines = script.splitlines()
    headers = [(i + 1, found["title"]) for i, line in enumerate(lines) if (found := _HEADER.match(line))]
    parts: dict[str, Part] = {}
    for part, line in _located(script, tree):
        title = next((title for start, title in reversed(headers) if start < line), "")
        if title not in SECTIONS:
            return None
        parts[part.name] = replace(part, section=title)
    if any(name not in parts for name in _ESSENTIAL):
        return None
    return Program(ast.get_docstring(tree) or "", tuple(parts.values()))


def _located(script: str, tree: ast.Module) -> Iterable[tuple[Part, int]]:
    for node in tree.body:
        if name := _defined(node):
            yield Part(name, _source(script, node), ""), node.lineno


# --- Merging ----------------------------------------------------------------------------------------------------------


def merge(base: Program, other: Program) -> Program:
    """`base` with the models of `other` beside its own.

    Parts of the same text are shared; those of the same name and another text get a number, and so do their users.
    Reading, splitting, scoring and writing stay those of `base`.
    """
    mine = base.listed("MODELS")
    shared = {part.name for part in base.parts if part.section in ("Task", "Data", "Validation", "Submission")}
    needed = [part for part in other.closure(other.listed("MODELS")) if part.name not in shared]
    names = _new_names(base, needed)
    added = [
        Part(names.get(part.name, part.name), rename(part.text, names), part.section)
        for part in needed
        if part.name in names or part.name not in base
    ]
    models = [*mine, *(names.get(name, name) for name in other.listed("MODELS"))]
    line = f"MODELS = [{', '.join(dict.fromkeys(models))}]"
    return base.with_parts(*added, Part("MODELS", line, "Models"))


def _new_names(base: Program, needed: list[Part]) -> dict[str, str]:
    """Names for the parts that differ from their namesake in `base`, directly or through a part that they use."""
    changed = {part.name for part in needed if part.name in base and base[part.name].text != part.text}
    while True:
        users = {part.name for part in needed if part.name in base and part.uses & changed} | changed
        if users == changed:
            break
        changed = users
    return {name: _free(base, name) for name in changed}


def _free(base: Program, name: str) -> str:
    stem = re.sub(r"_\d+$", "", name)
    return next(f"{stem}_{n}" for n in range(2, 1_000) if f"{stem}_{n}" not in base)


def rename(text: str, names: Mapping[str, str]) -> str:
    """A part's text with these names in place of the old ones; attributes and keywords keep theirs."""
    lines = [line.encode() for line in text.splitlines()]
    nodes = list(ast.walk(parse_python(text)))
    spots = [(node.lineno, node.col_offset, node.id) for node in nodes if isinstance(node, ast.Name)]
    spots += [(n.lineno, n.col_offset + len("def "), n.name) for n in nodes if isinstance(n, ast.FunctionDef)]
    for row, column, name in sorted(spots, reverse=True):
        if name in names:
            line = lines[row - 1]
            lines[row - 1] = line[:column] + names[name].encode() + line[column + len(name.encode()) :]
    return b"\n".join(lines).decode()
