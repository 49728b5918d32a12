"""The best submission so far, on disk from the first success on: `final/submission.csv` and `final/solution.py`.

A new incumbent runs unchanged on the final view, at low priority beside the search; what it writes is checked and
published file by file, atomically. No score is taken from it.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from machine_learning_engineering.shared_libraries.errors import MleError
from machine_learning_engineering.shared_libraries.records import FINAL, Attempt, Execution, Published, Score
from machine_learning_engineering.shared_libraries.runs.journal import now, sha256, write_atomically
from machine_learning_engineering.shared_libraries.runs.run import Run
from machine_learning_engineering.shared_libraries.scoring.choose import adopt
from machine_learning_engineering.shared_libraries.scoring.score import score

SUBMISSION = Path("final") / "submission.csv"


class Publisher:
    """Keeps the folder `final/` of a run at the best attempt whose final run made a valid submission."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._final_runs: dict[tuple[str, int], asyncio.Task[Score]] = {}
        self.published: Attempt | None = None
        self.incumbent: Attempt | None = None
        run.on_attempt.append(self.consider)

    def consider(self, made: Attempt) -> None:
        """Starts the final run of an attempt that beats the incumbent; returns at once."""
        if made.slot.stage.kind != "solution" or not adopt(self._run.task.metric, self.incumbent, made):
            return
        if self.published is not None:  # until there is a first submission, let its run finish
            self._cancel_pending()
        self.incumbent = made
        self._start(made)

    async def settle(self, ranked: Sequence[Attempt]) -> tuple[Attempt, Execution] | None:
        """Publishes the first of `ranked` (best first) whose final run makes a valid submission.

        That attempt and its final execution, or None if there is none. All other final runs are given up.
        """
        try:
            for made in ranked:
                verdict = await self._start(made)
                if verdict.reason is None:
                    self._publish(made, force=True)
                    return made, await self._execution(made)
            return None
        finally:
            self._cancel_pending()

    def publish_script(self, made: Attempt) -> None:
        """Publishes an attempt of the submission stage, whose own run was on the final view."""
        self._write(made, made.execution.folder / SUBMISSION)

    async def close(self) -> None:
        """Ends all final runs that still go on."""
        self._cancel_pending()
        await asyncio.gather(*self._final_runs.values(), return_exceptions=True)

    def _start(self, made: Attempt) -> asyncio.Task[Score]:
        key = (made.slot.code_key, made.ordinal)
        task = self._final_runs.get(key)
        if task is None or task.cancelled():
            task = self._final_runs[key] = asyncio.create_task(self._promote(made))
            task.add_done_callback(_retrieve)
        return task

    async def _promote(self, made: Attempt) -> Score:
        execution = await self._execution(made)
        run = self._run
        verdict = await asyncio.to_thread(score, run.task, FINAL, execution, run.config, run.sandbox.enforces_seal)
        if verdict.reason is None:
            self._publish(made)
        return verdict

    async def _execution(self, made: Attempt) -> Execution:
        return await self._run.execute(made.slot, made.ordinal, made.script, FINAL, low_priority=True)

    def _publish(self, made: Attempt, force: bool = False) -> None:
        """Publishes unless something better is published already; `force` also replaces a better one."""
        if made is self.published or not (force or adopt(self._run.task.metric, self.published, made)):
            return
        self.published = made
        folder = self._run.task_folder / made.slot.folder / "runs"
        self._write(made, folder / f"{Path(made.slot.filename).stem}.{made.ordinal}.final" / SUBMISSION)

    def _write(self, made: Attempt, submission: Path) -> None:
        data = submission.read_bytes()
        final = self._run.folder / "final"
        final.mkdir(exist_ok=True)
        write_atomically(final / "submission.csv", data)
        write_atomically(final / "solution.py", made.script.encode(errors="replace"))
        entry = Published(
            at=now(), slot=made.slot.code_key, ordinal=made.ordinal, value=made.value, submission=sha256(data)
        )
        last = next((e for e in reversed(self._run.journal.entries) if isinstance(e, Published)), None)
        if last is None or last.model_copy(update={"at": entry.at}) != entry:
            self._run.journal.append(entry)

    def _cancel_pending(self) -> None:
        for task in self._final_runs.values():
            task.cancel()


def _retrieve(task: asyncio.Task[Score]) -> None:
    """Takes note of a failed final run, so that asyncio does not complain; `settle` raises it to whoever waits."""
    if not task.cancelled() and (error := task.exception()) and not isinstance(error, MleError):
        raise error
