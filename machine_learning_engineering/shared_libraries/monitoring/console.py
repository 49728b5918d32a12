"""A run in the terminal: one line for each thing that happened, and at the end where the files are."""

from __future__ import annotations

import os
import sys
from typing import Protocol

import rich.console
from rich.markup import escape

from machine_learning_engineering.shared_libraries.entries import (
    Audited,
    Decision,
    JournalEntry,
    LlmCall,
    Published,
    RunStarted,
    Scored,
    ScriptRun,
)
from machine_learning_engineering.shared_libraries.monitoring.ending import Ending
from machine_learning_engineering.shared_libraries.monitoring.words import figure
from machine_learning_engineering.shared_libraries.report.lineage import decided, titled


class View(Protocol):
    """Where a run is shown: it gets every journal entry of the session, and its end."""

    def show(self, entry: JournalEntry) -> None:
        """Shows an entry, or not."""

    def warn(self, sentence: str) -> None:
        """Says what to know of a run that begins."""

    def stopping(self) -> None:
        """The user asked the run to stop; it finishes up."""

    def abandon(self) -> None:
        """The process ends at once: gives the terminal back, waiting for nothing."""

    def close(self) -> None:
        """The run is over, with a result or without; may be called more than once."""

    def end(self, ending: Ending) -> None:
        """Shows what the session leaves, whether the run finished, was stopped, or failed."""


class Quiet:
    """Shows nothing but where the submission lies."""

    def show(self, entry: JournalEntry) -> None: ...

    def warn(self, sentence: str) -> None: ...

    def stopping(self) -> None: ...

    def abandon(self) -> None: ...

    def close(self) -> None: ...

    def end(self, ending: Ending) -> None:
        if ending.story.status == "finished":
            sys.stdout.write(f"{ending.files['submission']}\n")


class Console:
    """Writes plain, readable lines; colour only where the terminal has it."""

    def __init__(self) -> None:
        self._out = rich.console.Console(highlight=False, soft_wrap=True)
        self._began = 0.0

    def warn(self, sentence: str) -> None:
        self._out.print(f"note: {sentence}", style="yellow", markup=False)

    def stopping(self) -> None:
        self._out.print("finishing up: scripts end, the best submission stays. Ctrl-C again stops at once.")

    def abandon(self) -> None:
        """Ends the line on which a terminal has shown Ctrl-C."""
        if self._out.is_terminal:
            os.write(sys.stdout.fileno(), b"\n")

    def close(self) -> None:
        """Every line is out already."""

    def show(self, entry: JournalEntry) -> None:
        """One line for an entry that a person wants to see."""
        if isinstance(entry, RunStarted):
            self._began = entry.at
        if line := _line(entry):
            self._out.print(f"[dim]{entry.at - self._began:7.1f} s[/dim]  {line}", markup=True)

    def end(self, ending: Ending) -> None:
        """The headline of the run, what to know of it, and where its files are."""
        whole = not self._out.is_terminal  # a terminal gets lines broken between words, a file gets them whole
        for number, sentence in enumerate(ending.sentences()):
            self._out.print("" if number else "\n", end="")
            self._out.print(sentence, style=None if number else "bold", markup=False, soft_wrap=whole)
        for place in ending.places():
            self._out.print(place, markup=False)


def _line(entry: JournalEntry) -> str | None:
    """What happened, in the words of the report."""
    match entry:
        case LlmCall():
            return f"[dim]the model answered {escape(entry.agent)}[/dim]"
        case ScriptRun() if entry.execution.outcome != "ok":
            spent = f"{entry.execution.execution_time:.1f} s"
            return f"{titled(entry.slot, entry.ordinal)}: [red]{entry.execution.outcome}[/red] after {spent}"
        case Scored() if entry.score.value is not None:
            early = f", first fold only, {escape(entry.score.stopped)}" if entry.score.stopped else ""
            return f"{titled(entry.slot, entry.ordinal)}: [green]{figure(entry.score.value)}[/green]{early}"
        case Audited() if entry.score.value is not None:
            score = f"{figure(entry.score.value)} on {entry.score.rows:,} rows that chose nothing"
            return f"{titled(entry.slot, entry.ordinal)}, audited: {score}"
        case Scored() if entry.score.reason:
            return f"{titled(entry.slot, entry.ordinal)}: no score. {escape(entry.score.reason.splitlines()[0])}"
        case Published():
            return f"[bold]published[/bold] the submission of {titled(entry.slot, entry.ordinal)}"
        case Decision():
            return escape(decided(entry))
    return None
