"""How predictions are judged: a table of metrics, their names and directions, and the functions that compute them.

Truth is a 1-D array: numbers in regression, labels as text in classification. Predictions are 1-D, or, for the
probabilities of several classes, an array (n_rows, n_classes) in the order of `classes`. A single probability column
holds the probability of the last of the sorted classes.
"""

import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from machine_learning_engineering.shared_libraries.errors import ConfigError, SubmissionError
from machine_learning_engineering.shared_libraries.records import Metric, Predicts, Problem

Compute = Callable[[Any, Any, Sequence[str]], float]


@dataclass(frozen=True)
class _Row:
    title: str
    maximize: bool
    predicts: Predicts
    compute: Compute
    aliases: tuple[str, ...] = ()


def _sklearn(name: str, **settings: Any) -> Compute:
    """The function of this name in sklearn.metrics, imported when it is first needed."""

    def compute(truth: Any, predictions: Any, classes: Sequence[str]) -> float:
        from sklearn import metrics

        return float(getattr(metrics, name)(truth, predictions, **settings))

    return compute


def _rmsle(truth: Any, predictions: Any, classes: Sequence[str]) -> float:
    if min(predictions) < 0:
        raise SubmissionError("RMSLE needs predictions that are not negative; clip them at 0.")
    return _sklearn("root_mean_squared_log_error")(truth, predictions, classes)


def _correlation(name: str) -> Compute:
    """The statistic of this correlation function of scipy.stats; it has none for constant predictions."""

    def compute(truth: Any, predictions: Any, classes: Sequence[str]) -> float:
        from scipy import stats

        return float(getattr(stats, name)(truth, predictions).statistic)

    return compute


def _binary_f1(truth: Any, predictions: Any, classes: Sequence[str]) -> float:
    import numpy as np

    wanted, given = (np.asarray(side) == classes[-1] for side in (truth, predictions))
    return _sklearn("f1_score", zero_division=0.0)(wanted, given, classes)


def _kappa(truth: Any, predictions: Any, classes: Sequence[str]) -> float:
    order = sorted(classes, key=_as_number)
    rank = {label: n for n, label in enumerate(order)}
    wanted, given = ([rank[label] for label in side] for side in (truth, predictions))
    return _sklearn("cohen_kappa_score", weights="quadratic")(wanted, given, classes)


def _auc(truth: Any, predictions: Any, classes: Sequence[str]) -> float:
    import numpy as np

    if absent := [label for label in classes if label not in set(truth)]:
        raise SubmissionError(
            f"the area under the ROC curve needs rows of every class; there are none of {absent[0]!r}."
        )
    if np.ndim(predictions) == 1:
        return _sklearn("roc_auc_score")(np.asarray(truth) == classes[-1], predictions, classes)
    return _sklearn("roc_auc_score", multi_class="ovr", labels=list(classes))(
        truth, _rows_sum_to_one(predictions), classes
    )


def _log_loss(truth: Any, predictions: Any, classes: Sequence[str]) -> float:
    import numpy as np

    if np.ndim(predictions) == 1:
        predictions = np.column_stack([1 - np.asarray(predictions), predictions])
    return _sklearn("log_loss", labels=list(classes))(truth, _rows_sum_to_one(predictions), classes)


def _brier(truth: Any, predictions: Any, classes: Sequence[str]) -> float:
    import numpy as np

    if np.ndim(predictions) == 1:
        return float(np.mean(((np.asarray(truth) == classes[-1]) - np.asarray(predictions)) ** 2))
    hits = np.asarray(truth)[:, None] == np.asarray(classes)[None, :]
    return float(np.mean(np.sum((hits - np.asarray(predictions)) ** 2, axis=1)))


def _rows_sum_to_one(predictions: Any) -> Any:
    import numpy as np

    return np.asarray(predictions) / np.sum(predictions, axis=1, keepdims=True)


_ROWS: dict[str, _Row] = {
    "rmse": _Row(
        "root mean squared error", False, "value", _sklearn("root_mean_squared_error"), ("root mean square error",)
    ),
    "mse": _Row("mean squared error", False, "value", _sklearn("mean_squared_error")),
    "rmsle": _Row("root mean squared logarithmic error", False, "value", _rmsle),
    "mae": _Row("mean absolute error", False, "value", _sklearn("mean_absolute_error")),
    "mape": _Row("mean absolute percentage error", False, "value", _sklearn("mean_absolute_percentage_error")),
    "medae": _Row("median absolute error", False, "value", _sklearn("median_absolute_error")),
    "r2": _Row("coefficient of determination (R2)", True, "value", _sklearn("r2_score"), ("r squared",)),
    "pearson": _Row("Pearson correlation", True, "value", _correlation("pearsonr"), ("pearson r",)),
    "spearman": _Row("Spearman rank correlation", True, "value", _correlation("spearmanr"), ("spearman rho",)),
    "accuracy": _Row("accuracy", True, "label", _sklearn("accuracy_score"), ("acc",)),
    "balanced_accuracy": _Row("balanced accuracy", True, "label", _sklearn("balanced_accuracy_score")),
    "f1": _Row("F1 score of the last class", True, "label", _binary_f1, ("binary f1", "f1 binary")),
    "f1_macro": _Row("macro F1 score", True, "label", _sklearn("f1_score", average="macro"), ("macro f1",)),
    "f1_micro": _Row("micro F1 score", True, "label", _sklearn("f1_score", average="micro"), ("micro f1",)),
    "mcc": _Row("Matthews correlation coefficient", True, "label", _sklearn("matthews_corrcoef")),
    "qwk": _Row("quadratic weighted kappa", True, "label", _kappa, ("quadratic kappa", "cohen kappa", "kappa")),
    "auc": _Row("area under the ROC curve", True, "probability", _auc, ("roc auc", "auroc")),
    "log_loss": _Row(
        "logarithmic loss", False, "probability", _log_loss, ("logloss", "cross entropy", "logarithmic loss")
    ),
    "brier": _Row("Brier score", False, "probability", _brier),
}
METRICS: dict[str, Metric] = {
    name: Metric(name=name, title=row.title, maximize=row.maximize, predicts=row.predicts)
    for name, row in _ROWS.items()
}


def find_metric(name: str, direction: Literal["maximize", "minimize"] | None = None) -> Metric:
    """The metric of a name, however it is spelt. Raises: ConfigError for an unknown name or a wrong direction."""
    known = {_plain(alias): key for key, row in _ROWS.items() for alias in (key, row.title, *row.aliases)}
    found = known.get(_plain(name))
    if found is None:
        near = get_close_matches(_plain(name), known, n=1)
        hint = f" Did you mean {known[near[0]]}?" if near else ""
        raise ConfigError(f"there is no metric {name!r}.{hint} Known: {', '.join(METRICS)}.")
    metric = METRICS[found]
    if direction is not None and (direction == "maximize") != metric.maximize:
        raise ConfigError(f"{found} is to be {'maximized' if metric.maximize else 'minimized'}, not {direction}d.")
    return metric


def metric_in(text: str) -> Metric | None:
    """The first metric that a description names, the longest of names that overlap, or None.

    Names that are also everyday words or abbreviations count only near a word such as "metric" or "evaluated".
    """
    words = _words(text)
    found = [
        (match.start(), -len(name), key)
        for key, row in _ROWS.items()
        for name in {_words(alias) for alias in (key, row.title.split(" (")[0], *row.aliases)}
        for match in re.finditer(rf"\b{name}\b", words)
        if name not in _EVERYDAY or _CUE.search(words, max(0, match.start() - _NEAR), match.end() + _NEAR)
    ]
    return METRICS[min(found)[2]] if found else None


_EVERYDAY = frozenset(("accuracy", "acc", "f1", "kappa", "mae", "mape", "mcc", "mse", "pearson", "r2", "spearman"))
_CUE = re.compile(r"\b(metric|evaluat|scor|judg|measured by|assess|maximi[sz]|minimi[sz]|optimi[sz])")
_NEAR = 80  # characters


def default_metric(problem: Problem) -> Metric:
    """What a problem is judged by where nobody said."""
    return METRICS["rmse" if problem == "regression" else "accuracy"]


def compute(metric: Metric, truth: Any, predictions: Any, classes: Sequence[str] = ()) -> float:
    """The finite value of the metric. Raises: SubmissionError with the reason where there is none.

    `classes` are all labels, sorted. Warnings of the libraries are not shown: what they warn of is either harmless or
    ends in a value that is not finite.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = _ROWS[metric.name].compute(truth, predictions, classes)
    except ValueError as exc:
        raise SubmissionError(f"{metric.title} cannot be computed: {exc}") from exc
    if not math.isfinite(value):
        raise SubmissionError(f"{metric.title} of these predictions is not a finite number.")
    return value


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _as_number(label: str) -> tuple[float, str]:
    try:
        return float(label), label
    except ValueError:
        return math.inf, label
