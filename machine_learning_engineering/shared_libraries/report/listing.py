"""Texts of a run as a page shows them: code in colour, differences, output; each within a budget of characters."""

import ast
import difflib
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from markupsafe import Markup, escape

from machine_learning_engineering.shared_libraries.replies import parsed

_HIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")

LineKind = Literal["same", "new", "old", "place"]
_KINDS: dict[str, LineKind] = {"+": "new", "-": "old", "@": "place"}


@dataclass(frozen=True)
class Line:
    """One line of a difference."""

    kind: LineKind
    text: str


def visible(text: str) -> str:
    """The text with each control character, lone surrogate and change of writing direction as a replacement sign."""
    return _HIDDEN.sub("�", text)


def cut(text: str, budget: int) -> str:
    """The text, or its head and tail where it is longer than `budget` characters."""
    if len(text) <= budget:
        return text
    half = budget // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[len(text) - half :]}"


def code(text: str, budget: int) -> Markup:
    """Python in colour; plain where colours would cost more than `budget` characters, cut where it is longer still."""
    if len(text) * 2 <= budget:
        coloured = "".join(map(_coloured, _parts(visible(text))))
        if len(coloured) <= budget:
            return Markup(coloured)
    return escape(visible(cut(text, budget)))


def _parts(text: str) -> list[str]:
    """A program cut before each function and class of its top level, which other scripts of a run have too."""
    tree = None if "\r" in text else parsed(text)  # lines end otherwise there
    if tree is None:
        return [text]
    nodes = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    first = [min([node, *node.decorator_list], key=lambda one: one.lineno).lineno - 1 for node in nodes]
    lines = [f"{line}\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return ["".join(lines[start:end]) for start, end in pairwise([0, *first, len(lines)]) if start < end]


@lru_cache(maxsize=2_048)
def _coloured(part: str) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return str(highlight(part, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True)))


def prose(text: str) -> Markup:
    """Markdown as HTML, its headings below those of the page; raw HTML in it stays text, pictures stay addresses."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = markdown.parse(visible(text))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + 2, 6)}"
    return Markup(markdown.renderer.render(tokens, markdown.options, {}))


def difference(old: str, new: str, budget: int) -> list[Line]:
    """The lines that changed, three lines of context around them; the rest is told in one line at the end."""
    lines: list[Line] = []
    spent = 0
    for text in list(difflib.unified_diff(visible(old).splitlines(), visible(new).splitlines(), n=3, lineterm=""))[2:]:
        spent += len(text) + 40
        if spent > budget:
            lines.append(Line("place", "... the rest of the difference is left out ..."))
            break
        lines.append(Line(_KINDS.get(text[:1], "same"), text))
    return lines
