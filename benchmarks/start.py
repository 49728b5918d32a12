"""How long until a script does its first work: warm forks against fresh interpreters, taken in turns."""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.jobs import SCIENCE, busy, make_job, make_view, quantiles
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox, make_sandbox
from machine_learning_engineering.shared_libraries.records import StagedView

# What it prints first and last bounds the script's own work, which is no overhead.
_SCRIPT = f"{SCIENCE}\nimport time\nprint(time.time_ns())\nprint(time.time_ns())\n"
_MEMORY_BYTES = 4 * 2**30
_TARGET_RATIO, _TARGET_WARM_MS = 100, 15.0

Start = Callable[[], Awaitable[str]]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=50, help="starts of each kind")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds from the call to the script's first line after its imports, and of the whole call, by kind of start."""
    with tempfile.TemporaryDirectory() as place:
        rounds = 8 if options.quick else options.rounds
        taken, layers = asyncio.run(_interleaved(Path(place), rounds))
    found: dict[str, Any] = {name: _figures(pairs) for name, pairs in taken.items()}
    print(f"{'start':22} {'first line: median':>18} {'p90':>10} {'whole call: median':>19} {'p90':>10}")
    for name, row in found.items():
        first, call = row["first_line"], row["call"]
        print(
            f"{name:22} {first['p50_ms']:15.1f} ms {first['p90_ms']:7.1f} ms "
            f"{call['p50_ms']:16.1f} ms {call['p90_ms']:7.1f} ms"
        )
    ratios = {part: _ratio(found, part) for part in ("first_line", "call")}
    warm = found["warm"]["first_line"]["p50_ms"]
    print(f"cold over warm: {ratios['first_line']:.0f} (first line), {ratios['call']:.0f} (call); load {busy()}")
    met = ratios["first_line"] >= _TARGET_RATIO and warm <= _TARGET_WARM_MS
    return {
        "benchmark": "start", "rounds": rounds, "by_start": found, "cold_over_warm": ratios, "layers": layers,
        "target_met": met, "load": busy(),
    }  # fmt: skip


async def _interleaved(place: Path, rounds: int) -> tuple[dict[str, list[tuple[float, float]]], tuple[str, ...]]:
    """For each kind of start, what each of its rounds took; and the layers around the warm ones.

    One of each kind in turn, so that all of them meet the same machine. The first round is not counted.
    """
    warm, cold = make_sandbox("warm"), make_sandbox("subprocess")
    view = make_view(place / "view")
    starts: dict[str, Start] = {
        "warm": lambda: _in_sandbox(warm, place, view),
        "warm, memory ceiling": lambda: _in_sandbox(warm, place, view, memory_bytes=_MEMORY_BYTES),
        "subprocess": lambda: _in_sandbox(cold, place, view),
        "python, no sandbox": lambda: _plain(place),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in starts}
    try:
        for _ in range(rounds + 1):
            for name, start in starts.items():
                taken[name].append(await _timed(start))
        execution = await warm.run(make_job(place, _SCRIPT, view))
        return {name: pairs[1:] for name, pairs in taken.items()}, execution.layers
    finally:
        await warm.close()
        await cold.close()


async def _timed(start: Start) -> tuple[float, float]:
    """Seconds to the first line, and of the whole call without the script's own work."""
    before, clock = time.time_ns(), time.perf_counter()
    stdout = await start()
    seconds = time.perf_counter() - clock
    first, last = map(int, stdout.split())
    return (first - before) / 1e9, seconds - (last - first) / 1e9


async def _in_sandbox(sandbox: Sandbox, place: Path, view: StagedView, **limits: Any) -> str:
    execution = await sandbox.run(make_job(place, _SCRIPT, view, **limits))
    if execution.outcome != "ok":
        raise RuntimeError(f"the script ended with {execution.outcome}: {execution.stderr}")
    return execution.stdout


async def _plain(place: Path) -> str:
    """What `python script.py` prints."""
    script = place / "script.py"
    script.write_text(_SCRIPT)
    command = [sys.executable, str(script)]
    done = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, text=True)
    return done.stdout


def _figures(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    first, call = zip(*pairs, strict=True)
    return {"first_line": quantiles(first), "call": quantiles(call)}


def _ratio(found: dict[str, Any], part: str) -> float:
    return round(float(found["subprocess"][part]["p50_ms"] / found["warm"][part]["p50_ms"]), 1)
