# mypy: ignore-errors
# ruff: noqa: T201
"""Ablation

Leaves out one component at a time and measures the rest on the rows that the solution checks itself on.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from .data import encode, read
from .features import FEATURES
from .validation import out_of_fold, score
from .values import MODELS

COMPONENTS: list[Callable[[pd.DataFrame, np.ndarray, pd.DataFrame], list[np.ndarray]]] = []
MAXIMIZE: bool = False


def main__ablation() -> None:
    train = read("./input/train.csv")
    y = encode(train)

    checked, predictions = out_of_fold(train, y)
    figures = {"baseline": score(y[checked], np.mean(predictions, axis=0))}
    for i, model in enumerate(MODELS):
        others = predictions[:i] + predictions[i + 1 :]
        if others:
            figures[model.__name__] = score(y[checked], np.mean(others, axis=0))
    for block in COMPONENTS:
        place = FEATURES.index(block)
        FEATURES.remove(block)
        checked, predictions = out_of_fold(train, y)
        figures[block.__name__] = score(y[checked], np.mean(predictions, axis=0))
        FEATURES.insert(place, block)

    for component, figure in figures.items():
        print(f"Ablation Performance [{component}]: {figure:.6f}")
    sign = 1 if MAXIMIZE else -1
    losses = {name: sign * (figures["baseline"] - figure) for name, figure in figures.items() if name != "baseline"}
    if losses:
        print(f"The component that matters most: {max(losses, key=lambda name: losses[name])}")
