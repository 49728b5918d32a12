"""Leaks that can be read off a script: what learns from rows, or of labels, that it must not know.

The rules follow values from `train.csv` and `test.csv` through assignments, functions and the calls of pandas, sklearn
and their kin, and speak only where they are sure: what they cannot follow passes. They advise; the sealed split is what
makes a score true.
"""

import ast
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, get_args

from pydantic import Field

from machine_learning_engineering.shared_libraries.execution.validator import advise
from machine_learning_engineering.shared_libraries.records import Record, Task
from machine_learning_engineering.shared_libraries.replies import parsed
from machine_learning_engineering.shared_libraries.scoring.leak_flow import Rule
from machine_learning_engineering.shared_libraries.scoring.leak_reader import LeakReader

Elsewhere = Literal["outside_path", "toy_data"]  # rules of the validator
_SENTENCES: dict[Rule, str] = {
    "fit_on_test": "learns from rows of test.csv; fit it on training rows and only transform or predict test rows.",
    "target_feature": "gets the target among its features ({what}); leave it out of them.",
    "id_join": "looks up targets of training rows by the id of test rows; predict from the features instead.",
    "learned_before_split": (
        "learns from all training rows, and line {what} splits them for validation afterwards, so the printed figure "
        "is too good; split first and learn from the part that is fitted."
    ),
}
_LONGEST = 100  # characters of a line that is shown


class Leak(Record):
    """One leak; `line` counts from 1 and `code` is what stands there."""

    rule: Rule | Elsewhere
    line: int = Field(ge=1)
    code: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


def find_leaks(source: str, task: Task) -> tuple[Leak, ...]:
    """The leaks of a script for a task, in the order of its lines; none for a text that is no program."""
    return _find(source, task.target, task.id)


def advice(leaks: Sequence[Leak]) -> str:
    """One line a leak, for the author of the script; empty when there is nothing to say."""
    return "\n".join(map(str, leaks))


@lru_cache(maxsize=256)
def _find(source: str, target: str, id: str | None) -> tuple[Leak, ...]:
    tree = parsed(source)
    if tree is None:
        return ()
    lines = source.splitlines()
    found = [*_followed(tree, target, id, lines), *_elsewhere(source, lines)]
    return tuple(sorted(found, key=lambda leak: (leak.line, leak.rule)))


def _followed(tree: ast.Module, target: str, id: str | None, lines: list[str]) -> list[Leak]:
    """What following the values of a script shows."""
    reader = LeakReader(target, id)
    reader.read(tree)
    leaks = []
    for (line, rule), (node, what) in reader.found.items():
        message = f"`{_cut(ast.unparse(node))}` {_SENTENCES[rule].format(what=what)}"
        leaks.append(Leak(rule=rule, line=line, code=_line(lines, line), message=message))
    return leaks


def _elsewhere(source: str, lines: list[str]) -> list[Leak]:
    """Data from anywhere but `./input`, as the validator finds them."""
    return [
        Leak(rule=one.rule, line=one.line, code=_line(lines, one.line), message=one.message)
        for one in advise(source).findings
        if one.rule == "outside_path" or one.rule == "toy_data"
    ]


def told_by_validator(leak: Leak) -> bool:
    """Whether the validator's own report says the same."""
    return leak.rule in get_args(Elsewhere)


def _line(lines: list[str], number: int) -> str:
    return _cut(lines[number - 1]) if number <= len(lines) else ""


def _cut(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 3]}..."
