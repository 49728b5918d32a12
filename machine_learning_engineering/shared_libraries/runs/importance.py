"""How much each column matters to the winner of a run, measured on rows that no script has the labels of."""

import asyncio

from machine_learning_engineering.shared_libraries.entries import Importance
from machine_learning_engineering.shared_libraries.errors import JournalError, SubmissionError
from machine_learning_engineering.shared_libraries.records import PERMUTED, Attempt, ColumnImportance
from machine_learning_engineering.shared_libraries.runs.journal import now
from machine_learning_engineering.shared_libraries.runs.run import Run
from machine_learning_engineering.shared_libraries.scoring.importance import importances
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import read_predictions
from machine_learning_engineering.shared_libraries.scoring.permuted import permutable

_MOST_SECONDS = 30.0  # to compute the metric without each column


async def measure_importance(run: Run, made: Attempt) -> Importance | None:
    """Journals it, once, or why it could not be measured; None where nobody asked, or there is no time left for it."""
    if known := run.journal.find(Importance, made.slot.code_key, made.ordinal):
        return known
    if not run.config.importance or made.value is None or made.score is None or made.score.source == "reported":
        return None
    if not await asyncio.to_thread(permutable, run.task) or not run.may_add("columns", made):
        return None
    columns, reason = tuple[ColumnImportance, ...](), ""
    try:
        columns = await _measured(run, made)
    except JournalError:
        raise
    except Exception as exc:  # the submission is there: neither odd data nor a full disk may cost the run now
        reason = str(exc) or type(exc).__name__
    found = Importance(at=now(), slot=made.slot.code_key, ordinal=made.ordinal, columns=columns, reason=reason)
    run.journal.append(found)
    return found


async def _measured(run: Run, made: Attempt) -> tuple[ColumnImportance, ...]:
    execution = await run.execute(made.slot, made.ordinal, made.script, PERMUTED, low_priority=True)
    if execution.outcome != "ok":
        raise SubmissionError(f"the script ended with outcome {execution.outcome} on the rows made for it.")
    predictions = await asyncio.to_thread(read_predictions, run.task, [PERMUTED], [execution], run.config)
    assert predictions is not None
    seconds = min(_MOST_SECONDS, run.seconds_left())
    return await asyncio.to_thread(importances, predictions, run.config.seed, seconds)
