"""Metrics agree with scikit-learn, have a direction, and never give a number that is not finite."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from machine_learning_engineering.shared_libraries.errors import ConfigError, SubmissionError
from machine_learning_engineering.shared_libraries.tasks.metrics import METRICS, compute, find_metric, metric_in

CLASSES = ("a", "b", "c")
numbers = st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=2, max_size=40)
labels = st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=2, max_size=40)
REGRESSION = {
    "rmse": sk.root_mean_squared_error,
    "mse": sk.mean_squared_error,
    "mae": sk.mean_absolute_error,
    "medae": sk.median_absolute_error,
    "rmsle": sk.root_mean_squared_log_error,
}
LABELS = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "mcc": sk.matthews_corrcoef,
    "f1_micro": lambda t, p: sk.f1_score(t, p, average="micro"),
    "f1_macro": lambda t, p: sk.f1_score(t, p, average="macro"),
}


@pytest.mark.parametrize("name", sorted(REGRESSION))
@given(pairs=numbers)
def test_regression_agrees_with_sklearn(name: str, pairs: list) -> None:
    truth, predicted = map(np.array, zip(*pairs, strict=True))
    assert math.isclose(compute(METRICS[name], truth, predicted), REGRESSION[name](truth, predicted), rel_tol=1e-12)


@pytest.mark.filterwarnings("ignore::UserWarning:sklearn")
@pytest.mark.parametrize("name", sorted(LABELS))
@given(pairs=labels)
def test_labels_agree_with_sklearn(name: str, pairs: list) -> None:
    truth, predicted = (np.array(side, dtype=object) for side in zip(*pairs, strict=True))
    assert math.isclose(
        compute(METRICS[name], truth, predicted, CLASSES), LABELS[name](truth, predicted), rel_tol=1e-12, abs_tol=1e-12
    )


@given(
    truth=st.lists(st.sampled_from(["no", "yes"]), min_size=2, max_size=30).filter(lambda t: len(set(t)) == 2),
    data=st.data(),
)
def test_probabilities_of_two_classes_agree_with_sklearn(truth: list[str], data: st.DataObject) -> None:
    """Also where a probability is exactly 0 or 1."""
    given_ = np.array(data.draw(st.lists(st.floats(0, 1), min_size=len(truth), max_size=len(truth))))
    hits = np.array([label == "yes" for label in truth])
    wanted = {
        "auc": sk.roc_auc_score(hits, given_),
        "log_loss": sk.log_loss(hits, given_),
        "brier": sk.brier_score_loss(hits, given_),
    }
    for name, value in wanted.items():
        found = compute(METRICS[name], np.array(truth, dtype=object), given_, ("no", "yes"))
        assert math.isclose(found, value, rel_tol=1e-12, abs_tol=1e-12)


@given(pairs=labels)
def test_f1_is_that_of_the_last_class(pairs: list) -> None:
    """Also where neither side holds that class."""
    truth, predicted = (np.array(side, dtype=object) for side in zip(*pairs, strict=True))
    wanted = sk.f1_score(truth == "c", predicted == "c", zero_division=0.0)
    assert compute(METRICS["f1"], truth, predicted, CLASSES) == wanted


def test_a_single_probability_is_that_of_the_last_class() -> None:
    truth = np.array(["no", "yes", "yes", "no"], dtype=object)
    good = np.array([0.1, 0.9, 0.8, 0.2])
    assert compute(METRICS["auc"], truth, good, ("no", "yes")) == 1.0
    assert compute(METRICS["log_loss"], truth, good, ("no", "yes")) < 0.3
    assert math.isclose(compute(METRICS["brier"], truth, good, ("no", "yes")), 0.025)


def test_probability_columns_stand_in_the_order_of_the_classes() -> None:
    truth = np.array(["c", "a", "b", "a"], dtype=object)
    sure = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0]], dtype=float)
    assert compute(METRICS["log_loss"], truth, sure, CLASSES) < 1e-12
    assert compute(METRICS["auc"], truth, sure, CLASSES) == 1.0
    assert compute(METRICS["brier"], truth, sure, CLASSES) == 0.0


@pytest.mark.parametrize(
    ("name", "truth", "predicted"),
    [
        ("auc", ["yes", "yes"], [0.1, 0.2]),
        ("rmsle", [1.0, 2.0], [-1.0, 2.0]),
        ("rmse", [1.0, 2.0], [float("nan"), 2.0]),
        ("r2", [1.0], [2.0]),
        ("mse", [1.0, 2.0], [1e300, 2.0]),
        ("pearson", [1.0, 2.0, 3.0], [5.0, 5.0, 5.0]),
        ("spearman", [1.0, 2.0, 3.0], [5.0, 5.0, 5.0]),
        ("qwk", ["no", "no"], ["no", "no"]),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_cannot_be_computed_is_a_sentence_not_a_number(name: str, truth: list, predicted: list) -> None:
    with pytest.raises(SubmissionError):
        compute(METRICS[name], np.array(truth), np.array(predicted), ("no", "yes"))


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("RMSE", "rmse"),
        ("Root-Mean-Squared Error", "rmse"),
        ("logloss", "log_loss"),
        ("ROC AUC", "auc"),
        ("acc", "accuracy"),
        ("Cross-Entropy", "log_loss"),
        ("R^2", "r2"),
        ("Spearman rho", "spearman"),
    ],
)
def test_a_metric_is_found_however_it_is_spelt(spelt: str, name: str) -> None:
    assert find_metric(spelt).name == name


def test_an_unknown_metric_is_told_with_the_list() -> None:
    with pytest.raises(ConfigError, match=r"there is no metric 'sharpness'\. Known: rmse, mse"):
        find_metric("sharpness")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Submissions are scored by root mean squared error.", "rmse"),
        ("The metric is AUC, not accuracy.", "auc"),
        ("Evaluated on the quadratic weighted kappa", "qwk"),
        ("The mean price of houses in Maesbury.", None),
        ("An acceleration of mauchly.", None),
        ("The sensors have an accuracy of 2 %.", None),
        ("Lap times of F1 cars.", None),
        ("## Evaluation\n\n**F1** of each submission", "f1"),
        ("Root Mean Squared Error (RMSE)", "rmse"),
        ("scored by the log-loss", "log_loss"),
        ("Judged by balanced accuracy", "balanced_accuracy"),
    ],
)
def test_a_description_may_name_the_metric(text: str, name: str | None) -> None:
    found = metric_in(text)
    assert (found.name if found else None) == name


def test_the_documentation_lists_every_metric() -> None:
    page = (Path(__file__).parents[3] / "docs" / "tasks.md").read_text(encoding="utf-8")
    for metric in METRICS.values():
        better = "higher" if metric.maximize else "lower"
        assert f"| `{metric.name}` | {metric.title} | {better} | {metric.predicts} |" in page
