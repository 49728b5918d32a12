"""The harness's verdict on a script: its submission, checked, against labels that it never saw."""

import math
import re
from collections.abc import Sequence

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import MleError, ScoreNotFound
from machine_learning_engineering.shared_libraries.records import Execution, Score, ScoreSource, Task, View
from machine_learning_engineering.shared_libraries.scoring.cells import SUBMISSION
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import read_predictions
from machine_learning_engineering.shared_libraries.scoring.submission import accept
from machine_learning_engineering.shared_libraries.scoring.views import expected_submission

_FIGURE = re.compile(r"Final Validation Performance\b(?P<label>[^\n]*)")
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]*\w)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def score(
    task: Task, views: Sequence[View], executions: Sequence[Execution], config: RunConfig, enforced: bool
) -> Score:
    """How good a script is on all held-out rows of its views, and why there is no score if there is none.

    On the final view the submission is only checked: the value is None, and so is the reason if it is valid.
    `enforced` tells whether the sandbox kept the labels out of the script's reach.
    """
    source: ScoreSource = "sealed" if enforced else "sealed_unenforced"
    made = {"source": source, "reported": _reported(executions[0].stdout), "folds": len(executions)}
    for execution in executions:
        if execution.outcome != "ok":
            return Score(value=None, reason=_why_failed(execution, config), **made)
    try:
        if (predictions := read_predictions(task, views, executions, config)) is not None:
            rows, notes = len(predictions.truth), predictions.notes
            return Score(value=predictions.value(), rows=rows, notes=notes, **made)
        expected = expected_submission(task, views[0], config)
        accepted = accept(executions[0].folder / SUBMISSION, expected)
    except MleError as exc:
        return Score(value=None, reason=str(exc), **made)
    return Score(value=None, rows=expected.rows, notes=accepted.notes, **made)


def parse_score(stdout: str) -> float:
    """The last finite figure printed after 'Final Validation Performance', in the script's own unit.

    The figure may follow `:` or `=`, and words may stand before and after it: `Final Validation Performance (RMSE):
    0.25 +/- 0.01` is 0.25. A percentage is given as a fraction.

    Raises: ScoreNotFound if there is no such line or no finite figure in one.
    """
    for match in reversed(list(_FIGURE.finditer(stdout))):
        figure = _figure(match["label"])
        if figure is not None:
            return figure
    raise ScoreNotFound("the output has no line 'Final Validation Performance: <number>' with a finite number")


def _figure(line: str) -> float | None:
    """The number after the first `:` or `=` of the line's rest, or anywhere in it where neither occurs."""
    tail = _THOUSANDS.sub("", re.split(r"[:=]", line, maxsplit=1)[-1])
    match = _NUMBER.search(tail)
    if match is None:
        return None
    number = float(match[0])
    if tail[match.end() :].lstrip().startswith("%"):
        number /= 100
    return number if math.isfinite(number) else None


def _reported(stdout: str) -> float | None:
    try:
        return parse_score(stdout)
    except ScoreNotFound:
        return None


def _about(seconds: float) -> str:
    """What a script had; its limit may have been the end of the run's."""
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"


def _why_failed(execution: Execution, config: RunConfig) -> str:
    limits = config.limits
    return {
        "timeout": f"The script was ended after {_about(execution.execution_time)} seconds; make it faster.",
        "memory": f"The script used more than the {config.memory_gb} GB of memory it may; make it use less.",
        "output_limit": f"The script wrote a file larger than {limits.file_bytes} bytes.",
        "killed": f"The script was ended by signal {-execution.returncode}.",
    }.get(execution.outcome, f"The script ended with exit code {execution.returncode}.")
