"""Whether two scripts of a run differ by more than chance: both judged on the same held-out rows, drawn again."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import MleError
from machine_learning_engineering.shared_libraries.records import RunStarted, Task, TaskRequest, View
from machine_learning_engineering.shared_libraries.report.story import Node, Story
from machine_learning_engineering.shared_libraries.scoring.submission import check_submission
from machine_learning_engineering.shared_libraries.scoring.views import HeldOut, held_out
from machine_learning_engineering.shared_libraries.tasks.metrics import compute

if TYPE_CHECKING:
    import numpy as np

_DRAWS = 200
_MOST_ROWS = 5000  # of a draw; more change the answer little and cost time
_LOW, _HIGH = 5, 95  # per cent: the middle nine tenths of the draws


@dataclass(frozen=True)
class Margin:
    """The middle nine tenths of how much one script is better than another, in the metric's own unit."""

    low: float
    high: float

    @property
    def is_noise(self) -> bool:
        """Whether either may be the better one."""
        return self.low <= 0 <= self.high


def margin(story: Story, better: Node, worse: Node) -> Margin | None:
    """How sure it is that one script beats another; None where their predictions cannot be compared row by row."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from machine_learning_engineering.shared_libraries.tasks.load import load_task

    if story.started is None or better.views[:1] != worse.views[:1] or not better.views:
        return None
    try:
        with TemporaryDirectory(prefix="mle-noise-") as work:
            task = load_task(TaskRequest.model_validate(story.started.request), Path(work))
            if task.digest != story.started.task_digest:
                return None
            return _resampled(story, task, story.started, better, worse)
    except (MleError, ValidationError, OSError, ValueError):
        return None


def _resampled(story: Story, task: Task, started: RunStarted, better: Node, worse: Node) -> Margin | None:
    import numpy as np

    held = held_out(
        task, View(kind="search", fold=int(better.views[0].rpartition("-")[2])), RunConfig(**started.config)
    )
    if held is None:
        return None
    truth = held.labels.to_numpy(dtype=float if task.metric.predicts == "value" else object)
    given = [_predictions(story, task, node, held) for node in (better, worse)]
    draws = np.random.default_rng(0)
    gains = []
    for _ in range(_DRAWS):
        rows = draws.integers(0, len(truth), min(len(truth), _MOST_ROWS))
        if (gain := _gain(task, truth[rows], given[0][rows], given[1][rows])) is not None:
            gains.append(gain)
    if len(gains) < _DRAWS // 2:
        return None
    low, high = np.percentile(gains, [_LOW, _HIGH])
    return Margin(float(low), float(high))


def _gain(task: Task, truth: Any, better: Any, worse: Any) -> float | None:
    """How much better the one is on these rows; None for a draw that the metric cannot judge."""
    classes = task.profile.classes
    try:
        return task.metric.gain(
            compute(task.metric, truth, better, classes), over=compute(task.metric, truth, worse, classes)
        )
    except MleError:
        return None


def _predictions(story: Story, task: Task, node: Node, held: HeldOut) -> "np.ndarray[Any, Any]":
    """A script's predictions on the held-out rows, in the order of the labels."""
    table = check_submission(story.folder / node.execution.folder / "final" / "submission.csv", held.expected)
    if set(table.columns) == set(task.profile.classes):
        table = table[list(task.profile.classes)]
    values = table.to_numpy()
    return values[:, 0] if values.shape[1] == 1 else values
