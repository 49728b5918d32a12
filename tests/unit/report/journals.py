"""Journals written by hand, an entry at a time, for what a whole run would take long to show."""

from pathlib import Path
from typing import Any

from machine_learning_engineering.shared_libraries.entries import (
    JournalEntry,
    LlmCall,
    Published,
    RunEnded,
    RunStarted,
    Scored,
    ScriptRun,
    StateDelta,
)
from machine_learning_engineering.shared_libraries.records import Execution, Outcome, Score
from machine_learning_engineering.shared_libraries.runs.journal import sha256, write_atomically
from machine_learning_engineering.shared_libraries.tasks.metrics import METRICS

RMSE, AUC = METRICS["rmse"], METRICS["auc"]


class Diary:
    """Entries of one run; each method adds one, `at` seconds after the epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: list[JournalEntry] = []
        (folder / "blobs").mkdir(parents=True, exist_ok=True)

    def begin(self, at: float, **config: Any) -> None:
        request = {"source": str(self.folder / "no-such-data.csv"), "target": "y"}
        started = RunStarted(
            at=at, run_id="r", config={"seed": 1} | config, request=request, task_digest="d", pid=1, versions={"a": "1"}
        )
        self.entries.append(started)

    def asked(self, at: float, agent: str, seconds: float = 0.0) -> None:
        call = LlmCall(at=at, agent=agent, ordinal=0, digest="", request="", reply="", model="m", seconds=seconds)
        self.entries.append(call)

    def ran(
        self,
        at: float,
        slot: str,
        code: str = "",
        ordinal: int = 0,
        seconds: float = 1.0,
        view: str = "search-0",
        outcome: Outcome = "ok",
        stdout: str = "",
        cached: bool = False,
    ) -> None:
        code = code or f"# {slot}.{ordinal}\n"
        write_atomically(self.folder / "blobs" / sha256(code), code.encode())
        execution = Execution(
            outcome=outcome,
            returncode=0 if outcome == "ok" else 1,
            stdout=stdout,
            stderr="",
            execution_time=seconds,
            backend="subprocess",
            cached=cached,
            folder=Path("runs") / f"{slot}.{ordinal}",
        )
        entry = ScriptRun(
            at=at, slot=slot, ordinal=ordinal, view=view, digest="", script=sha256(code), execution=execution
        )
        self.entries.append(entry)

    def scored(self, at: float, slot: str, value: float | None, ordinal: int = 0, stopped: str = "") -> None:
        reason = "It failed." if value is None else None
        verdict = Score(value=value, source="sealed", rows=100, reason=reason, stopped=stopped or None)
        self.entries.append(Scored(at=at, slot=slot, ordinal=ordinal, score=verdict))

    def wrote(self, at: float, agent: str, **delta: Any) -> None:
        self.entries.append(StateDelta(at=at, agent=agent, ordinal=0, delta=delta))

    def published(self, at: float, slot: str, value: float | None, ordinal: int = 0) -> None:
        self.entries.append(Published(at=at, slot=slot, ordinal=ordinal, value=value, submission="s"))

    def ended(self, at: float) -> None:
        self.entries.append(RunEnded(at=at, status="finished"))

    def save(self) -> Path:
        """The run's folder, its journal on the disk."""
        lines = "".join(entry.model_dump_json() + "\n" for entry in self.entries)
        (self.folder / "journal.jsonl").write_text(lines)
        return self.folder
