"""Lesions in the likeness of scikit-learn's breast cancer data."""

import numpy as np
import pandas as pd

from machine_learning_engineering.tasks.derive import blend, disguise, flip, shipped

ROWS = 1000
COLUMNS = 16  # of the 30 of the original
CELL_NOISE = 0.5  # standard deviations of a column
WRONG_LABELS = 0.03


def make(rng: np.random.Generator) -> pd.DataFrame:
    """The full table, target included."""
    cells = shipped("breast_cancer.csv", ",", header=1)
    values, target = blend(rng, cells[:, :-1], 1.0 - cells[:, -1], ROWS, CELL_NOISE, classes=True)
    table = disguise(rng, values, "cell", COLUMNS)
    table["malignant"] = flip(rng, target.astype(int), WRONG_LABELS)
    return table
