# mypy: ignore-errors
# ruff: noqa: T201
"""Ablation

Leaves out one component at a time and measures the rest on the first split of the solution's own validation.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from .data import encode, read
from .features import FEATURES
from .validation import score, splits
from .values import MODELS

COMPONENTS: list[Callable[[pd.DataFrame, np.ndarray, pd.DataFrame], list[np.ndarray]]] = []
MAXIMIZE: bool = False


def predict_all(train: pd.DataFrame, y: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """The rows of the first split that were checked, and what each model predicts for them."""
    fit, check = splits(train, y)[0]
    inside, outside = train.iloc[fit], train.iloc[check]
    return check, [model(inside, y[fit], outside) for model in MODELS]


def main__ablation() -> None:
    train = read("./input/train.csv")
    y = encode(train)

    checked, predictions = predict_all(train, y)
    figures = {"baseline": score(y[checked], np.mean(predictions, axis=0))}
    for i, model in enumerate(MODELS):
        others = predictions[:i] + predictions[i + 1 :]
        if others:
            figures[model.__name__] = score(y[checked], np.mean(others, axis=0))
    for block in COMPONENTS:
        place = FEATURES.index(block)
        FEATURES.remove(block)
        checked, predictions = predict_all(train, y)
        figures[block.__name__] = score(y[checked], np.mean(predictions, axis=0))
        FEATURES.insert(place, block)

    for component, figure in figures.items():
        print(f"Ablation Performance [{component}]: {figure:.6f}")
    sign = 1 if MAXIMIZE else -1
    losses = {name: sign * (figures["baseline"] - figure) for name, figure in figures.items() if name != "baseline"}
    if losses:
        print(f"The component that matters most: {max(losses, key=lambda name: losses[name])}")
