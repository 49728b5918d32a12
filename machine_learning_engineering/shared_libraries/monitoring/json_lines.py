"""A run as JSON, one object a line, for programs that watch it."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from machine_learning_engineering.shared_libraries.records import (
    Attempt,
    Decision,
    JournalEntry,
    LlmCall,
    Published,
    RunEnded,
    RunStarted,
    Scored,
    ScriptRun,
    Task,
)


class JsonLines:
    """Writes an object for each entry of interest, with its `kind` first, and at the end one of kind `result`."""

    def show(self, entry: JournalEntry) -> None:
        if told := told_of(entry):
            _write({"kind": entry.kind, "at": round(entry.at, 3), **told})

    def stopping(self) -> None:
        _write({"kind": "stopping"})

    def abandon(self) -> None:
        """Nothing to give back."""

    def close(self) -> None:
        """Every line is out already."""

    def finish(self, task: Task, winner: Attempt, files: Mapping[str, Path]) -> None:
        score = winner.score.model_dump(mode="json") if winner.score else None
        told = {"task": task.name, "metric": task.metric.name, "maximize": task.metric.maximize}
        told |= {"slot": winner.slot.code_key, "score": score, "notes": list(task.notes)}
        _write({"kind": "result", **told, "files": {what: str(path) for what, path in files.items()}})


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
            return {"slot": entry.slot, "ordinal": entry.ordinal, "view": entry.view, **execution}
        case Scored() | Decision() | Published() | RunEnded():
            return entry.model_dump(mode="json", exclude={"kind", "at"})
    return None


def _write(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
