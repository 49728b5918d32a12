"""The Python API: `await solve(find_request("train.csv", target="price"))`."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.records import Attempt, JournalEntry, Task, TaskRequest

Listener = Callable[[JournalEntry], None]


@dataclass(frozen=True)
class Result:
    """What a finished run hands back; `winner.value` is its score on rows that its script never saw."""

    folder: Path
    task: Task
    winner: Attempt
    attempts: tuple[Attempt, ...]

    @property
    def submission(self) -> Path:
        return self.folder / "final" / "submission.csv"

    @property
    def solution(self) -> Path:
        return self.folder / "final" / "solution.py"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @property
    def files(self) -> dict[str, Path]:
        """What was made, by what it is; those that exist."""
        made = {"submission": self.submission, "solution": self.solution, "report": self.report, "run": self.folder}
        return {what: path for what, path in made.items() if path.exists()}


def find_request(source: str | Path, **said: Any) -> TaskRequest:
    """The request for a task folder, a CSV file or a bundled task's name; `said` are further fields of TaskRequest.

    Raises: TaskError if there is no such file, folder or bundled task.
    """
    path = Path(source).expanduser()
    if path.exists():
        return TaskRequest(source=path.absolute(), **said)
    from machine_learning_engineering.shared_libraries.tasks.bundled import bundled_names, bundled_task

    if str(source) in bundled_names():
        given = {name: value for name, value in said.items() if value is not None}
        return bundled_task(str(source)).model_copy(update=given)
    raise TaskError(
        f"there is no file, folder or bundled task {str(source)!r}. Bundled tasks: {', '.join(bundled_names())}."
    )


async def solve(
    request: TaskRequest, config: RunConfig | None = None, out: Path | None = None, listener: Listener | None = None
) -> Result:
    """Runs a task to its end, or takes up the run that lies in `out`; `listener` gets every journal entry.

    Raises: MleError in one of its kinds; what was finished is kept, and the same call goes on from there.
    """
    os.environ.setdefault("ADK_SUPPRESS_EXPERIMENTAL_FEATURE_WARNINGS", "1")
    from machine_learning_engineering.shared_libraries.runs.opening import open_run

    run = open_run(request, config or RunConfig.from_env(), out)
    from machine_learning_engineering.sub_agents.pipeline import run_pipeline  # after the data: ADK takes a second

    if listener is not None:
        run.journal.listen(listener)
    publisher = await run_pipeline(run)
    assert publisher.winner is not None  # run_pipeline raises where nothing was published
    await _report(run.folder)
    return Result(run.folder, run.task, publisher.winner, tuple(run.attempts))


async def _report(folder: Path) -> None:
    """Writes the report; a finished run stays a finished run if that fails."""
    import asyncio
    import logging

    from machine_learning_engineering.shared_libraries.report.page import build_report

    try:
        await asyncio.to_thread(build_report, folder)
    except Exception as exc:
        logging.getLogger(__name__).warning("the report of %s could not be written: %s", folder, exc)


def describe(source: str | Path, **said: Any) -> dict[str, Any]:
    """What is known of a task from its own files, without running it.

    Raises: TaskError if the data cannot be used or the target is unclear.
    """
    from machine_learning_engineering.shared_libraries.tasks.load import load_task

    with TemporaryDirectory(prefix="mle-describe-") as work:
        task = load_task(find_request(source, **said), Path(work))
    profile = task.profile
    return {
        "name": task.name,
        "problem": f"{task.task_type}: predict {task.target!r}",
        "metric": f"{task.metric.title}, {'higher' if task.metric.maximize else 'lower'} is better",
        "data": f"{profile.train_rows} training rows, {profile.test_rows} test rows, {len(profile.columns)} features",
        "columns": [f"{column.name} ({column.kind})" for column in profile.columns],
        "description": task.description,
        "notes": list(task.notes),
    }


def start(source: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """Starts a run in a process of its own, after a look at its data; `settings` are options of `mle run`.

    Raises: MleError for data or settings that cannot be used.
    """
    from machine_learning_engineering.shared_libraries.runs import background

    said = {key: settings[key] for key in ("target", "metric") if key in settings}
    return background.start(source, describe(source, **said)["name"], settings)


def status(run: str = "") -> dict[str, Any]:
    """How far a run is; without a name, the latest. Raises: JournalError if there is no such run."""
    from machine_learning_engineering.shared_libraries.runs import background

    return background.status(run)


def stop(run: str) -> dict[str, Any]:
    """Asks a run to stop, keeping what it has finished. Raises: JournalError if there is no such run."""
    from machine_learning_engineering.shared_libraries.runs import background

    return background.stop(run)


def result(run: str = "") -> dict[str, Any]:
    """A run's best score and files. Raises: JournalError if there is no such run or nothing is published yet."""
    from machine_learning_engineering.shared_libraries.runs import background

    return background.result(run)
