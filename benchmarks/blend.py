"""What the free ensemble is worth: the blend of twelve cheap scripts against the best of them, by true score.

The shipped greedy selection works on out-of-fold predictions alone, and the shipped rule decides whether the blend is
handed in. Both choices are then scored on the labels of the test file, which neither saw.
"""

import argparse
import asyncio
from typing import Any

import numpy as np
from scipy.stats import t

from benchmarks import cheap_scripts
from benchmarks.cheap_scripts import Draw, over_draws
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox
from machine_learning_engineering.shared_libraries.records import FINAL
from machine_learning_engineering.shared_libraries.scoring.blend import Blend, blend
from machine_learning_engineering.shared_libraries.scoring.choose import worth_adopting
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold, compare
from machine_learning_engineering.shared_libraries.scoring.views import fold_views


def add_options(parser: argparse.ArgumentParser) -> None:
    cheap_scripts.add_options(parser, seeds=20)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The gain of the blend over the best single script, in standard errors of the two scores' paired difference."""
    seeds = 3 if options.quick else options.seeds
    print("gain: of the best single script's true score, with its standard error; promised: by its out-of-fold score;")
    print("bound: below the mean gain with 95 % confidence, and worst: the 5th percentile of draws, in standard errors")
    print(f"{'task':22} {'adopted':>8} {'gain %':>8} {'error':>6} {'promised %':>11} {'bound':>7} {'worst':>7}")
    rows: list[dict[str, Any]] = []

    def tell(name: str, seen: "np.ndarray[Any, Any]") -> None:
        rows.append(_row(name, seen))
        form = "{task:22} {adopted:8.2f} {gain:8.2f} {error:6.2f} {promised:11.2f} {bound:7.2f} {worst:7.2f}"
        print(form.format(**rows[-1]), flush=True)

    asyncio.run(over_draws(options.tasks, seeds, _gain, tell))
    better = [row["task"] for row in rows if row["gain"] > 0]
    print(f"better than the best single script in {len(better)} of {len(rows)} tasks")
    return {"benchmark": "blend", "seeds": seeds, "rows": rows, "better": better}


def _row(name: str, cells: "np.ndarray[Any, Any]") -> dict[str, Any]:
    adopted, gain, promised, in_errors = cells.T
    count = len(cells)
    return {
        "task": name,
        "adopted": float(adopted.mean()),
        "gain": 100 * float(gain.mean()),
        "error": 100 * float(gain.std(ddof=1)) / count**0.5,
        "promised": 100 * float(promised.mean()),
        "bound": float(in_errors.mean() - t.ppf(0.95, count - 1) * in_errors.std(ddof=1) / count**0.5),
        "worst": float(np.percentile(in_errors, 5)),
    }


async def _gain(drawn: Draw, sandbox: Sandbox) -> tuple[float, float, float, float]:
    """Whether the blend is handed in, its true and its promised relative gain, and the true one in standard errors."""
    views = (*fold_views(drawn.task, drawn.config), FINAL)
    numbers = range(len(drawn.models))
    runs = await asyncio.gather(*(drawn.run(number, view, sandbox) for number in numbers for view in views))
    made = [runs[start : start + len(views)] for start in range(0, len(runs), len(views))]
    held = [drawn.held_out(views[:-1], one[:-1]) for one in made]
    metric = drawn.task.metric
    ranked = sorted(numbers, key=lambda n: metric.gain(held[n].value(), over=0.0), reverse=True)
    members, final = [held[n] for n in ranked], [drawn.of_test_file(made[n][-1]) for n in ranked]
    found = await asyncio.to_thread(blend, members)
    if found is None or not worth_adopting(claim := compare(found.predictions, members[0]), drawn.config.adopt_z):
        return False, 0.0, 0.0, 0.0
    true = compare(_blended(found, final, drawn), final[0])
    in_errors = true.gain / true.error if true.error else 0.0
    return True, true.gain / abs(final[0].value()), claim.gain / abs(members[0].value()), in_errors


def _blended(found: Blend, final: list[OutOfFold], drawn: Draw) -> OutOfFold:
    """What the script of this blend would submit: its members' predictions of the test file, mixed."""
    first = final[0]
    mixed = found.of([final[n].predictions for n in found.weights], drawn.task.profile.classes)
    return OutOfFold(drawn.task, first.truth, mixed, first.folds)
