"""The Python API: `await solve(find_request("train.csv", target="price"))`."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.entries import Audited, Guessed, Importance, JournalEntry
from machine_learning_engineering.shared_libraries.errors import ConfigError, TaskError
from machine_learning_engineering.shared_libraries.records import Attempt, Task, TaskRequest

if TYPE_CHECKING:
    from machine_learning_engineering.shared_libraries.runs.run import Run

Listener = Callable[[JournalEntry], None]

# Options of `mle run`, and the setting that each stands for.
_OPTIONS = {
    "model": "agent_model",
    "solutions": "num_solutions",
    "candidates": "num_model_candidates",
    "rounds": "outer_loop_round",
    "minutes": "minutes",
    "timeout": "exec_timeout",
    "seed": "seed",
}
_ABOUT_DATA = {"target", "metric", "test", "id", "group", "time", "description"}


@dataclass(frozen=True, repr=False)
class Result:
    """What a finished run hands back.

    `winner.value` is the score that the search went by, on rows that no script saw the labels of. `audit` is the score
    on rows that chose nothing either, with the interval to expect on the test rows (`audit.score.value`, `audit.low`,
    `audit.high`); None where no rows were spared for it. `guess` is what the same answer for every row gets,
    `importance.columns` how much worse the winner is without each column, the most important first.
    As a text it is what the terminal says of the run.
    """

    folder: Path
    task: Task
    winner: Attempt
    attempts: tuple[Attempt, ...]
    audit: Audited | None = None
    guess: Guessed | None = None
    importance: Importance | None = None

    def __repr__(self) -> str:
        from machine_learning_engineering.shared_libraries.monitoring.ending import result_of

        return "\n".join(result_of(self.folder, self.task).sentences())

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
    from machine_learning_engineering.shared_libraries.tasks.folder import nearest

    if said.get("test") is not None:
        said["test"] = _existing(said["test"])
    if not str(source).strip():
        raise TaskError("the source is empty. Name a CSV file, a folder with train.csv, or a bundled task.")
    path = Path(source).expanduser()
    if path.exists():
        return TaskRequest(source=path.absolute(), **said)
    from machine_learning_engineering.shared_libraries.tasks.bundled import bundled_names, bundled_task

    if str(source) in bundled_names():
        given = {name: value for name, value in said.items() if value is not None}
        return bundled_task(str(source)).model_copy(update=given)
    near = nearest(path.name, [*_beside(path), *bundled_names()])
    raise TaskError(
        f"there is no file, folder or bundled task {str(source)!r}.{near} Bundled tasks: {', '.join(bundled_names())}."
    )


def _existing(file: str | Path) -> Path:
    """The file's whole path. Raises: TaskError if there is none."""
    from machine_learning_engineering.shared_libraries.tasks.folder import nearest

    path = Path(file).expanduser().absolute()
    if not path.exists():
        raise TaskError(f"there is no file {path}.{nearest(path.name, _beside(path))} Check the path.")
    return path


def _beside(path: Path) -> list[str]:
    """The names of the tables and folders that lie where a path points to, which may be a slip of the keyboard."""
    with contextlib.suppress(OSError):
        found = (one for one in path.parent.iterdir() if one.is_dir() or {".csv", ".tsv"} & {*one.suffixes})
        return sorted(one.name for one in found)
    return []


async def solve(
    request: TaskRequest,
    config: RunConfig | None = None,
    out: str | Path | None = None,
    listener: Listener | None = None,
) -> Result:
    """Runs a task to its end, or takes up the run that lies in `out`; `listener` gets every journal entry.

    In a notebook: `result = await solve(...)`.

    Raises: MleError in one of its kinds; what was finished is kept, and the same call goes on from there.
    """
    os.environ.setdefault("ADK_SUPPRESS_EXPERIMENTAL_FEATURE_WARNINGS", "1")
    run = await _open(request, config or RunConfig.from_env(), None if out is None else Path(out).expanduser())
    from machine_learning_engineering.shared_libraries.runs.run import to_the_end
    from machine_learning_engineering.sub_agents.pipeline import run_pipeline  # after the data: ADK takes a second

    if listener is not None:
        run.journal.listen(listener)
    publisher = await run_pipeline(run)
    assert publisher.winner is not None  # run_pipeline raises where nothing was published
    await to_the_end(_report(run.folder))
    winner = publisher.winner
    address = winner.slot.code_key, winner.ordinal
    find = run.journal.find
    return Result(
        run.folder,
        run.task,
        winner,
        tuple(run.attempts),
        find(Audited, *address),
        find(Guessed, *address),
        find(Importance, *address),
    )


async def _open(request: TaskRequest, config: RunConfig, out: Path | None) -> "Run":
    """The run, and libraries that scripts will need on their way: a new run begins to load them before it imports its
    own and reads its data."""
    from machine_learning_engineering.shared_libraries.runs.sandboxes import sandbox_of

    sandbox = sandbox_of(config)
    try:
        if out is None or not out.exists():
            await sandbox.warm_up(config.threads)
        from machine_learning_engineering.shared_libraries.runs.opening import open_run  # meanwhile: it takes pandas

        run = open_run(request, config, sandbox, out)
    except BaseException:
        await sandbox.close()
        raise
    await run.warm_up()
    return run


async def _report(folder: Path) -> None:
    """Writes the report; a finished run stays a finished run if that fails."""
    import logging

    from machine_learning_engineering.shared_libraries.report.page import build_report

    try:
        await asyncio.to_thread(build_report, folder)
    except Exception as exc:
        logging.getLogger(__name__).warning("the report of %s could not be written: %s", folder, exc)


def describe(source: str | Path, **said: Any) -> dict[str, Any]:
    """What is known of a task from its own files, without running it.

    Raises: TaskError if the data cannot be used, TargetUnclear if they do not tell what to predict.
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


def start(source: str, settings: Mapping[str, Any]) -> Path:
    """The folder of a new run in a process of its own, once it has begun; `settings` are options of `mle run`.

    Raises: MleError for data, settings or a model that cannot be used.
    """
    from machine_learning_engineering.shared_libraries.runs import background

    asked = {key: settings[key] for key in ("target", "metric") if key in settings}
    if "test" in settings:
        asked["test"] = Path(str(settings["test"])).expanduser().absolute()
    name = describe(source, **asked)["name"]
    _check_settings(settings)
    return background.start(source, name, settings)


def _check_settings(settings: Mapping[str, Any]) -> None:
    """Raises: ConfigError for an option that `mle run` does not have, a value out of bounds, or an unknown model."""
    from machine_learning_engineering.shared_libraries.models.registry import make_model
    from machine_learning_engineering.shared_libraries.monitoring.settings import configure

    if wrong := sorted(set(settings) - _OPTIONS.keys() - _ABOUT_DATA):
        known = ", ".join(sorted({*_OPTIONS, *_ABOUT_DATA}))
        raise ConfigError(f"{', '.join(wrong)} cannot be set for a run. Possible: {known}.")
    given = {_OPTIONS[key]: value for key, value in settings.items() if key in _OPTIONS}
    config = configure(given, {field: option for option, field in _OPTIONS.items()})
    make_model(config.agent_model, config)


def take_up(run: str = "") -> Path:
    """The folder of a run, which goes on from where it stopped unless it is finished or going on.

    Raises: MleError if there is no such run or it cannot go on.
    """
    from machine_learning_engineering.shared_libraries.report.story import read_story
    from machine_learning_engineering.shared_libraries.runs import background
    from machine_learning_engineering.shared_libraries.runs.registry import find

    folder = find(run)
    if read_story(folder).status not in ("finished", "going on"):
        background.take_up(folder)
    return folder


async def predict(run: str | Path, rows: str | Path, out: str | Path | None = None) -> Path:
    """Where the predictions of new rows lie: a CSV in the form of the run's submission, made by its script.

    The script trains again, on all rows of the run's data that have a label. Without `out` the predictions lie in the
    run's folder, in `predictions/`, under the name of the file of rows.

    Raises: MleError for a run that has published nothing or whose data have changed, for rows that cannot be used, and
    if the script fails on them; nothing is written then.
    """
    from machine_learning_engineering.shared_libraries.runs import predict as predictions
    from machine_learning_engineering.shared_libraries.runs.journal import write_atomically

    folder, path = _find(str(run)), _existing(rows)
    made = predictions.handed_in(folder)
    usual = folder / "predictions" / f"{path.name.split('.')[0] or 'rows'}.csv"
    target = usual if out is None else Path(out).expanduser()
    if target.is_dir() or not next(above for above in target.absolute().parents if above.exists()).is_dir():
        raise ConfigError(f"{target} cannot be written: it is a folder, or below a file. Name another with --out.")
    data = await predictions.predict(made, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, data)
    return target.absolute()


def status(run: str = "") -> dict[str, Any]:
    """How far a run is; without a name, the latest. Raises: JournalError if there is no such run."""
    from machine_learning_engineering.shared_libraries.monitoring import answers

    return answers.status(_find(run))


def stop(run: str = "") -> dict[str, Any]:
    """Asks a run to stop, keeping what it has finished. Raises: JournalError if there is no such run."""
    from machine_learning_engineering.shared_libraries.runs import background

    folder = _find(run)
    return {"run": folder.name, "state": "stopping" if background.stop(folder) else "is not going on"}


def result(run: str = "") -> dict[str, Any]:
    """A run's best score and files. Raises: JournalError if there is no such run or nothing is published yet."""
    from machine_learning_engineering.shared_libraries.monitoring import answers

    return answers.result(_find(run))


def leaderboard(run: str = "") -> dict[str, Any]:
    """The scripts of a run, best first. Raises: JournalError if there is no such run."""
    from machine_learning_engineering.shared_libraries.monitoring import answers

    return answers.leaderboard(_find(run))


def why(run: str, name: str) -> dict[str, Any]:
    """Why a script of a run was dropped, or what became of a `column NAME`. Raises: JournalError if there is none."""
    from machine_learning_engineering.shared_libraries.monitoring import answers

    return answers.why(_find(run), name)


def matters(run: str = "") -> dict[str, Any]:
    """Which parts of a run's scripts matter. Raises: JournalError if there is no such run."""
    from machine_learning_engineering.shared_libraries.monitoring import answers

    return answers.matters(_find(run))


def runs() -> dict[str, Any]:
    """The latest runs of this user, the newest first."""
    from machine_learning_engineering.shared_libraries.monitoring import answers

    return answers.runs()


def _find(run: str) -> Path:
    from machine_learning_engineering.shared_libraries.runs.registry import find

    return find(run)
