"""Metrics agree with scikit-learn, have a direction, and never give a number that is not finite."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from machine_learning_engineering.shared_libraries.errors import ConfigError, SubmissionError
from machine_learning_engineering.shared_libraries.records import Metric
from machine_learning_engineering.shared_libraries.tasks.metrics import (
    METRICS,
    bounds,
    compute,
    find_metric,
    metric_in,
)

from .examples import example

CLASSES = ("a", "b", "c")
few = settings(max_examples=25, deadline=None)  # each asks scikit-learn for figures of several classes
numbers = st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=2, max_size=40)
labels = st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=2, max_size=40)
REGRESSION = {
    "rmse": sk.root_mean_squared_error,
    "mse": sk.mean_squared_error,
    "mae": sk.mean_absolute_error,
    "medae": sk.median_absolute_error,
    "rmsle": sk.root_mean_squared_log_error,
    "mape": sk.mean_absolute_percentage_error,
    "r2": sk.r2_score,
    "pinball@0.5": sk.mean_pinball_loss,
    "pinball@0.9": lambda t, p: sk.mean_pinball_loss(t, p, alpha=0.9),
}
LABELS = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "mcc": sk.matthews_corrcoef,
    "f1_micro": lambda t, p: sk.f1_score(t, p, average="micro"),
    "f1_macro": lambda t, p: sk.f1_score(t, p, average="macro"),
    "f1_weighted": lambda t, p: sk.f1_score(t, p, average="weighted"),
}


@pytest.mark.parametrize("name", sorted(REGRESSION))
@given(pairs=numbers)
def test_regression_agrees_with_sklearn(name: str, pairs: list) -> None:
    truth, predicted = map(np.array, zip(*pairs, strict=True))
    # Sums of squares of up to 1e6 lose what is below 1e-12 of the largest, so R2 is compared on its own scale.
    found, wanted = compute(find_metric(name), truth, predicted), REGRESSION[name](truth, predicted)
    assert math.isclose(found, wanted, rel_tol=1e-12, abs_tol=1e-12)


@given(pairs=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=3, max_size=40))
def test_correlations_agree_with_scipy_also_where_values_are_equal(pairs: list) -> None:
    truth, predicted = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    assume(len(set(truth)) > 1 and len(set(predicted)) > 1)
    for name in ("pearson", "spearman", "kendall"):
        wanted = getattr(stats, {"pearson": "pearsonr", "spearman": "spearmanr", "kendall": "kendalltau"}[name])
        assert math.isclose(compute(METRICS[name], truth, predicted), wanted(truth, predicted).statistic, abs_tol=1e-12)


@given(pairs=st.lists(st.tuples(st.just(0.0) | st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)), min_size=1, max_size=40))
def test_poisson_deviance_agrees_with_sklearn(pairs: list) -> None:
    truth, predicted = map(np.array, zip(*pairs, strict=True))
    wanted = sk.mean_poisson_deviance(truth, predicted)
    assert math.isclose(compute(METRICS["poisson"], truth, predicted), wanted, rel_tol=1e-12, abs_tol=1e-9)


@pytest.mark.filterwarnings("ignore::UserWarning:sklearn")
@pytest.mark.parametrize("name", sorted(LABELS))
@given(pairs=labels)
def test_labels_agree_with_sklearn(name: str, pairs: list) -> None:
    truth, predicted = (np.array(side, dtype=object) for side in zip(*pairs, strict=True))
    assert math.isclose(
        compute(METRICS[name], truth, predicted, CLASSES), LABELS[name](truth, predicted), rel_tol=1e-12, abs_tol=1e-12
    )


@given(pairs=labels)
def test_kappas_agree_with_sklearn_over_all_classes(pairs: list) -> None:
    """Also where one of the classes in between is held by neither side; weights follow the numbers, not the text."""
    names = {"a": "2", "b": "9", "c": "10"}
    truth, predicted = (np.array([names[x] for x in side], dtype=object) for side in zip(*pairs, strict=True))
    assume(len({*truth, *predicted}) > 1)
    for name, weights in (("kappa", None), ("qwk", "quadratic")):
        wanted = sk.cohen_kappa_score(truth, predicted, weights=weights, labels=["2", "9", "10"])
        assert math.isclose(compute(METRICS[name], truth, predicted, ("10", "2", "9")), wanted, abs_tol=1e-12)


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
        "gini": 2 * sk.roc_auc_score(hits, given_) - 1,
        "average_precision": sk.average_precision_score(hits, given_),
    }
    for name, value in wanted.items():
        found = compute(METRICS[name], np.array(truth, dtype=object), given_, ("no", "yes"))
        assert math.isclose(found, value, rel_tol=1e-12, abs_tol=1e-12)


@few
@given(st.integers(0, 2**32 - 1))
def test_probabilities_of_several_classes_agree_with_sklearn(seed: int) -> None:
    """Rounded, so that many are equal."""
    draw = np.random.default_rng(seed)
    truth = np.concatenate([CLASSES, draw.choice(CLASSES, 20)])
    chances = draw.dirichlet([1, 1, 1], 23).round(1) + 0.01
    chances /= chances.sum(axis=1, keepdims=True)
    area = sk.roc_auc_score(truth, chances, multi_class="ovr", labels=list(CLASSES))
    each = [sk.average_precision_score(truth == name, chances[:, n]) for n, name in enumerate(CLASSES)]
    wanted = {
        "auc": area,
        "gini": 2 * area - 1,
        "average_precision": np.mean(each),
        "log_loss": sk.log_loss(truth, chances, labels=list(CLASSES)),
    }
    for name, value in wanted.items():
        assert math.isclose(compute(METRICS[name], truth, chances, CLASSES), value, rel_tol=1e-12, abs_tol=1e-12)


@few
@given(st.integers(0, 2**32 - 1))
def test_several_targets_are_judged_by_the_mean_of_their_figures(seed: int) -> None:
    draw = np.random.default_rng(seed)
    hits = np.vstack([[0, 0, 0], [1, 1, 1], draw.integers(0, 2, (20, 3))])
    chances = draw.random((22, 3)).round(1)
    assert math.isclose(compute(METRICS["auc"], hits, chances), sk.roc_auc_score(hits, chances), rel_tol=1e-12)
    errors = [sk.root_mean_squared_log_error(hits[:, n], chances[:, n]) for n in range(3)]
    assert math.isclose(compute(METRICS["rmsle"], hits, chances), np.mean(errors), rel_tol=1e-12)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.permutations("abcdef")), min_size=1, max_size=10))
def test_rankings_agree_with_their_definitions(rows: list) -> None:
    truth, orders = zip(*rows, strict=True)
    places = np.array([order.index(label) + 1 for label, order in rows])
    ranked = np.array([" ".join(order) for order in orders])
    gains = [[label == one for one in order] for label, order in rows]
    scores = [[6, 5, 4, 3, 2, 1]] * len(rows)
    assert math.isclose(compute(find_metric("map@3"), truth, ranked), np.mean((places <= 3) / places))
    assert math.isclose(compute(find_metric("ndcg@3"), truth, ranked), sk.ndcg_score(gains, scores, k=3), abs_tol=1e-12)


@pytest.mark.parametrize(
    ("name", "truth", "predicted", "value"),
    [
        ("map@3", "a b", "b x a", (1 + 2 / 3) / 2),
        ("map@5", "a", "a a b", 1.0),
        ("map@2", "a b c", "a b", 1.0),
        ("ndcg@2", "a b", "x a", (1 / math.log2(3)) / (1 + 1 / math.log2(3))),
        ("exact_match", "3 p.m.", "3 pm", 0.0),
        ("levenshtein", "kitten", "sitting", 3.0),
        ("jaccard", "so Good", "good day", 1 / 3),
        ("dice", "1 4", "3 4", 0.5),
        ("dice", "", "", 1.0),
        ("dice", "", "1 1", 0.0),
    ],
)
def test_texts_are_judged_as_defined(name: str, truth: str, predicted: str, value: float) -> None:
    assert math.isclose(compute(find_metric(name), [truth], [predicted]), value)


def test_kullback_leibler_is_that_of_scipy() -> None:
    truth, given_ = np.array([[0.2, 0.8, 0.0], [1, 0, 0]]), np.array([[0.3, 0.3, 0.4], [0.9, 0.05, 0.05]])
    wanted = np.mean([stats.entropy(t, p) for t, p in zip(truth, given_, strict=True)])
    assert math.isclose(compute(METRICS["kl"], truth, given_), wanted)


@given(pairs=st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=20))
def test_symmetric_percentages_follow_kaggle(pairs: list) -> None:
    """Two zeros count as no error."""
    each = [0 if not (t or p) else 200 * abs(t - p) / (abs(t) + abs(p)) for t, p in pairs]
    truth, predicted = zip(*pairs, strict=True)
    assert math.isclose(compute(METRICS["smape"], truth, predicted), np.mean(each), rel_tol=1e-12)


@given(pairs=labels)
def test_f1_is_that_of_the_last_class(pairs: list) -> None:
    """Also where neither side holds that class."""
    truth, predicted = (np.array(side, dtype=object) for side in zip(*pairs, strict=True))
    wanted = sk.f1_score(truth == "c", predicted == "c", zero_division=0.0)
    assert math.isclose(compute(METRICS["f1"], truth, predicted, CLASSES), wanted, rel_tol=1e-12)


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
        ("poisson", [1.0, 2.0], [0.0, 2.0]),
        ("auc", ["no", "yes"], [0.1, float("nan")]),
        ("accuracy", ["no"], ["no", "yes"]),
        ("mae", [], []),
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
        ("MAP@5", "map@5"),
        ("map 12", "map@12"),
        ("Mean Average Precision at 3", "map@3"),
        ("NDCG", "ndcg@5"),
        ("pinball@0.9", "pinball@0.9"),
        ("quantile loss 0.25", "pinball@0.25"),
        ("Cohen's kappa", "kappa"),
        ("PR-AUC", "average_precision"),
    ],
)
def test_a_metric_is_found_however_it_is_spelt(spelt: str, name: str) -> None:
    assert find_metric(spelt).name == name


def test_an_unknown_metric_is_told_with_the_list() -> None:
    with pytest.raises(ConfigError, match=r"there is no metric 'sharpness'\. Known: rmse, mse"):
        find_metric("sharpness")


@pytest.mark.parametrize("name", ["pinball@2", "map@0", "map@2.5", "rmse@3"])
def test_a_number_that_makes_no_sense_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        find_metric(name)


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
        ("Submissions are evaluated according to the Mean Average Precision @ 5 (MAP@5)", "map@5"),
        ("A map of 5 towns.", None),
        ("Evaluated on the mean column-wise ROC AUC.", "auc"),
    ],
)
def test_a_description_may_name_the_metric(text: str, name: str | None) -> None:
    found = metric_in(text)
    assert (found.name if found else None) == name


def test_the_documentation_lists_every_metric() -> None:
    page = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
    for metric in METRICS.values():
        better = "higher" if metric.maximize else "lower"
        assert f"| `{metric.name}` | {metric.title} | {better} | {metric.predicts} |" in page


def test_every_value_lies_within_the_bounds() -> None:
    for metric in METRICS.values():
        sides = example(metric, 0)
        low, high = bounds(metric)
        assert low <= compute(metric, *sides) <= high
        assert compute(metric, sides[0], *_perfect(metric, sides)) == pytest.approx(high if metric.maximize else low)


def _perfect(metric: Metric, sides: tuple) -> tuple:
    truth, _, classes = sides
    if metric.predicts == "probability" and truth.ndim == 1:
        return (truth[:, None] == np.array(classes)[None, :]).astype(float), classes
    return truth, classes


def test_classes_without_rows_are_left_out_of_areas() -> None:
    truth = np.array(list("0011"))
    chances = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.4, 0.5, 0.1], [0.1, 0.8, 0.1]])
    found = compute(METRICS["auc"], truth, chances, ("0", "1", "2"))
    both = [sk.roc_auc_score(truth == name, chances[:, int(name)]) for name in "01"]
    assert found == pytest.approx(np.mean(both), abs=1e-12)
