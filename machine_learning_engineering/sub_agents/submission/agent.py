"""Phase 5: the best attempt of the whole run, run on all data; an agent is asked only if that run fails."""

import asyncio

from google.adk.agents import BaseAgent

from machine_learning_engineering.shared_libraries.agents import Desk, Phase
from machine_learning_engineering.shared_libraries.code_util import STAGES, result_dict
from machine_learning_engineering.shared_libraries.common_util import copy_file
from machine_learning_engineering.shared_libraries.debug_util import run_and_debug
from machine_learning_engineering.shared_libraries.entries import CHECK
from machine_learning_engineering.shared_libraries.errors import MleError
from machine_learning_engineering.shared_libraries.records import SEARCH, Attempt, Execution, Slot
from machine_learning_engineering.shared_libraries.runs.final_rows import final_rows, takes_all_rows
from machine_learning_engineering.shared_libraries.runs.guess import compare_with_guess
from machine_learning_engineering.shared_libraries.runs.importance import measure_importance
from machine_learning_engineering.shared_libraries.runs.leak_audit import check_shuffled
from machine_learning_engineering.shared_libraries.runs.publish import Publisher
from machine_learning_engineering.shared_libraries.runs.run import Run, note_failure
from machine_learning_engineering.shared_libraries.scoring.cells import SUBMISSION
from machine_learning_engineering.shared_libraries.scoring.choose import ranked
from machine_learning_engineering.shared_libraries.tasks.card import ScriptRef
from machine_learning_engineering.sub_agents.submission import prompt
from machine_learning_engineering.sub_agents.submission.blend import blend_attempts

FALLBACKS = 3  # next-best attempts whose final run is tried when the winner's fails


def build_submission(run: Run, publisher: Publisher) -> BaseAgent:
    """The agent of phase 5; afterwards `final/` holds a valid submission and the script that made it."""

    async def work(desk: Desk) -> None:
        best = ranked([one for one in run.attempts if one.slot.stage.kind == "solution"], run.task.metric)
        if not best:
            raise MleError("no script of this run made a valid submission, so there is nothing to hand in")
        best = await prefer_baseline(run, best)
        blended = await blend_attempts(desk, best) if run.config.use_blend else None
        ahead = RunAhead(run)
        try:
            settled = await settle_first(publisher, blended, ahead) if blended else None
            made, execution = settled or await settle(desk, publisher, best, ahead)
            await tell_rows(desk, made)
            await hand_in(desk, made, execution)
            await asyncio.gather(audit(desk, made, ahead), audit_leaks(desk, made), weigh_columns(desk, made))
        finally:
            await ahead.give_up()

    name = "submission_and_debug_loop_agent"
    return Phase.of(name, "Chooses the winner and makes its submission on all data.", run, work)


class RunAhead:
    """The run that an audit will judge, begun beside the final run of the attempt that is likely to be handed in."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._going_on: asyncio.Task[Execution | None] | None = None

    def begin(self, made: Attempt) -> None:
        """Begins it unless it is to be found out first on how many rows the final run, and so the audit, is trained."""
        if takes_all_rows(self._run, made):
            self._going_on = asyncio.create_task(self._run.run_for_audit(made))
            self._going_on.add_done_callback(note_failure)  # the audit itself tells of it

    async def wait(self) -> None:
        """Returns when it has ended; the audit then finds it in the journal."""
        if self._going_on:
            await asyncio.wait({self._going_on})

    async def give_up(self) -> None:
        """Ends it, if it still goes on."""
        if self._going_on:
            self._going_on.cancel()
            await self.wait()


async def settle_first(publisher: Publisher, winner: Attempt, ahead: RunAhead) -> tuple[Attempt, Execution] | None:
    """Publishes the winner if its final run succeeds; what its audit will judge is begun beside that."""
    ahead.begin(winner)
    settled = await publisher.settle([winner])
    if settled is None:
        await ahead.give_up()
    return settled


async def prefer_baseline(run: Run, best: list[Attempt]) -> list[Attempt]:
    """`best` with the baseline first, unless the best script beats it by more than one standard error."""
    baseline = next((one for one in best if one.slot.stage.name == "baseline"), None)
    if baseline is None or baseline is best[0]:
        return best
    comparison = await run.compare(best[0], baseline)
    beaten = comparison is None or comparison.gain > comparison.error
    kept = run.decide("keep baseline", lambda: (not beaten, f"the best script against it: {comparison}"))
    return [baseline, *(one for one in best if one is not baseline)] if kept else best


async def audit(desk: Desk, made: Attempt, ahead: RunAhead) -> None:
    """Scores the winner on the rows that chose nothing, compares it with a guess, and notes how much its search score
    promised too much.
    """
    sampled = final_rows(desk.run, made)
    if sampled:  # what was begun has more rows
        await ahead.give_up()
    await ahead.wait()
    rows = sampled.rows if sampled else None
    audited = await desk.run.audit(made, rows)
    await compare_with_guess(desk.run, made, rows)
    if audited is None or audited.score.value is None or made.value is None:
        return
    await desk.note(
        "audit_agent",
        audit_score=audited.score.value,
        audit_interval=[audited.low, audited.high],
        audit_rows=audited.score.rows,
        select_score=made.value,
        optimism=desk.run.task.metric.gain(made.value, over=audited.score.value),
    )


async def tell_rows(desk: Desk, made: Attempt) -> None:
    """Warns and notes if the script to hand in was not trained on all rows, because that would have taken too long."""
    run = desk.run
    if (sampled := final_rows(run, made)) is None:
        return
    said = (
        f"The submission is of a script trained on {sampled.rows:,} of {run.task.profile.train_rows:,} rows: on all of "
        "them it takes longer than it may. Allow more with --timeout or --minutes; final/solution.py trains on "
        "all rows that it is given."
    )
    run.decide(f"{CHECK}final rows", lambda: (said, sampled.why))
    await desk.note("final_rows_agent", final_rows=sampled.rows)


async def audit_leaks(desk: Desk, made: Attempt) -> None:
    """Notes a warning if the winner knows labels that it did not learn from its training rows."""
    if not desk.run.config.audits_leaks or made.slot.stage.kind != "solution":
        return
    if warning := await check_shuffled(desk.run, made):
        await desk.note("leak_audit_agent", shuffled_labels_warning=warning)


async def weigh_columns(desk: Desk, made: Attempt) -> None:
    """Notes by how much the winner is worse without each column."""
    found = await measure_importance(desk.run, made)
    if found is not None and found.columns:
        gains = {one.column: one.comparison.gain for one in found.columns}
        await desk.note("importance_agent", column_importance=gains)


async def settle(desk: Desk, publisher: Publisher, best: list[Attempt], ahead: RunAhead) -> tuple[Attempt, Execution]:
    """The attempt to hand in and its run on all data: the winner, a repair of it by an agent, or a runner-up."""
    if settled := await settle_first(publisher, best[0], ahead):
        return settled
    if repaired := await repair(desk, best[0]):
        await publisher.publish_script(repaired)
        return repaired, repaired.execution
    if settled := await publisher.settle(best[1 : 1 + FALLBACKS]):
        return settled
    raise MleError("the best scripts of this run all failed on the full data; the run's folder has their output")


async def repair(desk: Desk, winner: Attempt) -> Attempt | None:
    """A version of the winner that makes a valid submission on all data, or None."""
    run = desk.run
    refs = (ScriptRef(name="final_solution.py", score=winner.value),)
    card = run.card("submission", scripts=refs)
    slot = Slot(STAGES["submission"])
    return await run_and_debug(desk, slot, prompt.render_submission(card, run.task.description, winner.script))


async def hand_in(desk: Desk, made: Attempt, execution: Execution) -> None:
    """Notes the winner as the submission and lays its files where the specification has them."""
    run, slot = desk.run, Slot(STAGES["submission"])
    run.write_script(slot, made.script)
    run.link_input(run.task_folder / slot.folder, await run.view(SEARCH))
    copy_file(execution.folder / SUBMISSION, run.task_folder / "ensemble" / SUBMISSION)
    final = Attempt(made.slot, made.ordinal, made.script, execution, made.score)
    result = result_dict(final, run.task.metric)
    await desk.note("submission_agent", **{slot.code_key: made.script, slot.result_key: result, slot.skip_key: True})
