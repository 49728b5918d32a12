"""Runs as processes of their own: start one, take one up again, stop one. Whoever asked may go away meanwhile."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from machine_learning_engineering.shared_libraries.entries import RunStarted
from machine_learning_engineering.shared_libraries.errors import JournalError, MleError
from machine_learning_engineering.shared_libraries.runs.journal import is_open, read_journal
from machine_learning_engineering.shared_libraries.runs.opening import new_run_id
from machine_learning_engineering.shared_libraries.runs.registry import RUNS

_BEGIN_SECONDS = 60.0  # within which a run begins its journal, or says why it cannot
_LOOK_SECONDS = 0.1
_TOLD = 2000  # bytes of a log's end that may hold its last sentence


def start(source: str, name: str, options: Mapping[str, object]) -> Path:
    """Starts `mle run source` with these options detached; the new run's folder, once it has begun.

    Raises: MleError with the run's own sentence if it ends before it begins.
    """
    folder = (RUNS / new_run_id(name)).absolute()
    words = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    _launch(["machine_learning_engineering.cli", "run", source, "--out", str(folder), *words], folder, sessions=0)
    return folder


def take_up(folder: Path) -> bool:
    """Goes on with an interrupted or stopped run as it was begun; False if it is going on already.

    Raises: MleError with the run's own sentence if it cannot go on.
    """
    if is_open(folder):
        return False
    _launch(["machine_learning_engineering.front_door.take_up", str(folder)], folder, _sessions(folder))
    return True


def stop(folder: Path) -> bool:
    """Asks a run to stop, as Ctrl-C would; False if it is not going on. What it has finished is kept."""
    started = [entry for entry in read_journal(folder) if isinstance(entry, RunStarted)]
    if not started or not is_open(folder):
        return False
    os.kill(started[-1].pid, signal.SIGINT)
    return True


def _launch(words: Sequence[str], folder: Path, sessions: int) -> None:
    """Starts a Python module in a session of its own and waits until the run's journal has one session more."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_name(f"{folder.name}.log")
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    threading.Thread(target=process.wait, daemon=True).start()  # so that it leaves no zombie
    end = time.monotonic() + _BEGIN_SECONDS
    while _sessions(folder) <= sessions:
        if process.poll() is not None and _sessions(folder) <= sessions:
            raise MleError(_why_not(folder, log))
        if time.monotonic() > end:
            raise MleError(f"the run has not begun after {_BEGIN_SECONDS:.0f} s. Look at {log}.")
        time.sleep(_LOOK_SECONDS)


def _sessions(folder: Path) -> int:
    with contextlib.suppress(JournalError):
        return sum(isinstance(entry, RunStarted) for entry in read_journal(folder))
    return 0


def _why_not(folder: Path, log: Path) -> str:
    """What `mle` said last for people, whose empty folder and log then go; else where to look."""
    lines = log.read_bytes()[-_TOLD:].decode(errors="replace").strip().splitlines()
    said = next((line.removeprefix("mle: ") for line in reversed(lines) if line.startswith("mle: ")), "")
    if not said:
        return f"the run ended before it began; {log} may say why."
    with contextlib.suppress(OSError):
        folder.rmdir()
        log.unlink()
    return said
