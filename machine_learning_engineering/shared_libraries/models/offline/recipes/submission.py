# mypy: ignore-errors
# ruff: noqa: T201
"""Submission"""

from pathlib import Path

import numpy as np
import pandas as pd

from .data import decode, encode, read
from .task import CLASSES, COLUMNS, ID, LEVEL
from .validation import blend, blend_weights, out_of_fold, predict, score
from .values import MODELS


def write_submission(test: pd.DataFrame, prediction: np.ndarray) -> None:
    """Writes the prediction of every test row to ./final/submission.csv."""
    submission = pd.DataFrame({COLUMNS[-1]: decode(prediction)})
    if ID:
        submission.insert(0, ID, test[ID].to_numpy())
    Path("./final").mkdir(exist_ok=True)
    submission.to_csv("./final/submission.csv", index=False, float_format="%.8g")


def write_submission__labels(test: pd.DataFrame, prediction: np.ndarray) -> None:
    """Writes the most probable class of every test row to ./final/submission.csv."""
    submission = pd.DataFrame({COLUMNS[-1]: np.array(CLASSES)[prediction.argmax(axis=1)]})
    if ID:
        submission.insert(0, ID, test[ID].to_numpy())
    Path("./final").mkdir(exist_ok=True)
    submission.to_csv("./final/submission.csv", index=False)


def write_submission__binary(test: pd.DataFrame, prediction: np.ndarray) -> None:
    """Writes the probability of the last class for every test row to ./final/submission.csv."""
    submission = pd.DataFrame({COLUMNS[-1]: prediction[:, 1]})
    if ID:
        submission.insert(0, ID, test[ID].to_numpy())
    Path("./final").mkdir(exist_ok=True)
    submission.to_csv("./final/submission.csv", index=False, float_format="%.8g")


def write_submission__classes(test: pd.DataFrame, prediction: np.ndarray) -> None:
    """Writes the probability of every class for every test row to ./final/submission.csv."""
    submission = pd.DataFrame(prediction, columns=COLUMNS[-len(CLASSES) :])
    if ID:
        submission.insert(0, ID, test[ID].to_numpy())
    Path("./final").mkdir(exist_ok=True)
    submission.to_csv("./final/submission.csv", index=False, float_format="%.8g")


def write_submission__ranking(test: pd.DataFrame, prediction: np.ndarray) -> None:
    """Writes the most probable classes of every test row, best first, to ./final/submission.csv."""
    best = np.array(CLASSES)[(-prediction).argsort(axis=1, kind="stable")[:, : int(LEVEL)]]
    submission = pd.DataFrame({COLUMNS[-1]: [" ".join(labels) for labels in best]})
    if ID:
        submission.insert(0, ID, test[ID].to_numpy())
    Path("./final").mkdir(exist_ok=True)
    submission.to_csv("./final/submission.csv", index=False)


def main() -> None:
    train, test = read("./input/train.csv"), read("./input/test.csv")
    y = encode(train)

    checked, predictions = out_of_fold(train, y)
    weights = blend_weights(y[checked], predictions)
    for model, weight, prediction in zip(MODELS, weights, predictions, strict=True):
        print(f"{model.__name__}: {score(y[checked], prediction):.6g}, weight {weight:.2f}")
    print(f"Final Validation Performance: {score(y[checked], blend(predictions, weights)):.6f}")

    write_submission(test, predict(train, y, test, weights))
