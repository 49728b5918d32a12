"""A run in the terminal: one line for each thing that happened, and at the end where the files are."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import rich.console
from rich.markup import escape

from machine_learning_engineering.shared_libraries.records import (
    Attempt,
    Decision,
    JournalEntry,
    LlmCall,
    Published,
    RunStarted,
    Scored,
    ScriptRun,
    Task,
)


class View(Protocol):
    """Where a run is shown: it gets every journal entry of the session, and in the end the result."""

    def show(self, entry: JournalEntry) -> None:
        """Shows an entry, or not."""

    def stopping(self) -> None:
        """The user asked the run to stop; it finishes up."""

    def abandon(self) -> None:
        """The process ends at once: gives the terminal back, waiting for nothing."""

    def close(self) -> None:
        """The run is over, with a result or without; may be called more than once."""

    def finish(self, task: Task, winner: Attempt, files: Mapping[str, Path]) -> None:
        """Shows the result of a finished run."""


class Quiet:
    """Shows nothing but where the submission lies."""

    def show(self, entry: JournalEntry) -> None: ...

    def stopping(self) -> None: ...

    def abandon(self) -> None: ...

    def close(self) -> None: ...

    def finish(self, task: Task, winner: Attempt, files: Mapping[str, Path]) -> None:
        sys.stdout.write(f"{files['submission']}\n")


class Console:
    """Writes plain, readable lines; colour only where the terminal has it."""

    def __init__(self) -> None:
        self._out = rich.console.Console(highlight=False, soft_wrap=True)
        self._began = 0.0

    def stopping(self) -> None:
        self._out.print("finishing up: scripts end, the best submission stays. Ctrl-C again stops at once.")

    def abandon(self) -> None:
        """Nothing to give back."""

    def close(self) -> None:
        """Every line is out already."""

    def show(self, entry: JournalEntry) -> None:
        """One line for an entry that a person wants to see."""
        if isinstance(entry, RunStarted):
            self._began = entry.at
        if line := _line(entry):
            self._out.print(f"[dim]{entry.at - self._began:7.1f} s[/dim]  {line}", markup=True)

    def finish(self, task: Task, winner: Attempt, files: Mapping[str, Path]) -> None:
        """The headline of a finished run and where its files are."""
        score, metric = winner.score, task.metric
        if score is None or score.value is None:  # an agent had to repair the winner for the full data
            self._out.print(
                "\n[bold]done[/bold]: the winner was repaired for the full data and has no score of its own"
            )
        else:
            self._out.print(
                f"\n[bold]{metric.title} {score.value:.6g}[/bold] on {score.rows} held-out rows that no script saw "
                f"({score.source}; the winning script itself reported {score.reported})"
            )
        for note in task.notes:
            self._out.print(f"note: {note}", markup=False)
        for what, path in files.items():
            self._out.print(f"{what:11} {path}", markup=False)
        if "report" not in files:
            self._out.print("report      could not be written; `mle report` with the run's folder tries again")


def _line(entry: JournalEntry) -> str | None:
    match entry:
        case LlmCall():
            return f"[dim]{entry.agent} answered[/dim]"
        case ScriptRun() if entry.execution.outcome != "ok":
            return f"[red]{entry.slot}: {entry.execution.outcome}[/red] after {entry.execution.execution_time:.1f} s"
        case Scored() if entry.score.value is not None:
            return f"{entry.slot}: [green]{entry.score.value:.6g}[/green]"
        case Scored() if entry.score.reason:
            return f"{entry.slot}: no score. {escape(entry.score.reason.splitlines()[0])}"
        case Published():
            return f"[bold]published[/bold] the submission of {entry.slot}"
        case Decision():
            return escape(f"decided {entry.what}: {entry.why}")
    return None
