"""Whether the audit's interval holds what it promises: true scores of cheap scripts on test files with known labels.

Each of twelve scripts is audited, and then trained on all rows and scored on the true labels of the test file. The 95 %
interval should hold that score in 95 of 100 draws.
"""

import argparse
import asyncio
from typing import Any

import numpy as np

from benchmarks import cheap_scripts
from benchmarks.cheap_scripts import Draw, over_draws
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox
from machine_learning_engineering.shared_libraries.records import AUDIT, FINAL


def add_options(parser: argparse.ArgumentParser) -> None:
    cheap_scripts.add_options(parser, seeds=100)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """How often the nominal 95 % interval holds the true score, by task, and the audit score's bias."""
    seeds = 10 if options.quick else options.seeds
    print(f"{'task':22} {'scripts':>8} {'covered':>8} {'bias':>9} {'bias/width':>10}")
    rows: list[dict[str, Any]] = []

    def tell(name: str, seen: "np.ndarray[Any, Any]") -> None:
        rows.append(_row(name, seen.reshape(-1, 4)))
        form = "{task:22} {scripts:8d} {covered:8.3f} {bias:9.4g} {bias_of_width:10.3f}"
        print(form.format(**rows[-1]), flush=True)

    asyncio.run(over_draws(options.tasks, seeds, _audited_all, tell))
    return {"benchmark": "coverage", "seeds": seeds, "rows": rows}


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


async def _audited_all(drawn: Draw, sandbox: Sandbox) -> list[tuple[float, float, float, float]]:
    return list(await asyncio.gather(*(_audited(drawn, n, sandbox) for n in range(len(drawn.models)))))


async def _audited(drawn: Draw, number: int, sandbox: Sandbox) -> tuple[float, float, float, float]:
    """Audit score, interval and true score of one script."""
    audited, final = await asyncio.gather(*(drawn.run(number, view, sandbox) for view in (AUDIT, FINAL)))
    found = drawn.held_out([AUDIT], [audited])
    interval = found.interval(len(drawn.truth))
    assert interval is not None, "no bundled task has a single group"
    low, high = interval
    return found.value(), low, high, drawn.of_test_file(final).value()
