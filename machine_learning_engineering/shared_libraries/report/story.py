"""What happened in a run, told from its journal alone: a fold over the entries to frozen records.

`read_story(folder)` is all that report, leaderboard and lists of runs need. It waits for no lock, so it may be asked
while the run goes on, and reads no blob but that of a blend.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from machine_learning_engineering.shared_libraries.entries import (
    CHECK,
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
    StateDelta,
)
from machine_learning_engineering.shared_libraries.errors import ConfigError, JournalError
from machine_learning_engineering.shared_libraries.records import Execution, Metric, Score
from machine_learning_engineering.shared_libraries.report.lineage import (
    Address,
    Edge,
    address,
    current_solutions,
    members,
    plan,
    sources,
)
from machine_learning_engineering.shared_libraries.report.node import Node, Span
from machine_learning_engineering.shared_libraries.runs.journal import is_open, read_blob, read_journal
from machine_learning_engineering.shared_libraries.tasks.metrics import recorded_metric

Judged = TypeVar("Judged", Audited, Guessed, Importance)
Status = Literal["going on", "finished", "stopped", "failed", "interrupted"]


@dataclass(frozen=True)
class Story:
    """A run so far. `nodes` are in the order in which they ended; `state` is the packed session state."""

    folder: Path
    metric: Metric
    status: Status
    reason: str = ""
    started: RunStarted | None = None
    sessions: int = 0
    seconds: float = 0.0
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    spans: tuple[Span, ...] = ()
    decisions: tuple[Decision, ...] = ()
    published: Published | None = None
    audited: Audited | None = None
    guessed: Guessed | None = None
    weighed: Importance | None = None
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """The task's name; the folder's where the run has not come so far."""
        return str(self.state.get("task_name") or self.folder.name)

    @cached_property
    def by_key(self) -> dict[str, Node]:
        return {node.key: node for node in self.nodes}

    @cached_property
    def leaderboard(self) -> tuple[Node, ...]:
        """The scripts that have a score, best first, the oldest of equals first."""
        sign = -1 if self.metric.maximize else 1
        scored = [(node.value, node) for node in self.nodes if node.value is not None]
        return tuple(node for _, node in sorted(scored, key=lambda pair: (pair[1].stopped, sign * pair[0])))

    @cached_property
    def best(self) -> Node | None:
        return next(iter(self.leaderboard), None)

    @cached_property
    def winner(self) -> Node | None:
        """The script whose submission is published; the best so far where none is."""
        if self.published is None:
            return self.best
        return self.by_key.get(_key(self.published.slot, self.published.ordinal), self.best)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the checks of the run warn of."""
        return tuple(str(one.chosen) for one in self.decisions if one.what.startswith(CHECK) and one.chosen)

    @property
    def audit(self) -> Audited | None:
        """The score of the winner on rows that chose nothing; None before its end, and where no rows were spared."""
        return self._of_winner(self.audited)

    @property
    def guess(self) -> Guessed | None:
        """What the same answer for every row gets on the rows of the winner's score; None where that is not known."""
        return self._of_winner(self.guessed)

    @property
    def importance(self) -> Importance | None:
        """How much each column matters to the winner; None where that was not measured."""
        return self._of_winner(self.weighed)

    def _of_winner(self, found: Judged | None) -> Judged | None:
        """What was found of a script, if that is the winner."""
        winner = self.winner
        return found if winner and found and winner.key == _key(found.slot, found.ordinal) else None

    def lineage(self, node: Node | None) -> frozenset[str]:
        """The keys of a script and of all that it was made of."""
        found: set[str] = set()
        waiting = [node.key] if node else []
        while waiting:
            key = waiting.pop()
            if key not in found:
                found.add(key)
                waiting += [edge.source for edge in self.edges if edge.target == key and edge.kind != "guide"]
        return frozenset(found)

    def base_of(self, node: Node) -> Node | None:
        """The script that a script was made from, to compare the two."""
        nodes = self.by_key
        order = ("fix", "base", "rewrite", "reference")
        found = [edge for edge in self.edges if edge.target == node.key and edge.kind in order]
        return nodes.get(min(found, key=lambda edge: order.index(edge.kind)).source) if found else None

    def text(self, value: Any) -> str:
        """A text of the packed state; a sentence in brackets where its blob is missing or altered."""
        if not isinstance(value, dict):
            return value if isinstance(value, str) else ""
        return self.blob(str(value.get("$blob", "")))

    def blob(self, digest: str) -> str:
        """The text of a digest; a sentence in brackets where its blob is missing or altered."""
        try:
            return read_blob(self.folder, digest)
        except (JournalError, OSError) as exc:
            return f"(not available: {exc})"


def read_story(folder: Path) -> Story:
    """The story of the run in `folder`. Raises: JournalError if there is none or it cannot be read."""
    entries = read_journal(folder)
    ended = entries[-1] if entries and isinstance(entries[-1], RunEnded) else None
    return tell(folder, entries, _metric(folder, entries), going_on=ended is None and is_open(folder))


def tell(folder: Path, entries: Iterable[JournalEntry], metric: Metric, going_on: bool = False) -> Story:
    """The story that these entries tell."""
    fold = _Fold(folder)
    for entry in entries:
        fold.take(entry)
    status, reason = fold.ending
    adopted = set(current_solutions(fold.state).values())
    nodes = tuple(replace(node, adopted=node.script in adopted and node.succeeded) for node in fold.nodes.values())
    return Story(
        folder=folder,
        metric=metric,
        status="going on" if going_on else status,
        reason=reason,
        started=fold.started,
        sessions=fold.sessions,
        seconds=fold.now,
        nodes=nodes,
        edges=tuple(fold.edges),
        spans=tuple(fold.spans),
        decisions=tuple(fold.decisions),
        published=fold.published,
        audited=fold.audited,
        guessed=fold.guessed,
        weighed=fold.weighed,
        state=fold.state,
    )


class _Fold:
    """The story while it is being read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: RunStarted | None = None
        self.sessions = 0
        self.now = 0.0  # seconds of the run at the entry just read
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.spans: list[Span] = []
        self.decisions: list[Decision] = []
        self.published: Published | None = None
        self.state: dict[str, Any] = {}
        self.ending: tuple[Status, str] = ("interrupted", "")
        self._offset = 0.0
        self._told_again: RunStarted | None = None  # a session on a run that had finished, until it does something
        self._bugs: dict[str, Any] = {}
        self._scores: dict[str, Score] = {}
        self.audited: Audited | None = None
        self.guessed: Guessed | None = None
        self.weighed: Importance | None = None
        self._writers: dict[str, str] = {}  # who wrote a slot's code last, whether or not it has run yet

    def take(self, entry: JournalEntry) -> None:
        """Goes on to the next entry; a session that only tells a finished run again adds neither time nor session."""
        if isinstance(entry, RunStarted) and self.ending[0] == "finished":
            self._told_again = entry
            return
        if self._told_again is not None:
            if isinstance(entry, RunEnded):
                return
            self._begin(self._told_again)
            self._told_again = None
        if isinstance(entry, RunStarted):
            self._begin(entry)
        self.now = max(self.now, entry.at - self._offset)
        match entry:
            case LlmCall():
                tokens = entry.prompt_tokens + entry.completion_tokens
                self.spans.append(Span("model", entry.agent, self._ago(entry.seconds), self.now, tokens))
            case ScriptRun():
                self._script(entry)
            case Scored():
                self._scored(entry)
            case Audited():
                self.audited = entry
            case Guessed():
                self.guessed = entry
            case Importance():
                self.weighed = entry
            case StateDelta():
                self._delta(entry)
            case Decision():
                self.decisions.append(entry)
            case Published():
                self.published = entry
                self._change(_key(entry.slot, entry.ordinal), published=True)
            case RunEnded():
                self.ending = (entry.status, entry.reason)

    def _scored(self, entry: Scored) -> None:
        """Notes a score; that of a blend is known before any of its runs."""
        key = _key(entry.slot, entry.ordinal)
        self._scores[key] = entry.score
        self._change(key, score=entry.score)

    def _begin(self, entry: RunStarted) -> None:
        """Joins a session to the earlier ones: the time between two sessions does not count."""
        self.started = self.started or entry
        self.sessions += 1
        self._offset = entry.at - self.now
        self.ending = ("interrupted", "")

    def _ago(self, seconds: float) -> float:
        return max(self.now - seconds, 0.0)

    def _script(self, entry: ScriptRun) -> None:
        key, execution = _key(entry.slot, entry.ordinal), entry.execution
        kind = entry.view.partition("-")[0]
        on_all, searching = kind == "final", kind == "search"
        start = self._ago(0.0 if execution.cached else execution.execution_time)
        span = Span("script" if searching else "final run", entry.slot, start, self.now, cached=execution.cached)
        self.spans.append(span)
        if key not in self.nodes:
            where = address(entry.slot)
            self._link(key, entry, where)
            self.nodes[key] = Node(
                key=key,
                slot=entry.slot,
                ordinal=entry.ordinal,
                where=where,
                script=entry.script,
                execution=execution,
                started=start,
                ended=self.now,
                plan=plan(where, self.state),
                score=self._scores.get(key),
            )
        node = self.nodes[key]
        if on_all:
            self._change(key, final=execution)
        elif searching:
            ran = sorted([*zip(node.views, node.folds, strict=True), (entry.view, execution)], key=_number_of_fold)
            views, folds = zip(*ran, strict=True)
            telling = next((one for one in folds if one.outcome != "ok"), folds[0])
            self._change(key, views=views, folds=folds, execution=telling, ended=self.now)
        elif kind == "audit":
            self._change(key, audit=execution)

    def _link(self, key: str, entry: ScriptRun, where: Address) -> None:
        """The ways to a new script. Its own earlier version counts as mended until its author is known."""
        before = _key(entry.slot, entry.ordinal - 1)
        if before in self.nodes:
            self.edges.append(Edge(before, key, "fix"))
            return
        for kind, digest in sources(where, self.state):
            if source := self._made(digest, where.solution):
                self.edges.append(Edge(source, key, kind))
        if where.kind == "refinement":
            ablations = [n for n in self.nodes.values() if n.where.kind == "ablation" and n.succeeded]
            told = [n.key for n in ablations if (n.where.solution, n.where.step) == (where.solution, where.step)]
            self.edges += [Edge(told[-1], key, "guide")] if told else []
        if where.kind == "blend":
            self.edges += [Edge(one, key, "member") for one in members(self._folder, entry.script) if one in self.nodes]
        if where.kind == "submission" and self.published:
            source = _key(self.published.slot, self.published.ordinal)
            self.edges += [Edge(source, key, "base")] if source in self.nodes else []

    def _made(self, digest: str, solution: int) -> str:
        """The first script with this digest that worked, of its own solution if there is one."""
        same = [node for node in self.nodes.values() if digest and node.script == digest]
        same.sort(key=lambda node: (not node.succeeded, node.where.solution != solution))
        return same[0].key if same else ""

    def _delta(self, entry: StateDelta) -> None:
        self.state |= entry.delta
        if told := [value for name, value in entry.delta.items() if "_bug_summary_" in name]:
            self._bugs[entry.agent] = told[-1]
        if "_leakage_agent" not in entry.agent:
            self._writers |= dict.fromkeys(entry.delta, entry.agent)
        unsigned = [node for node in self.nodes.values() if not node.author and node.slot in entry.delta]
        if unsigned:
            self._sign(unsigned[-1], entry.agent)

    def _sign(self, node: Node, author: str) -> None:
        """Notes who wrote a script: a debug agent mends the version before, the first agent writes it anew."""
        writer = self._writers.get(node.slot, author)
        bug = self._bugs.get(writer.replace("debug_agent", "bug_summary_agent")) if "_debug_agent" in writer else None
        self._change(node.key, author=author, bug=bug)
        if "_debug_agent" not in writer:
            fixed = (node.key, "fix")
            self.edges = [replace(e, kind="rewrite") if (e.target, e.kind) == fixed else e for e in self.edges]

    def _change(self, key: str, **fields: Any) -> None:
        if key in self.nodes:
            self.nodes[key] = replace(self.nodes[key], **fields)


def _number_of_fold(ran: tuple[str, Execution]) -> int:
    """Folds end in any order, and are told in theirs: so do the rows of two scripts that are compared."""
    return int(ran[0].rpartition("-")[2])


def _key(slot: str, ordinal: int) -> str:
    return f"{slot}.{ordinal}"


def _metric(folder: Path, entries: Iterable[JournalEntry]) -> Metric:
    """The run's metric, named in run.json; where that is not readable, one of the direction that the state tells."""
    try:
        return recorded_metric(json.loads((folder / "run.json").read_text(encoding="utf-8"))["metric"])
    except (OSError, ValueError, KeyError, TypeError, ConfigError):
        lower = [entry.delta["lower"] for entry in entries if isinstance(entry, StateDelta) and "lower" in entry.delta]
        return Metric(name="score", title="score", maximize=not (lower and lower[-1]), predicts="value")
