"""The way from predictions to places and back, for metrics that look at the order of rows alone.

Members of a blend then meet on one scale, whatever theirs are. A place is a share of the rows that were predicted while
searching, so that what a row gets never depends on which rows stand beside it in a file.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

Curve = tuple[list[float], list[float]]  # a line that rises through these points, as `np.interp` takes it
_POINTS = 101
_BEYOND = 0.01  # of the whole height, for values below or above all that are known: they keep their order


def place_curve(predictions: "Array") -> Curve:
    """From a member's predictions, shape (n_rows,), to the share of rows below each."""
    import numpy as np

    heights = np.linspace(0, 1, _POINTS)
    known, shares = _rising(np.quantile(predictions, heights), heights)
    span = (known[-1] - known[0]) or 1.0
    return [_short(known[0] - span), *known, _short(known[-1] + span)], [-_BEYOND, *shares, 1 + _BEYOND]


def value_curve(places: "Array", predictions: Sequence["Array"], weights: Sequence[float], chances: bool) -> Curve:
    """From mean places, shape (n_rows,), to values that are distributed as the members' are on average.

    With `chances`, values stay between 0 and 1.
    """
    import numpy as np

    heights = np.linspace(0, 1, _POINTS)
    means = np.average([np.quantile(one, heights) for one in predictions], axis=0, weights=weights)
    known, values = _rising(np.quantile(places, heights), means)
    reach = _BEYOND * ((values[-1] - values[0]) or 1.0)
    low, high = values[0] - reach, values[-1] + reach
    if chances:
        low, high = max(low, values[0] / 2), min(high, (values[-1] + 1) / 2)
    return [-_BEYOND, *known, 1 + _BEYOND], [_short(low), *values, _short(high)]


def _rising(x: "Array", y: "Array") -> tuple[list[float], list[float]]:
    """Points with x rounded to six digits, each x once with the mean of its y."""
    import numpy as np

    unique, which = np.unique([_short(value) for value in x], return_inverse=True)
    means = np.bincount(which, weights=y) / np.bincount(which)
    return unique.tolist(), [_short(value) for value in means]


def _short(value: float) -> float:
    """With six digits: the curves stand in scripts that people read."""
    return float(f"{value:.6g}")
