"""Runs as people list them: a line for each, and two of them side by side."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine_learning_engineering.shared_libraries.errors import ConfigError, JournalError
from machine_learning_engineering.shared_libraries.monitoring.words import figure
from machine_learning_engineering.shared_libraries.report.story import Story, read_story
from machine_learning_engineering.shared_libraries.runs.opening import FREE_SETTINGS
from machine_learning_engineering.shared_libraries.runs.registry import known_runs

_ABOUT_THE_PLACE = FREE_SETTINGS - {"minutes", "parallel_scripts"}


@dataclass(frozen=True)
class RunLine:
    """What `mle runs` tells of one run; `seconds` over all its sessions, `started` since the epoch.

    `best` is the score that the search went by; `audit` that on rows which chose nothing, where there are such, and
    `low` to `high` what to expect of the test rows.
    """

    run: str
    task: str
    status: str
    metric: str
    best: float | None
    audit: float | None
    low: float | None
    high: float | None
    seconds: float
    scripts: int
    model: str
    started: float
    folder: Path

    @property
    def audited(self) -> str:
        """The audit's score and what to expect of the test rows, in words; empty where there was no audit."""
        if self.audit is None or self.low is None:
            return "" if self.audit is None else figure(self.audit)
        return f"{figure(self.audit)} ({figure(self.low, 4)} to {figure(self.high, 4)})"


@dataclass(frozen=True)
class Difference:
    """A row of a comparison: what two runs do not have in common."""

    what: str
    first: str
    second: str


def list_runs(place: Path | None = None) -> list[RunLine]:
    """The runs in a folder, or all of this user that are still there, the oldest first.

    One that has not begun is left out; one that cannot be read has that for its status.

    Raises: ConfigError if there is no such folder.
    """
    if place is not None and not place.is_dir():
        raise ConfigError(f"there is no folder {place.absolute()}. Check the path behind --in.")
    folders = known_runs() if place is None else [p.parent for p in place.glob("*/journal.jsonl") if p.stat().st_size]
    return sorted(map(_line_or_why, folders), key=lambda line: line.started)


def line(folder: Path) -> RunLine:
    """The line of one run. Raises: JournalError if its journal cannot be read."""
    story = read_story(folder)
    config = story.started.config if story.started else {}
    shown = story.winner if story.published else story.best
    audit = story.audit
    return RunLine(
        run=folder.name,
        task=_task(folder),
        status=story.status,
        metric=story.metric.name,
        best=shown.value if shown else None,
        audit=audit.score.value if audit else None,
        low=audit.low if audit else None,
        high=audit.high if audit else None,
        seconds=story.seconds,
        scripts=len(story.nodes),
        model=str(config.get("agent_model", "")),
        started=story.started.at if story.started else 0.0,
        folder=folder,
    )


def compare(first: Path, second: Path) -> tuple[list[RunLine], list[Difference]]:
    """The lines of two runs, and the settings and versions in which they differ.

    Raises: JournalError if one of them cannot be read.
    """
    stories = [read_story(folder) for folder in (first, second)]
    return [line(first), line(second)], list(_differences(*stories))


def _differences(first: Story, second: Story) -> Iterable[Difference]:
    begun = [story.started for story in (first, second)]
    if begun[0] is None or begun[1] is None:
        return
    if begun[0].task_digest != begun[1].task_digest:
        yield Difference("data", "these", "others")
    for what in ("config", "versions"):
        old, new = (_plain(getattr(entry, what)) for entry in begun)
        for key in sorted((old.keys() | new.keys()) - _ABOUT_THE_PLACE):
            if old.get(key) != new.get(key):
                yield Difference(key, str(old.get(key)), str(new.get(key)))


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in ("", {}, None)}


def _line_or_why(folder: Path) -> RunLine:
    try:
        return line(folder)
    except JournalError:
        started = (folder / "journal.jsonl").stat().st_mtime
        return RunLine(
            folder.name, _task(folder), "unreadable", "", None, None, None, None, 0.0, 0, "", started, folder
        )


def _task(folder: Path) -> str:
    try:
        return str(json.loads((folder / "run.json").read_text(encoding="utf-8"))["task"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
