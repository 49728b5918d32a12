"""What is read out of model replies and script output: code, JSON, blocks of code, figures.

Every function returns a value or raises ReplyFormatError with a sentence that the model can act on.
"""

import ast
import json
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from machine_learning_engineering.shared_libraries.common_util import parse_python, storable
from machine_learning_engineering.shared_libraries.errors import ReplyFormatError

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_LONGER_ENDS = 10  # ends of a block that are tried where its first one cuts the program
_OPENINGS = 500  # brackets in prose and code that are tried as the beginning of JSON
_REPAIRABLE = 20_000  # characters of broken JSON that are repaired; the time grows with their square
MARKER = "Final Validation Performance"
_PYTHON = {"python", "python3", "py", "py3"}
_ABLATION = re.compile(r"^\s*Ablation Performance \[(?P<part>.+)\]\s*[:=]\s*(?P<number>\S+)", re.MULTILINE)
_NO_MODULE = re.compile(r"^(?:\w+\.)*ModuleNotFoundError: No module named '(?P<name>[\w.]+)'", re.MULTILINE)


def text_of(content: Any) -> str:
    """The text of a model's content, or of a sequence of its parts, without reasoning parts and function calls."""
    parts: Iterable[Any] = getattr(content, "parts", content) or ()
    return "".join(part.text for part in parts if part.text and not getattr(part, "thought", None))


def prose_of(reply: str) -> str:
    """The reply itself, stripped. Raises: ReplyFormatError if nothing is left."""
    if not reply.strip():
        raise ReplyFormatError("The reply is empty.")
    return reply.strip()


# --- Markdown ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fence:
    """A fenced block of a markdown text; `closed` is False where the text ends before the block does."""

    info: str
    text: str
    closed: bool

    @property
    def is_python(self) -> bool:
        language = re.search(r"\w+", self.info)
        return language is not None and language[0].lower() in _PYTHON


def fences(markdown: str) -> list[Fence]:
    """The fenced blocks of a text, in order; a fence inside a longer fence belongs to the outer block.

    A Python block whose program quotes a fence of the same length goes on to the first end at which it parses.
    """
    text = markdown.replace("\r\n", "\n").replace("\r", "\n")
    found = list(_fences(text))
    opening = re.search(r"^[ \t]+(?:```|~~~)", text, re.MULTILINE)
    if not found and opening:  # indented below a line of prose, where markdown sees a paragraph
        found = list(_fences(text[opening.start() :]))
    return found


def _fences(text: str) -> Iterator[Fence]:
    lines = text.split("\n")
    done = 0
    for token in _parser().parse(text):
        if token.type != "fence" or token.map is None or token.map[0] < done:
            continue
        start, done = token.map
        end = re.compile(rf"[\s>]*{re.escape(token.markup)}{re.escape(token.markup[0])}*\s*$")
        closed = done - 1 > start and end.match(lines[done - 1]) is not None
        fence = Fence(token.info.strip(), token.content, closed)
        if closed and fence.is_python and parsed(_dedented(fence.text)) is None:
            for last in [n for n in range(done, len(lines)) if end.match(lines[n])][:_LONGER_ENDS]:
                longer = "\n".join(lines[start + 1 : last]) + "\n"
                if parsed(_dedented(longer)) is not None:
                    fence, done = Fence(fence.info, longer, True), last + 1
                    break
        yield fence


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    # no indented code: a fence is one at any depth; no HTML: an unclosed tag must not swallow the rest
    return MarkdownIt("zero").enable(["fence", "list", "blockquote"])


# --- Code -------------------------------------------------------------------------------------------------------------


def code_of(reply: str) -> str:
    """The program of a reply, ending in one newline: its Python block, or the whole reply where that is a program.

    Of several blocks it is the longest that parses. A lone Python block is taken even if it does not parse, so that
    its error can be shown. Raises: ReplyFormatError if the reply is empty, prose, or cut before its block ends.
    """
    if _is_program(_dedented(prose_of(reply))):
        return _tidy(reply)
    blocks = fences(reply)
    if any(not block.closed and (block.is_python or not block.info) for block in blocks):
        raise ReplyFormatError("The reply ends inside its code block; give the complete code, and shorter.")
    python = [block.text for block in blocks if block.is_python and block.text.strip()]
    programs = [text for text in python if parsed(_dedented(text)) is not None]
    programs = programs or python or [block.text for block in blocks if _is_program(_dedented(block.text))]
    if not programs:
        raise ReplyFormatError("The reply holds no Python code; give it in one fenced python block.")
    return _tidy(max(programs, key=len))


def parsed(code: str) -> ast.Module | None:
    """The syntax tree of a program, or None where it does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parse_python(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def calls_exit(code: str) -> bool:
    """Whether the program calls `exit` or `quit`; text that does not parse is searched for `exit()`."""
    tree = parsed(code)
    if tree is None:
        return "exit()" in code
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(isinstance(func, ast.Name) and func.id in ("exit", "quit") for func in calls)


def holds_code(text: str) -> bool:
    """Whether a fenced text is a program, and not words."""
    return _is_program(_dedented(text))


def _is_program(text: str) -> bool:
    """Whether a text is Python that does something; words such as `Done` or `Note: this` parse as well."""
    tree = parsed(text)
    return tree is not None and any(_acts(statement) for statement in tree.body)


def _acts(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call | ast.Await)
    return not (isinstance(statement, ast.AnnAssign) and statement.value is None)


def _tidy(code: str) -> str:
    dedented = _dedented(code)
    keep = parsed(code) is not None or parsed(dedented) is None
    return (code if keep else dedented).strip("\n").rstrip() + "\n"


def _dedented(code: str) -> str:
    lines = code.strip("\n").split("\n")
    return "\n".join(_shifted(lines, _indent(lines), ""))


# --- Blocks of code ---------------------------------------------------------------------------------------------------


def find_block(code: str, block: str) -> tuple[int, int]:
    """Where the block stands in the code, as whole lines without the last line's end: `code[start:end]`.

    The first way to compare that finds a place decides: trailing blanks ignored, then any uniform shift of the
    indentation, then a first line that lost its indentation, then blank lines more or less.

    Raises: ReplyFormatError unless it stands there once.
    """
    wanted = _block_lines(block)
    if not wanted:
        raise ReplyFormatError("The code block is empty; quote the lines of the script to improve.")
    lines = code.split("\n")
    bare = [line.rstrip() for line in lines]
    starts = range(len(lines) - len(wanted) + 1)
    for same in (_equal, _shift_equal, _first_stripped_equal):
        places = [(n, n + len(wanted)) for n in starts if same(bare[n : n + len(wanted)], wanted)]
        if place := _only(places, lines):
            return place
    full = [n for n, line in enumerate(bare) if line]  # then blank lines more or less
    wanted = [line for line in wanted if line]
    starts = range(len(full) - len(wanted) + 1)
    for same in (_equal, _shift_equal):
        windows = [full[n : n + len(wanted)] for n in starts]
        places = [(rows[0], rows[-1] + 1) for rows in windows if same([bare[n] for n in rows], wanted)]
        if place := _only(places, lines):
            return place
    raise ReplyFormatError(
        "The code block does not occur in the script; quote whole consecutive lines of it, character by character."
    )


def _only(places: list[tuple[int, int]], lines: Sequence[str]) -> tuple[int, int] | None:
    """The only place of a block, from lines to characters, or None. Raises: ReplyFormatError if there are several."""
    if len(places) > 1:
        raise ReplyFormatError(
            f"The code block occurs {len(places)} times in the script; quote more lines, so that it occurs once."
        )
    if not places:
        return None
    first, last = places[0]
    start = sum(len(line) + 1 for line in lines[:first])
    return start, start + len("\n".join(lines[first:last]))


def replace_block(code: str, block: str, new: str) -> str:
    """The code with `new` in place of the block, indented as the block was; a whole program replaces the whole code.

    Raises: ReplyFormatError if the block does not stand in the code once, if `new` is empty, or if the code parsed
    before and would not any more.
    """
    start, end = find_block(code, block)
    lines = _block_lines(new)
    if not lines:
        raise ReplyFormatError("The improved code block is empty.")
    if _is_whole(new, code[start:end]):
        results = [_tidy(new)]
    else:
        indent = _indent(code[start:end].split("\n"))
        results = [code[:start] + "\n".join(fitted) + code[end:] for fitted in _fitted(lines, indent)]
    if parsed(code) is None:
        return results[0]
    if whole := next((result for result in results if parsed(result) is not None), None):
        return whole
    raise ReplyFormatError(
        "With the improved block in place the script is not valid Python; give a complete block that fits its place."
    )


def _fitted(lines: Sequence[str], indent: str) -> Iterator[list[str]]:
    """A block at an indentation: shifted as a whole, with only its first line indented, and as it is."""
    yield _shifted(lines, _indent(lines), indent)
    yield [indent + lines[0].lstrip(), *lines[1:]]
    yield list(lines)


def _is_whole(new: str, block: str) -> bool:
    """Whether what was to replace a block is a whole program: it prints the figure and does what the block does not."""
    if MARKER not in new:
        return False
    begins = _imports(new) and not _imports(block) and ("train.csv" in new or "submission.csv" in new)
    return begins or ("submission.csv" in new and not (MARKER in block and "submission.csv" in block))


def _imports(code: str) -> bool:
    tree = parsed(_dedented(code)) if code.strip() else None
    return tree is not None and any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)


def _block_lines(block: str) -> list[str]:
    lines = [line.rstrip() for line in block.replace("\r\n", "\n").split("\n")]
    full = [n for n, line in enumerate(lines) if line]
    return lines[full[0] : full[-1] + 1] if full else []


def _indent(lines: Sequence[str]) -> str:
    first = next((line for line in lines if line.strip()), "")
    return first[: len(first) - len(first.lstrip())]


def _shifted(lines: Sequence[str], old: str, new: str) -> list[str]:
    """Lines with the indentation `old` exchanged for `new`; the inside of strings over several lines stays."""
    if old == new:
        return list(lines)
    moved = [new + line.removeprefix(old) if line.strip() else line for line in lines]
    inside = _inside_strings("\n".join(line.removeprefix(old) for line in lines))
    return [line if n in inside else shifted for n, (line, shifted) in enumerate(zip(lines, moved, strict=True))]


def _inside_strings(code: str) -> set[int]:
    """Line numbers, from 0, that begin inside a string."""
    nodes = ast.walk(parsed(code) or ast.Module([], []))
    strings = (node for node in nodes if isinstance(node, ast.Constant | ast.JoinedStr))
    return {n for node in strings for n in range(node.lineno, node.end_lineno or node.lineno)}


def _equal(window: Sequence[str], wanted: Sequence[str]) -> bool:
    return list(window) == list(wanted)


def _shift_equal(window: Sequence[str], wanted: Sequence[str]) -> bool:
    if window[0].lstrip() != wanted[0].lstrip():
        return False
    old, new = _indent(wanted), _indent(window)
    return [new + line.removeprefix(old) if line else line for line in wanted] == list(window)


def _first_stripped_equal(window: Sequence[str], wanted: Sequence[str]) -> bool:
    return window[0].lstrip() == wanted[0].lstrip() and list(window[1:]) == list(wanted[1:])


# --- JSON -------------------------------------------------------------------------------------------------------------


def json_of(reply: str, keys: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The objects of a reply's JSON, fenced or bare, a list or one object; broken JSON is repaired once.

    Raises: ReplyFormatError if the reply holds no object, or one without one of the `keys`.
    """
    objects = _strict_objects(prose_of(reply), keys) or _repaired_objects(reply)
    if not objects:
        raise ReplyFormatError(f"The reply holds no JSON; give a list of objects with {_named(keys)}.")
    missing = [key for key in keys if any(key not in one for one in objects)]
    if missing:
        raise ReplyFormatError(f"The JSON lacks {_named(missing)}; give a list of objects with {_named(keys)}.")
    return objects


def _strict_objects(text: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The first list of objects, or else object, with these keys; brackets in prose and code are passed over."""
    decoder = json.JSONDecoder(strict=False)  # line ends inside strings are what models get wrong most
    for opening in islice(re.finditer(r"[\[{]", text), _OPENINGS):
        try:
            value, _ = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            continue
        objects = _objects(value)
        part_of_broken_list = text[: opening.start()].rstrip().endswith(("[", ","))
        if objects and not part_of_broken_list and all(key in one for one in objects for key in keys):
            return objects
    return []


def _repaired_objects(reply: str) -> list[dict[str, Any]]:
    import json_repair

    blocks = [fence.text for fence in fences(reply) if not fence.is_python]
    begin = re.search(r"[\[{]", reply)
    for text in [*blocks, reply[begin.start() :] if begin else ""]:
        if len(text) > _REPAIRABLE:
            continue
        try:
            objects = _objects(json_repair.loads(text))
        except (ValueError, RecursionError):
            continue
        if objects:
            return objects
    return []


def _objects(value: Any) -> list[dict[str, Any]]:
    listed = value if isinstance(value, list) else [value]
    return [storable(one) for one in listed if isinstance(one, dict) and one]


def _named(keys: Sequence[str]) -> str:
    return ", ".join(f'"{key}"' for key in keys) or "named fields"


# --- Script output ----------------------------------------------------------------------------------------------------


def parse_ablation(output: str) -> dict[str, float]:
    """The figures of the lines `Ablation Performance [<component>]: <number>`, by component, finite ones only."""
    found: dict[str, float] = {}
    for line in _ABLATION.finditer(output):
        try:
            number = float(line["number"].replace(",", ""))
        except ValueError:
            continue
        if math.isfinite(number):
            found[line["part"].strip()] = number
    return found


def missing_module(stderr: str) -> str | None:
    """The module that a script could not import, or None when that was not its error."""
    found = _NO_MODULE.findall(stderr)
    return found[-1] if found else None
