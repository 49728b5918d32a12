"""A run as a person watches it: which phase it is in, what runs now, what came out best. Folded from its journal."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from machine_learning_engineering.shared_libraries.entries import (
    Decision,
    JournalEntry,
    LlmCall,
    RunEnded,
    RunStarted,
    Scored,
    ScriptRun,
    StateDelta,
)
from machine_learning_engineering.shared_libraries.errors import JournalError
from machine_learning_engineering.shared_libraries.records import Metric
from machine_learning_engineering.shared_libraries.report.lineage import Address, Kind, address
from machine_learning_engineering.shared_libraries.report.node import Node
from machine_learning_engineering.shared_libraries.report.story import Story, tell
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from machine_learning_engineering.shared_libraries.tasks.metrics import recorded_metric

PHASES = ("initialization", "refinement", "ablation", "ensemble", "submission")
Standing = Literal["done", "now", "to come"]
# The code key that an agent's script will have, given the counters in the session state; None for other agents.
KeyOf = Callable[[str, Mapping[str, Any]], str | None]

_PHASE_OF: dict[Kind, int] = {
    "baseline": 0, "candidate": 0, "merge": 0, "data use": 0, "script": 0,
    "refinement": 1, "ablation": 1, "ensemble": 3, "blend": 3, "submission": 4,
}  # fmt: skip


@dataclass(frozen=True)
class Doing:
    """A script that was written and has no result yet; `since` (seconds since the epoch) is None while it waits."""

    title: str
    agent: str
    since: float | None = None


@dataclass(frozen=True)
class Branch:
    """What one solution, or the ensemble, has come to within a phase."""

    title: str
    scripts: int
    best: float | None


@dataclass(frozen=True)
class PhaseView:
    """One phase: its standing, the scripts that ran in it and how many of them have no score that should have."""

    name: str
    standing: Standing
    scripts: int = 0
    failed: int = 0
    best: float | None = None
    branches: tuple[Branch, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """All that is shown of a run at one moment. `earlier` are seconds of sessions before this one, begun at `began`."""

    task: str
    run: str
    metric: Metric
    story: Story
    phases: tuple[PhaseView, ...]
    doing: tuple[Doing, ...]
    began: float
    earlier: float
    last: float
    limit_seconds: float
    minutes: float | None
    calls: int
    tokens: int


class Progress:
    """Folds the entries of the run in `folder`, those before this session included, into snapshots."""

    def __init__(self, folder: Path, key_of: KeyOf) -> None:
        self.folder = folder
        self._key_of = key_of
        self._entries: list[JournalEntry] = []
        self._state: dict[str, Any] = {}
        self._doing: dict[str, Doing] = {}
        self._started: RunStarted | None = None
        self._earlier = 0.0
        self._phase = 0
        self._task, self._metric = folder.name, Metric(name="score", title="score", maximize=False, predicts="value")

    def take(self, entry: JournalEntry) -> None:
        """Goes on to the next entry; the one that begins a session brings what earlier sessions left."""
        if isinstance(entry, RunStarted):
            self._begin(entry)
        else:
            self._entries.append(entry)
            self._fold(entry)
        self._promote(entry.at)

    def snapshot(self) -> Snapshot | None:
        """What there is to show; None before the session has begun."""
        begun = self._started
        if begun is None:
            return None
        story = tell(self.folder, self._entries, self._metric, going_on=True)
        return Snapshot(
            task=self._task,
            run=begun.run_id,
            metric=self._metric,
            story=story,
            phases=self._phases(story),
            doing=tuple(self._doing.values()),
            began=begun.at,
            earlier=self._earlier,
            last=self._entries[-1].at,
            limit_seconds=float(begun.config.get("exec_timeout", 0)),
            minutes=begun.config.get("minutes"),
            calls=sum(1 for span in story.spans if span.kind == "model"),
            tokens=sum(span.tokens for span in story.spans),
        )

    def _begin(self, entry: RunStarted) -> None:
        try:
            self._entries = [known for known in read_journal(self.folder) if known.at <= entry.at]
        except JournalError:  # shown without its past
            self._entries = [entry]
        self._started, self._phase = entry, 0
        self._task, self._metric = _about(self.folder, self._task, self._metric)
        self._earlier = tell(self.folder, self._entries, self._metric).seconds
        for known in self._entries:
            self._fold(known)
        self._doing = {agent: replace(one, since=None) for agent, one in self._doing.items()}

    def _fold(self, entry: JournalEntry) -> None:
        match entry:
            case LlmCall():
                self._reached(_phase_of_agent(entry.agent))
                if key := self._key_of(entry.agent, self._state):
                    where = address(key)
                    self._reached(self._phase_of(where))
                    self._doing[key] = Doing(where.title, entry.agent)
            case StateDelta():
                self._state |= entry.delta
                self._doing = {key: one for key, one in self._doing.items() if one.agent != entry.agent}
            case Scored():  # after the last of its folds
                self._doing.pop(entry.slot, None)
            case ScriptRun() if address(entry.slot).kind == "ablation":
                self._doing.pop(entry.slot, None)
            case Decision() if entry.what == "ensemble":
                self._reached(3)
            case RunEnded():
                self._reached(len(PHASES) if entry.status == "finished" else 0)
                self._doing = {}

    def _promote(self, at: float) -> None:
        """Of the scripts that were written, the first ones run: as many as may run side by side."""
        most = int(self._started.config.get("parallel_scripts", 1)) if self._started else 1
        for key, one in list(self._doing.items())[:most]:
            if one.since is None:
                self._doing[key] = replace(one, since=at)

    def _reached(self, phase: int) -> None:
        self._phase = max(self._phase, phase)

    def _phase_of(self, where: Address) -> int:
        """The phase that a script belongs to; the ablation phase comes after the last step of refinement."""
        rounds = self._started.config.get("outer_loop_round", 1) if self._started else 1
        return 2 if where.kind == "ablation" and where.step >= rounds else _PHASE_OF[where.kind]

    def _phases(self, story: Story) -> tuple[PhaseView, ...]:
        now = 4 if story.published and self._phase == 3 and self._ensemble_is_over() else self._phase
        by_phase: dict[int, list[Node]] = {}
        for node in story.nodes:
            by_phase.setdefault(self._phase_of(node.where), []).append(node)
        return tuple(_view(n, now, by_phase.get(n, []), story.metric) for n in range(len(PHASES)))

    def _ensemble_is_over(self) -> bool:
        rounds = self._started.config.get("ensemble_loop_round", 1) if self._started else 1
        wrote = self._state.keys() & {f"ensemble_code_{rounds}"}
        return bool(wrote) and not self._doing


def best_of(nodes: Iterable[Node], metric: Metric) -> float | None:
    """The best score among scripts that were scored on all folds, None where none has one."""
    best: float | None = None
    for node in nodes:
        if not node.stopped and metric.better(node.value, than=best):
            best = node.value
    return best


def _view(number: int, now: int, nodes: list[Node], metric: Metric) -> PhaseView:
    standing: Standing = "done" if number < now else "now" if number == now else "to come"
    solutions: dict[int, list[Node]] = {}
    for node in nodes:
        solutions.setdefault(node.where.solution, []).append(node)
    branches = tuple(
        Branch(f"solution {number}", len(some), best_of(some, metric))
        for number, some in sorted(solutions.items())
        if number
    )
    failed = sum(1 for node in nodes if not node.succeeded)
    return PhaseView(PHASES[number], standing, len(nodes), failed, best_of(nodes, metric), branches)


def _phase_of_agent(agent: str) -> int:
    """The phase that an agent which writes no script belongs to, 0 where several share it."""
    if agent.startswith("submission"):
        return 4
    return 3 if "ensemble" in agent else 1 if agent.startswith(("init_plan", "plan_refine")) else 0


def _about(folder: Path, task: str, metric: Metric) -> tuple[str, Metric]:
    """The task's name and metric as run.json has them; what is given where it cannot be read."""
    try:
        about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return str(about["task"]), recorded_metric(about["metric"])
    except (OSError, ValueError, KeyError, TypeError):
        return task, metric
