"""Tables as they stand in people's files: every cell as its text, so that rows can be written back unchanged."""

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.tasks.advice import check_kind

if TYPE_CHECKING:
    import pandas as pd

# What pandas.read_csv takes for missing.
_MISSING = frozenset((
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
))  # fmt: skip


def read_table(path: Path) -> "pd.DataFrame":
    """The table of a CSV or TSV file (also .gz), every cell as its text, missing cells as ''.

    A column without a name gets the one that pandas gives it, `Unnamed: <position>`.

    Raises: TaskError for a file that is missing, empty, without rows, not UTF-8, not separated by commas (tabs in a TSV
    file), or with a column name twice.
    """
    import pandas as pd

    if not path.is_file():
        raise TaskError(f"there is no file {path}. Check the path.")
    separator = "\t" if ".tsv" in path.suffixes else ","
    check_kind(path)
    try:
        _check_header(path, separator)
        frame = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        found = f"0x{exc.object[exc.start]:02x}"
        raise TaskError(f"{path} is not UTF-8 (it holds the byte {found}). Save it as UTF-8 and try again.") from exc
    except pd.errors.EmptyDataError as exc:
        raise TaskError(f"{path} is empty. It needs a header line and rows.") from exc
    except pd.errors.ParserError as exc:
        raise TaskError(f"{path} is not a table: {' '.join(str(exc).split())}. Repair that line.") from exc
    except (OSError, EOFError, zlib.error) as exc:
        raise TaskError(f"{path} cannot be read: {exc}. Check the file and its permissions.") from exc
    if not isinstance(frame.index, pd.RangeIndex):
        raise TaskError(f"the rows of {path} have more cells than its header has names. Name every column.")
    if not len(frame):
        raise TaskError(f"{path} has a header but no rows. Put the rows below it.")
    return frame


def write_table(frame: "pd.DataFrame", path: Path) -> None:
    """Writes a table of text cells as a CSV file that reads as the same cells."""
    import csv

    plain = not any(frame[name].str.contains("\r", regex=False).any() for name in frame.columns)  # pandas quotes no \r
    frame.to_csv(path, index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL if plain else csv.QUOTE_ALL)


def typed(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The frame with numbers, booleans and missing cells as pandas.read_csv would give them to a script."""
    import pandas as pd

    return pd.DataFrame({name: typed_column(frame[name]) for name in frame.columns}, index=frame.index)


def is_missing(cells: "pd.Series[str]") -> "pd.Series[bool]":
    """Which cells pandas.read_csv takes for missing."""
    return cells.isin(_MISSING)


def typed_column(cells: "pd.Series[str]") -> "pd.Series[Any]":
    """The column as pandas.read_csv would give it: numbers, booleans, or texts with missing cells."""
    import pandas as pd

    numbers = pd.to_numeric(cells, errors="coerce")
    if is_missing(cells[numbers.isna()]).all():
        return numbers
    if cells.isin(["True", "False", "TRUE", "FALSE", "true", "false"]).all():
        return cells.str.lower() == "true"
    return cells.astype(object).mask(is_missing(cells))


def _check_header(path: Path, separator: str) -> None:
    """Raises: TaskError for another separator, and for a name that occurs twice, which pandas would silently change."""
    import pandas as pd

    first = pd.read_csv(
        path, sep=separator, header=None, nrows=1, dtype=str, encoding="utf-8-sig", keep_default_na=False
    )
    names = list(first.iloc[0])
    if twice := [name for n, name in enumerate(names) if name in names[:n]]:
        raise TaskError(f"{path} has the column {twice[0]!r} more than once. Give every column a name of its own.")
    if len(names) == 1 and (other := [sign for sign in ";|\t," if sign in names[0]]):
        raise TaskError(f"the columns of {path} seem to be separated by {other[0]!r}. Save it with {separator!r}.")
