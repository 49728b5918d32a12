"""How long a default run of the offline model takes, by what its scripts run in; each run with an empty cache."""

import argparse
import compileall
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine_learning_engineering
from benchmarks.jobs import busy
from machine_learning_engineering.shared_libraries.entries import ScriptRun
from machine_learning_engineering.shared_libraries.runs.journal import read_journal

_BACKENDS = ("warm", "subprocess")
_TARGET_RATIO = 5.0


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", default="glucose-progression", help="a bundled task")
    parser.add_argument("--rounds", type=int, default=3, help="runs with each sandbox, in turns")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Wall and processor seconds of whole runs by sandbox, the command's own start and its report included."""
    rounds = 1 if options.quick else options.rounds
    compileall.compile_dir(Path(machine_learning_engineering.__file__).parent, quiet=2)  # as pip does for users
    with tempfile.TemporaryDirectory() as home:  # one for all, since a bundled task is drawn anew for each
        return _in_turns(options.task, rounds, Path(home))


def _in_turns(task: str, rounds: int, home: Path) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    print(f"{'sandbox':12} {'round':>5} {'wall':>8} {'processor':>10} {'scripts':>8} {'their wall time':>16}")
    for number in range(rounds):
        for sandbox in _BACKENDS:
            row = {"sandbox": sandbox, "round": number, **_run(task, sandbox, home)}
            rows.append(row)
            print(
                f"{sandbox:12} {number:5} {row['wall_s']:6.1f} s {row['cpu_s']:8.1f} s {row['scripts']:8} "
                f"{row['scripts_wall_s']:14.1f} s",
                flush=True,
            )
    warm, cold = (statistics.median(row["wall_s"] for row in rows if row["sandbox"] == one) for one in _BACKENDS)
    scores = {row["score"] for row in rows}
    print(f"subprocess over warm: {cold / warm:.2f}; scores {sorted(scores)}; load {busy()}")
    return {
        "benchmark": "backends", "task": task, "rows": rows, "ratio": round(cold / warm, 3),
        "same_score": len(scores) == 1, "target_met": cold / warm >= _TARGET_RATIO, "load": busy(),
    }  # fmt: skip


def _run(task: str, sandbox: str, home: Path) -> dict[str, Any]:
    """One run from the command line, in a home whose cache is empty."""
    for leftover in (home / "cache", home / "run"):
        shutil.rmtree(leftover, ignore_errors=True)
    command = [sys.executable, "-m", "machine_learning_engineering.cli", "run", task, "--sandbox", sandbox, "--json"]
    before, begun = _children_seconds(), time.perf_counter()
    done = subprocess.run(
        [*command, "--out", str(home / "run")],
        env={**os.environ, "MLE_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    wall = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}\n{done.stderr}")
    entries = read_journal(home / "run")
    ran = [entry.execution.execution_time for entry in entries if isinstance(entry, ScriptRun)]
    published = [entry for entry in entries if entry.kind == "published"]
    return {
        "wall_s": round(wall, 2), "cpu_s": round(_children_seconds() - before, 1), "scripts": len(ran),
        "scripts_wall_s": round(sum(ran), 1), "score": published[-1].value,
    }  # fmt: skip


def _children_seconds() -> float:
    """Processor seconds of all processes below this one that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
