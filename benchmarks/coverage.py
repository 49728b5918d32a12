"""Whether the audit's interval holds what it promises: true scores of cheap scripts on test files with known labels.

Each of twelve scripts is audited, and then trained on all rows and scored on the true labels of the test file. The 95 %
interval should hold that score in 95 of 100 draws.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cheap_scripts import Draw, draw, two_at_once
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox
from machine_learning_engineering.shared_libraries.records import AUDIT, FINAL
from machine_learning_engineering.shared_libraries.tasks.bundled import bundled_names


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=100, help="draws of each task")
    parser.add_argument("--tasks", nargs="*", help="some bundled tasks instead of all")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """How often the nominal 95 % interval holds the true score, by task, and the audit score's bias."""
    seeds = 10 if options.quick else options.seeds
    rows = asyncio.run(_measure(options.tasks or list(bundled_names()), seeds))
    return {"benchmark": "coverage", "seeds": seeds, "rows": rows}


async def _measure(names: list[str], seeds: int) -> list[dict[str, Any]]:
    sandbox = two_at_once()
    print(f"{'task':22} {'scripts':>8} {'covered':>8} {'bias':>9} {'bias/width':>10}")
    form = "{task:22} {scripts:8d} {covered:8.3f} {bias:9.4g} {bias_of_width:10.3f}"
    rows = []
    try:
        for name in names:
            cells = [cell for seed in range(seeds) for cell in await _draw(name, seed, sandbox)]
            rows.append(_row(name, np.array(cells)))
            print(form.format(**rows[-1]), flush=True)
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
    with tempfile.TemporaryDirectory() as scratch:
        drawn = draw(name, seed, Path(scratch))
        return list(await asyncio.gather(*(_audited(drawn, n, sandbox) for n in range(len(drawn.models)))))


async def _audited(drawn: Draw, number: int, sandbox: Sandbox) -> tuple[float, float, float, float]:
    """Audit score, interval and true score of one script."""
    audited, final = await asyncio.gather(*(drawn.run(number, view, sandbox) for view in (AUDIT, FINAL)))
    found = drawn.held_out([AUDIT], [audited])
    low, high = found.interval(len(drawn.truth))
    return found.value(), low, high, drawn.of_test_file(final).value()
