"""Columns of times as numbers, and the rows that come last."""

from typing import TYPE_CHECKING, Any

from machine_learning_engineering.shared_libraries.errors import TaskError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Times = np.ndarray[tuple[int], np.dtype[np.float64]]
    Rows = np.ndarray[tuple[int], np.dtype[np.int64]]

_DAY_AND_MONTH = r"^\s*(\d{1,2})[-/. ](\d{1,2})[-/. ]\d{2}"  # in either order


def times_of(cells: "pd.Series[str]", where: str, beside: "pd.Series[str] | None" = None) -> "Times":
    """The time of each row as a number: as it stands, or in nanoseconds for dates.

    `13/02/2020` tells that the day comes first in all cells of a column; `beside` are cells that are written alike.

    Raises: TaskError for a cell that is neither a number nor a date.
    """
    import numpy as np
    import pandas as pd

    numbers = pd.to_numeric(cells, errors="coerce")
    if not numbers.isna().any():
        return numbers.to_numpy(dtype=np.float64)
    known = cells if beside is None else pd.concat([cells, beside])
    dates = pd.to_datetime(cells, errors="coerce", format="mixed", utc=True, dayfirst=_is_day_first(known))
    if dates.isna().any():
        row = int(np.flatnonzero(dates.isna())[0])
        raise TaskError(
            f"the time column {cells.name!r} of {where} holds {cells.iloc[row]!r} in row {row + 1} below the header, "
            "which is neither a number nor a date. Repair it, or name another column with --time."
        )
    return dates.to_numpy(dtype="datetime64[ns]").astype(np.int64).astype(np.float64)


def _is_day_first(cells: "pd.Series[str]") -> bool:
    parts: Any = cells.str.extract(_DAY_AND_MONTH).astype(float)
    return bool(parts.notna().all(axis=None) and (parts[0] > 12).any() and not (parts[1] > 12).any())


def last(times: "Times", count: int) -> "Rows":
    """The positions of about `count` rows, at least one and not all, that come last; ascending.

    Rows of one time are not torn, unless half of all rows or more are of the time at which the cut lies.
    """
    import numpy as np

    order = np.argsort(times, kind="stable")
    cut = times[order[-count]]
    later, since = np.flatnonzero(times > cut), np.flatnonzero(times >= cut)
    if len(since) <= len(times) / 2 and (len(since) <= 2 * count or not len(later)):
        return since
    return later if len(later) else np.sort(order[-count:])
