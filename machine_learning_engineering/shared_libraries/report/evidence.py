"""What a report shows of a run's data: the task, how its columns are spread, and predictions beside held-out truth.

The task is read again from where the run found it. Where the data are gone or changed, the report says so and goes on.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.entries import RunStarted
from machine_learning_engineering.shared_libraries.errors import MleError, SubmissionError
from machine_learning_engineering.shared_libraries.records import (
    AUDIT,
    ColumnProfile,
    Comparison,
    Execution,
    Task,
    TaskRequest,
    View,
)
from machine_learning_engineering.shared_libraries.report.node import Node
from machine_learning_engineering.shared_libraries.report.story import Story
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold, compare, read_predictions
from machine_learning_engineering.shared_libraries.scoring.set_aside import SetAside, score_set_aside
from machine_learning_engineering.shared_libraries.tasks.table import is_missing, read_table

if TYPE_CHECKING:
    import pandas as pd

MOST_COLUMNS = 40  # that are drawn; the table says how many more there are
_BINS = 16
_BARS = 8
_SAMPLE = 20_000  # rows that a column is drawn from


@dataclass(frozen=True)
class Spread:
    """How often a column has which values: bins from `low` to `high` for numbers, labels for anything else."""

    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    profile: ColumnProfile
    spread: Spread | None


@dataclass(frozen=True)
class Predictions:
    """Predictions of one script on held-out rows, in row order, beside the truth.

    Regression: `truth` and `given` are numbers. Classes: both are labels, and `chances` has one row of probabilities a
    row, in the order of `classes`, where the metric asks for probabilities.
    """

    truth: tuple[Any, ...]
    given: tuple[Any, ...]
    classes: tuple[str, ...] = ()
    chances: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All that is shown of the data; `missing` says in a sentence why something could not be."""

    task: Task | None = None
    target: Spread | None = None
    columns: tuple[Column, ...] = ()
    predictions: Predictions | None = None
    set_aside: SetAside | None = None
    missing: str = ""


def gather(story: Story) -> Evidence:
    """The evidence of a run; nothing here raises for data that are not there any more."""
    if story.started is None:
        return Evidence(missing="The run had not begun to read its data.")
    try:
        with task_of(story.started) as task:
            if task.digest != story.started.task_digest:
                return Evidence(missing="The data were changed since the run began, so they are not shown.")
            target, columns = _spreads(task)
            predictions, missing = _predictions(story, task)
            return Evidence(task, target, columns, predictions, _set_aside(story, task), missing)
    except (MleError, ValidationError, OSError, ValueError) as exc:
        return Evidence(missing=f"The data of this run cannot be read any more. {exc}")


@contextmanager
def task_of(started: RunStarted) -> Iterator[Task]:
    """The task of a run; files that are cut from a lone CSV lie in a folder of ours meanwhile, not in the run's."""
    from machine_learning_engineering.shared_libraries.tasks.load import load_task

    with TemporaryDirectory(prefix="mle-report-") as work:
        yield load_task(TaskRequest.model_validate(started.request), Path(work))


def _set_aside(story: Story, task: Task) -> SetAside | None:
    """The score on rows that were set aside from a lone CSV, where there are such and the run has finished: whoever
    watched it before could stop the run where it is good, and then it had chosen something.
    """
    assert story.started is not None
    if story.published is None or story.status != "finished":
        return None
    request = TaskRequest.model_validate(story.started.request)
    try:
        return score_set_aside(request, task, story.folder / "final" / "submission.csv")
    except MleError:
        return None


def _spreads(task: Task) -> tuple[Spread | None, tuple[Column, ...]]:
    train = read_table(task.train)
    sample = train if len(train) <= _SAMPLE else train.sample(_SAMPLE, random_state=0)
    profile = task.profile
    target = Spread(profile.class_counts, labels=profile.classes) if profile.classes else None
    columns = tuple(Column(one, _spread(sample, one)) for one in profile.columns[:MOST_COLUMNS])
    return target or _spread(sample, profile.target), columns


def _spread(table: "pd.DataFrame", column: ColumnProfile) -> Spread | None:
    """How a column is spread; None where a picture tells nothing."""
    import numpy as np
    import pandas as pd

    if column.name not in table.columns or column.kind in ("constant", "identifier", "datetime"):
        return None
    cells = table[column.name]
    cells = cells[~is_missing(cells.str.strip())]
    if column.kind in ("numeric", "integer"):
        numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float)
        numbers = numbers[np.isfinite(numbers)]
        if not len(numbers):
            return None
        counts, edges = np.histogram(numbers, bins=min(_BINS, max(2, column.unique)))
        return Spread(tuple(map(int, counts)), edges=tuple(map(float, edges)))
    if column.kind == "text":
        counts, edges = np.histogram(cells.str.count(r"\S+"), bins=_BINS)
        return Spread(tuple(map(int, counts)), edges=tuple(map(float, edges)))
    common = cells.value_counts().head(_BARS)
    return Spread(tuple(map(int, common)), labels=tuple(str(label)[:40] for label in common.index))


def _predictions(story: Story, task: Task) -> tuple[Predictions | None, str]:
    """The predictions of the winner on held-out rows, or None and why."""
    node = story.winner if story.winner and story.winner.value is not None else story.best
    if node is None:
        return None, "No script has a score yet, so there are no predictions to show."
    try:
        return _read_predictions(story, task, node), ""
    except (MleError, ValidationError) as exc:
        return None, f"The predictions of {node.title} cannot be read any more. {exc}"


def comparison(story: Story, better: Node, worse: Node) -> Comparison | None:
    """By how much one script of a run beats another, row by row; None where their predictions cannot be compared."""
    if story.started is None:
        return None
    try:
        with task_of(story.started) as task:
            if task.digest != story.started.task_digest:
                return None
            one, other = predictions_of(story, task, better), predictions_of(story, task, worse)
            return compare(one, other) if one and other else None
    except (MleError, ValidationError, OSError, ValueError):
        return None


def predictions_of(story: Story, task: Task, node: Node) -> OutOfFold | None:
    """What a script predicted for held-out rows while searching; None if it has no score, or ran on no such row.

    Raises: MleError for files that are not there any more.
    """
    if story.started is None or not node.views or node.value is None:
        return None
    views = [View(kind="search", fold=int(view.rpartition("-")[2])) for view in node.views]
    return read_predictions(task, views, _found(story, node.folds), RunConfig(**story.started.config))


def _read_predictions(story: Story, task: Task, node: Node) -> Predictions:
    """Those for the audit rows, which chose nothing; while there are none, those that gave the search score."""
    assert story.started is not None
    if node.audit is not None and node.audit.outcome == "ok":
        found = read_predictions(task, [AUDIT], _found(story, [node.audit]), RunConfig(**story.started.config))
    else:
        found = predictions_of(story, task, node)
    if found is None:
        raise SubmissionError("It was scored without a run of its own.")
    truth, given, classes = tuple(found.truth.tolist()), found.predictions, task.profile.classes
    if task.metric.predicts == "value":
        return Predictions(truth, tuple(given.astype(float).tolist()))
    if task.metric.predicts == "probability":
        return _from_chances(truth, given, classes)
    if task.metric.predicts == "ranking":
        return Predictions(truth, tuple(str(ranking).split()[0] for ranking in given), classes)
    return Predictions(truth, tuple(map(str, given)), classes)


def _found(story: Story, executions: Sequence[Execution]) -> list[Execution]:
    """Executions with the place of their files on this machine."""
    return [one.model_copy(update={"folder": story.folder / one.folder}) for one in executions]


def _from_chances(truth: tuple[str, ...], given: Any, classes: tuple[str, ...]) -> Predictions:
    """Probabilities of all classes, in their order, or of the last one alone."""
    import numpy as np

    chances = given.astype(float)
    if chances.ndim == 1:
        chances = np.column_stack([1 - chances, chances])
    labels = tuple(classes[number] for number in chances.argmax(axis=1))
    return Predictions(truth, labels, classes, tuple(map(tuple, chances.tolist())))
