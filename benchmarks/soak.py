"""Whether a sandbox can run for days: memory and descriptors over thousands of jobs, and overruns of time limits."""

import argparse
import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.jobs import busy, make_job, quantiles
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox, make_sandbox

_SLOTS = 2
_BATCH = 100  # jobs between two samples, which are taken while nothing runs
_LIMIT_SECONDS = 0.3
_TARGET_GROWTH, _TARGET_OVERRUN_MS = 1.02, 100.0
_SCRIPTS = (
    "print(1)\n",
    "import numpy as np\nprint(np.ones(100_000).sum())\n",
    "open('final/submission.csv', 'w').write('id,y\\n1,2\\n')\n",
    "raise SystemExit(3)\n",
    "import os\nif os.fork() == 0:\n    os.setsid()\n    while True:\n        pass\n",
)
_TOO_LONG = {
    "computes": "while True:\n    pass\n",
    "sleeps, deaf to SIGTERM": "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)\n",
    "has children": "import os, time\nfor _ in range(4):\n    os.fork() or os.setsid()\ntime.sleep(60)\n",
    "holds 400 MB": "import numpy as np, time\nheld = np.ones(50_000_000)\ntime.sleep(60)\n",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs for warm; subprocess runs a tenth")
    parser.add_argument("--long", type=int, default=100, help="jobs that run too long, for each sandbox")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Growth of memory and descriptors from the second quarter of the jobs to the last, and overruns, by sandbox."""
    jobs, long = (400, 20) if options.quick else (options.jobs, options.long)
    found: dict[str, Any] = {}
    for name, count in (("warm", jobs), ("subprocess", max(jobs // 10, 4 * _BATCH))):
        with tempfile.TemporaryDirectory() as place:
            row = found[name] = asyncio.run(_of_sandbox(name, Path(place), count, long))
        print(f"{name}: {count} jobs, {row['jobs_per_second']:.1f} a second")
        for what, figures in row["growth"].items():
            print(f"  {what:22} {figures['second_quarter']:12.1f} -> {figures['last_quarter']:12.1f}")
        over = row["overrun"]
        print(f"  overrun of {long} jobs: median {over['p50_ms']:.0f} ms, p99 {over['p99_ms']:.0f} ms", flush=True)
    warm = found["warm"]
    met = warm["flat"] and warm["overrun"]["p99_ms"] < _TARGET_OVERRUN_MS
    return {"benchmark": "soak", "jobs": jobs, "by_sandbox": found, "target_met": met, "load": busy()}


async def _of_sandbox(name: str, place: Path, jobs: int, long: int) -> dict[str, Any]:
    sandbox = make_sandbox(name)
    try:
        started = time.perf_counter()
        samples = [await _batch(sandbox, place) for _ in range(jobs // _BATCH)]
        speed = jobs / (time.perf_counter() - started)
        growth = {what: _growth([sample[what] for sample in samples]) for what in samples[-1]}
        overruns = [await _overrun(sandbox, place, script) for script in _long_scripts(long)]
    finally:
        await sandbox.close()
    return {
        "jobs_per_second": round(speed, 1),
        "growth": growth,
        "flat": all(_is_flat(row) for row in growth.values()),
        "samples": samples[:: max(len(samples) // 10, 1)],
        "overrun": quantiles(overruns),
        "overrun_by_script": _by_script(overruns),
    }


async def _batch(sandbox: Sandbox, place: Path) -> dict[str, float]:
    """What the sandbox holds after one more batch of jobs, two at a time."""
    free = asyncio.Semaphore(_SLOTS)

    async def one(script: str) -> None:
        async with free:
            job = make_job(place, script)
            await sandbox.run(job)
            shutil.rmtree(job.folder)

    await asyncio.gather(*(one(_SCRIPTS[i % len(_SCRIPTS)]) for i in range(_BATCH)))
    return _held()


def _held() -> dict[str, float]:
    """Memory in MB and open descriptors, of this process and of its fork servers together."""
    own = psutil.Process()
    servers = own.children()
    return {
        "client_mb": own.memory_info().rss / 2**20,
        "client_descriptors": own.num_fds(),
        "server_mb": sum(server.memory_info().rss for server in servers) / 2**20,
        "server_descriptors": sum(map(_descriptors, servers)),
        "processes": len(own.children(recursive=True)),
        "threads": own.num_threads(),
    }


def _descriptors(process: psutil.Process) -> int:
    """Zero where only root may look into a fork server."""
    try:
        return process.num_fds()
    except psutil.AccessDenied:
        return 0


def _growth(values: list[float]) -> dict[str, float]:
    quarter = max(len(values) // 4, 1)
    return {
        "second_quarter": round(float(np.mean(values[quarter : 2 * quarter])), 2),
        "last_quarter": round(float(np.mean(values[-quarter:])), 2),
    }


def _is_flat(row: dict[str, float]) -> bool:
    return row["last_quarter"] <= row["second_quarter"] * _TARGET_GROWTH + 1


def _long_scripts(count: int) -> list[str]:
    scripts = list(_TOO_LONG.values())
    return [scripts[i % len(scripts)] for i in range(count)]


async def _overrun(sandbox: Sandbox, place: Path, script: str) -> float:
    """Seconds of the whole call beyond the limit: the start before it and the clearing up after it included."""
    started = time.perf_counter()
    execution = await sandbox.run(make_job(place, script, wall_seconds=_LIMIT_SECONDS))
    seconds = time.perf_counter() - started
    if execution.outcome != "timeout":
        raise RuntimeError(f"a job that runs too long ended with {execution.outcome}")
    return seconds - _LIMIT_SECONDS


def _by_script(overruns: list[float]) -> dict[str, dict[str, float]]:
    return {name: quantiles(overruns[at :: len(_TOO_LONG)]) for at, name in enumerate(_TOO_LONG)}
