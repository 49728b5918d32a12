"""Text files of any form as tables: with whatever separator, with or without a header, whole or in part."""

import csv
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 200_000  # that are read of a table
_LOOKED_AT = 200  # lines that tell the form
_REGULAR = 0.9  # of these lines have the same number of separators, or the text is no table
_SEPARATORS = (",", "\t", ";", "|")
_HEAD_BYTES = 2**18


def read_cells(path: Path) -> "pd.DataFrame | None":
    """The cells of a text file, its columns numbered from 0 and its header, if any, the first row; None for prose.

    Lines that do not fit are left out. At most 200,000 rows are read.
    """
    import pandas as pd

    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    lines = [line for line in head.decode("utf-8-sig", errors="replace").splitlines() if line.strip()][:_LOOKED_AT]
    if b"\0" in head or (form := _form(lines)) is None:
        return None
    separator, width = form
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
        try:
            return pd.read_csv(
                path, sep=separator, header=None, names=range(width), dtype=str, keep_default_na=False, nrows=MOST_ROWS,
                encoding="utf-8-sig", encoding_errors="replace", on_bad_lines="skip", quoting=quoting,
            )  # fmt: skip
        except (ValueError, OSError):
            continue
    return None


def _form(lines: list[str]) -> tuple[str, int] | None:
    """The separator of a table, white space where there is no other, and its number of columns."""
    found = [(count, sign) for sign in _SEPARATORS if (count := _usual([line.count(sign) for line in lines]))]
    if found:
        count, sign = max(found)
        return sign, count + 1
    words = _usual([len(line.split()) for line in lines])
    return (r"\s+", words) if words else None


def _usual(counts: list[int]) -> int:
    """The number that nearly all lines have; 0 where there is none."""
    (number, lines), *_ = Counter(counts).most_common(1) or [(0, 0)]
    return number if lines >= _REGULAR * len(counts) else 0
