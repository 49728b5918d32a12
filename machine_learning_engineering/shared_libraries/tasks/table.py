"""Tables as they stand in people's files: every cell as its text, so that rows can be written back unchanged."""

from pathlib import Path
from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd


def read_table(path: Path) -> "pd.DataFrame":
    """The table of a CSV or TSV file (also .gz), every cell as its text, missing cells as ''.

    Raises: TaskError for a file that is missing, empty, without rows, not UTF-8, or with a column name twice.
    """
    import pandas as pd

    if not path.is_file():
        raise TaskError(f"there is no file {path}. Check the path.")
    separator = "\t" if ".tsv" in path.suffixes else ","
    try:
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
    """The frame with the types that pandas.read_csv would give a script."""
    import io

    import pandas as pd

    return pd.read_csv(io.StringIO(frame.to_csv(index=False)))
