"""What is told of a run when somebody asks: status, result, leaderboard, why a script was dropped."""

import contextlib
import re
from pathlib import Path
from typing import Any

from machine_learning_engineering.shared_libraries.errors import JournalError
from machine_learning_engineering.shared_libraries.monitoring.ending import Ending
from machine_learning_engineering.shared_libraries.monitoring.runs import line
from machine_learning_engineering.shared_libraries.monitoring.words import counted, duration, figure, near
from machine_learning_engineering.shared_libraries.report.matters import about_column, what_matters
from machine_learning_engineering.shared_libraries.report.node import Node
from machine_learning_engineering.shared_libraries.report.story import Story, read_story
from machine_learning_engineering.shared_libraries.report.why import why_dropped
from machine_learning_engineering.shared_libraries.runs.registry import known_runs

_MOST_RANKS = 12
_MOST_RUNS = 15
_STATES = {
    "going on": "going on",
    "finished": "finished",
    "stopped": "stopped; `take up` goes on with it",
    "interrupted": "interrupted; `take up` goes on with it",
    "failed": "failed",
}


def status(folder: Path) -> dict[str, Any]:
    """How far a run is. Raises: JournalError if its journal cannot be read."""
    story = read_story(folder)
    failed = sum(1 for node in story.nodes if not node.succeeded)
    return {
        "run": folder.name,
        "state": _state(story),
        "time": duration(story.seconds),
        "scripts": f"{len(story.nodes)} run, {failed} failed",
        "best so far": _best(story),
    }


def result(folder: Path) -> dict[str, Any]:
    """A run's score and files. Raises: JournalError if nothing is published yet."""
    story = read_story(folder)
    winner = story.winner
    if story.published is None or winner is None:
        raise JournalError(f"run {folder.name} has published no submission yet ({_state(story)}).")
    files = {
        "submission": folder / "final" / "submission.csv",
        "script": folder / "final" / "solution.py",
        "report": folder / "report.html",
    }
    return {
        "run": folder.name,
        "state": _state(story),
        "winner": winner.title,
        "score": Ending(story).headline,
        **({"audited": audited} if (audited := Ending(story).audit) else {}),
        **{what: near(path) for what, path in files.items() if path.is_file()},
    }


def leaderboard(folder: Path) -> dict[str, Any]:
    """The scripts of a run, best first. Raises: JournalError if its journal cannot be read."""
    story = read_story(folder)
    ranks = story.leaderboard
    rows = [f"{n}. {node.title}: {figure(node.value)}{_mark(story, node)}" for n, node in enumerate(ranks, 1)]
    failed = [node.title for node in story.nodes if not node.succeeded]
    return {
        "run": folder.name,
        "metric": f"{story.metric.title}, {'higher' if story.metric.maximize else 'lower'} is better",
        "leaderboard": rows[:_MOST_RANKS] or ["no script has a score yet"],
        **({"not shown": counted(len(rows) - _MOST_RANKS, "script")} if len(rows) > _MOST_RANKS else {}),
        **({"failed": ", ".join(failed)} if failed else {}),
    }


def why(folder: Path, name: str) -> dict[str, Any]:
    """Why a script of a run was dropped, or what became of a column of its data.

    Raises: JournalError if there is no such run, script or column.
    """
    return {"run": folder.name, "answer": " ".join(_why(read_story(folder), name))}


def matters(folder: Path) -> dict[str, Any]:
    """Which parts of a run's scripts matter. Raises: JournalError if its journal cannot be read."""
    return {"run": folder.name, "answer": " ".join(what_matters(read_story(folder)))}


def runs() -> dict[str, Any]:
    """The latest runs, the newest first. Raises: JournalError if a journal cannot be read."""
    lines = [_line(folder) for folder in reversed(known_runs()[-_MOST_RUNS:])]
    return {"runs": lines or ["none yet"]}


def _why(story: Story, name: str) -> list[str]:
    """What became of a script or, where it is called a column or there is no such script, of a column."""
    if column := re.fullmatch(r"(?:the )?(?:column|feature) (?P<name>.+)", name, re.IGNORECASE):
        return about_column(story, column["name"].strip("\"'`"))
    try:
        return why_dropped(story, name)
    except JournalError:
        with contextlib.suppress(JournalError):
            return about_column(story, name)
        raise


def _line(folder: Path) -> str:
    try:
        one = line(folder)
    except JournalError as exc:
        return f"{folder.name}: unreadable ({exc})"
    audited = f", audited {one.audited}" if one.audited else ""
    return f"{one.run}: {one.status}, best {figure(one.best)} {one.metric}{audited}, {counted(one.scripts, 'script')}"


def _state(story: Story) -> str:
    told = _STATES[story.status]
    return f"{told}: {story.reason}" if story.reason else told


def _best(story: Story) -> str:
    best = story.best
    return "no score yet" if best is None else f"{figure(best.value)} by {best.title} ({story.metric.title})"


def _mark(story: Story, node: Node) -> str:
    if node.stopped and node.score is not None:
        return f" (first fold only, {node.score.stopped})"
    return " (published)" if story.winner is not None and story.winner.key == node.key and node.published else ""
