"""What single cells of a submission may hold: spellings of numbers, rankings, masks, and what counts as missing."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.errors import SubmissionError

if TYPE_CHECKING:
    import pandas as pd

SUBMISSION = Path("final") / "submission.csv"  # in the folder of a script that ran
WHERE = f"./{SUBMISSION.as_posix()}"
MISSING = {"", "nan", "na", "n/a", "null", "none", "<na>", "nat"}


def spelling(found: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Each distinct text in `found`, in the spelling of `known` where only a number is written in another way."""
    names = set(known)
    by_number: dict[str, str | None] = {}
    for name in names:
        number = _number(name)
        by_number[number] = None if number in by_number else name  # two names, one number: no repair
    return {text: text if text in names else by_number.get(_number(text)) or text for text in dict.fromkeys(found)}


def _number(text: str) -> str:
    """One spelling for all spellings of a number or a truth value; other text without the spaces around it."""
    stripped = text.strip()
    if stripped.lower() in ("true", "false"):
        return "1" if stripped.lower() == "true" else "0"
    try:
        return str(int(stripped))
    except ValueError:
        pass
    try:
        number = float(stripped)
    except ValueError:
        return stripped
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


def refuse_missing(column: "pd.Series[str]", missing: Sequence[bool]) -> None:
    """Raises: SubmissionError if a cell is missing."""
    if any(missing):
        raise SubmissionError(
            f"Column {column.name!r} of {WHERE} has {sum(missing)} cells that are NaN or infinite, the first in row "
            f"{list(missing).index(True)} of the data (counted from 0). Predict a finite value for every row."
        )


def rankings(column: "pd.Series[str]", classes: Sequence[str], most: int | None) -> "pd.Series[str]":
    """Cells with labels, best first, one space between two.

    Raises: SubmissionError for none or more than `most` of them, one that comes twice, and one that is no class.
    """
    refuse_missing(column, [not text.strip() for text in column])
    known = set(classes)
    for row, labels in enumerate(text.split() for text in column):
        if most is not None and len(labels) > most:
            wrong = f"{len(labels)} labels, but only the first {most} count: write at most {most}"
        elif len(set(labels)) < len(labels):
            wrong = f"the label {max(labels, key=labels.count)!r} more than once: write each label once, best first"
        elif known and (unknown := [label for label in labels if label not in known]):
            wrong = f"{unknown[0]!r}, which is no label of the training data: separate labels by single spaces"
        else:
            continue
        raise SubmissionError(f"Row {row} of the data in column {column.name!r} of {WHERE} holds {wrong}.")
    return column.str.split().str.join(" ")


def check_masks(column: "pd.Series[str]") -> None:
    """Raises: SubmissionError for a cell that is neither empty nor pairs of start and length, starts ascending."""
    for row, text in enumerate(column):
        if not _is_mask(text.split()):
            raise SubmissionError(
                f"Row {row} of the data in column {column.name!r} of {WHERE} holds {text[:40]!r}, which is no mask: "
                "write pairs of start and length, both whole numbers from 1 on, starts ascending and no pixel twice, "
                "or nothing for an empty mask."
            )


def _is_mask(words: list[str]) -> bool:
    if len(words) % 2 or not all(word.isascii() and word.isdigit() for word in words):
        return False
    end = 1
    for start, length in zip(map(int, words[::2]), map(int, words[1::2]), strict=True):
        if start < end or length < 1:
            return False
        end = start + length
    return True
