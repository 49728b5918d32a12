"""Labels at the wrong rows: a script that is right even then did not learn from them.

A free shuffle would accuse honest scripts: a model of few parameters takes the right direction by chance every second
time. So labels are shuffled to where they are wrong: rows are put in the order of their labels, equal ones at random,
and each gets the label of the row half of the table away. An honest model is then worse than a constant.
"""

from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.records import Problem

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def shuffled(labels: "pd.Series[str]", problem: Problem, rng: "np.random.Generator") -> "pd.Series[str]":
    """The same labels, each at another row, of another value wherever no value has more than half of the rows."""
    import numpy as np
    import pandas as pd

    keys = pd.to_numeric(labels).to_numpy() if problem == "regression" else pd.factorize(labels, sort=True)[0]
    order = np.lexsort((rng.random(len(labels)), keys))
    moved = labels.to_numpy(dtype=object, copy=True)
    moved[order] = labels.to_numpy(dtype=object)[np.roll(order, len(order) // 2)]
    return pd.Series(moved, index=labels.index)
