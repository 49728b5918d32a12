"""The check of a submission file: what it must hold, what is repaired without loss, and what is told to its author."""

import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.records import Predicts, Task

if TYPE_CHECKING:
    import pandas as pd

WHERE = "./final/submission.csv"
MAX_BYTES = 2**29
_SUM_TOLERANCE = 1e-3
_MISSING = {"", "nan", "na", "n/a", "null", "none", "<na>", "nat"}


@dataclass(frozen=True)
class Expected:
    """What a submission must hold. `ids` are in test order, None where the task has no id column."""

    rows: int
    values: tuple[str, ...]
    predicts: Predicts
    id: str | None = None
    ids: tuple[str, ...] | None = None
    classes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return self.values if self.id is None else (self.id, *self.values)


def expect(task: Task, test: "pd.DataFrame") -> Expected:
    """What a submission for this test table, its cells as text, must hold."""
    has_id = task.id is not None and task.id in task.submission_columns and task.id in test.columns
    return Expected(
        rows=len(test),
        values=tuple(column for column in task.submission_columns if not has_id or column != task.id),
        predicts=task.metric.predicts,
        id=task.id if has_id else None,
        ids=tuple(test[task.id]) if has_id else None,
        classes=task.profile.classes,
    )


def check_submission(path: Path, expected: Expected) -> "pd.DataFrame":
    """The predictions of a submission file: its value columns in their order, its rows in test order.

    Labels are text as the train file spells them, everything else floats. Order of rows and columns, spaces around
    column names, and `1.0` for `1` in ids and labels are repaired.

    Raises: SubmissionError with a sentence for the script's author.
    """
    table = _read(path)
    _check_columns(table, expected)
    if len(table) != expected.rows:
        raise SubmissionError(f"{WHERE} has {len(table)} rows, but ./input/test.csv has {expected.rows}: one for each.")
    table = _align(table, expected)
    if expected.predicts == "label":
        return table.apply(_labels, expected=expected)
    numbers = table.apply(_numbers)
    if expected.predicts == "probability":
        _check_probabilities(numbers, expected)
    return numbers


def _read(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        found = path.lstat()
    except OSError:
        raise SubmissionError(f"The script did not write {WHERE}: save the predictions there.") from None
    if not stat.S_ISREG(found.st_mode):
        raise SubmissionError(f"{WHERE} is not a regular file: write the predictions into the file itself.")
    if found.st_size > MAX_BYTES:
        raise SubmissionError(f"{WHERE} has {found.st_size} bytes, more than the {MAX_BYTES} that are read.")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (ValueError, OSError, OverflowError) as exc:
        raise SubmissionError(f"{WHERE} cannot be read as CSV: {exc}. Write it with DataFrame.to_csv.") from exc
    if not isinstance(table.index, pd.RangeIndex):
        raise SubmissionError(f"The rows of {WHERE} have more cells than its header has names.")
    return table.rename(columns=str.strip)


def _check_columns(table: "pd.DataFrame", expected: Expected) -> None:
    found = list(table.columns)
    missing = [column for column in expected.columns if column not in found]
    extra = [column for column in found if column not in expected.columns]
    wanted = f"The columns must be exactly: {_listed(expected.columns)}."
    if missing:
        raise SubmissionError(f"{WHERE} lacks the column {_listed(missing)}; it has {_listed(found)}. {wanted}")
    if extra:
        hint = " Write it with index=False." if any(name.startswith("Unnamed") or not name for name in extra) else ""
        raise SubmissionError(f"{WHERE} has the extra column {_listed(extra)}. {wanted}{hint}")


def _align(table: "pd.DataFrame", expected: Expected) -> "pd.DataFrame":
    """The value columns with the rows in test order."""
    values = table[list(expected.values)]
    if expected.id is None or expected.ids is None:
        return values
    ids = _spelled(list(table[expected.id]), expected.ids)
    if ids == list(expected.ids):
        return values
    _check_ids(ids, expected)
    return values.set_axis(ids, axis="index").loc[list(expected.ids)].reset_index(drop=True)


def _check_ids(ids: list[str], expected: Expected) -> None:
    assert expected.ids is not None
    known, given = set(expected.ids), set(ids)
    advice = f"Copy the column {expected.id!r} of ./input/test.csv unchanged."
    if len(known) < len(expected.ids):
        raise SubmissionError(f"The ids of {WHERE} are not those of ./input/test.csv in the same order. {advice}")
    if unknown := [one for one in ids if one not in known]:
        raise SubmissionError(f"{WHERE} has {len(unknown)} unknown ids, the first is {unknown[0]!r}. {advice}")
    if len(given) < len(ids):
        repeated = Counter(ids).most_common(1)[0][0]
        raise SubmissionError(f"{WHERE} repeats {len(ids) - len(given)} ids, the first is {repeated!r}. {advice}")


def _labels(column: "pd.Series[str]", expected: Expected) -> "pd.Series[str]":
    import pandas as pd

    labels = _spelled(list(column), expected.classes)
    known = set(expected.classes)
    _refuse_missing(column, [text.strip().lower() in _MISSING and text not in known for text in labels])
    if known and (unknown := sorted({label for label in labels if label not in known})):
        raise SubmissionError(
            f"Column {column.name!r} of {WHERE} holds labels that the training data do not have: {_listed(unknown)}. "
            f"The classes are {_listed(expected.classes)}; predict labels, not numbers or probabilities."
        )
    return pd.Series(labels, index=column.index, name=column.name, dtype=object)


def _numbers(column: "pd.Series[str]") -> "pd.Series[float]":
    import numpy as np
    import pandas as pd

    numbers = pd.to_numeric(column.str.strip(), errors="coerce").astype(float)
    finite = np.isfinite(numbers)
    if finite.all():
        return numbers
    _refuse_missing(column, [text.strip().lower().lstrip("+-") in _MISSING | _INFINITE for text in column])
    row = int(np.flatnonzero(~finite)[0])
    raise SubmissionError(
        f"Column {column.name!r} of {WHERE} must hold numbers, but row {row} of the data holds {column.iloc[row]!r}."
    )


_INFINITE = {"inf", "infinity"}


def _refuse_missing(column: "pd.Series[str]", missing: Sequence[bool]) -> None:
    if any(missing):
        raise SubmissionError(
            f"Column {column.name!r} of {WHERE} has {sum(missing)} cells that are NaN or infinite, the first in row "
            f"{list(missing).index(True)} of the data (counted from 0). Predict a finite value for every row."
        )


def _check_probabilities(numbers: "pd.DataFrame", expected: Expected) -> None:
    outside = ((numbers < 0) | (numbers > 1)).any(axis=1)
    if outside.any():
        row = int(outside.argmax())
        raise SubmissionError(
            f"{WHERE} must hold probabilities between 0 and 1, but {outside.sum()} rows do not; the first is row {row} "
            f"of the data with {numbers.iloc[row].tolist()}."
        )
    if len(expected.values) == 1:
        return
    off = (numbers.sum(axis=1) - 1).abs() > _SUM_TOLERANCE
    if off.any():
        row = int(off.argmax())
        raise SubmissionError(
            f"The probabilities of each row of {WHERE} must sum to 1, but {off.sum()} rows do not; the first is row "
            f"{row} of the data with the sum {numbers.iloc[row].sum():.6g}."
        )


def spelling(found: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Each distinct text in `found`, in the spelling of `known` where only a number is written in another way."""
    names = set(known)
    by_number: dict[str, str | None] = {}
    for name in names:
        number = _number(name)
        by_number[number] = None if number in by_number else name  # two names, one number: no repair
    return {text: text if text in names else by_number.get(_number(text)) or text for text in set(found)}


def _spelled(found: list[str], known: Sequence[str]) -> list[str]:
    spelt = spelling(found, known)
    return [spelt[text] for text in found]


def _number(text: str) -> str:
    """One spelling for all spellings of a number; other text as it is."""
    stripped = text.strip()
    try:
        return str(int(stripped))
    except ValueError:
        pass
    try:
        number = float(stripped)
    except ValueError:
        return stripped
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


def _listed(names: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
