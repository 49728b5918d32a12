"""Lesions in the likeness of scikit-learn's breast cancer data."""

import numpy as np
import pandas as pd

from machine_learning_engineering.tasks.derive import blend, disguise, flip

ROWS = 1000
COLUMNS = 16  # of the 30 of the original
CELL_NOISE = 0.5  # standard deviations of a column
WRONG_LABELS = 0.03


def make(rng: np.random.Generator) -> pd.DataFrame:
    """The full table, target included."""
    from sklearn.datasets import load_breast_cancer

    x, benign = load_breast_cancer(return_X_y=True)
    values, target = blend(rng, x, 1.0 - benign, ROWS, CELL_NOISE, classes=True)
    table = disguise(rng, values, "cell", COLUMNS)
    table["malignant"] = flip(rng, target.astype(int), WRONG_LABELS)
    return table
