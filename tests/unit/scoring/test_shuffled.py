"""Labels at the wrong rows, and predictions that are right all the same."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.records import SEARCH, SHUFFLED, Problem, Task
from machine_learning_engineering.shared_libraries.scoring.constant import against_constant, beats_chance
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold
from machine_learning_engineering.shared_libraries.scoring.shuffled import shuffled
from machine_learning_engineering.shared_libraries.scoring.views import held_out, stage
from machine_learning_engineering.shared_libraries.tasks.metrics import METRICS
from machine_learning_engineering.shared_libraries.tasks.table import read_table
from tests.unit.scoring.conftest import build_task

CONFIG = RunConfig()
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ([str(n) for n in RNG.permutation(101)], "regression"),
        ([*"abc"] * 30, "multiclass"),
        (["no", "yes"] * 40, "binary"),
    ],
)
def test_every_row_gets_the_label_of_another_value(labels: list[str], problem: Problem) -> None:
    before = pd.Series(labels)
    after = shuffled(before, problem, RNG)
    assert sorted(after) == sorted(before)
    assert not (after == before).any()


def test_a_model_that_learns_from_shuffled_labels_is_worse_than_a_constant() -> None:
    x = RNG.normal(size=400)
    y = pd.Series((3 * x).astype(str))
    moved = shuffled(y, "regression", RNG).astype(float)
    assert np.corrcoef(x, moved)[0, 1] < -0.1


def test_a_shuffled_view_is_the_search_view_with_other_labels(task: Task, tmp_path: Path) -> None:
    plain, other = (stage(task, view, CONFIG, tmp_path / "views").path for view in (SEARCH, SHUFFLED))
    assert (plain / "test.csv").read_bytes() == (other / "test.csv").read_bytes()
    rows, mixed = (read_table(path / "train.csv") for path in (plain, other))
    pd.testing.assert_frame_equal(rows.drop(columns="y"), mixed.drop(columns="y"))
    assert sorted(rows["y"]) == sorted(mixed["y"])
    assert (rows["y"] != mixed["y"]).all()
    held = held_out(task, SHUFFLED, CONFIG)
    assert held is not None
    assert not set(held.labels) & set(mixed["y"])


@pytest.mark.parametrize("name", ["rmse", "mae", "r2", "rmsle"])
def test_predictions_that_follow_the_truth_beat_every_constant(name: str, task: Task) -> None:
    truth = RNG.uniform(1, 9, 200)
    judged = task.model_copy(update={"metric": METRICS[name]})
    folds = np.zeros(200)

    def verdict(predictions: np.ndarray) -> bool:
        guess = against_constant(OutOfFold(judged, truth, predictions, folds))
        assert guess is not None
        return beats_chance(guess.comparison)

    assert verdict(truth + RNG.normal(0, 0.3, 200))
    assert not verdict(np.full(200, truth.mean()))
    assert not verdict(truth.mean() + RNG.normal(0, 0.3, 200))
    assert not verdict(10 - truth)


@pytest.mark.parametrize("name", ["auc", "log_loss", "accuracy", "f1_macro", "mcc"])
def test_predicted_classes_that_follow_the_truth_beat_every_constant(name: str, tmp_path: Path) -> None:
    metric = METRICS[name]
    task = build_task(tmp_path / "t", problem="binary", metric=metric, classes=("no", "yes"))
    truth = RNG.choice(["no", "yes"], 300, p=[0.7, 0.3]).astype(object)
    folds = np.zeros(300)

    def verdict(chances: np.ndarray) -> bool:
        made = chances if metric.predicts == "probability" else np.where(chances > 0.5, "yes", "no").astype(object)
        guess = against_constant(OutOfFold(task, truth, made, folds))
        return guess is not None and beats_chance(guess.comparison)

    known = (truth == "yes").astype(float)
    assert verdict(np.clip(known + RNG.normal(0, 0.2, 300), 0.02, 0.98))
    assert not verdict(RNG.uniform(0.2, 0.4, 300))
    assert not verdict(np.clip(1 - known, 0.1, 0.9))
