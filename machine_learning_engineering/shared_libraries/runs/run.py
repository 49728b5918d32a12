"""One run of the pipeline: its settings, task, folder, journal and sandbox, and the doors to all that costs time."""

import asyncio
import contextlib
import importlib
import os
import shutil
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.entries import (
    Audited,
    Decision,
    RunEnded,
    RunStarted,
    ScriptRun,
    StateDelta,
)
from machine_learning_engineering.shared_libraries.errors import JournalError, SubmissionError
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox
from machine_learning_engineering.shared_libraries.records import (
    AUDIT,
    FINAL,
    SEARCH,
    Attempt,
    Comparison,
    Execution,
    Job,
    Score,
    Slot,
    StagedView,
    Task,
    View,
)
from machine_learning_engineering.shared_libraries.runs.journal import Journal, now, sha256, write_atomically
from machine_learning_engineering.shared_libraries.scoring.choose import adopt, worth_adopting
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold, compare, read_predictions
from machine_learning_engineering.shared_libraries.scoring.score import score
from machine_learning_engineering.shared_libraries.scoring.views import audit_rows, fold_views, forget_tables, stage
from machine_learning_engineering.shared_libraries.tasks.card import Step, TaskCard, make_card

T = TypeVar("T")

LEAST_SECONDS = 5.0  # that a script gets, also when the budget is spent
_AGAIN = 2.0  # times what a script took on a fold, for one more run of it
SEARCH_SHARE = 0.8  # of the wall-clock budget; the rest is kept for the final run and publishing


@dataclass
class Run:
    """A run in progress. Everything that costs time or money goes through it, so that the journal can answer instead.

    `folder` is the workspace; `attempts` grows in the order in which scripts were scored; `incumbents` has, for slots
    that try to beat something, what that is.
    """

    config: RunConfig
    task: Task
    folder: Path
    journal: Journal
    sandbox: Sandbox
    attempts: list[Attempt] = field(default_factory=list)
    incumbents: dict[Slot, Attempt] = field(default_factory=dict)
    on_attempt: list[Callable[[Attempt], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._views: dict[View, asyncio.Task[StagedView]] = {}
        self._predictions: dict[tuple[str, int, int], OutOfFold | None] = {}
        self._spent = _earlier_seconds(self.journal)
        ended = [entry.status for entry in self.journal.entries if isinstance(entry, RunEnded)]
        self._had_finished = "finished" in ended
        self._started = time.monotonic()

    # --- where things lie ---

    @property
    def task_folder(self) -> Path:
        return self.folder / self.task.name

    def script_path(self, slot: Slot) -> Path:
        """Where the latest version of a slot's script lies."""
        return self.task_folder / slot.folder / slot.filename

    def write_script(self, slot: Slot, code: str, filename: str | None = None) -> None:
        """Puts code where the specification wants to find it."""
        path = self.script_path(slot).with_name(filename or slot.filename)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, code.encode(errors="replace"))

    def link_input(self, folder: Path, staged: StagedView) -> None:
        """Shows people in `folder`/input what the scripts of that folder see."""
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / "input"
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(staged.path, folder), target_is_directory=True)

    async def view(self, view: View) -> StagedView:
        """The staged view, made once."""
        return await asyncio.shield(self._staging(view))

    async def warm_up(self) -> None:
        """Begins to start what scripts will run in, unless the run has ended and is only told again."""
        if not self._had_finished:
            await self.sandbox.warm_up(self.config.threads)

    async def stage_ahead(self) -> None:
        """Begins to stage what scripts will see, while the first questions are asked."""
        self._ahead = asyncio.create_task(self._stage_in_turn((*await self.folds(), FINAL)))
        self._ahead.add_done_callback(note_failure)  # as in `_staging`

    async def _stage_in_turn(self, views: Sequence[View]) -> None:
        """Not all at once, which would keep the first script waiting and hold the data in memory once for each."""
        try:
            for view in views:
                await self.view(view)
        finally:
            forget_tables()

    def _staging(self, view: View) -> asyncio.Task[StagedView]:
        if view not in self._views:
            work = asyncio.to_thread(stage, self.task, view, self.config, self.folder / "views")
            staging = self._views[view] = asyncio.create_task(work)
            staging.add_done_callback(note_failure)  # whoever needs the view is told; perhaps nobody gets that far
        return self._views[view]

    def card(self, step: Step, **fields: Any) -> TaskCard:
        """The task card of a step."""
        return make_card(self.task, self.config, step, **fields)

    # --- what costs time ---

    async def execute(self, slot: Slot, ordinal: int, script: str, view: View, low_priority: bool = False) -> Execution:
        """The execution of a script on a view: from the journal if it has finished before, else now."""
        staged = await self.view(view)
        digest = sha256(f"{sha256(script)} {staged.digest} {self.config.seed}")
        address = f"{slot.code_key}@{view.name}"
        if known := self.journal.find(ScriptRun, address, ordinal):
            if known.digest != digest:
                raise JournalError(
                    f"run {ordinal} of {slot.code_key} has another script or other data than the journal holds, so "
                    f"{self.folder} cannot be taken up with this version, data or settings. Use a new --out folder."
                )
            return known.execution.model_copy(update={"folder": self.folder / known.execution.folder})
        execution = await self.sandbox.run(self._job(slot, ordinal, script, staged, low_priority))
        entry = ScriptRun(
            at=now(),
            slot=slot.code_key,
            ordinal=ordinal,
            view=view.name,
            digest=digest,
            script=self.journal.put_blob(script),
            execution=execution.model_copy(update={"folder": execution.folder.relative_to(self.folder)}),
        )
        self.journal.append(entry)
        return execution

    def keep(self, made: Attempt) -> None:
        """Adds a finished attempt and tells whoever waits for it."""
        self.attempts.append(made)
        for listener in self.on_attempt:
            listener(made)

    async def folds(self) -> tuple[View, ...]:
        """The views that score a script, the first fold first."""
        return await asyncio.to_thread(fold_views, self.task, self.config)

    async def score(self, views: Sequence[View], executions: Sequence[Execution]) -> Score:
        """The harness's verdict on what one script did on these views."""
        return await asyncio.to_thread(score, self.task, views, executions, self.config, self.sandbox.enforces_seal)

    async def predictions(self, made: Attempt) -> OutOfFold | None:
        """What an attempt predicted for held-out rows, read once; None if it has no score."""
        key = _predicting(made)
        if key not in self._predictions and made.folds and made.value is not None and made.succeeded:
            views = (await self.folds())[: len(made.folds)]
            self._predictions[key] = await asyncio.to_thread(
                read_predictions, self.task, views, made.folds, self.config
            )
        return self._predictions.get(key)

    def remember(self, made: Attempt, predictions: OutOfFold) -> None:
        """Keeps what an attempt predicts that ran on no fold of its own, as a blend of others."""
        self._predictions[_predicting(made)] = predictions

    async def compare(self, challenger: Attempt, incumbent: Attempt) -> Comparison | None:
        """How two attempts compare on the rows that both predicted; None where that cannot be told."""
        ours, theirs = await self.predictions(challenger), await self.predictions(incumbent)
        if ours is None or theirs is None:
            return None
        with contextlib.suppress(SubmissionError):  # a metric of the user's own may have no figure for most rows
            return await asyncio.to_thread(compare, ours, theirs)
        return None

    # --- what is decided and written ---

    def decide(self, what: str, choose: Callable[[], tuple[Any, str]]) -> Any:
        """The choice at an address; `choose` (a JSON value and why) is asked only where the journal has none."""
        if known := self.journal.find(Decision, what):
            return known.chosen
        chosen, why = choose()
        self.journal.append(Decision(at=now(), what=what, chosen=chosen, why=why))
        return chosen

    async def audit(self, made: Attempt, rows: int | None = None) -> Audited | None:
        """The audit of an attempt, made once, with at most so many training rows; None where none are spared for it."""
        if known := self.journal.find(Audited, made.slot.code_key, made.ordinal):
            return known
        execution = await self.run_for_audit(made, rows)
        if execution is None:
            return None
        verdict = await self.score([AUDIT], [execution])
        low, high = await asyncio.to_thread(self._interval, execution) if verdict.reason is None else (None, None)
        audited = Audited(at=now(), slot=made.slot.code_key, ordinal=made.ordinal, score=verdict, low=low, high=high)
        self.journal.append(audited)
        return audited

    async def run_for_audit(self, made: Attempt, rows: int | None = None) -> Execution | None:
        """The execution that the audit of an attempt judges; None where no rows are spared for it."""
        if not await asyncio.to_thread(audit_rows, self.task, self.config):
            return None
        view = AUDIT.model_copy(update={"rows": rows})
        # What the interval needs takes a quarter of a second to import, and is here when the script has ended.
        ready = asyncio.to_thread(importlib.import_module, "scipy.special")
        # At low priority, as the final run that may go on beside it, which has a time limit.
        executing = self.execute(made.slot, made.ordinal, made.script, view, low_priority=True)
        execution, _ = await asyncio.gather(executing, ready)
        return execution

    def _interval(self, execution: Execution) -> tuple[float, float] | tuple[None, None]:
        """Where the score on the test file lies, by an execution on the audit view; None where that cannot be told."""
        predictions = read_predictions(self.task, [AUDIT], [execution], self.config)
        assert predictions is not None
        with contextlib.suppress(SubmissionError):
            return predictions.interval(self.task.profile.test_rows) or (None, None)
        return None, None

    async def adopts(self, incumbent: Attempt | None, challenger: Attempt | None) -> bool:
        """Whether the challenger replaces the incumbent, journaled with how sure it is that it is better."""
        if challenger is None:
            return False
        what = f"adopt {challenger.slot.code_key} {challenger.ordinal}"
        if known := self.journal.find(Decision, what):
            return bool(known.chosen)
        adopted = adopt(self.task.metric, incumbent, challenger)
        comparison = None if incumbent is None else await self.compare(challenger, incumbent)
        if comparison is not None:
            adopted = adopted and worth_adopting(comparison, self.config.adopt_z)
        return bool(self.decide(what, lambda: (adopted, str(comparison or "nothing to compare it with"))))

    def may_search(self, what: str) -> bool:
        """Whether the wall-clock budget still allows to begin `what`; a run that had finished goes its old way."""
        return self._may(what, self._ask_clock)

    def may_try(self, what: str) -> bool:
        """As `may_search`, but as long as no script works there is no end: a run should have something to hand in."""
        works = any(one.value is not None for one in self.attempts)
        return self._may(what, self._ask_clock if works else lambda: (True, "nothing works yet"))

    def may_add(self, what: str, made: Attempt) -> bool:
        """Whether there is time for one more run of a script when all else is done; a finished run is only told."""
        needed = _AGAIN * made.execution.execution_time
        left = self.seconds_left()
        return not self._had_finished and self._may(
            what, lambda: (left > needed, f"{left:.0f} s are left, {needed:.0f} s may be needed")
        )

    def _may(self, what: str, ask: Callable[[], tuple[bool, str]]) -> bool:
        """What `ask` allows, or an earlier session was allowed; without a limit, everything else."""
        address = f"budget:{what}"
        if not self.has_limit and self.journal.find(Decision, address) is None:
            return True
        return bool(self.decide(address, ask))

    @property
    def has_limit(self) -> bool:
        """Whether the clock decides anything: there is a limit, and the run is not one that is only told again."""
        return self.config.minutes is not None and not self._had_finished

    def record_state(self, agent: str, delta: Mapping[str, Any]) -> None:
        """Keeps state keys that an agent wrote, in the order of its events."""
        ordinal = self.journal.next_ordinal(StateDelta, agent)
        if self.journal.find(StateDelta, agent, ordinal) is None:
            packed = self.journal.pack(dict(delta))
            self.journal.append(StateDelta(at=now(), agent=agent, ordinal=ordinal, delta=packed))

    @property
    def started_at(self) -> float:
        """When the run first began, in seconds since the epoch."""
        return next(entry.at for entry in self.journal.entries if isinstance(entry, RunStarted))

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of this run, over all its resumes."""
        return self._spent + time.monotonic() - self._started

    def script_seconds(self, slot: Slot, ordinal: int, share: float = 1.0) -> float:
        """The wall-clock seconds that a script gets now, within this share of the budget."""
        left = max(self.seconds_left(share), self._least_seconds(slot, ordinal))
        return min(self.config.limits.wall_seconds, left)

    def seconds_left(self, share: float = 1.0) -> float:
        """Until this share of the wall-clock budget is spent; infinite without one."""
        minutes = self.config.minutes
        return float("inf") if minutes is None else minutes * 60 * share - self.seconds

    def _ask_clock(self) -> tuple[bool, str]:
        allowed = self.seconds_left(SEARCH_SHARE) > 0
        return allowed, f"{self.seconds:.0f} s of {self.config.minutes} minutes are spent"

    def _least_seconds(self, slot: Slot, ordinal: int) -> float:
        """What a script gets also when the budget is spent: on all rows several times what it took while searching.

        Otherwise a run whose time is up would throw its only scripts away instead of publishing one.
        """
        searched = self.journal.find(ScriptRun, f"{slot.code_key}@{SEARCH.name}", ordinal)
        return LEAST_SECONDS if searched is None else max(LEAST_SECONDS, 4 * searched.execution.execution_time)

    def _job(self, slot: Slot, ordinal: int, script: str, staged: StagedView, low_priority: bool) -> Job:
        kind = staged.view.kind
        name = f"fold{staged.view.fold}" if kind == "search" else staged.view.name
        which = "" if staged.view == SEARCH else f".{name}"
        folder = self.task_folder / slot.folder / "runs" / f"{Path(slot.filename).stem}.{ordinal}{which}"
        if folder.exists():  # finished just before a kill, but not journaled: its result does not count
            shutil.rmtree(folder)
        wall = self.script_seconds(slot, ordinal, SEARCH_SHARE if kind == "search" else 1.0)
        limits = self.config.limits.model_copy(update={"wall_seconds": wall})
        return Job(
            script=script,
            name=slot.filename,
            folder=folder,
            view=staged,
            limits=limits,
            seed=self.config.seed,
            low_priority=low_priority,
        )


def _predicting(made: Attempt) -> tuple[str, int, int]:
    """What the kept predictions of an attempt go by."""
    return made.slot.code_key, made.ordinal, len(made.folds)


def note_failure(task: asyncio.Task[Any]) -> None:
    """Takes note of a failed task, so that asyncio does not complain; whoever waits for it is told all the same."""
    if not task.cancelled():
        task.exception()


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns; whoever cancels it meanwhile comes too late, since what it is about has ended."""
    task = asyncio.ensure_future(work)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.shield(task)
    return await task


def _earlier_seconds(journal: Journal) -> float:
    """Seconds between the first and last entry of each earlier session on this journal."""
    total, first, last = 0.0, None, 0.0
    for entry in journal.entries:
        if isinstance(entry, RunStarted):
            total += last - first if first is not None else 0.0
            first = entry.at
        last = entry.at
    return total + (last - first if first is not None else 0.0)
