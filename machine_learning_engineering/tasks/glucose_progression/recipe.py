"""Patients in the likeness of scikit-learn's diabetes data."""

import numpy as np
import pandas as pd

from machine_learning_engineering.tasks.derive import blend, disguise, shipped

ROWS = 900
CELL_NOISE = 0.35  # standard deviations of a column
TARGET_NOISE = 0.25  # standard deviations of the target


def make(rng: np.random.Generator) -> pd.DataFrame:
    """The full table, target included."""
    x, y = shipped("diabetes_data_raw.csv.gz"), shipped("diabetes_target.csv.gz")
    values, target = blend(rng, x, y, ROWS, CELL_NOISE, classes=False)
    table = disguise(rng, values, "marker")
    noisy = target + TARGET_NOISE * target.std() * rng.standard_normal(ROWS)
    table["progression"] = (rng.uniform(20, 60) + rng.uniform(0.6, 1.4) * noisy).round(1)
    return table
