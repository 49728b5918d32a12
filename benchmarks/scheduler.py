"""What running jobs side by side brings: trivial jobs through one and two slots, and cross-validations two at once."""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from benchmarks.jobs import busy, make_job
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox, make_sandbox
from machine_learning_engineering.shared_libraries.execution.scheduler import Capacity, ScheduledSandbox

# Rows and trees so that the fits, not the start, are most of the time.
_CROSS_VALIDATION = """\
import numpy as np
from lightgbm import LGBMRegressor
from sklearn.model_selection import cross_val_score

random = np.random.default_rng(0)
x = random.normal(size=(3000, 20))
y = x[:, 0] * x[:, 1] + x[:, 2] + random.normal(size=3000)
print(cross_val_score(LGBMRegressor(n_estimators=300, n_jobs=2, verbose=-1), x, y, cv=3).mean())
"""
_TRIVIAL = "print(1)\n"
_TARGET_RATIO = 1.3


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=1000, help="trivial jobs for warm; subprocess runs a tenth")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of cross-validations, each way")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Trivial jobs a second by slots, and the time of two cross-validations at once over one after the other."""
    jobs, rounds = (100, 2) if options.quick else (options.jobs, options.rounds)
    found: dict[str, Any] = {}
    print(f"{'sandbox':12} {'1 slot':>14} {'2 slots':>14} {'ratio':>6} {'one by one':>11} {'at once':>9} {'ratio':>6}")
    for name, count in (("warm", jobs), ("subprocess", max(jobs // 10, 20))):
        with tempfile.TemporaryDirectory() as place:
            row = found[name] = asyncio.run(_of_sandbox(name, Path(place), count, rounds))
        trivial, pairs = row["jobs_per_second"], row["cross_validations"]
        print(
            f"{name:12} {trivial['1']:12.1f}/s {trivial['2']:12.1f}/s {row['slots_ratio']:6.2f} "
            f"{pairs['one_by_one_s']:9.2f} s {pairs['at_once_s']:7.2f} s {pairs['ratio']:6.2f}",
            flush=True,
        )
    ratio = found["warm"]["cross_validations"]["ratio"]
    return {
        "benchmark": "scheduler", "jobs": jobs, "by_sandbox": found, "target_met": ratio <= _TARGET_RATIO,
        "load": busy(),
    }  # fmt: skip


async def _of_sandbox(name: str, place: Path, jobs: int, rounds: int) -> dict[str, Any]:
    sandbox = make_sandbox(name)
    try:
        await asyncio.gather(*(sandbox.run(make_job(place, "import lightgbm", threads=n)) for n in (1, 2)))
        speeds = {str(slots): await _jobs_per_second(sandbox, place, slots, jobs) for slots in (1, 2)}
        return {
            "jobs_per_second": speeds,
            "slots_ratio": round(speeds["2"] / speeds["1"], 2),
            "cross_validations": await _cross_validations(sandbox, place, rounds),
        }
    finally:
        await sandbox.close()


async def _jobs_per_second(sandbox: Sandbox, place: Path, slots: int, jobs: int) -> float:
    scheduled = ScheduledSandbox(sandbox, Capacity(cpus=slots, waiting=jobs))
    started = time.perf_counter()
    ended = await asyncio.gather(*(scheduled.run(make_job(place, _TRIVIAL, threads=1)) for _ in range(jobs)))
    seconds = time.perf_counter() - started
    if wrong := [execution for execution in ended if execution.stdout != "1\n"]:
        raise RuntimeError(f"{len(wrong)} of {jobs} trivial jobs failed, the first so: {wrong[0]!r}")
    return round(jobs / seconds, 1)


async def _cross_validations(sandbox: Sandbox, place: Path, rounds: int) -> dict[str, float]:
    """Medians over rounds; the two ways take turns, so that both meet the same machine."""
    one_by_one, at_once = [], []
    for _ in range(rounds):
        one_by_one.append(await _seconds(_fit(sandbox, place)) + await _seconds(_fit(sandbox, place)))
        at_once.append(await _seconds(asyncio.gather(_fit(sandbox, place), _fit(sandbox, place))))
    apart, together = statistics.median(one_by_one), statistics.median(at_once)
    return {
        "one_by_one_s": round(apart, 3),
        "at_once_s": round(together, 3),
        "ratio": round(together / apart, 3),
        "worst_ratio": round(max(both / each for both, each in zip(at_once, one_by_one, strict=True)), 3),
    }


async def _fit(sandbox: Sandbox, place: Path) -> None:
    execution = await sandbox.run(make_job(place, _CROSS_VALIDATION, threads=2))
    if execution.outcome != "ok":
        raise RuntimeError(f"the cross-validation ended with {execution.outcome}: {execution.stderr}")


async def _seconds(work: Awaitable[object]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started
