# mypy: ignore-errors
"""Data"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from .task import CATEGORIES, CLASSES, DATES, NUMBERS, SCALE, SPELT, TARGET, TEXTS


def read(path: str) -> pd.DataFrame:
    """The rows of a CSV file, numbers as floats."""
    rows = pd.read_csv(path, dtype=dict.fromkeys(SPELT, "str"))
    rows[NUMBERS] = floats(rows[NUMBERS])
    return spelt(rows, path)


def read__mixed(path: str) -> pd.DataFrame:
    """The rows of a CSV file: numbers as floats, dates as timestamps, no text missing."""
    rows = pd.read_csv(path, dtype=dict.fromkeys([*CATEGORIES, *TEXTS, *DATES, *SPELT], "str"))
    if NUMBERS:
        rows[NUMBERS] = floats(rows[NUMBERS])
    for column in DATES:
        rows[column] = pd.to_datetime(rows[column], format="mixed", errors="coerce", utc=True)
    for column in [*CATEGORIES, *TEXTS]:
        rows[column] = rows[column].fillna("")
    return spelt(rows, path)


def floats(cells: pd.DataFrame) -> np.ndarray:
    """Cells as floats that 32 bits can hold; what is infinite or no number is missing."""
    numbers = np.empty(cells.shape)
    for place, name in enumerate(cells):
        numbers[:, place] = pd.to_numeric(cells[name], errors="coerce")
    return np.where(np.isfinite(numbers), numbers, np.nan).clip(-1e38, 1e38)


def spelt(rows: pd.DataFrame, path: str) -> pd.DataFrame:
    """The rows with ids and labels as the file spells them: "NA" and "None" may be some."""
    texts = pd.read_csv(path, usecols=lambda name: name in SPELT, dtype="str", keep_default_na=False)
    return rows.assign(**texts)


def encode(train: pd.DataFrame) -> np.ndarray:
    """The target on the scale that the models learn."""
    return train[TARGET].to_numpy(float)


def decode(prediction: np.ndarray) -> np.ndarray:
    """Predictions on the target's own scale."""
    return prediction


def decode__nonnegative(prediction: np.ndarray) -> np.ndarray:
    """Predictions on the target's own scale, which starts at zero."""
    return prediction.clip(0)


def decode__positive(prediction: np.ndarray) -> np.ndarray:
    """Predictions on the target's own scale, above zero."""
    return prediction.clip(1e-6)


def encode__logs(train: pd.DataFrame) -> np.ndarray:
    """The target on the scale that the models learn: its logarithm, because errors count in proportion."""
    return np.log1p(train[TARGET].to_numpy(float))


def decode__logs(prediction: np.ndarray) -> np.ndarray:
    """Predictions on the target's own scale, which starts at zero."""
    return np.expm1(prediction).clip(0)


def encode__roots(train: pd.DataFrame) -> np.ndarray:
    """The target on the scale that the models learn: its square root, which evens out the noise of large values."""
    return np.sqrt(train[TARGET].to_numpy(float))


def decode__roots(prediction: np.ndarray) -> np.ndarray:
    """Predictions on the target's own scale, which starts at zero."""
    return prediction.clip(0) ** 2


def encode__scaled(train: pd.DataFrame) -> np.ndarray:
    """The target on the scale that the models learn: in units that 32 bits can hold."""
    return train[TARGET].to_numpy(float) / SCALE


def decode__scaled(prediction: np.ndarray) -> np.ndarray:
    """Predictions on the target's own scale."""
    return prediction * SCALE


RANKED: list[np.ndarray] = []  # the target's values in order, and what the models learn in their place


def encode__ranks(train: pd.DataFrame) -> np.ndarray:
    """The target on the scale that the models learn: the normal score of its rank, on which no value is far off."""
    values = np.sort(train[TARGET].to_numpy(float))
    RANKED[:] = values, norm.ppf((np.arange(len(values)) + 0.5) / len(values))
    return np.interp(train[TARGET], *RANKED)


def decode__ranks(prediction: np.ndarray) -> np.ndarray:
    """Predictions on the target's own scale, within its range."""
    return np.interp(prediction, *RANKED[::-1])


def encode__classes(train: pd.DataFrame) -> np.ndarray:
    """The label of each row as its position in CLASSES."""
    return pd.Categorical(train[TARGET], categories=CLASSES).codes.astype(int)


def signals(y: np.ndarray) -> np.ndarray:
    """What a neighbourhood or a category is averaged over, one column: the target itself."""
    return y[:, None]


def signals__binary(y: np.ndarray) -> np.ndarray:
    """What a neighbourhood or a category is averaged over, one column: whether a row is of the last class."""
    return (y == 1).astype(float)[:, None]


def signals__classes(y: np.ndarray) -> np.ndarray:
    """What a neighbourhood or a category is averaged over, one column a class: whether a row belongs to it."""
    return np.eye(len(CLASSES))[y]


def probabilities(model: Any, X: Any, y: np.ndarray, new: Any) -> np.ndarray:
    """The class probabilities of `new` by this model, fitted on X and y; one column for each of CLASSES.

    A class that y lacks gets zero, and one that all of y has gets one.
    """
    found = np.zeros((new.shape[0], len(CLASSES)))
    if len(np.unique(y)) == 1:
        found[:, y[0]] = 1
        return found
    model.fit(X, y)
    found[:, model.classes_.astype(int)] = model.predict_proba(new)
    return found
