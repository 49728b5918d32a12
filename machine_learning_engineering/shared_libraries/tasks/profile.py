"""What the data look like: the typed profile that prompts, chat and report show."""

import math
from typing import Any, Literal, get_args

import pandas as pd

from machine_learning_engineering.shared_libraries.records import ColumnProfile, DataProfile

SAMPLE_ROWS = 50_000
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATE = (
    r"^\d{4}[-/.]\d{1,2}[-/.]\d|^\d{4}-\d{2}$|^\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}"
    rf"|^\d{{1,2}}[- ]{_MONTH}[- ,]+\d{{2,4}}|^{_MONTH} \d{{1,2}},? \d{{4}}"
)
Kind = Literal["numeric", "integer", "boolean", "categorical", "text", "datetime", "constant", "identifier"]
assert get_args(ColumnProfile.model_fields["kind"].annotation) == get_args(Kind)


def profile(
    train: pd.DataFrame, test_rows: int, target: str, id: str | None, labels: "pd.Series[str] | None"
) -> DataProfile:
    """The profile of typed training data; `labels` are those of a classification, as the file spells them.

    At most 50,000 rows, evenly spaced, are looked at for the columns.
    """
    step = max(1, -(-len(train) // SAMPLE_ROWS))
    sample = train.iloc[::step]
    counts = pd.Series(dtype=int) if labels is None else labels.value_counts().sort_index()
    return DataProfile(
        train_rows=len(train),
        test_rows=test_rows,
        columns=tuple(_column(sample[name]) for name in train.columns if name not in (target, id)),
        target=_column(train[target]),
        classes=tuple(str(label) for label in counts.index),
        class_counts=tuple(int(count) for count in counts),
        duplicate_rows=int(sample.drop(columns=[id], errors="ignore").duplicated().sum()),
    )


def _column(values: pd.Series) -> ColumnProfile:
    known = values.dropna()
    kind = _kind(known)
    facts: dict[str, Any] = {}
    if kind in ("numeric", "integer", "boolean"):
        facts |= _figures(known.astype(float))
    if kind == "text":
        facts["mean_words"] = round(_mean_words(known.astype(str)), 2)
    return ColumnProfile(
        name=str(values.name),
        kind=kind,
        missing=round(1 - len(known) / max(len(values), 1), 6),
        unique=int(known.nunique()),
        examples=tuple(str(value)[:40] for value in known.drop_duplicates().head(3)),
        **facts,
    )


def _figures(numbers: pd.Series) -> dict[str, float]:
    """Location and spread, six digits each, of the numbers that are finite."""
    import numpy as np

    finite = numbers[np.isfinite(numbers)]
    with np.errstate(all="ignore"):
        figures = {
            "minimum": finite.min(), "maximum": finite.max(), "mean": finite.mean(),
            "std": finite.std(ddof=0), "skew": finite.skew() if len(finite) > 2 else 0.0,
        }  # fmt: skip
    return {key: float(f"{value:.6g}") for key, value in figures.items() if math.isfinite(value)}


def _kind(known: pd.Series) -> Kind:
    if known.nunique() <= 1:
        return "constant"
    if pd.api.types.is_bool_dtype(known):
        return "boolean"
    if pd.api.types.is_numeric_dtype(known):
        if not (known == known.round()).all():
            return "numeric"
        return "boolean" if set(known.unique()) == {0, 1} else "integer"
    texts = known.astype(str)
    if _are_dates(texts.head(200)):
        return "datetime"
    words = _mean_words(texts)
    if words >= 4 and known.nunique() > 0.5 * len(known):
        return "text"
    return "identifier" if known.nunique() == len(known) and len(known) > 20 else "categorical"


def _mean_words(texts: "pd.Series[str]") -> float:
    return float(texts.map(lambda text: len(text.split())).mean())


def _are_dates(texts: pd.Series) -> bool:
    if not texts.str.match(_DATE, case=False).all():
        return False
    return bool(pd.to_datetime(texts, errors="coerce", format="mixed", utc=True).notna().mean() > 0.95)
