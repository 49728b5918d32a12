"""Twelve cheap scripts on a bundled task drawn anew, scored on rows held out and on a test file with known labels.

A seed draws the task's rows, which of them are test rows, and how the training rows are split. Scripts run as those of
a run do: on a view of the task, in the sandbox, with a submission that is checked.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from machine_learning_engineering.shared_libraries.config import RunConfig, data_home
from machine_learning_engineering.shared_libraries.execution.cache import CachedSandbox
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox, make_sandbox
from machine_learning_engineering.shared_libraries.execution.scheduler import Capacity, ScheduledSandbox
from machine_learning_engineering.shared_libraries.records import FINAL, Execution, Job, Task, View
from machine_learning_engineering.shared_libraries.scoring.cells import SUBMISSION
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import (
    OutOfFold,
    read_predictions,
    truth_of,
    values_of,
)
from machine_learning_engineering.shared_libraries.scoring.submission import check_submission
from machine_learning_engineering.shared_libraries.scoring.views import expected_submission, stage
from machine_learning_engineering.shared_libraries.tasks.bundled import bundled_names, bundled_task, truth_path
from machine_learning_engineering.shared_libraries.tasks.load import load_task

CHECKS = ("holdout", "oversampled", "training")  # rows that a script may judge itself on
_SCRIPT = """\
import os
import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

TARGET, ID, VALUES, PREDICTS, CLASSES = {target!r}, {id!r}, {values!r}, {predicts!r}, {classes!r}
train, test = pd.read_csv("input/train.csv"), pd.read_csv("input/test.csv")
y = train[TARGET] if PREDICTS == "value" else pd.read_csv("input/train.csv", dtype=str)[TARGET]
both = pd.concat([train, test])[[name for name in test.columns if name != ID]]
for name in both:
    if not pd.api.types.is_numeric_dtype(both[name]):
        both[name] = both[name].astype("category").cat.codes
x = both.fillna(both.median()).to_numpy(float)
x, new = x[: len(train)], x[len(train) :]


def predict(x, y, new):
    model = make_pipeline(StandardScaler(), {model}).fit(x, y)
    if PREDICTS == "value":
        return np.clip(model.predict(new), y.min(), y.max())[:, None]
    if PREDICTS == "label":
        return model.predict(new)[:, None]
    made = np.zeros((len(new), len(CLASSES)))
    made[:, [CLASSES.index(label) for label in model.classes_]] = model.predict_proba(new)
    return (made / made.sum(axis=1, keepdims=True))[:, -len(VALUES) :]


def write(name, made, **others):
    os.makedirs("final", exist_ok=True)
    pd.DataFrame(made, columns=VALUES).assign(**others).to_csv(f"final/{{name}}.csv", index=False)


made = predict(x, y, new)
write("submission", made, **({{}} if ID is None else {{ID: pd.read_csv("input/test.csv", dtype=str)[ID].to_numpy()}}))
"""
_CHECK_ITSELF = """
rng = np.random.default_rng(0)
rows = rng.permutation(len(x))
many = rng.permutation(np.concatenate([rows, rng.integers(0, len(x), len(x))]))
for name, rows in {"holdout": rows, "oversampled": many}.items():
    fit, held = rows[: len(rows) * 4 // 5], rows[len(rows) * 4 // 5 :]
    write(name, predict(x[fit], y.iloc[fit], x[held]), truth=y.iloc[held].to_numpy())
write("training", predict(x, y, x), truth=y.to_numpy())
"""
_REGRESSION = (
    "DummyRegressor()",
    *(f"Ridge({alpha})" for alpha in (0.1, 10, 1000)),
    *(f"KNeighborsRegressor({k})" for k in (3, 15, 50)),
    *(f"DecisionTreeRegressor(max_depth={depth}, random_state=0)" for depth in (2, 5, 12)),
    *(f"ExtraTreesRegressor(20, min_samples_leaf={leaf}, random_state=0)" for leaf in (1, 10)),
)
_CLASSES = (
    "DummyClassifier()",
    *(f"LogisticRegression(C={c}, max_iter=200)" for c in (0.001, 0.03, 1)),
    *(f"KNeighborsClassifier({k})" for k in (3, 15, 50)),
    *(f"DecisionTreeClassifier(max_depth={depth}, min_samples_leaf=10, random_state=0)" for depth in (2, 4, 8)),
    *(f"ExtraTreesClassifier(20, min_samples_leaf={leaf}, random_state=0)" for leaf in (2, 10)),
)


@dataclass(frozen=True)
class Draw:
    """A bundled task drawn with one seed; `truth` has the labels of its test file, as metrics take them."""

    task: Task
    truth: "np.ndarray[Any, Any]"
    config: RunConfig
    place: Path

    @property
    def models(self) -> tuple[str, ...]:
        return _REGRESSION if self.task.problem == "regression" else _CLASSES

    async def run(self, number: int, view: View, sandbox: Sandbox, *, checks: bool = False) -> Execution:
        """The script with this number on a view; with `checks` it also predicts the rows that it judges itself on."""
        code = _script(self.task, self.models[number]) + _CHECK_ITSELF * checks
        staged = await asyncio.to_thread(stage, self.task, view, self.config, self.place / "views")
        folder = self.place / f"{view.name}-{number}"
        execution = await sandbox.run(Job(code, "script.py", folder, view=staged, seed=0))
        if execution.outcome != "ok":
            raise RuntimeError(f"{self.task.name}, {code}: {execution.outcome}\n{execution.stderr}")
        return execution

    def held_out(self, views: Sequence[View], executions: Sequence[Execution]) -> OutOfFold:
        """What one script predicted for the rows that these views hold back."""
        found = read_predictions(self.task, views, executions, self.config)
        assert found is not None
        return found

    def of_test_file(self, execution: Execution) -> OutOfFold:
        """What a script predicted for the test file, beside its labels."""
        table = check_submission(execution.folder / SUBMISSION, expected_submission(self.task, FINAL, self.config))
        return self._beside(self.truth, values_of(self.task, table))

    def of_its_own_rows(self, execution: Execution, check: str) -> OutOfFold:
        """What a script that ran with `checks` predicted for the rows that it judges itself on."""
        table = pd.read_csv(execution.folder / "final" / f"{check}.csv", dtype=str)
        made = table[_values(self.task)]
        if self.task.metric.predicts != "label":
            made = made.astype(float)
        return self._beside(truth_of(self.task, table["truth"]), values_of(self.task, made))

    def _beside(self, truth: "np.ndarray[Any, Any]", made: "np.ndarray[Any, Any]") -> OutOfFold:
        return OutOfFold(self.task, truth, made, np.zeros(len(truth), dtype=int))


def add_options(parser: argparse.ArgumentParser, seeds: int) -> None:
    """The options of a benchmark over draws."""
    parser.add_argument("--seeds", type=int, default=seeds, help="draws of each task")
    parser.add_argument("--tasks", nargs="*", default=list(bundled_names()), help="some bundled tasks instead of all")


async def over_draws(
    names: Sequence[str],
    seeds: int,
    look: Callable[[Draw, Sandbox], Awaitable[Any]],
    tell: Callable[[str, "np.ndarray[Any, Any]"], None],
) -> None:
    """Looks at each draw of each task; what was seen of a task, a row a draw, is told as soon as it is there."""
    sandbox = _two_at_once()
    try:
        for name in names:
            seen = []
            for seed in range(seeds):
                with tempfile.TemporaryDirectory() as place:
                    seen.append(await look(_draw(name, seed, Path(place)), sandbox))
            tell(name, np.array(seen))
    finally:
        await sandbox.close()


def _draw(name: str, seed: int, place: Path) -> Draw:
    """A bundled task, drawn with this seed into a folder of its own."""
    task = load_task(bundled_task(name, seed=seed), place / "load")
    labels = pd.read_csv(truth_path(name, seed=seed), dtype=str)[task.target]
    return Draw(task, truth_of(task, labels), RunConfig(seed=seed), place)


def _two_at_once() -> Sandbox:
    """A warm sandbox that runs two scripts side by side, and none that another benchmark has run before."""
    queued = ScheduledSandbox(make_sandbox("warm", "process"), Capacity(cpus=2, spare_cpus=0, gpus=0))
    return CachedSandbox(queued, data_home() / "cache", 2 * 2**30)


def _values(task: Task) -> list[str]:
    return [column for column in task.submission_columns if column != task.id]


def _script(task: Task, model: str) -> str:
    return _SCRIPT.format(
        target=task.target,
        id=task.id if task.id in task.submission_columns else None,
        values=_values(task),
        predicts=task.metric.predicts,
        classes=list(task.profile.classes),
        model=model,
    )
