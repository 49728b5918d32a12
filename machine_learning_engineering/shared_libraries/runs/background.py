"""Runs as processes of their own: start one, see how far it is, stop it, read its result; all by its name."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from machine_learning_engineering.shared_libraries.errors import ConfigError, JournalError
from machine_learning_engineering.shared_libraries.records import JournalEntry, Published, RunEnded, RunStarted, Scored
from machine_learning_engineering.shared_libraries.runs.journal import is_open, read_journal
from machine_learning_engineering.shared_libraries.runs.opening import RUNS, new_run_id

E = TypeVar("E", RunStarted, Published, RunEnded)

OPTIONS = frozenset(
    [
        "target",
        "metric",
        "test",
        "id",
        "group",
        "time",
        "description",
        "model",
        "solutions",
        "candidates",
        "rounds",
        "minutes",
        "timeout",
        "seed",
    ]
)


def start(source: str, name: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """Starts `mle run source` with these options detached, and returns the new run's name and folder at once.

    Raises: ConfigError for an option that `mle run` does not have.
    """
    if wrong := sorted(set(settings) - OPTIONS):
        raise ConfigError(f"{', '.join(wrong)} cannot be set for a run. Possible: {', '.join(sorted(OPTIONS))}.")
    run = new_run_id(name)
    folder = (RUNS / run).absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    options = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
    command = [sys.executable, "-m", "machine_learning_engineering.cli", "run", source, "--out", str(folder), *options]
    with folder.with_suffix(".log").open("wb") as log:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    return {"run": run, "folder": str(folder), "log": str(folder.with_suffix(".log"))}


def status(run: str = "") -> dict[str, Any]:
    """How far a run is: going on or how it ended, scripts scored, and the best score published so far."""
    folder = find(run)
    entries = read_journal(folder)
    scored = [entry for entry in entries if isinstance(entry, Scored)]
    best = _last(entries, Published)
    return {
        "run": folder.name,
        "state": _state(folder, entries),
        "scripts scored": len(scored),
        "best score so far": "none yet" if best is None or best.value is None else f"{best.value:.6g} by {best.slot}",
    }


def stop(run: str) -> dict[str, Any]:
    """Asks a run to stop, as Ctrl-C would; what it has finished is kept."""
    folder = find(run)
    started = _last(read_journal(folder), RunStarted)
    if started is None or not is_open(folder):
        return {"run": folder.name, "state": "is not going on"}
    os.kill(started.pid, signal.SIGINT)
    return {"run": folder.name, "state": "stopping"}


def result(run: str = "") -> dict[str, Any]:
    """A run's best score so far and where its files lie. Raises: JournalError if nothing is published yet."""
    folder = find(run)
    entries = read_journal(folder)
    best = _last(entries, Published)
    if best is None:
        raise JournalError(f"run {folder.name} has published no submission yet ({_state(folder, entries)}).")
    return {
        "run": folder.name,
        "state": _state(folder, entries),
        "score on held-out rows": best.value,
        "submission": str(folder / "final" / "submission.csv"),
        "script": str(folder / "final" / "solution.py"),
    }


def find(run: str = "") -> Path:
    """The folder of a run in ./mle-runs, by name or unique beginning; the latest where none is named.

    Raises: JournalError if there is no such run, or several.
    """
    runs = sorted((p.parent for p in RUNS.glob("*/journal.jsonl")), key=lambda p: (p / "journal.jsonl").stat().st_mtime)
    if not runs:
        raise JournalError(f"there are no runs in {RUNS.absolute()} yet. Start one with `mle run`.")
    found = [p for p in runs if p.name == run] or [p for p in runs if p.name.startswith(run)]
    if not found or (run and len(found) > 1):
        names = ", ".join(p.name for p in (found or runs)[-8:])
        raise JournalError(f"{'several runs begin with' if found else 'there is no run'} {run!r}. Runs: {names}.")
    return found[-1].absolute()


def _state(folder: Path, entries: list[JournalEntry]) -> str:
    if is_open(folder):
        return "going on"
    ended = _last(entries, RunEnded)
    return (
        "interrupted; the same command takes it up again" if ended is None else f"{ended.status} {ended.reason}".strip()
    )


def _last(entries: list[JournalEntry], kind: type[E]) -> E | None:
    return next((entry for entry in reversed(entries) if isinstance(entry, kind)), None)
