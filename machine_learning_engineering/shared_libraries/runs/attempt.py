"""The heart of the engine: a script at an address becomes an attempt, with or without ADK around it."""

import asyncio
from collections.abc import Sequence

from machine_learning_engineering.shared_libraries.entries import Scored, ScriptRun
from machine_learning_engineering.shared_libraries.records import FINAL, SEARCH, Attempt, Execution, Slot, View
from machine_learning_engineering.shared_libraries.runs.journal import now
from machine_learning_engineering.shared_libraries.runs.run import Run
from machine_learning_engineering.shared_libraries.scoring.choose import why_stop


async def attempt(slot: Slot, code: str, run: Run) -> Attempt:
    """The attempt that `code` makes at `slot`: run on its views, scored on held-out labels, journaled.

    The first fold goes first; the others follow, side by side, if it is valid, not clearly behind what it has to beat,
    and there is time. Whatever the script does is in the attempt; only our own failures raise. Ablation scripts run on
    the first fold and have no score. A script of the submission stage runs on the final view and is checked alone.
    """
    ordinal = run.journal.next_ordinal(ScriptRun, slot.code_key)
    run.write_script(slot, code)
    if slot.stage.kind == "ablation":
        execution = await run.execute(slot, ordinal, code, SEARCH)
        made = Attempt(slot, ordinal, code, execution, None, (execution,))
    else:
        views = (FINAL,) if slot.stage.kind == "submission" else await run.folds()
        made = await _scored(slot, ordinal, code, run, views)
    run.keep(made)
    return made


async def _scored(slot: Slot, ordinal: int, code: str, run: Run, views: Sequence[View]) -> Attempt:
    """The attempt on as many of the views as it deserves, and its score on those."""

    async def execute(some: Sequence[View]) -> tuple[Execution, ...]:
        return tuple(await asyncio.gather(*(run.execute(slot, ordinal, code, view) for view in some)))

    if known := run.journal.find(Scored, slot.code_key, ordinal):
        folds = await execute(views[: known.score.folds])
        return Attempt(slot, ordinal, code, _telling(folds), known.score, folds)
    folds = await execute(views[:1])
    verdict = await run.score(views[:1], folds)
    if verdict.reason is None and len(views) > 1:
        first = Attempt(slot, ordinal, code, folds[0], verdict, folds)
        incumbent = run.incumbents.get(slot)
        comparison = None if incumbent is None else await run.compare(first, incumbent)
        stopped = None if comparison is None else why_stop(comparison)
        if stopped is None and not run.may_search(f"folds {slot.code_key} {ordinal}"):
            stopped = "no time was left for its other folds"
        if stopped is not None:
            verdict = verdict.model_copy(update={"stopped": stopped})
        else:
            folds += await execute(views[1:])
            verdict = await run.score(views, folds)
    run.journal.append(Scored(at=now(), slot=slot.code_key, ordinal=ordinal, score=verdict))
    return Attempt(slot, ordinal, code, _telling(folds), verdict, folds)


def _telling(folds: Sequence[Execution]) -> Execution:
    """The execution to learn from: the first that failed, else the first."""
    return next((one for one in folds if one.outcome != "ok"), folds[0])
