"""Phase 2 (MLE-STAR, algorithm 2): ablate, pick the block that matters, try plans on it, adopt what improves."""

from typing import Any

from google.adk.agents import BaseAgent
from google.adk.agents.callback_context import CallbackContext

from machine_learning_engineering.shared_libraries.agents import Desk, Phase
from machine_learning_engineering.shared_libraries.code_util import STAGES, result_dict
from machine_learning_engineering.shared_libraries.debug_util import run_and_debug
from machine_learning_engineering.shared_libraries.errors import ReplyFormatError
from machine_learning_engineering.shared_libraries.records import Attempt, Slot
from machine_learning_engineering.shared_libraries.replies import code_of, prose_of, replace_block
from machine_learning_engineering.shared_libraries.runs.run import Run
from machine_learning_engineering.shared_libraries.scoring.choose import ranked
from machine_learning_engineering.shared_libraries.tasks.card import PlanResult, ScriptRef
from machine_learning_engineering.sub_agents.ablation.agent import ablate
from machine_learning_engineering.sub_agents.board import Board
from machine_learning_engineering.sub_agents.refinement import prompt


def build_refinement(run: Run, board: Board) -> BaseAgent:
    """The agent of phase 2; afterwards the board holds the refined solutions."""

    async def work(desk: Desk) -> None:
        numbers = list(board.solutions)
        made = await desk.branches(*(refine(desk, t, board) for t in numbers))
        board.solutions.update({t: one for t, one in zip(numbers, made, strict=True) if isinstance(one, Attempt)})

    return Phase.of("refinement_agent", "Improves the part of each solution that matters most.", run, work)


async def refine(desk: Desk, t: int, board: Board) -> Attempt:
    """Solution `t` after `outer_loop_round` steps, kept on the board after each, so that a failure loses one step."""
    loop = f"ablation_and_refine_loop_agent_{t}"
    current, ablations, blocks = board.solutions[t], list[str](), list[str]()
    await desk.note(loop, **{f"refine_step_{t}": 0, f"prev_ablations_{t}": [], f"prev_code_blocks_{t}": []})
    for step in range(desk.run.config.outer_loop_round):
        if not desk.run.may_search(f"refine {step} {t}"):
            break
        summary = await ablate(desk, t, step, current, tuple(ablations))
        target = await find_target(desk, t, step, current, summary, blocks)
        best = await try_plans(desk, t, step, current, target) if target else None
        is_part = target is not None and target.code_block != current.script
        blocks += [target.code_block] if target and is_part else []
        if best is not None and await desk.run.adopts(current, best):
            current = board.solutions[t] = best
        ablations.append(summary)
        await _finish_step(desk, t, step, current, ablations, blocks)
    return current


async def find_target(
    desk: Desk, t: int, step: int, current: Attempt, summary: str, blocks: list[str]
) -> prompt.Plan | None:
    """The block to improve, verbatim in the code exactly once, and a plan; None if no reply gives one.

    Where replies give a plan but never a block of the script, the whole script is the block.
    """
    plans: list[str] = []
    refs = (ScriptRef(name=f"train{step}.py", score=current.value),)
    card = desk.run.card("plan", solution=t, attempt=step, scripts=refs, notes=tuple(blocks), output=summary)

    async def take(callback_context: CallbackContext, reply: str) -> prompt.Plan:
        try:
            plan = prompt.parse_plan(reply, current.script)
        except prompt.PlanWithoutBlock as exc:
            plans.append(exc.plan)
            raise
        callback_context.state.update(_first_plan(step, t, plan))
        return plan

    agent, question = f"init_plan_agent_{t}", prompt.render_plan(card, current.script, summary)
    try:
        return await desk.ask(agent, "plan", question, take)
    except ReplyFormatError:
        if not plans:
            return None
    whole = prompt.Plan(code_block=current.script, plan=plans[-1])
    await desk.note(agent, **_first_plan(step, t, whole))
    return whole


def _first_plan(step: int, t: int, target: prompt.Plan) -> dict[str, Any]:
    return {f"refine_plans_{step}_{t}": [target.plan], f"refine_code_block_{step}_{t}": target.code_block}


async def try_plans(desk: Desk, t: int, step: int, current: Attempt, target: prompt.Plan) -> Attempt | None:
    """The best of 1 + `inner_loop_round` attempts, each applied to the unchanged solution; None if all failed."""
    results: list[PlanResult] = []
    made: list[Attempt] = []
    plan = target.plan
    for k in range(1 + desk.run.config.inner_loop_round):
        await desk.note(f"refine_inner_loop_agent_{t}", **{f"inner_iter_{t}": k})
        if k > 0:
            if not desk.run.may_search(f"plan {k} {step} {t}"):
                break
            try:
                plan = await next_plan(desk, t, step, current, target, results)
            except ReplyFormatError:
                break
        one = await implement(desk, t, step, k, current, target.code_block, plan)
        results.append(PlanResult(plan=plan, score=one.value if one else None))
        made += [one] if one else []
    best = ranked(made, desk.run.task.metric)
    return best[0] if best else None


async def next_plan(
    desk: Desk, t: int, step: int, current: Attempt, target: prompt.Plan, results: list[PlanResult]
) -> str:
    """A plan unlike the earlier ones, given how the best of them fared."""
    refs = (ScriptRef(name=f"train{step}.py", score=current.value),)
    plans = top_plans(results, desk)
    card = desk.run.card("refine_plan", solution=t, attempt=len(results), scripts=refs, plans=plans)

    async def take(callback_context: CallbackContext, reply: str) -> str:
        key = f"refine_plans_{step}_{t}"
        plan = prose_of(reply)
        callback_context.state[key] = [*callback_context.state[key], plan]
        return plan

    return await desk.ask(f"plan_refine_agent_{t}", "plan", prompt.render_refine_plan(card, target.code_block), take)


async def implement(desk: Desk, t: int, step: int, k: int, current: Attempt, block: str, plan: str) -> Attempt | None:
    """The first working script in which the block is replaced as the plan says, or None."""
    slot = Slot(STAGES["plan_implement"], solution=t, step=step, attempt=k)
    refs = (ScriptRef(name=f"train{step}.py", score=current.value), ScriptRef(name="block"))
    card = desk.run.card("implement", solution=t, attempt=k, scripts=refs, plan=plan)

    def to_code(reply: str) -> str:
        return replace_block(current.script, block, code_of(reply))

    return await run_and_debug(desk, slot, prompt.render_implement(card, current.script, block), to_code, current)


def top_plans(results: list[PlanResult], desk: Desk) -> tuple[PlanResult, ...]:
    """The `num_top_plans` best results, best first; plans whose script failed come last."""
    metric = desk.run.task.metric
    scored = sorted(
        (one for one in results if one.score is not None),
        key=lambda one: (one.score or 0.0) * (-1 if metric.maximize else 1),
    )
    return tuple([*scored, *(one for one in results if one.score is None)][: desk.run.config.num_top_plans])


async def _finish_step(
    desk: Desk, t: int, step: int, current: Attempt, ablations: list[str], blocks: list[str]
) -> None:
    code, result = f"train_code_{step + 1}_{t}", f"train_code_exec_result_{step + 1}_{t}"
    await desk.note(
        f"ablation_and_refine_agent_{t}",
        **{
            code: current.script,
            result: result_dict(current, desk.run.task.metric),
            f"prev_ablations_{t}": list(ablations),
            f"prev_code_blocks_{t}": list(blocks),
            f"refine_step_{t}": step + 1,
        },
    )
    desk.run.write_script(Slot(STAGES["ablation"], solution=t), current.script, f"train{step + 1}.py")
