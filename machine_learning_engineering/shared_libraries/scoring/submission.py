"""The contract of a submission: what the file must hold, what is repaired without loss, what is told to its author.

Repaired, and noted, are: the order of columns and rows, spaces around column names, another spelling of the same number
in ids and labels (`1.0` for `1`, `True` for `1`), and probabilities or their sums that miss their range by less than
1e-6. Whatever else differs is refused with a sentence that says where and what to do.
"""

import stat
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.common_util import listed
from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.records import Predicts, Task
from machine_learning_engineering.shared_libraries.scoring.cells import (
    MISSING,
    WHERE,
    check_masks,
    rankings,
    refuse_missing,
    spelling,
)

if TYPE_CHECKING:
    import pandas as pd

MAX_BYTES = 2**29
_TOLERANCE = 1e-6  # of sums and ranges of probabilities, as MLE-bench's graders have it
_ROUNDING = 1e-7  # what is left of a sum of numbers written with eight digits
_NEVER_NEGATIVE = ("rmsle", "poisson")


@dataclass(frozen=True)
class Expected:
    """What a submission must hold. `ids` are in test order, None where the task has no id column.

    `classes` are the labels allowed, all if there are none. Probabilities `apart` are of questions of their own, one a
    column, and need not add up. `least` is the smallest value allowed, `most` how many labels a ranking may have.
    """

    rows: int
    values: tuple[str, ...]
    predicts: Predicts
    id: str | None = None
    ids: tuple[str, ...] | None = None
    classes: tuple[str, ...] = ()
    apart: bool = False
    least: float | None = None
    most: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return self.values if self.id is None else (self.id, *self.values)

    def neutral(self, commonest: str = "0") -> str:
        """A cell that is valid in every row and knows nothing but the commonest label."""
        if self.predicts == "probability":
            return f"{1 / max(len(self.values), 2):.6g}"
        return {"value": "0", "mask": ""}.get(self.predicts, commonest)


@dataclass(frozen=True)
class Accepted:
    """A submission that keeps its contract, repaired where nothing is lost; `notes` has a sentence for each repair.

    `predictions` are the value columns in their order, rows in test order: floats, or text for labels, rankings, texts
    and masks. `table` is the whole repaired file, every cell as its text.
    """

    predictions: "pd.DataFrame"
    table: "pd.DataFrame"
    notes: tuple[str, ...]


def expect(task: Task, test: "pd.DataFrame") -> Expected:
    """What a submission for this test table, its cells as text, must hold."""
    has_id = task.id is not None and task.id in task.submission_columns and task.id in test.columns
    name, _, number = task.metric.name.partition("@")
    return Expected(
        rows=len(test),
        values=tuple(column for column in task.submission_columns if not has_id or column != task.id),
        predicts=task.metric.predicts,
        id=task.id if has_id else None,
        ids=tuple(test[task.id]) if has_id else None,
        classes=task.profile.classes,
        least=0.0 if name in _NEVER_NEGATIVE else None,
        most=int(float(number)) if task.metric.predicts == "ranking" else None,
    )


def check_submission(path: Path, expected: Expected) -> "pd.DataFrame":
    """The predictions of a submission file, as `accept` gives them. Raises: SubmissionError as `accept` does."""
    return accept(path, expected).predictions


def accept(path: Path, expected: Expected) -> Accepted:
    """The submission of a file, with repairs that lose nothing.

    Raises: SubmissionError with a sentence for the script's author.
    """
    notes: list[str] = []
    table = _read(path, expected.rows + 1)
    _check_columns(table, expected, notes)
    if len(table) != expected.rows:
        found = f"more than {expected.rows}" if len(table) > expected.rows else f"{len(table)}"
        raise SubmissionError(f"{WHERE} has {found} rows, but ./input/test.csv has {expected.rows}: one for each.")
    table = _align(table[list(expected.columns)], expected, notes)
    values = table[list(expected.values)].apply(_READERS[expected.predicts], expected=expected, notes=notes)
    if expected.least is not None:
        _check_least(values, expected.least)
    written = table[list(expected.values)] if expected.predicts == "value" else values
    if expected.predicts == "probability":
        values, given = _probabilities(values, expected, notes), values
        written = table[list(expected.values)] if values is given else values.astype(str)
    return Accepted(values, table.assign(**written), tuple(notes))


def _read(path: Path, rows: int) -> "pd.DataFrame":
    """The first so many rows: of a file that is much too long no more is kept in memory."""
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
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8", nrows=rows)
    except (ValueError, OSError, OverflowError) as exc:
        raise SubmissionError(f"{WHERE} cannot be read as CSV: {exc}. Write it with DataFrame.to_csv.") from exc
    if not isinstance(table.index, pd.RangeIndex):
        raise SubmissionError(f"The rows of {WHERE} have more cells than its header has names.")
    return table


def _check_columns(table: "pd.DataFrame", expected: Expected, notes: list[str]) -> None:
    """Renames columns in place where only spaces around their names differ."""
    if not set(expected.columns) <= set(table.columns):
        names = {name.strip(): name for name in expected.columns}
        table.columns = table.columns.map(lambda name: names.get(name.strip(), name))
        notes.append("Spaces around the names of columns were removed.")
    found = list(table.columns)
    missing = [column for column in expected.columns if column not in found]
    extra = [column for column in found if column not in expected.columns]
    wanted = f"The columns must be exactly: {listed(expected.columns)}."
    if missing:
        raise SubmissionError(f"{WHERE} lacks the column {listed(missing)}; it has {listed(found)}. {wanted}")
    if extra:
        hint = " Write it with index=False." if any(name.startswith("Unnamed") or not name for name in extra) else ""
        raise SubmissionError(f"{WHERE} has the extra column {listed(extra)}. {wanted}{hint}")
    if found != list(expected.columns):
        notes.append(f"The columns were put in the order {listed(expected.columns)}.")


def _align(table: "pd.DataFrame", expected: Expected, notes: list[str]) -> "pd.DataFrame":
    """The table with the ids as the test file spells them and the rows in its order."""
    if expected.id is None or expected.ids is None:
        return table.copy()
    ids = _spelled(table[expected.id], expected.ids, "ids", "./input/test.csv", notes)
    table = table.assign(**{expected.id: ids})
    if ids == list(expected.ids):
        return table
    _check_ids(ids, expected)
    notes.append("The rows were put in the order of ./input/test.csv.")
    return table.set_axis(ids, axis="index").loc[list(expected.ids)].reset_index(drop=True)


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


def _spelled(column: "pd.Series[str]", known: Sequence[str], what: str, where: str, notes: list[str]) -> list[str]:
    """The cells as the known names are spelt, with a note where that changes one."""
    spelt = spelling(list(column), known)
    if changed := next((text for text, name in spelt.items() if text != name), None):
        notes.append(f"The {what} were spelt as in {where}, such as {spelt[changed]!r} for {changed!r}.")
    return [spelt[text] for text in column]


# --- Cells, by what they hold -----------------------------------------------------------------------------------------


def _labels(column: "pd.Series[str]", expected: Expected, notes: list[str]) -> "pd.Series[str]":
    import pandas as pd

    labels = _spelled(column, expected.classes, f"labels of {column.name!r}", "the training data", notes)
    known = set(expected.classes)
    refuse_missing(column, [text.strip().lower() in MISSING and text not in known for text in labels])
    if known and (unknown := sorted({label for label in labels if label not in known})):
        raise SubmissionError(
            f"Column {column.name!r} of {WHERE} holds labels that the training data do not have: {listed(unknown)}. "
            f"The classes are {listed(expected.classes)}; predict labels, not numbers or probabilities."
        )
    return pd.Series(labels, index=column.index, name=column.name, dtype=object)


def _numbers(column: "pd.Series[str]", expected: Expected, notes: list[str]) -> "pd.Series[float]":
    import numpy as np
    import pandas as pd

    numbers = pd.to_numeric(column.str.strip(), errors="coerce").astype(float)
    finite = np.isfinite(numbers)
    if finite.all():
        return numbers
    refuse_missing(column, [text.strip().lower().lstrip("+-") in MISSING | _INFINITE for text in column])
    row = int(np.flatnonzero(~finite)[0])
    raise SubmissionError(
        f"Column {column.name!r} of {WHERE} must hold numbers, but row {row} of the data holds {column.iloc[row]!r}."
    )


_INFINITE = {"inf", "infinity"}


def _rankings(column: "pd.Series[str]", expected: Expected, notes: list[str]) -> "pd.Series[str]":
    return rankings(column, expected.classes, expected.most)


def _texts(column: "pd.Series[str]", expected: Expected, notes: list[str]) -> "pd.Series[str]":
    refuse_missing(column, [not text for text in column])
    return column


def _masks(column: "pd.Series[str]", expected: Expected, notes: list[str]) -> "pd.Series[str]":
    check_masks(column)
    return column


_READERS: dict[Predicts, Callable[..., "pd.Series"]] = {
    "value": _numbers,
    "label": _labels,
    "probability": _numbers,
    "ranking": _rankings,
    "text": _texts,
    "mask": _masks,
}


# --- Ranges -----------------------------------------------------------------------------------------------------------


def _probabilities(numbers: "pd.DataFrame", expected: Expected, notes: list[str]) -> "pd.DataFrame":
    """Between 0 and 1, and with sums of 1 where the columns are classes; what rounding misses is repaired."""
    outside = ((numbers < -_TOLERANCE) | (numbers > 1 + _TOLERANCE)).any(axis=1)
    if outside.any():
        row = int(outside.argmax())
        raise SubmissionError(
            f"{WHERE} must hold probabilities between 0 and 1, but {outside.sum()} rows do not; the first is row {row} "
            f"of the data with {listed(numbers.iloc[row].tolist())}."
        )
    if ((numbers < 0) | (numbers > 1)).any(axis=None):
        notes.append(f"Probabilities that missed 0 or 1 by less than {_TOLERANCE:g} were set to it.")
        numbers = numbers.clip(0, 1)
    if len(expected.values) == 1 or expected.apart:
        return numbers
    sums = numbers.sum(axis=1)
    off = (sums - 1).abs()
    if (off > _TOLERANCE).any():
        row = int((off > _TOLERANCE).argmax())
        raise SubmissionError(
            f"The probabilities of each row of {WHERE} must sum to 1, but {(off > _TOLERANCE).sum()} rows do not; the "
            f"first is row {row} of the data with the sum {sums.iloc[row]:.8g}. Divide each row by its sum, and write "
            "at least 8 digits."
        )
    if off.max() > _ROUNDING:
        notes.append(
            f"The probabilities of each row were divided by their sum, which was off by up to {off.max():.1g}."
        )
        return numbers.div(sums, axis=0)
    return numbers


def _check_least(numbers: "pd.DataFrame", least: float) -> None:
    below = (numbers < least).any(axis=1)
    if below.any():
        row = int(below.argmax())
        raise SubmissionError(
            f"{WHERE} must hold no value below {least:g}, but {below.sum()} rows do; the first is row {row} of the "
            f"data with {listed(numbers.iloc[row].tolist())}. Clip the predictions at {least:g}."
        )
