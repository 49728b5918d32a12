"""Whether the audit's interval holds what it promises: true scores of cheap scripts on test files with known labels.

A seed draws a task anew: its rows, which of them are test rows, and which of the training rows audit. Each of twelve
scripts is audited, and then trained on all rows and scored on the true labels of the test file. The 95 % interval
should hold that score in 95 of 100 draws.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox, make_sandbox
from machine_learning_engineering.shared_libraries.execution.scheduler import Capacity, ScheduledSandbox
from machine_learning_engineering.shared_libraries.records import AUDIT, FINAL, Execution, Job, StagedView, Task
from machine_learning_engineering.shared_libraries.scoring.cells import SUBMISSION
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import read_predictions, truth_of, values_of
from machine_learning_engineering.shared_libraries.scoring.submission import check_submission
from machine_learning_engineering.shared_libraries.scoring.views import expected_submission, stage
from machine_learning_engineering.shared_libraries.tasks.bundled import bundled_names, bundled_task, truth_path
from machine_learning_engineering.shared_libraries.tasks.load import load_task
from machine_learning_engineering.shared_libraries.tasks.metrics import compute

SCRIPT = """\
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

TARGET, ID, VALUES, PREDICTS = {target!r}, {id!r}, {values!r}, {predicts!r}
train, test = pd.read_csv("input/train.csv"), pd.read_csv("input/test.csv")
both = pd.concat([train, test])[[name for name in test.columns if name != ID]]
for name in both:
    if not pd.api.types.is_numeric_dtype(both[name]):
        both[name] = both[name].astype("category").cat.codes
x = both.fillna(both.median()).to_numpy(float)
fit, new = x[: len(train)], x[len(train) :]
model = make_pipeline(StandardScaler(), {model})
model.fit(fit, train[TARGET] if PREDICTS == "value" else pd.read_csv("input/train.csv", dtype=str)[TARGET])
made = model.predict_proba(new) if PREDICTS == "probability" else model.predict(new)[:, None]
if PREDICTS == "value":
    made = np.clip(made, train[TARGET].min(), train[TARGET].max())
if PREDICTS == "probability":
    made = made / made.sum(axis=1, keepdims=True)
table = pd.DataFrame(made[:, -len(VALUES) :], columns=VALUES)
if ID is not None:
    table.insert(0, ID, pd.read_csv("input/test.csv", dtype=str)[ID])
os.makedirs("final", exist_ok=True)
table.to_csv("final/submission.csv", index=False)
"""
REGRESSION = (
    "DummyRegressor()",
    *(f"Ridge({alpha})" for alpha in (0.1, 10, 1000)),
    *(f"KNeighborsRegressor({k})" for k in (3, 15, 50)),
    *(f"DecisionTreeRegressor(max_depth={depth}, random_state=0)" for depth in (2, 5, 12)),
    *(f"ExtraTreesRegressor(20, min_samples_leaf={leaf}, random_state=0)" for leaf in (1, 10)),
)
CLASSES = (
    "DummyClassifier()",
    *(f"LogisticRegression(C={c}, max_iter=200)" for c in (0.001, 0.03, 1)),
    *(f"KNeighborsClassifier({k})" for k in (3, 15, 50)),
    *(f"DecisionTreeClassifier(max_depth={depth}, min_samples_leaf=10, random_state=0)" for depth in (2, 4, 8)),
    *(f"ExtraTreesClassifier(20, min_samples_leaf={leaf}, random_state=0)" for leaf in (2, 10)),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=100, help="draws of each task")
    parser.add_argument("--tasks", nargs="*", help="some bundled tasks instead of all")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """How often the nominal 95 % interval holds the true score, by task, and the audit score's bias."""
    seeds = 10 if options.quick else options.seeds
    rows = asyncio.run(_measure(options.tasks or list(bundled_names()), seeds))
    return {"benchmark": "coverage", "seeds": seeds, "rows": rows}


async def _measure(names: list[str], seeds: int) -> list[dict[str, Any]]:
    sandbox = ScheduledSandbox(make_sandbox("warm", "process"), Capacity(cpus=2, spare_cpus=0, gpus=0))
    print(f"{'task':22} {'scripts':>8} {'covered':>8} {'bias':>9} {'bias/width':>10}")
    rows = []
    try:
        for name in names:
            drawn = [await _draw(name, seed, sandbox) for seed in range(seeds)]
            rows.append(_row(name, np.array([cell for one in drawn for cell in one])))
            print(
                "{task:22} {scripts:8d} {covered:8.3f} {bias:9.4g} {bias_of_width:10.3f}".format(**rows[-1]), flush=True
            )
    finally:
        await sandbox.close()
    return rows


def _row(name: str, cells: "np.ndarray[Any, Any]") -> dict[str, Any]:
    """`bias` is the mean of audit score minus true score."""
    audit, low, high, true = cells.T
    return {
        "task": name,
        "scripts": len(cells),
        "covered": float(((low <= true) & (true <= high)).mean()),
        "bias": float((audit - true).mean()),
        "bias_of_width": float((audit - true).mean() / (high - low).mean()),
    }


async def _draw(name: str, seed: int, sandbox: Sandbox) -> list[tuple[float, float, float, float]]:
    """Audit score, interval and true score of each script, on one draw of a task."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        task = load_task(bundled_task(name, seed=seed), place / "load")
        config = RunConfig(seed=seed, audit_fraction=0.15)
        views = {view: stage(task, view, config, place / "views") for view in (AUDIT, FINAL)}
        wanted = pd.read_csv(truth_path(name, seed=seed), dtype=str)[task.target]
        models = REGRESSION if task.problem == "regression" else CLASSES
        work = (_audited(task, model, n, views, wanted, config, place, sandbox) for n, model in enumerate(models))
        return list(await asyncio.gather(*work))


async def _audited(
    task: Task,
    model: str,
    number: int,
    views: dict[Any, StagedView],
    wanted: "pd.Series[str]",
    config: RunConfig,
    place: Path,
    sandbox: Sandbox,
) -> tuple[float, float, float, float]:
    values = [column for column in task.submission_columns if column != task.id]
    script = SCRIPT.format(target=task.target, id=task.id, values=values, predicts=task.metric.predicts, model=model)

    async def run(view: StagedView) -> Execution:
        job = Job(script, "script.py", place / f"{view.view.name}-{number}", view=view, seed=0)
        execution = await sandbox.run(job)
        if execution.outcome != "ok":
            raise RuntimeError(f"{task.name}, {model}: {execution.outcome}\n{execution.stderr}")
        return execution

    audited, final = await asyncio.gather(run(views[AUDIT]), run(views[FINAL]))
    found = read_predictions(task, [AUDIT], [audited], config)
    assert found is not None
    low, high = found.interval(len(wanted))
    predicted = check_submission(final.folder / SUBMISSION, expected_submission(task, FINAL, config))
    true = compute(task.metric, truth_of(task, wanted), values_of(task, predicted), task.profile.classes)
    return found.value(), low, high, true
