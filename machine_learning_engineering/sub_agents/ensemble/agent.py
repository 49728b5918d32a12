"""Phase 4 (MLE-STAR, algorithm 3): planned ensembles over the solutions, each round told how the earlier ones fared."""

import asyncio
from pathlib import Path

from google.adk.agents import BaseAgent
from google.adk.agents.callback_context import CallbackContext

from machine_learning_engineering.shared_libraries.agents import Desk, Phase
from machine_learning_engineering.shared_libraries.code_util import STAGES
from machine_learning_engineering.shared_libraries.debug_util import run_and_debug
from machine_learning_engineering.shared_libraries.errors import ReplyFormatError
from machine_learning_engineering.shared_libraries.records import Attempt, Slot
from machine_learning_engineering.shared_libraries.replies import prose_of
from machine_learning_engineering.shared_libraries.report.painter import PAINTER
from machine_learning_engineering.shared_libraries.runs.run import Run, note_failure
from machine_learning_engineering.shared_libraries.scoring.choose import best
from machine_learning_engineering.shared_libraries.tasks.card import PlanResult, ScriptRef
from machine_learning_engineering.sub_agents.board import Board
from machine_learning_engineering.sub_agents.ensemble import prompt
from machine_learning_engineering.sub_agents.refinement.agent import top_plans


def build_ensemble(run: Run, board: Board) -> BaseAgent:
    """The agent of phase 4; afterwards the board holds the ensembles that worked. Skips where nothing can be merged."""

    async def work(desk: Desk) -> None:
        early = asyncio.create_task(asyncio.to_thread(_write_report, run.folder))
        early.add_done_callback(note_failure)  # the report at the end tells of it
        first_with = {one.script: t for t, one in reversed(board.solutions.items())}
        solutions = {t: one for t, one in board.solutions.items() if first_with[one.script] == t}
        if not run.decide("ensemble", lambda: (len(solutions) > 1, f"{len(solutions)} distinct solutions to merge")):
            return
        studies = tuple(f"Solution {t}: {board.ablations[t]}" for t in solutions if board.ablations.get(t))
        board.ensembles += await merge_solutions(desk, solutions, studies)

    return Phase.of("ensemble_agent", "Merges the refined solutions.", run, work)


def _write_report(folder: Path) -> None:
    """Writes the report as far as the run has come: there is something to read, and the one at the end takes less."""
    PAINTER.start()
    from machine_learning_engineering.shared_libraries.report.page import build_report

    build_report(folder)


async def merge_solutions(desk: Desk, solutions: dict[int, Attempt], studies: tuple[str, ...]) -> list[Attempt]:
    """The working ensembles of 1 + `ensemble_loop_round` rounds, in order."""
    results: list[PlanResult] = []
    made: list[Attempt] = []
    for round_ in range(1 + desk.run.config.ensemble_loop_round):
        if not desk.run.may_search(f"ensemble {round_}"):
            break
        await desk.note("ensemble_plan_refine_and_implement_loop_agent", ensemble_iter=round_)
        try:
            plan = await plan_ensemble(desk, solutions, studies, results)
        except ReplyFormatError:
            break
        one = await implement_ensemble(desk, round_, solutions, plan)
        results.append(PlanResult(plan=plan, score=one.value if one else None))
        made += [one] if one else []
    return made


async def plan_ensemble(
    desk: Desk, solutions: dict[int, Attempt], studies: tuple[str, ...], results: list[PlanResult]
) -> str:
    """How to merge the solutions: a first plan, or one unlike the earlier ones."""
    codes = [one.script for one in solutions.values()]

    async def take(callback_context: CallbackContext, reply: str) -> str:
        earlier = callback_context.state.get("ensemble_plans") or []
        plan = prose_of(reply)
        callback_context.state["ensemble_plans"] = [*earlier, plan]
        return plan

    if not results:
        card = desk.run.card("ensemble_plan", scripts=_refs(solutions), notes=studies)
        return await desk.ask("init_ensemble_plan_agent", "plan", prompt.render_ensemble_plan(card, codes), take)
    card = desk.run.card(
        "refine_ensemble_plan", attempt=len(results), scripts=_refs(solutions), plans=top_plans(results, desk)
    )
    return await desk.ask("ensemble_plan_refine_agent", "plan", prompt.render_refine_ensemble_plan(card, codes), take)


async def implement_ensemble(desk: Desk, round_: int, solutions: dict[int, Attempt], plan: str) -> Attempt | None:
    """The first working ensemble script for a plan, or None."""
    card = desk.run.card("ensemble", attempt=round_, scripts=_refs(solutions), plan=plan)
    slot = Slot(STAGES["ensemble_plan_implement"], step=round_)
    question = prompt.render_ensemble(card, [one.script for one in solutions.values()])
    incumbent = best(solutions.values(), desk.run.task.metric)
    return await run_and_debug(desk, slot, question, incumbent=incumbent)


def _refs(solutions: dict[int, Attempt]) -> tuple[ScriptRef, ...]:
    return tuple(ScriptRef(name=f"solution {t}", score=one.value) for t, one in solutions.items())
