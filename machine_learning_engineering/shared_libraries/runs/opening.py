"""Beginning a run, or taking it up again where it stopped: the same command on the same folder does both."""

import contextlib
import json
import os
import re
import secrets
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.entries import RunStarted
from machine_learning_engineering.shared_libraries.errors import ConfigError, JournalError
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox
from machine_learning_engineering.shared_libraries.execution.scratch import remove
from machine_learning_engineering.shared_libraries.models.registry import make_model
from machine_learning_engineering.shared_libraries.records import Task, TaskRequest
from machine_learning_engineering.shared_libraries.runs.journal import Journal, now, write_atomically
from machine_learning_engineering.shared_libraries.runs.registry import RUNS, register
from machine_learning_engineering.shared_libraries.runs.run import Run
from machine_learning_engineering.shared_libraries.scoring.views import fold_views
from machine_learning_engineering.shared_libraries.tasks.load import load_task

# Settings that change how long a run may take or where it lies, but nothing that it computes.
FREE_SETTINGS = {
    "api_base",
    "cache_gb",
    "containment",
    "importance",
    "llm_retries",
    "llm_seconds",
    "minutes",
    "parallel_scripts",
    "workspace_dir",
}
_ASKED = ("target", "metric", "direction", "id", "group", "time", "description")  # of the data
_VERSIONED = ("machine-learning-engineering", "google-adk", "numpy", "pandas", "scikit-learn", "lightgbm")


def open_run(request: TaskRequest, config: RunConfig, sandbox: Sandbox, out: Path | None = None) -> Run:
    """A run in `out` (default: a new folder under ./mle-runs), begun, or taken up if it lies there already.

    It closes the sandbox when it ends; if this raises, that is left to the caller.

    Raises: TaskError for data that cannot be used; ConfigError for a folder that cannot hold a run, or a model that
    cannot be used; JournalError for a run that is going on or was begun with other data or settings.
    """
    folder = _place(request, out)
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    _make(folder)
    is_new = not (folder / "journal.jsonl").exists()
    journal = Journal(folder)
    try:
        if not is_new:  # loading writes, and what lies there stays unless this is the same run
            with tempfile.TemporaryDirectory() as place:
                _check_same(journal, load_task(request, Path(place)), request, config, folder)
        task = load_task(request, folder / "data")
        fold_views(task, config)  # data that cannot be split are told of before anything has cost time
        if is_new:  # after the data, since this takes a second; a run that has ended is told again without a model
            make_model(config.agent_model, config)
        journal.append(
            RunStarted(
                at=now(),
                run_id=folder.name,
                config=config.model_dump(mode="json"),
                request=request.model_dump(mode="json"),
                task_digest=task.digest,
                pid=os.getpid(),
                versions={name: version(name) for name in _VERSIONED},
            )
        )
    except BaseException:
        journal.close()
        if is_new:  # nothing of a run that never began is left; folders that were there before stay
            for path in folder.iterdir():
                remove(path)
            with contextlib.suppress(OSError):  # another run has begun beside it
                for path in new:
                    path.rmdir()
        raise
    about = {
        "run_id": folder.name,
        "task": task.name,
        "source": str(request.source),
        "metric": task.metric.model_dump(),
    }
    write_atomically(folder / "run.json", (json.dumps(about, indent=2) + "\n").encode())
    register(folder)
    return Run(config, task, folder, journal, sandbox)


def _place(request: TaskRequest, out: Path | None) -> Path:
    return (out or RUNS / new_run_id(request.name or request.source.stem)).expanduser().absolute()


def _make(folder: Path) -> None:
    """Raises: ConfigError for a folder that cannot hold a run."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "journal.jsonl").exists():
        raise ConfigError(f"{folder} is not empty and holds no run. Choose a new folder with --out.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "blobs").mkdir(exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"{folder} cannot be written ({exc.strerror}). Choose another folder with --out.") from exc


def new_run_id(name: str) -> str:
    """A name for a new run folder that sorts by time: `<task>-<date>-<time>-<4 hex digits>`."""
    plain = re.sub(r"[^\w.-]+", "-", name)
    return f"{plain}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def _check_same(journal: Journal, task: Task, request: TaskRequest, config: RunConfig, folder: Path) -> None:
    begun = next((entry for entry in journal.entries if isinstance(entry, RunStarted)), None)
    if begun is None:
        return
    asked, now_asked = (
        {key: said[key] for key in _ASKED if key in said} for said in (begun.request, request.model_dump(mode="json"))
    )
    if begun.request.get("source") != str(request.source) and begun.task_digest != task.digest:
        raise JournalError(
            f"{folder} holds a run on other data, {begun.request.get('source')}. Choose a new folder with --out."
        )
    before = {**RunConfig().model_dump(mode="json"), **begun.config}  # a setting that came later was as by default
    changed = [*_changes(asked, now_asked), *_changes(before, config.model_dump(mode="json"))]
    if begun.task_digest != task.digest and not changed:
        raise JournalError(f"the data of {folder} changed since its run began. Choose a new folder with --out.")
    if changed:
        raise JournalError(
            f"{folder} holds a run with other settings ({'; '.join(changed)}). "
            "Repeat the command as it was to take that run up, or choose a new folder with --out."
        )


def _changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    keys = sorted((old.keys() | new.keys()) - FREE_SETTINGS)
    return [f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in keys if old.get(key) != new.get(key)]
