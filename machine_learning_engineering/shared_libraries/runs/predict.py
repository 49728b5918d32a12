"""Predictions of new rows by the script that a run handed in.

A solution is a program from training and test rows to a submission. So new rows take the place of the test file: the
script trains again, in the run's sandbox and with its settings, on all rows of the run's data that have a label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.common_util import listed
from machine_learning_engineering.shared_libraries.config import RunConfig, make_config
from machine_learning_engineering.shared_libraries.entries import Decision, JournalEntry, Published, RunStarted
from machine_learning_engineering.shared_libraries.errors import JournalError, MleError, TaskError
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox
from machine_learning_engineering.shared_libraries.records import FINAL, ColumnProfile, Job, Task, TaskRequest
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from machine_learning_engineering.shared_libraries.runs.sandboxes import sandbox_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class HandedIn:
    """What a run handed in: its script, and on how many training rows that had time to train, if not on all."""

    begun: RunStarted
    script: str
    rows: int | None

    @property
    def config(self) -> RunConfig:
        return make_config(**self.begun.config)


def handed_in(folder: Path) -> HandedIn:
    """What the run in `folder` handed in so far. Raises: JournalError if that is nothing yet."""
    entries = read_journal(folder)
    begun = next((entry for entry in entries if isinstance(entry, RunStarted)), None)
    published = next((entry for entry in reversed(entries) if isinstance(entry, Published)), None)
    path = folder / "final" / "solution.py"
    if begun is None or published is None or not path.exists():
        raise JournalError(f"{folder} has no final/solution.py. Take the run up, until it publishes a submission.")
    return HandedIn(begun, path.read_text(encoding="utf-8"), _rows(entries, published))


async def predict(made: HandedIn, rows: Path) -> bytes:
    """A CSV with a prediction for every row of the CSV file `rows`, in its order and in the form of a submission.

    Raises: TaskError for rows that cannot be used, and where the run's own data have changed; MleError if the script
    fails on these rows.
    """
    sandbox = sandbox_of(made.config)
    try:
        await sandbox.warm_up(made.config.threads)
        with TemporaryDirectory(prefix="mle-predict-") as place:
            return await _predict(made, rows, sandbox, Path(place))
    finally:
        await sandbox.close()


async def _predict(made: HandedIn, rows: Path, sandbox: Sandbox, place: Path) -> bytes:
    # Only now, when what runs the script is on its way: these take pandas.
    from machine_learning_engineering.shared_libraries.scoring.cells import SUBMISSION
    from machine_learning_engineering.shared_libraries.scoring.score import score
    from machine_learning_engineering.shared_libraries.scoring.views import accepted_bytes, stage

    task, view = _task(made.begun, rows, place), FINAL.model_copy(update={"rows": made.rows})
    job = Job(
        script=made.script,
        name="solution.py",
        folder=place / "run",
        view=stage(task, view, made.config, place / "views"),
        limits=made.config.limits,
        seed=made.config.seed,
    )
    execution = await sandbox.run(job)
    reason = score(task, [view], [execution], made.config, sandbox.enforces_seal).reason
    if reason is not None:
        why = f"{execution.last_error} " if execution.last_error else ""
        raise MleError(f"the run's script made no valid predictions of {rows}: {why}{reason}")
    return accepted_bytes(task, execution.folder / SUBMISSION)


def _task(begun: RunStarted, rows: Path, place: Path) -> Task:
    """The run's task with new rows to predict. Raises: TaskError."""
    from machine_learning_engineering.shared_libraries.tasks.load import load_task
    from machine_learning_engineering.shared_libraries.tasks.table import read_table, write_table

    request = TaskRequest.model_validate(begun.request)
    known = load_task(request, place / "known")
    if known.digest != begun.task_digest:
        raise TaskError(
            f"the data in {request.source} were changed since the run began, so its script was not chosen for them. "
            "Repeat the run on them, or put the old data back."
        )
    same = {"target": known.target, "id": known.id, "group": known.group, "time": known.time, "name": known.name}
    cut, table = place / "rows.csv", _cut(read_table(rows), list(read_table(known.test).columns), rows)
    _check_numbers(table, known.profile.columns, rows)
    write_table(table, cut)
    return load_task(request.model_copy(update={**same, "test": cut}), place / "data")


def _cut(table: "pd.DataFrame", columns: list[str], rows: Path) -> "pd.DataFrame":
    """The table with these columns alone, in this order. Raises: TaskError if it lacks some."""
    if lacking := [name for name in columns if name not in table.columns]:
        raise TaskError(f"{rows} lacks {listed(lacking)}, which the run's test file has. Add what is missing.")
    return table[columns]


def _check_numbers(table: "pd.DataFrame", columns: Sequence[ColumnProfile], rows: Path) -> None:
    """Raises: TaskError for texts in a column that holds numbers in the run's data: scripts would take them as gaps."""
    import pandas as pd

    from machine_learning_engineering.shared_libraries.tasks.table import is_missing

    for name in (one.name for one in columns if one.kind in ("numeric", "integer")):
        known = table[name][~is_missing(table[name])]
        texts = known[pd.to_numeric(known, errors="coerce").isna()]
        if len(texts):
            raise TaskError(
                f"{rows} holds {listed(texts.unique(), 3)} in {name!r}, where the run's data have numbers: "
                f"{len(texts):,} of {len(table):,} cells. Write numbers there, or leave the cells empty."
            )


def _rows(entries: Sequence[JournalEntry], published: Published) -> int | None:
    decided = {entry.what: entry.chosen for entry in entries if isinstance(entry, Decision)}
    what = f"final rows {published.slot} {published.ordinal}"
    chosen = decided.get(f"{what} after all") or decided.get(what)
    return None if chosen is None else int(chosen)
