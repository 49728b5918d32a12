"""Tables as they stand in people's files: every cell as its text, so that rows can be written back unchanged."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine_learning_engineering.shared_libraries.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

# What pandas.read_csv takes for missing.
_MISSING = frozenset((
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
))  # fmt: skip


def read_table(path: Path) -> "pd.DataFrame":
    """The table of a CSV or TSV file (also .gz), every cell as its text, missing cells as ''.

    Raises: TaskError for a file that is missing, empty, without rows, not UTF-8, or with a column name twice.
    """
    import pandas as pd

    if not path.is_file():
        raise TaskError(f"there is no file {path}. Check the path.")
    separator = "\t" if ".tsv" in path.suffixes else ","
    try:
        _check_header(path, separator)
        frame = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise TaskError(f"{path} is not UTF-8 (byte {exc.start}). Save it as UTF-8 and try again.") from exc
    except pd.errors.EmptyDataError as exc:
        raise TaskError(f"{path} is empty. It needs a header line and rows.") from exc
    except pd.errors.ParserError as exc:
        raise TaskError(f"{path} is not a table: {exc}") from exc
    if not len(frame):
        raise TaskError(f"{path} has a header but no rows.")
    return frame


def typed(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The frame with numbers, booleans and missing cells as pandas.read_csv would give them to a script."""
    import pandas as pd

    return pd.DataFrame({name: _typed(frame[name]) for name in frame.columns}, index=frame.index)


def is_missing(cells: "pd.Series[str]") -> "pd.Series[bool]":
    """Which cells pandas.read_csv takes for missing."""
    return cells.str.strip().isin(_MISSING)


def _typed(cells: "pd.Series[str]") -> "pd.Series[Any]":
    import pandas as pd

    known = cells[~is_missing(cells)].str.strip()
    numbers = pd.to_numeric(known, errors="coerce")
    if numbers.notna().all():
        return numbers.reindex(cells.index)
    if len(known) == len(cells) and known.isin(["True", "False", "TRUE", "FALSE", "true", "false"]).all():
        return known.str.lower() == "true"
    return known.astype(object).reindex(cells.index)


def _check_header(path: Path, separator: str) -> None:
    """Raises: TaskError for a column name that occurs twice, which pandas would rename without a word."""
    import pandas as pd

    first = pd.read_csv(
        path, sep=separator, header=None, nrows=1, dtype=str, encoding="utf-8-sig", keep_default_na=False
    )
    names = list(first.iloc[0])
    if twice := [name for n, name in enumerate(names) if name in names[:n]]:
        raise TaskError(f"{path} has the column {twice[0]!r} more than once. Give every column a name of its own.")
