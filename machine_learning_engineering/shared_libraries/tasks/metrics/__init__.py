"""How predictions are judged: the metrics by name, what they make of predictions, and what each row adds to the figure.

Truth has a row for each prediction: numbers in regression, labels as text in classification. Predictions have the shape
(n_rows,), or, for the probabilities of several classes, (n_rows, n_classes) in the order of `classes`. A single
probability is that of the last of the sorted classes. Where truth has the shape (n_rows, n_targets), so have
predictions, and a metric is the mean of its figures for the targets; a probability is then that of the truth 1.

Three functions tell all: `compute` gives the figure, `row_losses` what it is the mean (or the root of the mean) of,
where there is such a thing, and `contributions` how each row moves it, for every metric. For two attempts on the same
rows, `a` and `b` being their contributions, `(a - b).mean()` is the difference of their figures and
`(a - b).std(ddof=1) / sqrt(n)` its standard error.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.records import Metric
from machine_learning_engineering.shared_libraries.tasks.metrics.names import (
    default_metric,
    find_metric,
    metric_in,
    recorded_metric,
)
from machine_learning_engineering.shared_libraries.tasks.metrics.own import OwnMetric
from machine_learning_engineering.shared_libraries.tasks.metrics.table import METRICS, ROWS, row_of

if TYPE_CHECKING:
    from machine_learning_engineering.shared_libraries.tasks.metrics.kernels import Array, Kernel

__all__ = [
    "METRICS",
    "bounds",
    "compute",
    "contributions",
    "default_metric",
    "find_metric",
    "metric_in",
    "recorded_metric",
    "row_losses",
]

T = TypeVar("T")


def compute(metric: Metric, truth: Any, predictions: Any, classes: Sequence[str] = ()) -> float:
    """The finite value of the metric. Raises: SubmissionError with the reason where there is none.

    `classes` are all labels, sorted.
    """
    value = _guarded(metric, lambda kernel, y, p: kernel.value(y, p, classes), truth, predictions)
    if not math.isfinite(value):
        raise SubmissionError(f"{metric.title} of these predictions is not a finite number.")
    return value


def contributions(metric: Metric, truth: Any, predictions: Any, classes: Sequence[str] = ()) -> "Array":
    """For each row the value plus that row's influence on it, shape (n_rows,); their mean is the value.

    Raises: SubmissionError where the value or a row's influence is not finite. Source: the infinitesimal jackknife
    (Efron 1982, chapter 6); DeLong et al. 1988 for areas under the ROC curve.
    """
    found = _guarded(metric, lambda kernel, y, p: kernel.contributions(y, p, classes), truth, predictions)
    if not math.isfinite(found.sum()):
        raise SubmissionError(f"{metric.title} of these predictions is not a finite number in every row.")
    return found


def row_losses(
    metric: Metric, truth: Any, predictions: Any, classes: Sequence[str] = ()
) -> "tuple[Array, Callable[[float], float]] | None":
    """Each row's own figure, shape (n_rows,), and the function that makes the metric of their mean.

    None where there is no such thing. The function is the identity or the square root.

    Raises: SubmissionError where a figure is not finite.
    """
    from machine_learning_engineering.shared_libraries.tasks.metrics.kernels import Mean

    kernel = None if isinstance(metric, OwnMetric) else _kernel(metric, truth)
    if not isinstance(kernel, Mean):
        return None
    found = _guarded(metric, lambda _, y, p: kernel.losses(y, p, classes), truth, predictions)
    if not math.isfinite(found.sum()):
        raise SubmissionError(f"{metric.title} of these predictions is not a finite number in every row.")
    return found, math.sqrt if kernel.root else float


def bounds(metric: Metric) -> tuple[float, float]:
    """The least and the greatest value that the metric can take; infinite where there is no limit, or none is known."""
    if isinstance(metric, OwnMetric) or metric.name.partition("@")[0] not in ROWS:
        return -math.inf, math.inf
    return row_of(metric).bounds


def _guarded(metric: Metric, ask: "Callable[[Kernel, Array, Array], T]", truth: Any, predictions: Any) -> T:
    """What a kernel says of arrays. Raises: SubmissionError for what it cannot judge.

    Warnings of the libraries are not shown: what they warn of is harmless or ends in a figure that is not finite.
    """
    import numpy as np

    y, p = (_array(metric, side, given) for side, given in ((truth, False), (predictions, True)))
    try:
        if len(y) != len(p) or not len(y):
            raise ValueError(f"there are {len(y)} true rows and {len(p)} predicted ones")
        if p.dtype.kind == "f" and not np.isfinite(p).all():
            raise ValueError("some predictions are NaN or infinite")
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return ask(_kernel(metric, y), y, p)
    except ValueError as exc:
        raise SubmissionError(f"{metric.title} cannot be computed: {exc}.") from exc


def _array(metric: Metric, side: Any, given: bool) -> "Array":
    """Numbers as floats; labels and texts as they are."""
    import numpy as np

    is_number = metric.predicts == "value" or (metric.predicts == "probability" and given)
    return np.asarray(side, dtype=float if is_number else None)


def _kernel(metric: Metric, truth: Any) -> "Kernel":
    import numpy as np

    from machine_learning_engineering.shared_libraries.tasks.metrics import (
        kernels,
        labels,
        probabilities,
        texts,
        values,
    )

    if isinstance(metric, OwnMetric):
        return metric.kernel()
    key, _, number = metric.name.partition("@")
    families = {**values.FAMILIES, **texts.FAMILIES}
    tables = {**values.KERNELS, **labels.KERNELS, **probabilities.KERNELS, **texts.KERNELS}
    kernel = families[key](float(number)) if number else tables[key]
    if np.ndim(truth) == 2 and key != "kl":
        return kernels.Columns(kernel, binary=metric.predicts == "probability")
    return kernel
