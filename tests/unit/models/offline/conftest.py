"""Small tasks of each problem, as data frames, as task cards and as prompts."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from machine_learning_engineering.shared_libraries.models.offline import reply
from machine_learning_engineering.shared_libraries.records import ColumnProfile, DataProfile, Metric
from machine_learning_engineering.shared_libraries.tasks.card import Step, TaskCard, render_card

RMSE = Metric(name="rmse", title="root mean squared error", maximize=False, predicts="value")
AUC = Metric(name="auc", title="area under the ROC curve", maximize=True, predicts="probability")
LOG_LOSS = Metric(name="log_loss", title="log loss", maximize=False, predicts="probability")
TARGETS = {"rmse": "price", "rmsle": "price", "auc": "sold", "log_loss": "grade"}
ROWS = 240


def rows(count: int, seed: int) -> pd.DataFrame:
    """A table with every kind of column, gaps, awkward names, and a target of each kind."""
    draw = np.random.default_rng(seed)
    east, north, size = draw.random(count), draw.random(count), draw.lognormal(5, 1, count)
    rooms, town = size * draw.uniform(0.5, 1.5, count), draw.choice(["a", "b", "NaN?"], count)
    nice = draw.random(count) < 0.5
    worth = 3 * np.sin(5 * east + 5 * north) + rooms / size + 2 * nice + draw.normal(0, 0.2, count)
    frame = pd.DataFrame({"key": np.arange(count), "east": east, "north": north, 'size "m2"': size, "rooms": rooms})
    frame["town, county"] = pd.Series(town).where(draw.random(count) > 0.1)
    frame["built"] = pd.date_range("2001-01-01", periods=count).strftime("%Y-%m-%d")
    frame["note"] = np.where(nice, "a lovely bright house with garden", "a damp dark house with cellar")
    frame.loc[draw.random(count) < 0.1, "rooms"] = np.nan
    frame["price"], frame["sold"] = worth - worth.min(), np.where(worth > 3, "yes", "no")
    frame["grade"] = pd.cut(worth, [-99, 2, 4, 99], labels=["low", "mid", "top"]).astype(str)
    return frame


def profile(column: pd.Series) -> ColumnProfile:
    kinds = {"built": "datetime", "note": "text", "town, county": "categorical"}
    known: dict[str, Any] = {"name": column.name, "missing": column.isna().mean(), "unique": column.nunique()}
    if pd.api.types.is_numeric_dtype(column):
        known |= {"minimum": column.min(), "maximum": column.max(), "skew": column.skew()}
    return ColumnProfile(kind=kinds.get(str(column.name), "numeric" if "minimum" in known else "categorical"), **known)


def card(step: Step, metric: Metric = RMSE, **fields: Any) -> TaskCard:
    """The card of a step of one of the small tasks."""
    frame, target = rows(ROWS, 0), TARGETS[metric.name]
    classes = sorted(frame[target].unique()) if target != "price" else []
    features = [column for column in frame if column not in {"key", *TARGETS.values()}]
    base: dict[str, Any] = {
        "problem": {"price": "regression", "sold": "binary", "grade": "multiclass"}[target],
        "task_type": "Tabular",
        "metric": metric,
        "target": target,
        "id": "key",
        "submission_columns": ("key", *(classes if target == "grade" else [target])),
        "profile": DataProfile(
            train_rows=ROWS,
            test_rows=60,
            columns=tuple(profile(frame[column]) for column in features),
            target=profile(frame[target]),
            classes=tuple(classes),
            class_counts=tuple(int((frame[target] == name).sum()) for name in classes),
        ),
        "fit_rows": ROWS,
        "script_seconds": 60,
        "threads": 1,
        "seed": 7,
        "packages": {"lightgbm": "4.6.0", "scikit-learn": "1.6"},
    }
    return TaskCard(step=step, **{**base, **fields})


def prompt(card: TaskCard, *codes: str) -> str:
    """The part of a prompt that the offline model reads."""
    return "\n\n".join([render_card(card), *(f"```python\n{code.rstrip()}\n```" for code in codes)])


def code(text: str) -> str:
    """The one fenced script of a reply."""
    (found,) = re.findall(r"^```python\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)
    return str(found) + "\n"


def script(step: Step, *codes: str, metric: Metric = RMSE, **fields: Any) -> str:
    return code(reply(prompt(card(step, metric, **fields), *codes)))


Runner = Callable[[str, Metric], tuple[subprocess.CompletedProcess[str], Path]]


@pytest.fixture
def run(tmp_path: Path) -> Runner:
    """Runs a script beside the staged data of the metric's task; gives what it printed and its folder."""

    def start(text: str, metric: Metric) -> tuple[subprocess.CompletedProcess[str], Path]:
        target, inputs = TARGETS[metric.name], tmp_path / "input"
        inputs.mkdir()
        others = sorted(set(TARGETS.values()) - {target})
        rows(ROWS, 0).drop(columns=others).to_csv(inputs / "train.csv", index=False)
        rows(60, 1).drop(columns=[*others, target]).to_csv(inputs / "test.csv", index=False)
        (tmp_path / "script.py").write_text(text)
        command = [sys.executable, "script.py"]
        alone = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, timeout=100)
        return done, tmp_path

    return start
