"""What a run is told in: scripts that ran, and what took time."""

from dataclasses import dataclass
from typing import Any, Literal

from machine_learning_engineering.shared_libraries.records import Execution, Score
from machine_learning_engineering.shared_libraries.report.lineage import Address, titled


@dataclass(frozen=True)
class Node:
    """One script that ran. `folds` are its executions on the search `views`, and `execution` is the one to learn from:

    the first that failed, else the first. `final` is that on all data, `audit` that on the audit view, where there are.

    Times are seconds of the run, over all its sessions. `plan` and `bug` are packed texts for `Story.text`.
    """

    key: str
    slot: str
    ordinal: int
    where: Address
    script: str
    execution: Execution
    started: float
    ended: float
    views: tuple[str, ...] = ()
    folds: tuple[Execution, ...] = ()
    audit: Execution | None = None
    score: Score | None = None
    final: Execution | None = None
    author: str = ""
    plan: Any = None
    bug: Any = None
    adopted: bool = False
    published: bool = False

    @property
    def title(self) -> str:
        return titled(self.slot, self.ordinal)

    @property
    def short(self) -> str:
        """The title where there is little room."""
        return self.where.title.replace("Refinement", "Refine") + (f"·{self.ordinal + 1}" if self.ordinal else "")

    @property
    def value(self) -> float | None:
        """The score, None where there is none or the script failed."""
        return self.score.value if self.score is not None and self.succeeded else None

    @property
    def succeeded(self) -> bool:
        return self.execution.outcome == "ok" and (self.score is None or self.score.reason is None)

    @property
    def stopped(self) -> bool:
        """Whether it was scored on its first folds alone."""
        return self.score is not None and self.score.stopped is not None

    @property
    def problem(self) -> str:
        """Why there is no score, in a few words; empty for a script that worked."""
        if self.succeeded:
            return ""
        return (self.score.reason if self.score else None) or f"The script ended with outcome {self.execution.outcome}."


@dataclass(frozen=True)
class Span:
    """Something that took time, in seconds of the run; none where the result of a script came from the cache."""

    kind: Literal["model", "script", "final run"]
    name: str
    start: float
    end: float
    tokens: int = 0
    cached: bool = False
