"""What sealed scores are worth: the script chosen by held-out labels against the one chosen by what scripts say.

Each of twelve cheap scripts judges itself in one of three ways that real ones use: on a fifth of the rows kept aside,
on a fifth kept aside after rows were drawn twice to have more of them, on the rows it was trained on. Either all do it
the same way, or each in one that is drawn for it (`mixed`), as where nobody tells authors how. A figure is computed
without error; only the rows differ. The harness scores the same scripts out of fold. What the two choices are worth is
then read off the labels of the test file.
"""

import argparse
import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import cheap_scripts
from benchmarks.cheap_scripts import CHECKS, Draw, over_draws
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox
from machine_learning_engineering.shared_libraries.records import FINAL, Metric
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold
from machine_learning_engineering.shared_libraries.scoring.views import fold_views


def add_options(parser: argparse.ArgumentParser) -> None:
    cheap_scripts.add_options(parser, seeds=20)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """By task and by how scripts judge themselves: the gain of the sealed choice's true score, paired over draws."""
    seeds = 3 if options.quick else options.seeds
    print("gain: of the true score by choosing on sealed labels, in % of the other's, with its standard error;")
    print("sealed, reported: by how many % the figure that chose the winner is better than the winner's true score")
    print(f"{'task':22} {'judged by':12} {'gain %':>8} {'error':>7} {'sealed':>8} {'reported':>9}")
    rows: list[dict[str, Any]] = []

    def tell(name: str, seen: "np.ndarray[Any, Any]") -> None:
        form = "{task:22} {check:12} {gain:8.2f} {error:7.2f} {sealed_optimism:8.1f} {reported_optimism:9.1f}"
        for number, check in enumerate((*CHECKS, "mixed")):
            rows.append({"task": name, "check": check, **_row(seen[:, number])})
            print(form.format(**rows[-1]), flush=True)

    asyncio.run(over_draws(options.tasks, seeds, _choices, tell))
    return {"benchmark": "sealed", "seeds": seeds, "rows": rows}


def _row(cells: "np.ndarray[Any, Any]") -> dict[str, float]:
    gain, sealed, reported = 100 * cells.T
    return {
        "gain": float(gain.mean()),
        "error": float(gain.std(ddof=1)) / len(gain) ** 0.5 if len(gain) > 1 else float("nan"),
        "sealed_optimism": float(sealed.mean()),
        "reported_optimism": float(reported.mean()),
    }


async def _choices(drawn: Draw, sandbox: Sandbox) -> list[tuple[float, float, float]]:
    """For each way of judging itself: the gain, and the optimism of the sealed and of the reported winner."""
    views, numbers = fold_views(drawn.task, drawn.config), range(len(drawn.models))
    searched = await asyncio.gather(*(drawn.run(n, view, sandbox) for n in numbers for view in views))
    handed_in = await asyncio.gather(*(drawn.run(n, FINAL, sandbox, checks=True) for n in numbers))
    held = [drawn.held_out(views, searched[n * len(views) :][: len(views)]) for n in numbers]
    true = [drawn.of_test_file(one).value() for one in handed_in]
    metric = drawn.task.metric
    sealed, said = _best(held, metric)
    same = [[check] * len(numbers) for check in CHECKS]
    mixed = np.random.default_rng(drawn.config.seed).choice(CHECKS, len(numbers))
    cells = []
    for checks in (*same, mixed):
        judged = [drawn.of_its_own_rows(one, check) for one, check in zip(handed_in, checks, strict=True)]
        reported, claim = _best(judged, metric)
        unit = abs(true[reported])
        gain = metric.gain(true[sealed], over=true[reported]) / unit
        optimism = metric.gain(said, over=true[sealed]), metric.gain(claim, over=true[reported])
        cells.append((gain, optimism[0] / unit, optimism[1] / unit))
    return cells


def _best(judged: Sequence[OutOfFold], metric: Metric) -> tuple[int, float]:
    """The script with the best score, and that score."""
    values = [one.value() for one in judged]
    best = (max if metric.maximize else min)(range(len(values)), key=values.__getitem__)
    return best, values[best]
