"""Metrics of numbers: errors, shares of variance, correlations. Truth and predictions are floats, shape (n_rows,).

SciPy is imported by the few formulas that need it: that takes a third of a second.
"""

from collections.abc import Callable, Sequence

import numpy as np

from machine_learning_engineering.shared_libraries.tasks.metrics.kernels import (
    Array,
    Influence,
    Kernel,
    Losses,
    Mean,
    ranks,
)


def _each(formula: Callable[[Array, Array], Array]) -> Losses:
    """A row's loss by a formula of the true and the predicted value; overflow ends in a figure that is not finite."""
    return lambda truth, predictions, classes: formula(truth, predictions)


def _absolute(y: Array, p: Array) -> Array:
    return np.asarray(np.abs(y - p))


def _squared(y: Array, p: Array) -> Array:
    return np.asarray((y - p) ** 2)


def _squared_log(y: Array, p: Array) -> Array:
    if min(y.min(), p.min()) < 0:
        raise ValueError("it needs predictions that are not negative; clip them at 0")
    return np.asarray((np.log1p(y) - np.log1p(p)) ** 2)


def _relative(y: Array, p: Array) -> Array:
    return np.asarray(np.abs(y - p) / np.maximum(np.abs(y), np.finfo(float).eps))


def _symmetric(y: Array, p: Array) -> Array:
    size = np.abs(y) + np.abs(p)
    return np.asarray(200 * np.abs(y - p) / np.where(size > 0, size, 1))


def _poisson(y: Array, p: Array) -> Array:
    from scipy.special import xlogy

    if p.min() <= 0 or y.min() < 0:
        raise ValueError("it needs predictions above 0; clip them at a small number")
    return np.asarray(2 * (xlogy(y, y / p) - y + p))


def _pinball(level: float) -> Losses:
    return _each(lambda y, p: np.maximum(level * (y - p), (level - 1) * (y - p)))


# --- Medians ----------------------------------------------------------------------------------------------------------


def _median_error(y: Array, p: Array, classes: Sequence[str]) -> float:
    return float(np.median(np.abs(y - p)))


def _median_influences(y: Array, p: Array, classes: Sequence[str]) -> Array:
    """Half a step, up or down, over the density of the errors at their median, which Siddiqui's quotient estimates."""
    errors = np.abs(y - p)
    width = min(0.45, len(y) ** (-1 / 3) * 0.97)  # Hall and Sheather's bandwidth of the median's 95 % interval
    low, high = np.quantile(errors, [0.5 - width, 0.5 + width])
    return np.asarray(np.where(errors > np.median(errors), 0.5, -0.5) * (high - low) / (2 * width))


# --- Variance explained, correlations ---------------------------------------------------------------------------------


def _r2(y: Array, p: Array, classes: Sequence[str]) -> float:
    if len(y) < 2:
        return float("nan")
    error, spread = float(((y - p) ** 2).sum()), float(((y - y.mean()) ** 2).sum())
    if spread == 0:
        return float(error == 0)
    return 1 - error / spread


def _r2_influences(y: Array, p: Array, classes: Sequence[str]) -> Array:
    errors, around = (y - p) ** 2, (y - y.mean()) ** 2
    spread = around.mean()
    return np.asarray((errors.mean() / spread * around - errors) / spread) if spread else np.zeros(len(y))


def _pearson(y: Array, p: Array, classes: Sequence[str]) -> float:
    from scipy.stats import pearsonr

    return float(pearsonr(y, p).statistic) if len(y) > 1 else float("nan")


def _pearson_influences(y: Array, p: Array, classes: Sequence[str]) -> Array:
    a, b = ((side - side.mean()) / side.std() for side in (y, p))
    return np.asarray(a * b - np.mean(a * b) * (a**2 + b**2) / 2)


def _spearman(y: Array, p: Array, classes: Sequence[str]) -> float:
    return _pearson(ranks(y), ranks(p), classes)


def _spearman_influences(y: Array, p: Array, classes: Sequence[str]) -> Array:
    """Pearson's influences, of ranks; a row also moves the ranks of all rows above it."""
    a, b = (ranks(side) / len(side) for side in (y, p))
    both, own, other = _rank_moment(a, b), _rank_moment(a, a), _rank_moment(b, b)
    spread = np.sqrt(a.var() * b.var())
    figure = np.cov(a, b, ddof=0)[0, 1] / spread
    return np.asarray(both / spread - figure / 2 * (own / a.var() + other / b.var()))


def _rank_moment(a: Array, b: Array) -> Array:
    """Each row's influence on the mean product of two rankings, up to a constant."""
    return np.asarray(a * b + _mean_above(a, b) + _mean_above(b, a))


def _mean_above(a: Array, b: Array) -> Array:
    """For each row, the sum of `b` over the rows with a larger `a`, and half of those with an equal one, over n."""
    names, code = np.unique(a, return_inverse=True)
    sums = np.bincount(code, weights=b, minlength=len(names))
    above = sums[::-1].cumsum()[::-1] - sums / 2
    return np.asarray(above[code] / len(a))


def _kendall(y: Array, p: Array, classes: Sequence[str]) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(y, p).statistic) if len(y) > 1 else float("nan")


def _kendall_influences(y: Array, p: Array, classes: Sequence[str]) -> Array:
    """Of a quotient of means over pairs; time grows with the square of the rows."""
    both, own, other = (np.zeros(len(y)) for _ in range(3))
    for start in range(0, len(y), 256):
        rows = slice(start, start + 256)
        a, b = (np.sign(side[rows, None] - side[None, :]) for side in (y, p))
        both[rows], own[rows], other[rows] = (a * b).mean(axis=1), (a * a).mean(axis=1), (b * b).mean(axis=1)
    spread = np.sqrt(own.mean() * other.mean())
    figure = both.mean() / spread
    return np.asarray(2 * both / spread - figure * (own / own.mean() + other / other.mean()))


KERNELS: dict[str, Kernel] = {
    "rmse": Mean(_each(_squared), root=True),
    "mse": Mean(_each(_squared)),
    "rmsle": Mean(_each(_squared_log), root=True),
    "mae": Mean(_each(_absolute)),
    "mape": Mean(_each(_relative)),
    "smape": Mean(_each(_symmetric)),
    "medae": Influence(_median_error, _median_influences),
    "poisson": Mean(_each(_poisson)),
    "r2": Influence(_r2, _r2_influences),
    "pearson": Influence(_pearson, _pearson_influences),
    "spearman": Influence(_spearman, _spearman_influences),
    "kendall": Influence(_kendall, _kendall_influences),
}
FAMILIES: dict[str, Callable[[float], Kernel]] = {"pinball": lambda level: Mean(_pinball(level))}
