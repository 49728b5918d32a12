# mypy: ignore-errors
"""Data"""

from typing import Any

import numpy as np
import pandas as pd

from .task import CATEGORIES, CLASSES, DATES, ID, NUMBERS, TARGET, TEXTS


def read(path: str) -> pd.DataFrame:
    """The rows of a CSV file, numbers as floats, ids as they are spelt."""
    rows = pd.read_csv(path, dtype={ID: "str"})
    rows[NUMBERS] = rows[NUMBERS].apply(pd.to_numeric, errors="coerce").astype(float)
    return rows


def read__mixed(path: str) -> pd.DataFrame:
    """The rows of a CSV file: numbers as floats, dates as timestamps, labels and text as the file spells them."""
    rows = pd.read_csv(path, dtype=dict.fromkeys([*CATEGORIES, *TEXTS, *DATES, ID], "str"))
    if NUMBERS:
        rows[NUMBERS] = rows[NUMBERS].apply(pd.to_numeric, errors="coerce").astype(float)
    for column in DATES:
        rows[column] = pd.to_datetime(rows[column], format="mixed", errors="coerce", utc=True)
    for column in [*CATEGORIES, *TEXTS]:
        rows[column] = rows[column].fillna("")
    return rows


def read__labelled(path: str) -> pd.DataFrame:
    """The rows of a CSV file, numbers as floats; the labels stay as the file spells them."""
    rows = pd.read_csv(path, dtype={TARGET: "str", ID: "str"})
    rows[NUMBERS] = rows[NUMBERS].apply(pd.to_numeric, errors="coerce").astype(float)
    return rows


def read__labelled_mixed(path: str) -> pd.DataFrame:
    """The rows of a CSV file: numbers as floats, dates as timestamps, labels and text as the file spells them."""
    rows = pd.read_csv(path, dtype=dict.fromkeys([*CATEGORIES, *TEXTS, *DATES, TARGET, ID], "str"))
    if NUMBERS:
        rows[NUMBERS] = rows[NUMBERS].apply(pd.to_numeric, errors="coerce").astype(float)
    for column in DATES:
        rows[column] = pd.to_datetime(rows[column], format="mixed", errors="coerce", utc=True)
    for column in [*CATEGORIES, *TEXTS]:
        rows[column] = rows[column].fillna("")
    return rows


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


def probabilities(model: Any, X: Any) -> np.ndarray:
    """Class probabilities, one column for each of CLASSES; a class that the training rows lack gets zero."""
    found = np.zeros((X.shape[0], len(CLASSES)))
    found[:, model.classes_.astype(int)] = model.predict_proba(X)
    return found
