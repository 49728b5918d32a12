"""What a task asks for: the metric that judges it, and the kind of problem that the metric makes of the target."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.records import Metric, Problem, TaskRequest
from machine_learning_engineering.shared_libraries.tasks.advice import check_slips, no_number, other_metric
from machine_learning_engineering.shared_libraries.tasks.folder import Files
from machine_learning_engineering.shared_libraries.tasks.metrics import default_metric, find_metric, metric_in
from machine_learning_engineering.shared_libraries.tasks.metrics.own import OwnMetric, is_own, own_metric
from machine_learning_engineering.shared_libraries.tasks.metrics.table import row_of
from machine_learning_engineering.shared_libraries.tasks.table import typed_column

FEW_LABELS = 20  # whole numbers with at most so many distinct values, each in two rows or more, are classes


def choose_metric(
    labels: "pd.Series[str]", request: TaskRequest, said: dict[str, Any], description: str, files: Files
) -> Metric:
    """The metric that was said, or that the description names, or the usual one for such labels.

    A function is called only where the person names it, never because a file that came with the data does.

    Raises: TaskError or ConfigError for a metric that cannot be used, TaskError for numbers with slips among them.
    """
    values = typed_column(labels)
    if name := said.get("metric"):
        if not is_own(name):
            return find_metric(name, said.get("direction"))
        if request.metric is None:
            raise TaskError(f"task.yaml names a program, {name!r}, as the metric. Say --metric {name} to have it run.")
        home = request.source if request.source.is_dir() else request.source.parent
        return own_metric(name, (home, Path.cwd()), said.get("direction"), _looks_like_classes(values))
    if found := metric_in(description):
        files.notes.append(f"The metric is taken from the description: {found.title}.")
        return found
    if not _looks_like_classes(pd.to_numeric(labels, errors="coerce")):
        check_slips(labels)
    usual = default_metric("multiclass" if _looks_like_classes(values) else "regression")
    files.notes.append(f"No metric was named: {usual.title} is used. Choose one with --metric.{_of_numbers(values)}")
    return usual


def problem_of(labels: "pd.Series[str]", train: "pd.Series[str]", metric: Metric) -> Problem:
    """What the metric makes of the target: of all its `labels`, and of those that are left to `train` on.

    Raises: TaskError for a target that the metric cannot judge.
    """
    if not isinstance(metric, OwnMetric) and row_of(metric).outside:
        raise TaskError(f"{metric.title} is for {row_of(metric).outside}, which runs cannot predict. Choose another.")
    if metric.predicts != "value":
        return _classes(train, metric)
    values = typed_column(labels)
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        check_slips(labels)
        raise TaskError(
            f"{metric.title} needs numbers, but the target {labels.name!r} holds values such as "
            f"{no_number(labels)!r}. {other_metric(labels, _too_many(labels))}"
        )
    check_varies(typed_column(train), str(labels.name))
    if values.abs().max() == float("inf"):
        raise TaskError(f"the target {labels.name!r} is infinite in some rows. Remove these rows.")
    if metric.name in ("rmsle", "poisson") and values.min() < 0:
        raise TaskError(f"{metric.title} needs a target that is never negative, {labels.name!r} is. Choose rmse.")
    return "regression"


def _classes(labels: "pd.Series[str]", metric: Metric) -> Problem:
    """Raises: TaskError for more classes than the metric or anybody can use."""
    count = labels.nunique()
    if _too_many(labels):
        raise TaskError(
            f"{metric.title} is for classes, but the target {labels.name!r} has {count} different values in "
            f"{len(labels)} rows. {other_metric(labels, too_many=True)}"
        )
    if metric.name == "f1" and count > 2:
        raise TaskError(f"f1 is for two classes, the target {labels.name!r} has {count}. Choose f1_macro or f1_micro.")
    if metric.predicts == "ranking" and (spaced := [label for label in labels.unique() if len(label.split()) != 1]):
        raise TaskError(
            f"{metric.title} ranks labels with spaces between them, but the label {spaced[0]!r} of {labels.name!r} "
            "holds one itself. Rename it."
        )
    return "binary" if count == 2 else "multiclass"


def _too_many(labels: "pd.Series[str]") -> bool:
    """Whether a target has too many different values for classes."""
    return FEW_LABELS < labels.nunique() > len(labels) / 2


def _looks_like_classes(values: "pd.Series[Any]") -> bool:
    known = values.dropna()
    if not pd.api.types.is_numeric_dtype(known) or pd.api.types.is_bool_dtype(known):
        return True
    return bool((known == known.round()).all()) and known.nunique() <= min(FEW_LABELS, len(known) / 2)


def _of_numbers(values: "pd.Series[Any]") -> str:
    """What to say where more than two whole numbers are taken for classes, which may be amounts; empty elsewhere."""
    count = values.nunique()
    if count < 3 or not pd.api.types.is_numeric_dtype(values) or not _looks_like_classes(values):
        return ""
    return (
        f" The {count} whole numbers in {values.name!r} are taken for classes; if they are amounts, say --metric rmse."
    )


def check_varies(values: "pd.Series[Any]", target: str, notes: Sequence[str] = ()) -> None:
    """Raises: TaskError for a target that does not vary, with the notes on words among it that stand for no value."""
    if len(values) < 2:
        raise TaskError(f"there is only one training row, so {target!r} has the same value in every row. Add rows.")
    if values.nunique() < 2:
        raise TaskError(
            f"the target {target!r} has the same value in every row, so there is nothing to learn. Choose another."
            + "".join(f" {note}" for note in notes if repr(target) in note and "stands for no value" in note)
        )


def check_left(labels: "pd.Series[str]", train: "pd.Series[str]") -> None:
    """Raises: TaskError where those of the labels that are left to train on do not vary, though all together do."""
    if train.nunique() < 2 <= labels.nunique():
        others = int((labels != train.iloc[0]).sum())
        rows = "1 row has" if others == 1 else f"{others} rows have"
        raise TaskError(
            f"only {rows} another {labels.name!r} than {train.iloc[0]!r}, and not one is left to train on. Add such "
            "rows."
        )
