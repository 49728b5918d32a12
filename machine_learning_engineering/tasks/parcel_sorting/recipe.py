"""Scanned codes in the likeness of scikit-learn's handwritten digits.

Which digit was written does not tell the chute: each digit comes in two styles, told apart by two columns that the salt
chooses, and each chute takes two of the twenty.
"""

import numpy as np
import pandas as pd

from machine_learning_engineering.tasks.derive import Floats, blend, disguise, flip, shipped

ROWS = 2000
CELL_NOISE = 0.3  # standard deviations of a column
WRONG_LABELS = 0.03
CHUTES = "ABCDEFGHJK"


def make(rng: np.random.Generator) -> pd.DataFrame:
    """The full table, target included."""
    scans = shipped("digits.csv.gz", ",")
    values, target = blend(rng, summaries(scans[:, :-1]), scans[:, -1], ROWS, CELL_NOISE, classes=True)
    table = disguise(rng, values, "scan")
    style = values[:, rng.choice(values.shape[1], 2, replace=False)].sum(axis=1) > 0
    chute = rng.permutation(20)[(2 * target + style).astype(int)] % len(CHUTES)
    table["chute"] = np.array(list(CHUTES))[flip(rng, chute, WRONG_LABELS)]
    return table


def summaries(pixels: Floats) -> Floats:
    """Ink of the 16 blocks of 2 by 2 pixels, and the centre, spread and slant of all ink; (n_rows, 21)."""
    images = pixels.reshape(-1, 8, 8)
    blocks = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
    weight = images / images.sum(axis=(1, 2), keepdims=True)
    down, across = np.mgrid[:8, :8]
    centre = [(weight * axis).sum(axis=(1, 2)) for axis in (down, across)]
    off = [axis[None] - middle[:, None, None] for axis, middle in zip((down, across), centre, strict=True)]
    pairs = ((0, 0), (1, 1), (0, 1))
    moments = [(weight * off[a] * off[b]).sum(axis=(1, 2)) for a, b in pairs]
    return np.column_stack([blocks, *centre, *moments])
