"""What the rule of adoption is worth: searches simulated by the thousand, in regimes that are declared here.

A search tries changes one after the other. Each has a true effect, drawn from a normal distribution, and makes a script
whose rows are noisy. The shipped rule decides by the shipped comparison of out-of-fold predictions; what was adopted is
then known exactly. At the end the winner is audited on rows that chose nothing. Effects, and the noise, which is the
standard error of a comparison, are in units of the effects' standard deviation.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.records import ColumnProfile, DataProfile, Task
from machine_learning_engineering.shared_libraries.scoring.choose import worth_adopting
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold, compare
from machine_learning_engineering.shared_libraries.tasks.metrics import METRICS

REGIMES = tuple((mean, noise) for mean in (0.0, -1.0, -2.0) for noise in (1.0, 3.0))
STRICTNESS = (0.0, 0.5, 1.0, 1.645)
STEPS = 20  # changes that a search tries
_ROWS = 200
_BASE = 1e4  # mean absolute error of the first script
_ZEROS, _FOLD = np.zeros(_ROWS), np.zeros(_ROWS, dtype=int)
_TARGET = ColumnProfile(name="y", kind="numeric", missing=0, unique=1)
_TASK = Task(
    name="simulated",
    description="",
    task_type="",
    problem="regression",
    metric=METRICS["mae"],
    train=Path(),
    test=Path(),
    target="y",
    submission_columns=("y",),
    profile=DataProfile(train_rows=_ROWS, test_rows=_ROWS, columns=(), target=_TARGET),
    digest="",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--searches", type=int, default=400, help="searches simulated for each cell")
    parser.add_argument("--plot", type=Path, help="an SVG file to draw the result into")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """True gain, false adoptions and optimism of a search, by regime and `adopt_z`; the audit's bias and coverage."""
    searches = 50 if options.quick else options.searches
    default = RunConfig().adopt_z
    print(f"{STEPS} changes a search, {searches} searches a row; * marks the default adopt_z, + the best true gain")
    form = "{mean:>5} {noise:>5} {z:>6}  {gain:>9} {false:>7} {optimism:>9} {bias:>11} {covered:>8}"
    names = {"gain": "true gain", "false": "false", "optimism": "optimism", "bias": "audit bias", "covered": "covered"}
    print(form.format(mean="mean", noise="noise", z="z", **names))
    rows = []
    for mean, noise in REGIMES:
        cells = [_search(mean, noise, z, searches) for z in STRICTNESS]
        best = max(cell["gain"] for cell in cells)
        for z, cell in zip(STRICTNESS, cells, strict=True):
            marks = ("*" if z == default else "") + ("+" if cell["gain"] == best else "")
            shown = {name: f"{value:.3f}" for name, value in cell.items()}
            print(form.format(mean=mean, noise=noise, z=f"{z:g}{marks}", **shown), flush=True)
            rows.append({"mean": mean, "noise": noise, "z": z, "is_best": cell["gain"] == best, **cell})
    if options.plot:
        options.plot.write_text(_plot(rows, default), encoding="utf-8")
    won = [(row["mean"], row["noise"]) for row in rows if row["is_best"] and row["z"] == default]
    print(f"the default, {default:g}, has the largest true gain in {len(won)} of {len(REGIMES)} regimes")
    return {"benchmark": "selection", "default_z": default, "default_is_best_in": won, "rows": rows}


def _search(mean: float, noise: float, adopt_z: float, searches: int) -> dict[str, float]:
    """Means over searches: the winner's true gain, its optimism, the share of adopted changes that harm, the audit.

    `bias` is the audit score's mean error in units of an effect's standard deviation, `covered` the share of its 95 %
    intervals that hold the truth.
    """
    rng = np.random.default_rng([int(-mean), int(noise)])
    ended = [_one(rng, mean, noise, adopt_z) for _ in range(searches)]
    gain, optimism, adopted, harmful, error, covered = (
        np.array(column, dtype=float) for column in zip(*ended, strict=True)
    )
    return {
        "gain": float(gain.mean()),
        "false": float(harmful.sum() / max(adopted.sum(), 1)),
        "optimism": float(optimism.mean()),
        "bias": float(error.mean()),
        "covered": float(covered.mean()),
    }


def _one(rng: np.random.Generator, mean: float, noise: float, adopt_z: float) -> tuple[float, ...]:
    """One search. A script is its mean loss and the losses of its rows, which no other script shares."""
    spread = noise * np.sqrt(_ROWS / 2)  # so that the difference of two scripts has the standard error `noise`
    loss, first, adopted, harmful = _BASE, _rows(_BASE, spread, rng), 0, 0
    incumbent = first
    for effect in rng.normal(mean, 1.0, STEPS):
        challenger = _rows(loss - effect, spread, rng)
        if worth_adopting(compare(challenger, incumbent), adopt_z):
            incumbent, loss = challenger, loss - effect
            adopted, harmful = adopted + 1, harmful + (effect < 0)
    audit = _rows(loss, spread, rng)
    interval = audit.interval(rows=10**12)  # where the score on a test file without end lies
    assert interval is not None, "only a single group has none"
    covered = interval[0] <= loss <= interval[1]
    return _BASE - loss, loss - incumbent.value(), adopted, harmful, audit.value() - loss, covered


def _rows(loss: float, spread: float, rng: np.random.Generator) -> OutOfFold:
    """What a script with this mean absolute error predicts where the truth is 0."""
    return OutOfFold(_TASK, _ZEROS, rng.normal(loss, spread, _ROWS), _FOLD)


def _plot(rows: list[dict[str, Any]], default: float) -> str:
    """True gain by strictness, a panel for each regime, the default ringed."""
    import vl_convert

    values = [{**row, "regime": f"mean {row['mean']:g}, noise {row['noise']:g}"} for row in rows]
    line: dict[str, Any] = {"mark": {"type": "line", "point": True}, "encoding": {"y": _axis("gain", "true gain")}}
    ring = {
        "transform": [{"filter": f"datum.z == {default}"}],
        "mark": {"type": "point", "size": 200, "color": "#c0392b", "tooltip": None},
        "encoding": {"y": _axis("gain", "true gain")},
    }
    spec = {
        "data": {"values": values},
        "facet": {"field": "regime", "title": None, "columns": 3},
        "spec": {"width": 180, "height": 120, "encoding": {"x": _axis("z", "adopt_z")}, "layer": [line, ring]},
        "resolve": {"scale": {"y": "independent"}},
    }
    return str(vl_convert.vegalite_to_svg(spec))


def _axis(field: str, title: str) -> dict[str, Any]:
    return {"field": field, "type": "quantitative", "title": title, "scale": {"zero": False}}
