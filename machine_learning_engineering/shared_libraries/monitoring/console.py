"""A run in the terminal: one line for each thing that happened, and at the end where the files are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import rich.console

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

if TYPE_CHECKING:
    from machine_learning_engineering.shared_libraries.tasks.bundled import BundledTask


class Console:
    """Writes plain, readable lines; colour only where the terminal has it."""

    def __init__(self) -> None:
        self._out = rich.console.Console(highlight=False, soft_wrap=True)
        self._began = 0.0

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

    def list_tasks(self, tasks: Iterable[BundledTask]) -> None:
        """A table of bundled tasks."""
        from rich.table import Table

        table = Table("name", "problem", "metric", "rows", "what", box=None, pad_edge=False)
        for task in tasks:
            table.add_row(task.name, task.problem, task.metric, str(task.rows), task.title)
        self._out.print(table)
        self._out.print("\nRun one: mle run NAME", markup=False)


def _line(entry: JournalEntry) -> str | None:
    match entry:
        case LlmCall():
            return f"[dim]{entry.agent} answered[/dim]"
        case ScriptRun() if entry.execution.outcome != "ok":
            return f"[red]{entry.slot}: {entry.execution.outcome}[/red] after {entry.execution.execution_time:.1f} s"
        case Scored() if entry.score.value is not None:
            return f"{entry.slot}: [green]{entry.score.value:.6g}[/green]"
        case Scored() if entry.score.reason:
            return f"{entry.slot}: no score. {entry.score.reason.splitlines()[0]}".replace("[", r"\[")
        case Published():
            return f"[bold]published[/bold] the submission of {entry.slot}"
        case Decision():
            return f"decided {entry.what}: {entry.why}"
    return None
