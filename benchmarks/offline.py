"""How good the offline model is: whole runs on tasks whose truth is known, against default LightGBM on the same rows."""

import argparse
import subprocess
import sys
import tempfile
import time
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
    """Error of the final submission over the error of default LightGBM, by task and seed; below 1 is better."""
    seeds = range(1 if options.quick else options.seeds)
    rows: list[dict[str, Any]] = []
    print(f"{'task':28} {'seed':>4} {'ours':>10} {'LightGBM':>10} {'trivial':>10} {'ratio':>7} {'seconds':>8}")
    with tempfile.TemporaryDirectory() as scratch:
        place = options.keep or Path(scratch)
        names = ["csv"] if options.csv else options.tasks or list(bundled_names())
        for name in names:
            for seed in seeds:
                rows.append(_one(name, seed, options, place / f"{name}-{seed}"))
                print("{task:28} {seed:4d} {ours:10.5g} {lightgbm:10.5g} {trivial:10.5g} {ratio:7.3f} {seconds:8.1f}".format(**rows[-1]), flush=True)
    means = {name: round(float(np.mean([r["ratio"] for r in rows if r["task"] == name])), 4) for name in dict.fromkeys(r["task"] for r in rows)}
    for name, mean in means.items():
        print(f"mean ratio {name:28} {mean:.4f}")
    return {"benchmark": "offline", "rows": rows, "mean_ratio": means, "slowest_s": max(r["seconds"] for r in rows)}
