"""How good the offline model is: whole runs on tasks with known truth, against default LightGBM on the same rows."""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from machine_learning_engineering.shared_libraries.records import Task, TaskRequest
from machine_learning_engineering.shared_libraries.tasks.bundled import bundled_names, bundled_task, truth_path
from machine_learning_engineering.shared_libraries.tasks.load import load_task
from machine_learning_engineering.shared_libraries.tasks.metrics import compute


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--csv", type=Path, help="a CSV to split five times, instead of the bundled tasks")
    parser.add_argument("--target", help="its column to predict")
    parser.add_argument("--metric", help="its metric")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tasks", nargs="*", help="some bundled tasks instead of all")
    parser.add_argument("--keep", type=Path, help="a folder to keep the runs in")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The loss of the final submission over that of default LightGBM, by task and seed; below 1 is better."""
    rows: list[dict[str, Any]] = []
    print(f"{'task':28} {'seed':>4} {'ours':>10} {'LightGBM':>10} {'trivial':>10} {'ratio':>7} {'seconds':>8}")
    with tempfile.TemporaryDirectory() as scratch:
        place = options.keep or Path(scratch)
        names = [options.csv.stem] if options.csv else options.tasks or list(bundled_names())
        for name in names:
            for seed in range(1 if options.quick else options.seeds):
                folder = place / f"{name}-{seed}"
                request, truth = _split(options, seed, folder) if options.csv else _bundled(name, seed)
                rows.append({"task": name, "seed": seed, **_compare(request, truth, folder)})
                form = "{task:28} {seed:4d} {ours:10.5g} {lightgbm:10.5g} {trivial:10.5g} {ratio:7.3f} {seconds:8.1f}"
                print(form.format(**rows[-1]), flush=True)
    means = {name: _mean(row["ratio"] for row in rows if row["task"] == name) for name in names}
    for name, mean in means.items():
        print(f"mean ratio {name:28} {mean:.4f}")
    return {"benchmark": "offline", "rows": rows, "mean_ratio": means, "slowest_s": max(row["seconds"] for row in rows)}


def _split(options: argparse.Namespace, seed: int, folder: Path) -> tuple[TaskRequest, Path]:
    """A fifth of a CSV as test rows, as train_test_split(test_size=0.2, random_state=seed) draws them."""
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(pd.read_csv(options.csv), test_size=0.2, random_state=seed)
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    train.to_csv(data / "train.csv", index=False)
    test.drop(columns=options.target).to_csv(data / "test.csv", index=False)
    test[[options.target]].to_csv(folder / "truth.csv", index=False)
    return TaskRequest(source=data, target=options.target, metric=options.metric, name="csv"), folder / "truth.csv"


def _bundled(name: str, seed: int) -> tuple[TaskRequest, Path]:
    return bundled_task(name, seed=seed), truth_path(name, seed=seed)


def _compare(request: TaskRequest, truth: Path, folder: Path) -> dict[str, Any]:
    out = folder / "run"
    command = [sys.executable, "-m", "machine_learning_engineering.cli", "run", str(request.source), "--out", str(out)]
    command += [f"--{key}={getattr(request, key)}" for key in ("target", "metric") if getattr(request, key)]
    started = time.perf_counter()
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    if ended.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\nended with {ended.returncode}:\n{ended.stdout[-2000:]}{ended.stderr}")
    seconds = time.perf_counter() - started
    task = load_task(request, folder / "load")
    wanted = pd.read_csv(truth, dtype=str)[task.target]
    values = [name for name in task.submission_columns if name != task.id]
    losses = {
        "ours": _loss(task, wanted, pd.read_csv(out / "final" / "submission.csv", dtype=str)[values]),
        "lightgbm": _loss(task, wanted, _lightgbm(task, values)),
        "trivial": _loss(task, wanted, _trivial(task, len(wanted), values)),
    }
    return {**losses, "ratio": losses["ours"] / losses["lightgbm"], "seconds": seconds}


def _loss(task: Task, wanted: "pd.Series[str]", predicted: pd.DataFrame) -> float:
    """What is lost against perfection: the metric itself where lower is better, else 1 minus it."""
    classes = task.profile.classes
    if task.metric.predicts == "label":
        value = compute(task.metric, wanted.to_numpy(), predicted.iloc[:, 0].to_numpy(), classes)
    else:
        truth = wanted.astype(float).to_numpy() if task.metric.predicts == "value" else wanted.to_numpy()
        numbers = predicted.astype(float).to_numpy()
        value = compute(task.metric, truth, numbers[:, 0] if numbers.shape[1] == 1 else numbers, classes)
    return 1 - value if task.metric.maximize else value


def _lightgbm(task: Task, values: list[str]) -> pd.DataFrame:
    """The submission of LightGBM as it comes, on the raw columns; text and dates as categories."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    train, test = pd.read_csv(task.train), pd.read_csv(task.test)
    features = [name for name in test.columns if name != task.id]
    both = pd.concat([train[features], test[features]])
    for name in features:
        if not pd.api.types.is_numeric_dtype(both[name]):
            both[name] = both[name].astype("category")
    x, new = both.iloc[: len(train)], both.iloc[len(train) :]
    if task.problem == "regression":
        model = LGBMRegressor(n_jobs=2, verbose=-1).fit(x, train[task.target])
        floor = 0.0 if train[task.target].min() >= 0 else -np.inf
        return pd.DataFrame({values[0]: np.maximum(model.predict(new), floor)})
    labels = pd.read_csv(task.train, dtype=str)[task.target]
    model = LGBMClassifier(n_jobs=2, verbose=-1).fit(x, labels)
    if task.metric.predicts == "label":
        return pd.DataFrame({values[0]: model.predict(new)})
    probability = model.predict_proba(new)[:, [list(model.classes_).index(label) for label in task.profile.classes]]
    return pd.DataFrame(probability[:, 1:] if len(values) == 1 else probability, columns=values)


def _trivial(task: Task, rows: int, values: list[str]) -> pd.DataFrame:
    """The mean, the most frequent label, or the shares of the classes, for every row."""
    labels = pd.read_csv(task.train, dtype=str)[task.target]
    if task.problem == "regression":
        return pd.DataFrame({values[0]: np.full(rows, labels.astype(float).mean())})
    shares = labels.value_counts(normalize=True).reindex(list(task.profile.classes))
    if task.metric.predicts == "label":
        return pd.DataFrame({values[0]: np.full(rows, shares.idxmax())})
    cells = shares.to_numpy()[1:] if len(values) == 1 else shares.to_numpy()
    return pd.DataFrame(np.tile(cells, (rows, 1)), columns=values)


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 4)
