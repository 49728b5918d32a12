"""The specified state file of a run, computed from its journal alone."""

import json
from pathlib import Path
from typing import Any

from machine_learning_engineering.shared_libraries.entries import JournalEntry, StateDelta
from machine_learning_engineering.shared_libraries.runs.journal import unpack

_ACCIDENTS = {"start_time": 0.0, "execution_time": 0.0, "cached": False}


def fold_state(folder: Path, entries: list[JournalEntry]) -> dict[str, Any]:
    """The session state after these entries, as the agents saw it."""
    state: dict[str, Any] = {}
    for entry in entries:
        if isinstance(entry, StateDelta):
            state |= unpack(folder, entry.delta)
    return state


def final_state(folder: Path, entries: list[JournalEntry]) -> str:
    """The text of `final_state.json`: a pure function of task, settings, replies and what scripts printed.

    So that two such runs give the same bytes wherever and whenever they ran, the run's own folder is `.` in it and
    measured seconds are 0 and nothing came from the cache; the journal has what was measured.
    """
    state = _without_accidents(fold_state(folder, entries), str(folder))
    return json.dumps(state, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _without_accidents(value: Any, folder: str) -> Any:
    if isinstance(value, dict):
        return {k: _ACCIDENTS[k] if k in _ACCIDENTS else _without_accidents(v, folder) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_accidents(item, folder) for item in value]
    return value.replace(folder, ".") if isinstance(value, str) else value
