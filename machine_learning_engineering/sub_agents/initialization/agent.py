"""Phase 1 (MLE-STAR, algorithm 1): search models, try each, merge the next best into the best while that helps."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from google.adk.agents import BaseAgent
from google.adk.agents.callback_context import CallbackContext

from machine_learning_engineering.shared_libraries.agents import Desk, Phase, Reply
from machine_learning_engineering.shared_libraries.code_util import STAGES, attempt_keys, result_dict
from machine_learning_engineering.shared_libraries.debug_util import run_and_debug
from machine_learning_engineering.shared_libraries.errors import BranchFailed, MleError, ReplyFormatError
from machine_learning_engineering.shared_libraries.models.offline.baseline import baseline_script
from machine_learning_engineering.shared_libraries.records import SEARCH, Attempt, Slot
from machine_learning_engineering.shared_libraries.replies import code_of, prose_of
from machine_learning_engineering.shared_libraries.runs.attempt import attempt
from machine_learning_engineering.shared_libraries.runs.journal import write_atomically
from machine_learning_engineering.shared_libraries.runs.leak_audit import check_shift
from machine_learning_engineering.shared_libraries.runs.run import Run
from machine_learning_engineering.shared_libraries.scoring.choose import ranked
from machine_learning_engineering.shared_libraries.tasks.card import ModelCard, ScriptRef
from machine_learning_engineering.sub_agents.board import Board
from machine_learning_engineering.sub_agents.initialization import prompt


def build_initialization(run: Run, board: Board) -> BaseAgent:
    """The agent of phase 1; afterwards the board holds one working attempt for each solution that worked out.

    Where none did, the run goes on with the baseline, if there is one.
    """

    async def work(desk: Desk) -> None:
        await prepare_task(desk)
        board.summary, _ = await asyncio.gather(summarize_task(desk), run.stage_ahead())
        numbers = range(1, run.config.num_solutions + 1)
        beside: list[Coroutine[Any, Any, Any]] = [try_baseline(desk)] if run.config.baseline else []
        if run.config.leak_audit is not False:
            beside.append(compare_rows(desk))
        made = await desk.branches(*(solve(desk, t, board.summary) for t in numbers), *beside)
        board.solutions.update({t: one for t, one in zip(numbers, made, strict=False) if isinstance(one, Attempt)})
        if all(one.value is None for one in run.attempts):
            reasons = "; ".join(dict.fromkeys(str(one).rstrip(".") for one in made if isinstance(one, MleError)))
            raise MleError(f"no model candidate made a valid submission: {reasons}.{_more(run)}")

    return Phase.of("initialization_agent", "Finds models, tries them, merges the best.", run, work)


async def try_baseline(desk: Desk) -> Attempt:
    """The attempt that the recipe library makes without any model: what the run hands in has to beat it."""
    run, slot = desk.run, Slot(STAGES["baseline"])
    made = await attempt(slot, baseline_script(run.card("candidate", solution=1, attempt=1)), run)
    await desk.note(slot.agent_name, **attempt_keys(slot, made, run.task.metric, desk.state))
    return made


async def compare_rows(desk: Desk) -> None:
    """Notes a warning if test rows are unlike training rows."""
    if warning := await check_shift(desk.run):
        await desk.note("leak_audit_agent", shift_warning=warning)


async def prepare_task(desk: Desk) -> None:
    """Writes every setting and the task into the state, as the specification names them."""
    run, task = desk.run, desk.run.task
    settings = run.config.model_dump(mode="json")
    settings |= {
        "data_dir": str(task.train.parent.parent),
        "lower": not task.metric.maximize,
        "start_time": run.started_at,
        "task_description": task.description,
        "task_name": task.name,
        "task_type": task.task_type,
        "use_data_leakage_checker": run.config.leakage_checker,
        "workspace_dir": str(run.folder),
    }
    await desk.note("initialization_agent", **settings)


async def summarize_task(desk: Desk) -> str:
    """A short summary of the task, used to search for models."""
    run = desk.run

    async def take(callback_context: CallbackContext, reply: str) -> str:
        summary = f"Task: {run.task.task_type}\n{prose_of(reply)}"
        callback_context.state["task_summary"] = summary
        return summary

    question = prompt.render_summarize(run.card("summarize"), run.task.description)
    try:
        return await desk.ask("task_summarization_agent", "summary", question, take, temperature=0.0)
    except ReplyFormatError:
        summary = f"Task: {run.task.task_type}\n{run.task.description}"
        await desk.note("task_summarization_agent", task_summary=summary)
        return summary


async def solve(desk: Desk, t: int, summary: str) -> Attempt:
    """The merged first version of solution `t`. Raises: BranchFailed if none of its candidates worked."""
    await create_workspace(desk.run, t)
    models = await find_models(desk, t, summary)
    tries = await desk.branches(*(try_model(desk, t, j, model) for j, model in enumerate(models, 1)))
    working = ranked([one for one in tries if isinstance(one, Attempt)], desk.run.task.metric)
    if not working:
        names = ", ".join(model.model_name for model in models)
        keys = [f"{_slot('model_eval', t, j).result_key}_reason" for j in range(1, len(models) + 1)]
        kept = [desk.state[key] for key in keys if desk.state.get(key)]
        reasons = [str(one) for one in tries if isinstance(one, MleError)] + why_failed(desk.run, t) + kept
        raise BranchFailed(" ".join([f"solution {t}: none of {names} made a valid submission.", *reasons[:1]]))
    await rank_candidates(desk, t, working)
    best, index = await merge(desk, t, working)
    await desk.note(
        f"selection_agent_{t}",
        **{f"train_code_0_{t}": best.script, f"train_code_exec_result_0_{t}": result_dict(best, desk.run.task.metric)},
    )
    desk.run.write_script(_slot("merger", t, index), best.script, "train0.py")
    return await check_data_use(desk, t, best) if desk.run.config.use_data_usage_checker else best


def _more(run: Run) -> str:
    """Which setting to raise where all failed scripts met the same limit; empty where they did not."""
    outcomes = {one.execution.outcome for one in run.attempts if one.value is None}
    settings = {"memory": "memory with MLE_MEMORY_GB", "timeout": "time with --timeout"}
    raised = settings.get(outcomes.pop()) if len(outcomes) == 1 else None
    return f" Give scripts more {raised}." if raised else ""


def why_failed(run: Run, t: int) -> list[str]:
    """Why scripts of solution `t` failed, the commonest reason first: the exception, or what the harness says."""
    failed = [one for one in run.attempts if one.slot.solution == t and one.value is None]
    said = (one.execution.last_error or (one.score.reason if one.score else None) for one in failed)
    return [reason for reason, _ in Counter(filter(None, said)).most_common()]


async def create_workspace(run: Run, t: int) -> None:
    """Makes the folder of solution `t`, whose `input` shows people what its scripts see."""
    folder = run.task_folder / str(t)
    (folder / "model_candidates").mkdir(parents=True, exist_ok=True)
    run.link_input(folder, await run.view(SEARCH))


async def find_models(desk: Desk, t: int, summary: str) -> list[ModelCard]:
    """The models to try for solution `t`, at most `num_model_candidates`, each with its source.

    A Gemini model searches the web for them, and the pages it used are kept; other models answer from what they know.
    A model that never names enough of them is taken at the most that it named.

    Raises: ReplyFormatError if no reply named a usable model.
    """
    agent, wanted = f"model_retriever_agent_{t}", desk.run.config.num_model_candidates
    most: list[ModelCard] = []
    pages: list[str] = []  # that the search for `most` used

    async def take(callback_context: CallbackContext, reply: Reply) -> list[ModelCard]:
        nonlocal most, pages
        try:
            models = prompt.parse_candidates(reply, wanted)
        except prompt.TooFewModels as exc:
            if len(exc.models) > len(most):
                most, pages = exc.models, list(reply.sources)
            raise
        callback_context.state.update(_models_found(t, models, list(reply.sources)))
        return models

    question = prompt.render_retrieve(desk.run.card("retrieve", solution=t, wanted=wanted), summary)
    try:
        models = await desk.ask(agent, "plan", question, take, tools=desk.search_tools("plan"))
    except ReplyFormatError:
        if not most:
            raise
        models = most
        await desk.note(agent, **_models_found(t, models, pages))
    sources = desk.state[f"init_{t}_model_sources"]
    for j, model in enumerate(models, 1):
        path = desk.run.task_folder / str(t) / "model_candidates" / f"model_{j}.txt"
        write_atomically(path, prompt.model_file(model, sources).encode(errors="replace"))
    return models


def _models_found(t: int, models: list[ModelCard], sources: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {f"init_{t}_model_{j}": model.model_dump() for j, model in enumerate(models, 1)}
    return {**found, f"init_{t}_model_sources": sources, f"init_{t}_model_finish": True}


async def try_model(desk: Desk, t: int, j: int, model: ModelCard) -> Attempt | None:
    """The first working script with this model, or None; none is tried when time is up and another one works."""
    if not desk.run.may_try(f"candidate {t} {j}"):
        return None
    card = desk.run.card("candidate", solution=t, attempt=j, model=model)
    return await run_and_debug(
        desk, _slot("model_eval", t, j), prompt.render_candidate(card, desk.run.task.description)
    )


async def rank_candidates(desk: Desk, t: int, working: list[Attempt]) -> None:
    """Notes the candidates of solution `t`, best first, and the best one as the first merge."""
    metric = desk.run.task.metric
    best = working[0]
    desk.run.write_script(_slot("merger", t, 0), best.script)
    await desk.note(
        f"rank_agent_{t}",
        **{
            f"performance_results_{t}": [[one.value, one.slot.code_key, one.slot.result_key] for one in working],
            f"best_score_{t}": best.value,
            f"base_solution_{t}": best.script,
            f"best_idx_{t}": 0,
            f"merger_code_{t}_0": best.script,
            f"merger_code_exec_result_{t}_0": result_dict(best, metric),
        },
    )


async def merge(desk: Desk, t: int, working: list[Attempt]) -> tuple[Attempt, int]:
    """The best merge of solution `t` and its index; stops at the first merge that does not improve (algorithm 1)."""
    best, index = working[0], 0
    for i, reference in enumerate(working[1:], 1):
        if not desk.run.may_search(f"merge {t} {i}"):
            break
        refs = (ScriptRef(name="base.py", score=best.value), ScriptRef(name="reference.py", score=reference.value))
        card = desk.run.card("merge", solution=t, attempt=i, scripts=refs)
        slot = _slot("merger", t, i)
        question = prompt.render_merge(card, best.script, reference.script)
        made = await run_and_debug(desk, slot, question, incumbent=best)
        improved = await desk.run.adopts(best, made)
        if made is not None and improved:
            best, index = made, i
        await desk.note(
            f"merger_states_update_agent_{t}_{i}",
            **{f"best_score_{t}": best.value, f"base_solution_{t}": best.script, f"best_idx_{t}": index},
        )
        if not improved:
            break
    return best, index


async def check_data_use(desk: Desk, t: int, best: Attempt) -> Attempt:
    """`best`, or a version of it that uses provided information it left out, if that scores better. Asked once."""
    run, slot = desk.run, _slot("check_data_use", t)
    card = run.card("data_use", solution=t, scripts=(ScriptRef(name="train0.py", score=best.value),))
    question = prompt.render_data_use(card, run.task.description, best.script)

    def to_code(reply: str) -> str | None:
        return None if prompt.all_data_used(reply) else code_of(reply)

    made = await run_and_debug(desk, slot, question, to_code, best)
    chosen = made if made is not None and await run.adopts(best, made) else best
    keys = attempt_keys(slot, chosen, run.task.metric, desk.state)
    await desk.note(slot.agent_name, **{f"check_data_use_finish_{t}": True, **keys})
    run.write_script(slot, chosen.script)
    return chosen


def _slot(stage: str, t: int, attempt: int = 0) -> Slot:
    return Slot(STAGES[stage], solution=t, attempt=attempt)
