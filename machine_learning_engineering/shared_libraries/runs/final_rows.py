"""How many training rows a script gets in its final run: all, unless that would take longer than it may.

What it took on the folds of the search bounds its time on all rows, as long as no model is slower than quadratic. Only
where that bound is too high is a second size run, on a final view with a sample of the training rows: the two tell how
the time grows, and the submission of the second is there if no more rows fit.
"""

import math
from dataclasses import dataclass

from machine_learning_engineering.shared_libraries.entries import Decision, ScriptRun
from machine_learning_engineering.shared_libraries.records import FINAL, Attempt, Execution, View
from machine_learning_engineering.shared_libraries.runs.run import Run

_STEEPEST = 2.0  # exponent of a time in the rows that is taken for granted
_WORTHWHILE = 1.1  # times the rows of the second size, for a further run
_SAFE = 0.8  # of the time that a script may take, for a run whose time is predicted


@dataclass(frozen=True)
class Timed:
    """What a script took on so many training rows."""

    rows: int
    seconds: float

    def on(self, rows: int, exponent: float) -> float:
        """The seconds on other rows."""
        return self.seconds * float((rows / self.rows) ** exponent)


@dataclass(frozen=True)
class Fit:
    """How many training rows fit, and why that many."""

    rows: int
    why: str


async def final_run(run: Run, made: Attempt) -> tuple[View, Execution]:
    """The run of an attempt on the final view, with as many training rows as it is done with in time, and that view."""
    view = await _view(run, made)
    execution = await _execute(run, made, view)
    if execution.outcome != "timeout":
        return view, execution
    searched = _searched(run, made)
    if searched is None or (view.rows or run.task.profile.train_rows) <= searched.rows:
        return view, execution
    why = f"it was not done with {view.rows or 'all'} rows in {execution.execution_time:.0f} s"
    view = _with_rows(run.decide(f"{_what(made)} after all", lambda: (searched.rows, why)))
    return view, await _execute(run, made, view)


def takes_all_rows(run: Run, made: Attempt) -> bool:
    """Whether the final run of an attempt is sure to be done with all training rows in time."""
    searched = _searched(run, made)
    seconds = searched.on(run.task.profile.train_rows, _STEEPEST) if searched else math.inf
    return seconds <= run.script_seconds(made.slot, made.ordinal)


def final_rows(run: Run, made: Attempt) -> Fit | None:
    """How many training rows the last final run of an attempt had, if it was not all of them."""
    for what in (f"{_what(made)} after all", _what(made)):
        known = run.journal.find(Decision, what)
        if known is not None and known.chosen is not None:
            return Fit(int(known.chosen), known.why)
    return None


async def _view(run: Run, made: Attempt) -> View:
    known, searched = run.journal.find(Decision, _what(made)), _searched(run, made)
    if known is not None:
        return _with_rows(known.chosen)
    rows = run.task.profile.train_rows
    if run.journal.find(ScriptRun, f"{made.slot.code_key}@{FINAL.name}", made.ordinal):
        return FINAL
    if searched is None or takes_all_rows(run, made):
        return FINAL
    second = await _measure(run, made, searched)
    if second is None:
        return FINAL  # it fails there for another reason, of which its author should hear
    limit = run.script_seconds(made.slot, made.ordinal)
    fit = fitting(searched, second, rows, limit)
    return _with_rows(run.decide(_what(made), lambda: (fit.rows if fit.rows < rows else None, fit.why)))


async def _measure(run: Run, made: Attempt, searched: Timed) -> Timed | None:
    """What a script takes on twice the rows that it was searched on, or on half of them where twice may be too many."""
    limit = run.script_seconds(made.slot, made.ordinal)
    twice = searched.rows * 2 < run.task.profile.train_rows and searched.on(searched.rows * 2, _STEEPEST) <= limit
    rows = searched.rows * 2 if twice else max(searched.rows // 2, 1)
    execution = await _execute(run, made, _with_rows(rows))
    return Timed(rows, execution.execution_time) if execution.outcome in ("ok", "timeout") else None


def fitting(searched: Timed, second: Timed, rows: int, limit: float) -> Fit:
    """How many of `rows` rows fit into so many seconds, by what two sizes took; never fewer than the smaller."""
    small, large = sorted((searched, second), key=lambda timed: timed.rows)
    grown = math.log(max(large.seconds, 1e-3) / max(small.seconds, 1e-3)) / math.log(large.rows / small.rows)
    exponent = min(max(grown, 1.0), 3.0)
    expected = large.on(rows, exponent)
    why = (
        f"{expected:.0f} s expected on all {rows:,} rows, by {small.seconds:.1f} s on {small.rows:,} and "
        f"{large.seconds:.1f} s on {large.rows:,}; {limit:.0f} s are allowed"
    )
    if expected <= _SAFE * limit:
        return Fit(rows, why)
    if second.seconds >= limit:
        return Fit(small.rows, why)
    fits = math.floor(large.rows * (_SAFE * limit / large.seconds) ** (1 / exponent))
    return Fit(fits if fits > _WORTHWHILE * second.rows else second.rows, why)


def _searched(run: Run, made: Attempt) -> Timed | None:
    """What an attempt took at most on a fold; None if it did not run on any."""
    seconds = max((one.execution_time for one in made.folds), default=made.execution.execution_time)
    rows = run.config.fit_rows(run.task.profile.train_rows)
    return Timed(rows, seconds) if seconds and rows > 1 else None


async def _execute(run: Run, made: Attempt, view: View) -> Execution:
    return await run.execute(made.slot, made.ordinal, made.script, view, low_priority=True)


def _with_rows(rows: int | None) -> View:
    return FINAL.model_copy(update={"rows": rows})


def _what(made: Attempt) -> str:
    return f"final rows {made.slot.code_key} {made.ordinal}"
