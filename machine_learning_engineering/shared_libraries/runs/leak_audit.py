"""The leak audit of a run: checks whose warnings are journaled as decisions, for state, terminal and report to tell."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable

from machine_learning_engineering.shared_libraries.entries import CHECK, Decision
from machine_learning_engineering.shared_libraries.errors import MleError
from machine_learning_engineering.shared_libraries.records import SHUFFLED, Attempt, Execution
from machine_learning_engineering.shared_libraries.runs.run import Run
from machine_learning_engineering.shared_libraries.scoring.constant import against_constant, beats_chance
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import read_predictions
from machine_learning_engineering.shared_libraries.scoring.shift import shift_warning

_SEES_LABELS = (
    "The winner predicts as well as this when its training labels are at the wrong rows: {comparison} against a "
    "constant. It does not learn from them, so it may know the labels in another way: look in final/solution.py for "
    "numbers written out, ids, and files or data sets besides ./input/train.csv."
)


async def check_shuffled(run: Run, made: Attempt) -> str:
    """Runs a script once on shuffled labels; a warning if its predictions are right all the same, else empty."""
    execution = await run.execute(made.slot, made.ordinal, made.script, SHUFFLED, low_priority=True)
    return await _checked(run, "shuffled labels", lambda: asyncio.to_thread(_judge_shuffled, run, execution))


async def check_shift(run: Run) -> str:
    """A warning if training and test rows can be told apart, with the flag to set; else empty."""
    return await _checked(run, "train and test rows", lambda: _judge_shift(run))


async def _checked(run: Run, what: str, judge: Callable[[], Awaitable[tuple[str, str]]]) -> str:
    """The warning at an address of the journal; `judge` gives it and its figures, once."""
    address = f"{CHECK}{what}"
    if (known := run.journal.find(Decision, address)) is not None:
        return str(known.chosen)
    judged = await judge()
    return str(run.decide(address, lambda: judged))


async def _judge_shift(run: Run) -> tuple[str, str]:
    folder = run.task_folder / "checks" / "train_and_test_rows"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed there
    try:
        return await shift_warning(run.task, run.config, run.sandbox, folder)
    except (MleError, ValueError, TypeError, ArithmeticError) as exc:  # a check of odd data costs no run
        return "", f"could not be compared: {exc}"


def _judge_shuffled(run: Run, execution: Execution) -> tuple[str, str]:
    if execution.outcome != "ok":
        return "", f"the script ended with outcome {execution.outcome} on shuffled labels"
    try:
        made = read_predictions(run.task, [SHUFFLED], [execution], run.config)
        guess = None if made is None else against_constant(made)
    except MleError as exc:
        return "", f"on shuffled labels: {exc}"
    if guess is None:
        return "", f"a constant has no {run.task.metric.title} to compare with"
    warning = _SEES_LABELS.format(comparison=guess.comparison) if beats_chance(guess.comparison) else ""
    return warning, f"against a constant: {guess.comparison}"
