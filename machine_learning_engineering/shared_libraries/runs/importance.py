"""How much each column matters to the winner of a run, measured on rows that no script has the labels of."""

import asyncio

from machine_learning_engineering.shared_libraries.entries import Importance
from machine_learning_engineering.shared_libraries.errors import MleError
from machine_learning_engineering.shared_libraries.records import PERMUTED, Attempt, ColumnImportance
from machine_learning_engineering.shared_libraries.runs.journal import now
from machine_learning_engineering.shared_libraries.runs.run import Run
from machine_learning_engineering.shared_libraries.scoring.importance import importances
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import read_predictions
from machine_learning_engineering.shared_libraries.scoring.permuted import permutable


async def measure_importance(run: Run, made: Attempt) -> Importance | None:
    """Journals it, once, or why it could not be measured; None where nobody asked, or there is no time left for it."""
    if known := run.journal.find(Importance, made.slot.code_key, made.ordinal):
        return known
    if not run.config.importance or made.value is None or made.score is None or made.score.source == "reported":
        return None
    if not await asyncio.to_thread(permutable, run.task) or not run.may_add("columns", made):
        return None
    execution = await run.execute(made.slot, made.ordinal, made.script, PERMUTED, low_priority=True)
    columns, reason = tuple[ColumnImportance, ...](), f"the script ended with outcome {execution.outcome} there"
    if execution.outcome == "ok":
        try:
            predictions = await asyncio.to_thread(read_predictions, run.task, [PERMUTED], [execution], run.config)
            assert predictions is not None
            columns, reason = await asyncio.to_thread(importances, predictions), ""
        except (MleError, ValueError, TypeError, ArithmeticError) as exc:  # no figure of odd data costs a finished run
            reason = str(exc)
    found = Importance(at=now(), slot=made.slot.code_key, ordinal=made.ordinal, columns=columns, reason=reason)
    run.journal.append(found)
    return found
