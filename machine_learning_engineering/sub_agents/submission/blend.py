"""The free ensemble: a blend of what the run's scripts predicted already, as a script that can be handed in."""

import asyncio
from collections.abc import Sequence

from machine_learning_engineering.shared_libraries.agents import Desk
from machine_learning_engineering.shared_libraries.code_util import STAGES, attempt_keys
from machine_learning_engineering.shared_libraries.entries import Decision, Scored
from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.records import Attempt, Execution, Score, Slot
from machine_learning_engineering.shared_libraries.runs.journal import now
from machine_learning_engineering.shared_libraries.runs.run import Run
from machine_learning_engineering.shared_libraries.scoring.blend import MOST_MEMBERS, Blend, blend
from machine_learning_engineering.shared_libraries.scoring.blend_script import blend_script
from machine_learning_engineering.shared_libraries.scoring.choose import is_stopped, worth_adopting
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold, compare

MOST_CANDIDATES = 25  # scripts that the blend may choose from, best first
_SLOWER = 1.5  # how much longer a script may take on all rows than on a fold


async def blend_attempts(desk: Desk, best: Sequence[Attempt]) -> Attempt | None:
    """The blend of a run's scripts (best first) as an attempt, if it is better than the best of them; else None.

    Nothing runs for it: its score comes from the predictions that its members made for their own.
    """
    run = desk.run
    members = _members(best, _seconds(run))
    read = [await run.predictions(one) for one in members]
    predictions = [one for one in read if one is not None]
    if len(predictions) < max(len(members), 2):
        return None
    found = await asyncio.to_thread(blend, predictions)
    if found is None or not await _is_better(desk, found, predictions[0]):
        return None
    made = _attempt(desk, found, members)
    run.remember(made, found.predictions)
    await desk.note("blend_agent", **attempt_keys(made.slot, made, run.task.metric, desk.state))
    run.keep(made)
    return made


def _seconds(run: Run) -> float:
    """What the members may take together: the time of one script, where there is a budget what is left of it."""
    if not run.has_limit and run.journal.find(Decision, "blend") is None:
        return run.config.exec_timeout
    left = run.script_seconds(Slot(STAGES["blend"]), 0)
    return float(run.decide("blend", lambda: (left, f"{left:.0f} s are left for its members")))


def _members(best: Sequence[Attempt], seconds: float) -> list[Attempt]:
    """The scripts that may take part: each text once, scored on all folds, fast enough to train several of."""
    fast = [one for one in best if one.execution.execution_time * _SLOWER <= seconds / MOST_MEMBERS]
    whole = {one.script: one for one in reversed(fast) if not is_stopped(one)}
    return [one for one in fast if whole.get(one.script) is one][:MOST_CANDIDATES]


async def _is_better(desk: Desk, found: Blend, single: OutOfFold) -> bool:
    try:
        comparison = await asyncio.to_thread(compare, found.predictions, single)
    except SubmissionError:  # a metric of the user's own may not tell what rows contribute
        return False
    return bool(
        desk.run.decide("adopt blend", lambda: (worth_adopting(comparison, desk.run.config.adopt_z), str(comparison)))
    )


def _attempt(desk: Desk, found: Blend, members: Sequence[Attempt]) -> Attempt:
    run, slot = desk.run, Slot(STAGES["blend"])
    parts = {
        f"{members[one].slot.code_key}_{members[one].ordinal}": (weight, members[one].script)
        for one, weight in found.weights.items()
    }
    best = members[0].score
    assert best is not None
    value, rows = found.predictions.value(), len(found.predictions.truth)
    score = Score(value=value, source=best.source, rows=rows, folds=best.folds)
    code = blend_script(run.task, found.space, parts, found.scales)
    run.write_script(slot, code)
    nothing_ran = Execution(
        outcome="ok",
        returncode=0,
        stdout="",
        stderr="",
        execution_time=sum(members[one].execution.execution_time for one in found.weights),  # of its members
        backend="kept predictions",
        folder=run.task_folder / slot.folder,
    )
    if run.journal.find(Scored, slot.code_key) is None:
        run.journal.append(Scored(at=now(), slot=slot.code_key, ordinal=0, score=score))
    return Attempt(slot, 0, code, nothing_ran, score)
