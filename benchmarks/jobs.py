"""What the measurements of the sandbox share: jobs, quantiles, and how busy the machine was meanwhile."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from machine_learning_engineering.shared_libraries.records import SEARCH, Job, Limits, StagedView

SCIENCE = """\
import numpy as np
import pandas as pd
import lightgbm as lgb
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import cross_val_score
"""
_numbers = itertools.count()


def make_job(place: Path, script: str, view: StagedView | None = None, **limits: Any) -> Job:
    """A job with a folder of its own below `place`."""
    folder = place / f"job-{next(_numbers)}"
    return Job(script, "script.py", folder, view=view, limits=Limits(**{"wall_seconds": 60, **limits}))


def make_view(place: Path, rows: int = 20_000) -> StagedView:
    """A view with one training file of about 1 MB."""
    place.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{i},{i % 7},{i * 0.618:.6f},{i % 97 * 0.25},row {i}\n" for i in range(rows))
    (place / "train.csv").write_text("id,a,b,c,text\n" + lines)
    return StagedView(view=SEARCH, path=place, digest="benchmark")


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Median, 90th and 99th percentile and maximum, in milliseconds of values in seconds."""
    found = {"p50": 50, "p90": 90, "p99": 99, "max": 100}
    return {f"{name}_ms": round(float(np.percentile(values, at)) * 1000, 2) for name, at in found.items()}


def busy() -> float:
    """How many processes wanted a processor over the last minute, ours included."""
    return round(os.getloadavg()[0], 2)
