"""A metric of the user's own: found, called as scikit-learn would, part of the task's digest, mistakes as sentences."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from machine_learning_engineering.shared_libraries.errors import ConfigError, SubmissionError, TaskError
from machine_learning_engineering.shared_libraries.records import Metric, Task, TaskRequest
from machine_learning_engineering.shared_libraries.tasks.load import load_task
from machine_learning_engineering.shared_libraries.tasks.metrics import bounds, compute, contributions
from machine_learning_engineering.shared_libraries.tasks.metrics.own import own_metric

PROFIT = """
import numpy as np

def profit(y_true, y_pred):
    '''Euros earned.'''
    return np.minimum(y_true, y_pred).sum()

profit.greater_is_better = True
"""
PRICES = "size,price\n" + "".join(f"{n},{n * 1.5 + 7}\n" for n in range(30))
LABELS = "size,sold\n" + "".join(f"{n},{n % 3 % 2}\n" for n in range(30))


def task(folder: Path, source: str, spec: str, data: str = PRICES, **said: Any) -> Task:
    (folder / "mine.py").write_text(source)
    (folder / "rows.csv").write_text(data)
    target = data.split("\n")[0].split(",")[1]
    return load_task(TaskRequest(source=folder / "rows.csv", target=target, metric=spec, **said), folder / "work")


def test_a_function_beside_the_data_judges(tmp_path: Path) -> None:
    metric = task(tmp_path, PROFIT, "mine:profit").metric
    assert compute(metric, [1.0, 5.0], [2.0, 3.0]) == 4.0
    assert bounds(metric) == (-np.inf, np.inf)


def test_cards_hold_what_it_is_and_no_path(tmp_path: Path) -> None:
    metric = task(tmp_path, PROFIT, "mine:profit").metric
    told = {"name": "mine:profit", "title": "profit", "maximize": True, "predicts": "value", "about": "Euros earned."}
    assert metric.model_dump() == told
    assert Metric.model_validate(told).better(2, than=1)


def test_its_source_is_part_of_the_task(tmp_path: Path) -> None:
    """So a run is not taken up with another function, and one that is the same goes on."""
    first, again = task(tmp_path, PROFIT, "mine:profit"), task(tmp_path, PROFIT, "mine:profit")
    changed = task(tmp_path, PROFIT.replace("sum", "mean"), "mine:profit")
    assert first.digest == again.digest != changed.digest
    assert compute(changed.metric, [1.0, 5.0], [2.0, 3.0]) == 2.0


def test_a_file_elsewhere_and_an_installed_module_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "far.py").write_text(PROFIT)
    assert task(tmp_path, "", f"{tmp_path}/other/far.py:profit").metric.name == "far:profit"
    assert task(tmp_path, "", "sklearn.metrics:max_error").metric.maximize is False


@pytest.mark.parametrize(
    ("body", "direction", "maximize"),
    [
        ("def some_score(y, p): return 1.0", None, True),
        ("def some_loss(y, p): return 1.0", None, False),
        ("def gain(y, p): return 1.0", "maximize", True),
        ("def gain_loss(y, p): return 1.0\ngain_loss.greater_is_better = True", None, True),
    ],
)
def test_its_direction_is_said_or_follows_from_its_name(
    body: str, direction: Any, maximize: bool, tmp_path: Path
) -> None:
    name = body.split("(")[0].removeprefix("def ")
    assert task(tmp_path, body, f"mine:{name}", direction=direction).metric.maximize is maximize


SEEN = """
def seen_score(y_true, y_pred):
    assert y_true.dtype.kind == "i" and set(y_true) <= {0, 1}, y_true
    assert y_pred.dtype.kind == "i", y_pred
    return (y_true == y_pred).mean()

def chance_score(y_true, y_pred):
    assert y_true.dtype.kind == "i" and y_pred.ndim == 1, y_pred
    return ((y_pred > 0.5) == y_true).mean()

chance_score.needs_proba = True
"""


def test_it_gets_labels_as_pandas_would_read_them(tmp_path: Path) -> None:
    metric = task(tmp_path, SEEN, "mine:seen_score", LABELS).metric
    assert metric.predicts == "label"
    assert compute(metric, ["0", "1"], ["0", "0"], ("0", "1")) == 0.5


def test_it_gets_probabilities_where_it_asks_for_them(tmp_path: Path) -> None:
    metric = task(tmp_path, SEEN, "mine:chance_score", LABELS).metric
    assert metric.predicts == "probability"
    assert compute(metric, ["0", "1"], [0.2, 0.9], ("0", "1")) == 1.0


def test_probability_columns_come_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    """Labels are sorted as text everywhere else, so that 10 comes before 9."""
    (tmp_path / "mine.py").write_text("def first_score(y, p): return p[0, 0] + y[0]\nfirst_score.needs_proba = True")
    metric = own_metric("mine:first_score", [tmp_path], None, is_classes=True)
    assert compute(metric, ["9", "10"], [[0.3, 0.7], [0.5, 0.5]], ("10", "9")) == 9.7


def test_its_contributions_come_from_leaving_rows_out(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def mine_error(y, p): return abs(y - p).mean() ** 0.5")
    metric = own_metric("mine:mine_error", [tmp_path], None, is_classes=False)
    draw = np.random.default_rng(0)
    for rows in (300, 3_000):  # each row on its own, and groups of rows
        truth, given = draw.normal(size=rows), draw.normal(size=rows)
        found = contributions(metric, truth, given)
        error = np.abs(truth - given).std() / (2 * np.abs(truth - given).mean() ** 0.5)
        assert found.mean() == pytest.approx(compute(metric, truth, given))
        assert found.std() == pytest.approx(error, rel=0.1)


@pytest.mark.parametrize(
    ("source", "spec", "sentence"),
    [
        ("", "nowhere:profit", "there is no metric 'nowhere:profit': no nowhere.py in .*, and no installed module"),
        ("", "nowhere/mine.py:profit", "there is no file nowhere/mine.py"),
        (PROFIT, "mine:loss", r"mine.py has no function 'loss'. It has: profit"),
        ("import nowhere", "mine:profit", "cannot be imported: ModuleNotFoundError: .* in line 1 of mine.py"),
        ("def profit(y_true, y_pred)", "mine:profit", "cannot be imported: SyntaxError: .* in line 1 of mine.py"),
        ("def a_score(y): return 1", "mine:a_score", "must take two arguments, y_true and y_pred"),
        ("def gain(y, p): return 1", "mine:gain", r"is a higher mine:gain better .*`gain.greater_is_better = True`"),
        ("def a_score(y, p):\n  return 1 / 0", "mine:a_score", "ZeroDivisionError: .* in line 2 of mine.py"),
        ("def a_score(y, p): return 'good'", "mine:a_score", "returned 'good' instead of a number"),
        ("def a_score(y, p): return float('nan')", "mine:a_score", "gave nan when it was tried out"),
        ("def a_score(y, p): raise SystemExit(3)", "mine:a_score", "failed with SystemExit"),
    ],
)
def test_mistakes_are_told_before_anything_runs(source: str, spec: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=sentence):
        task(tmp_path, source, spec)


def test_what_fails_on_a_submission_alone_is_told_to_its_author(tmp_path: Path) -> None:
    metric = task(
        tmp_path, "def a_loss(y, p):\n    assert p.max() < 1e3, 'too high'\n    return 1.0", "mine:a_loss"
    ).metric
    with pytest.raises(SubmissionError, match="the metric mine:a_loss failed with AssertionError: too high in line 2"):
        compute(metric, [1.0], [5_000.0])


def test_a_file_that_came_with_the_data_is_not_run_unasked(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit('this must not run')")
    (tmp_path / "task.yaml").write_text("metric: mine:profit\ntarget: price\n")
    (tmp_path / "train.csv").write_text(PRICES)
    with pytest.raises(TaskError, match="Say --metric mine:profit to have it run"):
        load_task(TaskRequest(source=tmp_path), tmp_path / "work")


def test_rows_without_which_there_is_no_figure_cost_no_run(tmp_path: Path) -> None:
    """A metric of classes has none where the only row of one is left out; it has a spread all the same."""
    source = "from sklearn.metrics import roc_auc_score as of\n\n\ndef my_score(y, p):\n    return of(y, p)\n\n\n"
    made = task(tmp_path, source + "my_score.needs_proba = True\n", "mine:my_score", LABELS)
    truth, chances = np.array(["1", *"0" * 20]), np.linspace(0.9, 0.1, 21)[np.r_[5, :5, 6:21]]
    found = contributions(made.metric, truth, chances, ("0", "1"))
    assert found.mean() == pytest.approx(0.75)
    assert found.std() > 0
    with pytest.raises(SubmissionError, match="no figure for most parts"):
        contributions(made.metric, truth[:2], chances[:2], ("0", "1"))
