"""A run as JSON, one object a line, for programs that watch it."""

import json
import sys
from typing import Any

from machine_learning_engineering.shared_libraries.entries import (
    Audited,
    Decision,
    Guessed,
    Importance,
    JournalEntry,
    LlmCall,
    Published,
    RunEnded,
    RunStarted,
    Scored,
    ScriptRun,
)
from machine_learning_engineering.shared_libraries.monitoring.ending import Ending
from machine_learning_engineering.shared_libraries.report.lineage import titled


class JsonLines:
    """Writes an object for each entry of interest, with its `kind` first, and at last one that tells of the end."""

    def show(self, entry: JournalEntry) -> None:
        if told := told_of(entry):
            _write({"kind": entry.kind, "at": round(entry.at, 3), **told})

    def warn(self, sentence: str) -> None:
        _write({"kind": "warning", "text": sentence})

    def stopping(self) -> None:
        _write({"kind": "stopping"})

    def abandon(self) -> None:
        """Nothing to give back."""

    def close(self) -> None:
        """Every line is out already."""

    def end(self, ending: Ending) -> None:
        story, winner = ending.story, ending.story.winner if ending.story.published else None
        guess = story.guess
        told = {
            "kind": "result",
            "status": story.status,
            "task": story.task,
            "metric": story.metric.name,
            "maximize": story.metric.maximize,
            "slot": winner.slot if winner else None,
            "title": winner.title if winner else None,
            "score": winner.score.model_dump(mode="json") if winner and winner.score else None,
            "audit": story.audit.model_dump(mode="json", include={"score", "low", "high"}) if story.audit else None,
            "guess": guess.model_dump(mode="json", include={"what", "value", "comparison"}) if guess else None,
            "importance": story.importance.model_dump(mode="json", include={"columns", "reason"})
            if story.importance
            else None,
            "checked": ending.checked,
            "notes": list(ending.notes),
            "files": {what: str(path) for what, path in ending.files.items()},
            "again": ending.again,
        }
        _write(told)


def told_of(entry: JournalEntry) -> dict[str, Any] | None:
    """The fields of an entry that say something to an onlooker; None for entries that say nothing to them."""
    match entry:
        case RunStarted():
            return {"run": entry.run_id, "pid": entry.pid, "config": entry.config, "versions": entry.versions}
        case LlmCall():
            return entry.model_dump(
                include={"agent", "ordinal", "model", "seconds", "prompt_tokens", "completion_tokens"}
            )
        case ScriptRun():
            execution = entry.execution.model_dump(
                mode="json", include={"outcome", "returncode", "execution_time", "memory_bytes", "cached", "folder"}
            )
            return {**_who(entry), "view": entry.view, **execution}
        case Scored() | Audited() | Guessed() | Importance() | Published():
            return {**_who(entry), **entry.model_dump(mode="json", exclude={"kind", "at", "slot", "ordinal"})}
        case Decision() | RunEnded():
            return entry.model_dump(mode="json", exclude={"kind", "at"})
    return None


def _who(entry: ScriptRun | Scored | Audited | Guessed | Importance | Published) -> dict[str, Any]:
    return {"slot": entry.slot, "ordinal": entry.ordinal, "title": titled(entry.slot, entry.ordinal)}


def _write(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
