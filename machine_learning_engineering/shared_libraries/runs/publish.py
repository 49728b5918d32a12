"""The best submission so far, on disk from the first success on: `final/submission.csv` and `final/solution.py`.

A new incumbent runs unchanged on the final view, at low priority beside the search; what it writes is checked and
published file by file, atomically. No score is taken from it.
"""

import asyncio
from collections.abc import Sequence

from machine_learning_engineering.shared_libraries.entries import Published
from machine_learning_engineering.shared_libraries.records import Attempt, Execution, Score
from machine_learning_engineering.shared_libraries.runs.final_rows import final_run
from machine_learning_engineering.shared_libraries.runs.journal import now, sha256, write_atomically
from machine_learning_engineering.shared_libraries.runs.run import Run, note_failure
from machine_learning_engineering.shared_libraries.scoring.cells import SUBMISSION
from machine_learning_engineering.shared_libraries.scoring.choose import is_stopped, ranked
from machine_learning_engineering.shared_libraries.scoring.views import accepted_bytes


class Publisher:
    """Keeps the folder `final/` of a run at the best attempt whose final run made a valid submission.

    `winner` is the attempt that was chosen in the end. On a run that is taken up, what the journal says is published
    stays until something better comes.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._final_runs: dict[tuple[str, int], asyncio.Task[Score]] = {}
        self._made: dict[tuple[str, int], Attempt] = {}  # whose final runs these are
        self._given_up: set[asyncio.Task[Score]] = set()
        self._last = next((e for e in reversed(run.journal.entries) if isinstance(e, Published)), None)
        self._closed = False
        self.winner: Attempt | None = None
        run.on_attempt.append(self.consider)

    def consider(self, made: Attempt) -> None:
        """Starts the final run of an attempt that beats what is published and what may soon be; returns at once."""
        if made.slot.stage.kind != "solution" or not self._beats(made):
            return
        going_on = [key for key, one in self._final_runs.items() if not one.done() and one not in self._given_up]
        if not all(self._run.task.metric.better(made.value, than=self._made[key].value) for key in going_on):
            return  # its turn comes if the better one fails
        self._cancel_pending(but=going_on[0] if going_on and self._last is None else None)
        self._start(made)

    async def settle(self, ranked: Sequence[Attempt]) -> tuple[Attempt, Execution] | None:
        """Publishes the first of `ranked` (best first) whose final run makes a valid submission.

        That attempt and its final execution, or None if there is none. All other final runs are given up.
        """
        for made in ranked:
            self._cancel_pending(but=_key(made))
            verdict = await self._start(made)
            if verdict.reason is None:
                _, execution = await final_run(self._run, made)
                await self._write(made, execution)
                return made, execution
        return None

    async def publish_script(self, made: Attempt) -> None:
        """Publishes an attempt of the submission stage, whose own run was on the final view."""
        await self._write(made, made.execution)

    async def close(self) -> None:
        """Ends all final runs that still go on."""
        self._closed = True
        self._cancel_pending()
        await asyncio.gather(*self._final_runs.values(), *self._given_up, return_exceptions=True)

    def _beats(self, made: Attempt) -> bool:
        """Whether an attempt is better than what is published."""
        metric = self._run.task.metric
        published = None if self._last is None else self._last.value
        return made.succeeded and not is_stopped(made) and metric.better(made.value, than=published)

    def _start(self, made: Attempt) -> asyncio.Task[Score]:
        """The final run of an attempt, begun unless it goes on or has ended; one that was given up is begun anew.

        `Task.cancelling()` does not tell which was given up: it counts for a moment also when a timeout inside fires.
        """
        task = before = self._final_runs.get(_key(made))
        if task is None or task in self._given_up:
            self._made[_key(made)] = made
            task = self._final_runs[_key(made)] = asyncio.create_task(self._promote(made, before))
            task.add_done_callback(note_failure)
        return task

    async def _promote(self, made: Attempt, before: asyncio.Task[Score] | None) -> Score:
        if before is not None:  # it clears away its folder, which is ours too
            await asyncio.wait({before})
        view, execution = await final_run(self._run, made)
        verdict = await self._run.score([view], [execution])
        if verdict.reason is not None:
            asyncio.get_running_loop().call_soon(self._consider_others)  # once this one counts as done
        elif self._beats(made):
            await self._write(made, execution)
        return verdict

    def _consider_others(self) -> None:
        """After a final run that failed: the best attempt whose final run has not ended."""
        for other in ranked([one for one in self._run.attempts if self._beats(one)], self._run.task.metric):
            known = self._final_runs.get(_key(other))
            if other.slot.stage.kind == "solution" and (known is None or known in self._given_up) and not self._closed:
                self.consider(other)
                return

    async def _write(self, made: Attempt, execution: Execution) -> None:
        """Publishes the files of an attempt, unless they are what is published."""
        run = self._run
        data = await asyncio.to_thread(accepted_bytes, run.task, execution.folder / SUBMISSION)
        self.winner = made
        final = run.folder / "final"
        digest = sha256(data)
        final.mkdir(exist_ok=True)
        write_atomically(final / "submission.csv", data)
        write_atomically(final / "solution.py", made.script.encode(errors="replace"))
        last = self._last
        if last is None or (last.slot, last.ordinal, last.submission) != (made.slot.code_key, made.ordinal, digest):
            self._last = Published(
                at=now(), slot=made.slot.code_key, ordinal=made.ordinal, value=made.value, submission=digest
            )
            self._run.journal.append(self._last)

    def _cancel_pending(self, but: tuple[str, int] | None = None) -> None:
        """Gives up all final runs that go on, but one: until something is published, the oldest may finish."""
        for key, task in self._final_runs.items():
            if key != but and task not in self._given_up and task.cancel():
                self._given_up.add(task)


def _key(made: Attempt) -> tuple[str, int]:
    return made.slot.code_key, made.ordinal
