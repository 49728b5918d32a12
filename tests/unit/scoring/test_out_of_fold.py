"""What kept predictions claim: intervals that hold the scores of other rows, with rare classes and perfect scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold
from machine_learning_engineering.shared_libraries.tasks.metrics import compute, find_metric
from tests.unit.scoring.conftest import build_task

CLASSES = ("a", "b")


def draw(rng: np.random.Generator, rows: int, share: float, skill: float, labels: bool) -> tuple[Any, Any]:
    """Truth, with this share of `b`, and predictions: scores that `skill` lifts, or labels that are so often right."""
    hits = rng.random(rows) < share
    truth = np.where(hits, "b", "a").astype(object)
    if labels:
        return truth, np.where((rng.random(rows) < skill) == hits, "b", "a").astype(object)
    return truth, 1 / (1 + np.exp(-rng.normal(size=rows) - skill * hits))


@pytest.mark.parametrize(
    ("metric", "rows", "others", "share", "skill"),
    [
        ("auc", 100, 1000, 0.05, 1.5),  # a handful of hits
        ("auc", 100, 500, 0.05, 4.0),  # often all of them first
        ("accuracy", 75, 500, 0.3, 0.995),  # often all right
        ("accuracy", 75, 50, 0.3, 0.99),
        ("accuracy", 300, 300, 0.3, 0.8),
        ("log_loss", 200, 200, 0.1, 2.0),
    ],
)
def test_the_interval_holds_the_scores_of_other_rows(
    metric: str, rows: int, others: int, share: float, skill: float, tmp_path: Path
) -> None:
    task = build_task(tmp_path, problem="binary", metric=find_metric(metric), classes=CLASSES)
    rng, labels, held = np.random.default_rng(0), task.metric.predicts == "label", []
    for _ in range(150):
        sides, later = draw(rng, rows, share, skill, labels), draw(rng, others, share, skill, labels)
        try:
            low, high = OutOfFold(task, *sides, np.zeros(rows, dtype=int)).interval(others) or (0.0, 0.0)
            held.append(low <= compute(task.metric, *later, CLASSES) <= high)
        except SubmissionError:  # no hit at all
            continue
    assert np.mean(held) >= 0.85


def test_a_single_row_of_a_class_says_nothing_of_a_metric_that_compares_classes(tmp_path: Path) -> None:
    task = build_task(tmp_path, problem="binary", metric=find_metric("auc"), classes=CLASSES)
    truth = np.array(["b", *"a" * 99], dtype=object)
    assert OutOfFold(task, truth, np.linspace(0, 1, 100), np.zeros(100, dtype=int)).interval(100) == (0.0, 1.0)


def test_a_loss_may_more_easily_be_much_higher_than_much_lower(tmp_path: Path) -> None:
    few = np.array([0.0, 0.0, 0.0, 0.0, 10.0])
    task = build_task(tmp_path, metric=find_metric("mae"))
    found = OutOfFold(task, np.zeros(5), few, np.zeros(5, dtype=int)).interval(5)
    assert found is not None
    low, high = found
    assert 0 < low < 2 < high
    assert high / 2 == pytest.approx(2 / low)


def test_a_single_group_says_nothing(tmp_path: Path) -> None:
    one = np.zeros(30, dtype=int)
    assert OutOfFold(build_task(tmp_path), np.arange(30.0), np.arange(30.0) + 1, one, units=one).interval(100) is None
