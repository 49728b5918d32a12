"""What to tell about data that cannot be used as they are, so that the next try gets further."""

from pathlib import Path
from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.common_util import listed
from machine_learning_engineering.shared_libraries.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

_SLIPS = 0.05  # share of the rows
_SPREADSHEET = "Save it as CSV (in Excel: File, Save As, CSV UTF-8) and give that file."
# How files that are no CSV begin, what they are, and what to do about it.
_KINDS = (
    (b"PK\x03\x04", "a workbook or an archive", _SPREADSHEET),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", _SPREADSHEET),
    (b"PAR1", "a Parquet file", "Save it as CSV, for example with pandas: read_parquet(...).to_csv(..., index=False)."),
)


def check_kind(path: Path) -> None:
    """Raises: TaskError for a file that begins as no CSV does, and says how to make one of it."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as exc:
        raise TaskError(f"{path} cannot be read: {exc}. Check the file and its permissions.") from exc
    for start, what, advice in _KINDS:
        if head.startswith(start):
            raise TaskError(f"{path} is {what}, not a CSV file. {advice}")


def other_metric(labels: "pd.Series[str]", too_many: bool) -> str:
    """What to do about a target that a metric cannot judge; `too_many` different values make no classes."""
    import pandas as pd

    if pd.to_numeric(labels, errors="coerce").notna().all():
        return "Choose a metric for numbers, such as rmse, with --metric."
    if too_many:
        return (
            "If they are meant as numbers, write them as plain numbers, such as 1234.5, without units or separators; "
            "if they are classes, there are too many."
        )
    return "Choose a metric for classes, such as accuracy, with --metric."


def check_slips(labels: "pd.Series[str]") -> None:
    """Raises: TaskError for a target of numbers where a few cells, at most one in twenty, are none."""
    import pandas as pd

    numbers = pd.to_numeric(labels, errors="coerce")
    slips = labels[numbers.isna()]
    if 0 < len(slips) <= _SLIPS * len(labels):
        rows = "1 row" if len(slips) == 1 else f"{len(slips)} rows"
        raise TaskError(
            f"the target {labels.name!r} holds numbers, but {listed(sorted(set(slips)), 3)} in {rows} of "
            f"{len(labels):,}. Write numbers there, or remove these rows."
        )


def no_number(labels: "pd.Series[str]") -> str:
    """The first value that is not a number; the first of all where each is one."""
    import pandas as pd

    numbers = pd.to_numeric(labels, errors="coerce")
    return str(labels[numbers.isna()].iloc[0] if numbers.isna().any() else labels.iloc[0])
