"""What each row adds to a metric: its mean is the metric, its spread the standard error that resampling gives."""

import math

import numpy as np
import pytest

from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.tasks.metrics import METRICS, compute, contributions, row_losses

from .examples import example

RESAMPLES = 600
# The density of the errors at their median has to be estimated; that of a few hundred rows is rough.
TOLERANCES = {"medae": 0.35}


@pytest.mark.parametrize("name", METRICS)
def test_their_mean_is_the_metric(name: str) -> None:
    for seed, rows in ((0, 300), (1, 30)):
        sides = example(METRICS[name], seed, rows)
        found = contributions(METRICS[name], *sides)
        assert found.shape == (rows,)
        assert math.isclose(found.mean(), compute(METRICS[name], *sides), rel_tol=1e-12)


@pytest.mark.parametrize(
    "name", sorted(METRICS.keys() - {"levenshtein", "dice", "ndcg@5"})
)  # slow ones, and plain means
def test_paired_differences_have_the_standard_error_that_resampling_gives(name: str) -> None:
    """Two attempts on the same rows: the difference of their contributions against 600 resamples of the rows."""
    metric, draw = METRICS[name], np.random.default_rng(5)
    truth, worse, classes = example(metric, 3)
    _, better, _ = example(metric, 3, skill=1.5)
    parts = contributions(metric, truth, better, classes) - contributions(metric, truth, worse, classes)
    error = parts.std(ddof=1) / math.sqrt(len(parts))

    def difference() -> float:
        rows = draw.integers(0, len(truth), len(truth))
        given, other = (
            compute(metric, truth[rows], better[rows], classes),
            compute(metric, truth[rows], worse[rows], classes),
        )
        return given - other

    resampled = np.std([difference() for _ in range(RESAMPLES)], ddof=1)
    assert error == pytest.approx(resampled, rel=TOLERANCES.get(name, 0.15))


@pytest.mark.parametrize("name", METRICS)
def test_row_losses_make_the_metric(name: str) -> None:
    sides = example(METRICS[name], 0)
    found = row_losses(METRICS[name], *sides)
    if found is not None:
        losses, from_mean = found
        assert losses.shape == (300,)
        assert math.isclose(from_mean(losses.mean()), compute(METRICS[name], *sides), rel_tol=1e-12)


def test_metrics_of_whole_tables_have_no_row_losses() -> None:
    means = {name for name, metric in METRICS.items() if row_losses(metric, *example(metric, 0)) is not None}
    assert METRICS.keys() - means == {
        "medae", "r2", "pearson", "spearman", "kendall", "balanced_accuracy", "f1", "f1_macro", "f1_weighted", "mcc",
        "kappa", "qwk", "auc", "gini", "average_precision",
    }  # fmt: skip


def test_a_row_moves_the_metric_as_its_contribution_says() -> None:
    """Leaving a row out changes the metric by its contribution's distance from the value, over n, up to 1/n squared."""
    for name in ("auc", "average_precision", "r2", "spearman", "kendall", "mcc", "qwk", "f1_macro", "pearson"):
        truth, predictions, classes = example(METRICS[name], 0, 1_000)
        value, rows = compute(METRICS[name], truth, predictions, classes), np.arange(1_000) != 17
        without = compute(METRICS[name], truth[rows], predictions[rows], classes)
        told = contributions(METRICS[name], truth, predictions, classes)[17]
        assert (value - without) * 1_000 == pytest.approx(told - value, abs=0.02)


def test_several_targets_contribute_their_mean() -> None:
    draw = np.random.default_rng(0)
    hits, chances = draw.integers(0, 2, (50, 3)), draw.random((50, 3))
    found = contributions(METRICS["auc"], hits, chances)
    assert math.isclose(found.mean(), compute(METRICS["auc"], hits, chances), rel_tol=1e-12)


def test_a_perfect_attempt_has_no_spread() -> None:
    truth = np.arange(10.0)
    assert contributions(METRICS["rmse"], truth, truth).tolist() == [0.0] * 10


def test_what_has_no_value_has_no_contributions() -> None:
    with pytest.raises(SubmissionError, match="rows of two classes"):
        contributions(METRICS["auc"], ["yes", "yes"], [0.1, 0.2], ("no", "yes"))
