"""What the pipeline itself costs: wall time of a run whose model and scripts take next to nothing, or 2 s a call."""

import argparse
import asyncio
import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from machine_learning_engineering.client import find_request, solve
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.entries import JournalEntry, LlmCall, ScriptRun
from machine_learning_engineering.shared_libraries.models import registry
from machine_learning_engineering.shared_libraries.models.scripted import ScriptedLlm
from machine_learning_engineering.shared_libraries.records import SEARCH
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from tests.fixtures import tiny

_PROCESSORS = 2


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--latency", type=float, nargs="*", default=[0.0, 2.0], help="seconds of a model call")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Wall, critical path and our own milliseconds a step, by latency."""
    found: dict[str, Any] = {}
    print(f"{'latency':>8} {'wall':>8} {'critical':>9} {'ratio':>6} {'steps':>6} {'ours/step':>10} {'calls deep':>16}")
    for latency in options.latency[: 1 if options.quick else None]:
        figures = asyncio.run(_run(latency))
        found[str(latency)] = figures
        print(
            f"{latency:8.1f} {figures['wall_s']:8.2f} {figures['critical_path_s']:9.2f} {figures['ratio']:6.2f} "
            f"{figures['steps']:6d} {figures['ours_ms_per_step']:7.1f} ms {figures['dependent_calls']:16.1f}"
        )
    return {"benchmark": "pipeline", "by_latency": found}


async def _run(latency: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tiny.make_task(folder / "task" / "tiny")
        model = ScriptedLlm(tiny.replies(), latency=latency)
        registry.PROVIDERS = (
            registry.Provider("scripted", "scripted", lambda name, config: model),
            *registry.PROVIDERS,
        )
        config = RunConfig(agent_model="scripted", use_data_leakage_checker=False, cache_gb=0)
        await solve(find_request(folder / "task" / "tiny"), config, folder / "warm-up") if latency == 0 else None
        model = ScriptedLlm(tiny.replies(), latency=latency)
        started = time.perf_counter()
        result = await solve(find_request(folder / "task" / "tiny"), config, folder / "run")
        wall = time.perf_counter() - started
        return _figures(wall, latency, read_journal(result.folder))


def _figures(wall: float, latency: float, entries: list[JournalEntry]) -> dict[str, Any]:
    calls = [e for e in entries if isinstance(e, LlmCall)]
    runs = [e for e in entries if isinstance(e, ScriptRun) and e.view != "final"]
    critical = _critical_path(calls, runs)
    steps = len(calls) + len(runs)
    return {
        "wall_s": round(wall, 3),
        "critical_path_s": round(critical, 3),
        "ratio": round(wall / critical, 3) if critical else None,
        "steps": steps,
        "ours_ms_per_step": round((wall - critical) / steps * 1000, 2),
        "dependent_calls": round(wall / latency, 1) if latency else 0.0,
    }


def _critical_path(calls: list[LlmCall], runs: list[ScriptRun]) -> float:
    """Seconds that two processors and the order of the phases leave no way around.

    A phase takes at least its longest chain of dependent model calls and scripts, where a script's later folds run side
    by side after its first, and at least half of the seconds that all its scripts ran.
    """
    chains: dict[tuple[str, int], float] = defaultdict(float)
    work: dict[str, float] = defaultdict(float)
    candidates: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for name, spent in [(c.agent, c.seconds) for c in calls] + _depths(runs):
        phase, solution, candidate = _place(name)
        if candidate:
            candidates[solution][candidate] += spent
        else:
            chains[phase, solution] += spent
    for run in runs:
        work[_place(_agent(run.slot))[0]] += run.execution.execution_time
    for solution, tried in candidates.items():
        chains["initialization", solution] += max(tried.values())
    longest = {phase: max(spent for (one, _), spent in chains.items() if one == phase) for phase, _ in chains}
    return sum(max(seconds, work[phase] / _PROCESSORS) for phase, seconds in longest.items())


def _depths(runs: list[ScriptRun]) -> list[tuple[str, float]]:
    """By script, the seconds of its run on the first fold and of the longest of those that follow it."""
    of_script: dict[tuple[str, int], list[ScriptRun]] = defaultdict(list)
    for run in runs:
        of_script[run.slot, run.ordinal].append(run)
    found = []
    for (slot, _), made in of_script.items():
        first = [run.execution.execution_time for run in made if run.view == SEARCH.name]
        rest = [run.execution.execution_time for run in made if run.view != SEARCH.name]
        found.append((_agent(slot), sum(first) + max(rest, default=0.0)))
    return found


def _place(name: str) -> tuple[str, int, int]:
    """Phase, solution and candidate of a step, 0 where it has none."""
    numbers = [int(part) for part in name.split("_") if part.isdigit()]
    if name.startswith("model_eval"):
        return "initialization", numbers[0], numbers[1]
    if name.startswith(("model_retriever", "merger")):
        return "initialization", numbers[0], 0
    return ("refinement", numbers[0], 0) if numbers else ("shared", 0, 0)


def _agent(code_key: str) -> str:
    """A name of the script's slot that ends with its solution, as agent names do."""
    parts = code_key.split("_")
    if code_key.startswith("init_code"):
        return f"model_eval_{parts[-2]}_{parts[-1]}"
    if code_key.startswith("merger_code"):
        return f"merger_{parts[-2]}"
    return "shared" if code_key.startswith(("ensemble", "submission")) else f"refine_{parts[-1]}"


if __name__ == "__main__":
    print(json.dumps(measure(argparse.Namespace(quick=False, latency=[0.0, 2.0]))))
