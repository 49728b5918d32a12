"""The live display of a run: phases, what runs now, the best attempts. For terminals that can redraw a region."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from machine_learning_engineering.shared_libraries.entries import RunStarted
from machine_learning_engineering.shared_libraries.monitoring.console import Console as Lines
from machine_learning_engineering.shared_libraries.monitoring.ending import Ending
from machine_learning_engineering.shared_libraries.monitoring.progress import (
    PHASES,
    KeyOf,
    PhaseView,
    Progress,
    Snapshot,
    Standing,
)
from machine_learning_engineering.shared_libraries.monitoring.words import counted, duration, figure

if TYPE_CHECKING:
    from machine_learning_engineering.shared_libraries.entries import JournalEntry
    from machine_learning_engineering.shared_libraries.report.node import Node

_REDRAW_SECONDS = 0.25
_MOST_DOING = 4  # lines of what runs now
_WIDE = 110  # columns from which the leaderboard stands beside the phases
_STYLES: dict[Standing, str] = {"done": "green", "now": "bold cyan", "to come": "dim"}
_MARKS: dict[Standing, tuple[str, str]] = {"done": ("✓", "x"), "now": ("●", "*"), "to come": ("○", "-")}
# Erases the screen from its end backwards: erased forwards, tmux would keep the old picture in its history.
_WIPE = "\x1b[999;999H\x1b[1J\x1b[H"
_STOPPING = "Finishing up: scripts end, the best submission stays. Ctrl-C again stops at once."


class LiveDisplay:
    """Redraws itself four times a second in a thread of its own, so that a busy event loop does not freeze it."""

    def __init__(self, folder_of: Callable[[RunStarted], Path], key_of: KeyOf) -> None:
        self._console = Console(highlight=False)
        self._folder_of, self._key_of = folder_of, key_of
        self._progress: Progress | None = None
        self._shot: Snapshot | None = None
        self._stopping = False
        self._over = threading.Event()
        self._size = self._console.size
        self._live = self._new_live()
        self._thread = threading.Thread(target=self._redraw, name="mle-display", daemon=True)
        self._live.start()
        self._thread.start()

    def show(self, entry: JournalEntry) -> None:
        """Takes an entry in; it is seen with the next redraw."""
        if self._progress is None:
            if not isinstance(entry, RunStarted):
                return
            self._progress = Progress(self._folder_of(entry), self._key_of)
        self._progress.take(entry)
        self._shot = self._progress.snapshot()

    def warn(self, sentence: str) -> None:
        """Stands above the picture and stays."""
        self._console.print(Text(f"note: {sentence}", "yellow"))

    def stopping(self) -> None:
        """Says that the run finishes up."""
        self._stopping = True

    def abandon(self) -> None:
        """Gives the terminal back at once; waits for nothing."""
        self._over.set()
        os.write(sys.stdout.fileno(), b"\x1b[?25h\r\n")

    def close(self) -> None:
        """Ends the display and leaves on the screen how far the run came."""
        if self._over.is_set():
            return
        self._over.set()
        self._thread.join()
        self._live.stop()
        if self._shot is not None:
            self._console.print(board(self._shot, self._console, 24, None), "")

    def end(self, ending: Ending) -> None:
        """The last board, the headline and the files."""
        self.close()
        Lines().end(ending)

    def _redraw(self) -> None:
        while not self._over.wait(_REDRAW_SECONDS):
            if self._console.size != self._size:
                self._start_anew()
            self._live.update(self._picture(), refresh=True)

    def _start_anew(self) -> None:
        """After a resize the terminal has folded the old lines in its own way: nothing but a clean screen helps."""
        self._size = self._console.size
        self._console.file.write(_WIPE)
        self._live.stop()  # which draws once more
        self._console.file.write(_WIPE)
        self._live = self._new_live()
        self._live.start()

    def _new_live(self) -> Live:
        return Live(self._picture(), console=self._console, auto_refresh=False, transient=True)

    def _picture(self) -> RenderableType:
        rows = self._console.height - 1
        if self._shot is None or self._progress is None:
            top: RenderableType = Text("Reading the data ...", "dim")
        else:
            finals = final_runs(self._progress.folder)
            top = board(self._shot, self._console, rows - 2 * self._stopping, time.time(), finals)
        return Group(top, Text(f"\n{_STOPPING}", "bold yellow")) if self._stopping else top


def final_runs(folder: Path) -> list[float]:
    """When the final runs that go on now began, in seconds since the epoch; they work in folders of this name."""
    began = []
    for path in folder.glob("*/*/runs/.mle-*"):
        try:
            began.append(path.stat().st_ctime)
        except OSError:  # it has just ended
            continue
    return sorted(began)


def board(
    shot: Snapshot, console: Console, rows: int, now: float | None, finals: Sequence[float] = ()
) -> RenderableType:
    """The picture of a run in at most so many rows; without `now` only what stays when the run is over."""
    wide = console.width >= _WIDE
    doing = _doing(shot, now, finals) if now is not None else []
    left = rows - 5 - len(PHASES) - (len(doing) + 2 if doing else 0)  # of these rows, for branches and leaders
    if doing and left < 0:
        return Group(_head(shot, now), _phase_in_a_line(shot), _grid(doing))
    branches = [phase.branches for phase in shot.phases if phase.standing == "now" and now is not None]
    number = len(branches[0]) if branches else 0
    shown = 1 < number <= (left if wide else left - 6)
    tree = Group(_title("Phases"), Padding(_phases(shot, console, shown), (0, 0, 0, 2)))
    work: list[RenderableType] = [Text(), _title("Now"), Padding(_grid(doing), (0, 0, 0, 2))] if doing else []
    leaders = rows - 6 if wide else left - 2 - number * shown
    best = _leaderboard(shot, min(leaders, 10)) if leaders > 0 else Text()
    if wide:
        columns = Table.grid(padding=(0, 6, 0, 0))
        columns.add_row(Group(tree, *work), best)
        return Group(Text(), _head(shot, now), Text(), columns)
    return Group(Text(), _head(shot, now), Text(), tree, *work, Text(), best)


def _head(shot: Snapshot, now: float | None) -> RenderableType:
    metric, best = shot.metric, shot.story.best
    title = Text(shot.task, "bold", overflow="ellipsis", no_wrap=True)
    title.append(f"  {metric.title}, {'higher' if metric.maximize else 'lower'} is better", "not bold")
    line = Text("best ", overflow="ellipsis", no_wrap=True)
    line.append(figure(best.value) if best else "none yet", "bold green" if best else "dim")
    calls = counted(shot.calls, "model call") + (f" ({shot.tokens:,} tokens)" if shot.tokens else "")
    line.append(f"   {_clock(shot, now)}   {calls}")
    return Group(title, line)


def _clock(shot: Snapshot, now: float | None) -> str:
    gone = shot.story.seconds if now is None else shot.earlier + now - shot.began
    if shot.minutes is None:
        return f"{duration(gone)}, no limit"
    return f"{duration(gone)}, {duration(shot.minutes * 60 - gone)} of {duration(shot.minutes * 60)} left"


def _phases(shot: Snapshot, console: Console, branches: bool) -> RenderableType:
    plain = int(not (console.encoding or "").startswith("utf"))
    tree = Tree("", guide_style="dim", hide_root=True)
    for phase in shot.phases:
        label = Text(f"{_MARKS[phase.standing][plain]} {phase.name:15}", _STYLES[phase.standing], no_wrap=True)
        label.append(_sum(phase), "not bold default")
        twig = tree.add(label)
        for branch in phase.branches if branches and phase.standing == "now" else ():
            twig.add(Text(f"{branch.title:11}{counted(branch.scripts, 'script'):10} {figure(branch.best)}"))
    return tree


def _phase_in_a_line(shot: Snapshot) -> Text:
    """Where the run is, for a terminal that has no room for all phases."""
    number = next((n for n, phase in enumerate(shot.phases) if phase.standing == "now"), len(PHASES) - 1)
    phase = shot.phases[number]
    line = Text(f"phase {number + 1} of {len(PHASES)}: {phase.name}  ", _STYLES["now"], no_wrap=True)
    return line.append(_sum(phase), "not bold default")


def _sum(phase: PhaseView) -> str:
    if not phase.scripts:
        return ""
    failed = f", {phase.failed} failed" if phase.failed else ""
    best = f"  best {figure(phase.best)}" if phase.best is not None else ""
    return f"{counted(phase.scripts, 'script')}{failed}{best}"


def _doing(shot: Snapshot, now: float, finals: Sequence[float]) -> list[tuple[str, str]]:
    """What goes on now, each with the time it has taken and may take."""
    running = [(one.title, one.since) for one in shot.doing if one.since is not None]
    limit = duration(shot.limit_seconds)
    lines = [
        (title, f"{duration(now - since)} of {limit}")
        for title, since in (*running, *(("Final run on all rows", since) for since in finals))
    ]
    if len(lines) > _MOST_DOING:
        lines[_MOST_DOING - 1 :] = [(f"and {len(lines) - _MOST_DOING + 1} more", "")]
    if waiting := len(shot.doing) - len(running):
        lines.append((f"{counted(waiting, 'script')} waiting", ""))
    idle = "Nothing is left to run" if shot.phases[-1].standing == "done" else "Waiting for the model"
    return lines or [(idle, duration(now - shot.last))]


def _grid(lines: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for line in lines:
        table.add_row(*map(Text, line))
    return table


def _title(text: str) -> Text:
    return Text(text, "bold")


def _leaderboard(shot: Snapshot, rows: int) -> RenderableType:
    table = Table("Best attempts", "score", "time", "", box=None, pad_edge=False, header_style="bold")
    for number in (1, 2):
        table.columns[number].justify = "right"
    leaders = shot.story.leaderboard
    winner = shot.story.winner if shot.story.published else None
    for place, node in enumerate(leaders[:rows]):
        mark = "published" if winner is not None and node.key == winner.key else ""
        spent = f"{node.execution.execution_time:.1f} s"
        marks = Text(f"{mark} {_doubt(node)}".strip(), "bold")
        table.add_row(Text(node.title), figure(node.value), spent, marks, style="green" if place == 0 else "")
    if not leaders:
        table.add_row(Text("none has a score yet", "dim"), "", "", "")
    elif len(leaders) > rows > 2:
        table.add_row(Text(f"and {len(leaders) - rows} more", "dim"), "", "", "")
    return table


def _doubt(node: Node) -> str:
    """What must be said of a score that the script could have made up, or that stands on fewer rows than others."""
    source = node.score.source if node.score else "sealed"
    doubts = {"sealed": "", "sealed_unenforced": "(seal not enforced)", "reported": "(the script's own figure)"}
    return f"{'first fold only' if node.stopped else ''} {doubts[source]}".strip()
