"""New tables in the likeness of a public one, none of whose rows can be found in it again.

Every new row is a blend of three neighbouring rows plus noise, so there is no row of the original to join it to. Every
column then goes through a strictly monotone map of its own, which trees do not feel and linear models do. Whoever knows
the original has further training data, not the answers.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Classes = NDArray[np.int64]
NEIGHBOURS = 8


def shipped(name: str, delimiter: str | None = None, header: int = 0) -> Floats:
    """The numbers of a file that scikit-learn ships, (n_rows, n_columns); to import its loaders takes a second."""
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "datasets" / "data" / name
    numbers: Floats = np.loadtxt(path, delimiter=delimiter, skiprows=header)
    return numbers


def blend(
    rng: np.random.Generator, x: Floats, y: Floats, rows: int, noise: float, classes: bool
) -> tuple[Floats, Floats]:
    """`rows` new rows in standard units, (rows, n_columns), with their targets, (rows,).

    The parents of a row have the same class if y holds classes; otherwise its target is their blend. `noise` is the
    standard deviation of what is added to each cell.
    """
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    first = np.resize(rng.permutation(len(x)), rows)
    others = np.array([rng.choice(_near(x, y, int(row), classes), 2, replace=False) for row in first])
    parents = np.column_stack([first, others])
    shares = rng.dirichlet([4.0, 4.0, 4.0], rows)
    target = y[first] if classes else (shares * y[parents]).sum(axis=1)
    mixed = (shares[:, :, None] * x[parents]).sum(axis=1)
    return mixed + noise * rng.standard_normal(mixed.shape), target


def _near(x: Floats, y: Floats, row: int, classes: bool) -> NDArray[np.intp]:
    distance = ((x - x[row]) ** 2).sum(axis=1)
    distance[row] = np.inf
    if classes:
        distance[y != y[row]] = np.inf
    return np.argsort(distance)[:NEIGHBOURS]


def disguise(rng: np.random.Generator, x: Floats, prefix: str, columns: int | None = None) -> pd.DataFrame:
    """The columns of x, or so many of them, in random order, each on a random scale and under a number for a name."""
    chosen = rng.permutation(x.shape[1])[:columns]
    return pd.DataFrame({f"{prefix}_{n:02d}": _rescale(rng, x[:, column]) for n, column in enumerate(chosen, start=1)})


def _rescale(rng: np.random.Generator, values: Floats) -> Floats:
    """The values through a strictly increasing or decreasing map."""
    z = (values - values.mean()) / values.std() * rng.uniform(0.4, 1.0)
    maps = (np.exp, np.sinh, np.arctan, lambda v: 1 / (1 + np.exp(-2 * v)), lambda v: v + v**3 / 3)
    curved: Floats = maps[rng.integers(len(maps))](z)
    scaled: Floats = rng.choice([-1, 1]) * 10 ** rng.uniform(-1, 2) * (curved / curved.std() + rng.uniform(-3, 3))
    return scaled


def flip(rng: np.random.Generator, labels: Classes, share: float) -> Classes:
    """The class numbers, a share of them replaced by another class at random."""
    classes = np.unique(labels)
    place = np.searchsorted(classes, labels)
    wrong = rng.random(len(labels)) < share
    moved = (place + wrong * rng.integers(1, len(classes), len(labels))) % len(classes)
    flipped: Classes = classes[moved]
    return flipped
