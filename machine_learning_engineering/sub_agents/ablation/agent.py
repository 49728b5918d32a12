"""What each part of a solution contributes: an ablation script, its figures, and their summary.

Refinement asks for it before each step; as a phase of its own it runs once more on every refined solution, so that the
ensemble planner and the report know where the score comes from.
"""

from google.adk.agents import BaseAgent
from google.adk.agents.callback_context import CallbackContext

from machine_learning_engineering.shared_libraries.agents import Desk, Phase
from machine_learning_engineering.shared_libraries.code_util import STAGES
from machine_learning_engineering.shared_libraries.debug_util import run_and_debug
from machine_learning_engineering.shared_libraries.errors import ReplyFormatError
from machine_learning_engineering.shared_libraries.records import Attempt, Slot
from machine_learning_engineering.shared_libraries.replies import parse_ablation, prose_of
from machine_learning_engineering.shared_libraries.runs.run import Run
from machine_learning_engineering.shared_libraries.tasks.card import ScriptRef
from machine_learning_engineering.sub_agents.ablation import prompt
from machine_learning_engineering.sub_agents.board import Board


def build_ablation(run: Run, board: Board) -> BaseAgent:
    """The agent that ablates every refined solution once more, at step `outer_loop_round`."""

    async def work(desk: Desk) -> None:
        step = run.config.outer_loop_round
        asked = [t for t in board.solutions if run.may_search(f"ablation {step} {t}")]
        earlier = {t: tuple(desk.state.get(f"prev_ablations_{t}") or ()) for t in asked}
        made = await desk.branches(*(ablate(desk, t, step, board.solutions[t], earlier[t]) for t in asked))
        board.ablations.update({t: one for t, one in zip(asked, made, strict=True) if isinstance(one, str)})

    return Phase.of("ablation_phase_agent", "Measures what each part of the refined solutions contributes.", run, work)


async def ablate(desk: Desk, t: int, step: int, solution: Attempt, earlier: tuple[str, ...]) -> str:
    """What the parts of `solution` contribute, in words; the figures go into the state, by component."""
    run, slot = desk.run, Slot(STAGES["ablation"], solution=t, step=step)
    await desk.note(f"ablation_and_refine_loop_agent_{t}", **{f"refine_step_{t}": step})
    refs = (ScriptRef(name=f"train{step}.py", score=solution.value),)
    card = run.card("ablation", solution=t, attempt=step, scripts=refs, notes=earlier)
    made = await run_and_debug(desk, slot, prompt.render_ablation(card, solution.script))
    output = made.execution.stdout if made else "The ablation script did not run; nothing was measured."
    scores = {f"ablation_scores_{step}_{t}": parse_ablation(output)}
    await desk.note(slot.agent_name, **scores)

    async def take(callback_context: CallbackContext, reply: str) -> str:
        callback_context.state[f"ablation_summary_{step}_{t}"] = text = prose_of(reply)
        return text

    card = run.card("ablation_summary", solution=t, scripts=(ScriptRef(name=slot.filename),), output=output)
    question = prompt.render_ablation_summary(card, made.script if made else solution.script, output)
    try:
        summary = await desk.ask(f"ablation_summary_agent_{t}", "summary", question, take, temperature=0.0)
    except ReplyFormatError:
        summary = output  # planners can read the figures themselves
        await desk.note(f"ablation_summary_agent_{t}", **{f"ablation_summary_{step}_{t}": summary})
    return summary
