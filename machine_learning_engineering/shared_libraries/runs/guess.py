"""How the winner of a run compares with the same answer for every row: whether there was anything to learn at all."""

import asyncio

from machine_learning_engineering.shared_libraries.entries import Guessed
from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.records import AUDIT, Attempt
from machine_learning_engineering.shared_libraries.runs.journal import now
from machine_learning_engineering.shared_libraries.runs.run import Run
from machine_learning_engineering.shared_libraries.scoring.constant import against_constant
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold, read_predictions


async def compare_with_guess(run: Run, made: Attempt, rows: int | None = None) -> Guessed | None:
    """Journals the comparison, once, on the rows that chose nothing (the script trained on at most `rows`), else on
    those of the search; None where there is no score to compare or a constant has none.
    """
    if known := run.journal.find(Guessed, made.slot.code_key, made.ordinal):
        return known
    if made.value is None or (predictions := await _predictions(run, made, rows)) is None:
        return None
    try:
        guess = await asyncio.to_thread(against_constant, predictions)
    except (ValueError, TypeError, ArithmeticError):  # no figure of odd data costs a finished run
        return None
    if guess is None:
        return None
    guessed = Guessed(
        at=now(),
        slot=made.slot.code_key,
        ordinal=made.ordinal,
        what=guess.what,
        value=guess.value,
        comparison=guess.comparison,
    )
    run.journal.append(guessed)
    return guessed


async def _predictions(run: Run, made: Attempt, rows: int | None) -> OutOfFold | None:
    execution = await run.run_for_audit(made, rows)  # it ended before, so the journal has it
    if execution is None:
        return await run.predictions(made)
    try:
        return await asyncio.to_thread(read_predictions, run.task, [AUDIT], [execution], run.config)
    except SubmissionError:  # the audit tells why
        return None
