"""The run-and-debug unit: from a prompt to a script that works, or to None, within a bounded number of calls.

write -> (leakage check) -> run -> while it fails: summarise the error, ask for a fix, run again. When debugging does
not help, the script is written anew. A failed unit costs its candidate, never the run.
"""

from collections.abc import Callable
from typing import Literal

from google.adk.agents.callback_context import CallbackContext

from machine_learning_engineering.shared_libraries.agents import Desk
from machine_learning_engineering.shared_libraries.check_leakage_util import check_then_run
from machine_learning_engineering.shared_libraries.code_util import evaluate_code, why_not_run
from machine_learning_engineering.shared_libraries.debug_prompt import render_bug_summary, render_debug
from machine_learning_engineering.shared_libraries.errors import ReplyFormatError
from machine_learning_engineering.shared_libraries.execution.output import cut
from machine_learning_engineering.shared_libraries.records import Attempt, Slot
from machine_learning_engineering.shared_libraries.replies import (
    code_of,
    missing_module,
    parse_ablation,
    parsed,
    prose_of,
)
from machine_learning_engineering.shared_libraries.tasks.card import ScriptRef

_CARD_CHARACTERS = 2_000  # of an error on the card; the prompt's own section has all of it
ToCode = Callable[[str], str | None]


async def run_and_debug(
    desk: Desk, slot: Slot, prompt: str, to_code: ToCode = code_of, incumbent: Attempt | None = None
) -> Attempt | None:
    """The first successful attempt at `slot`, or None when all rewrites and debug rounds are used up.

    `to_code` turns a reply into the whole script, or into None where the agent says that none is needed; it raises
    ReplyFormatError for any other reply. A script that is clearly behind the `incumbent` is not run on all folds. At
    most `max_rollback_round` x `max_retry` replies are asked for the script, and `max_debug_round` x `max_retry` each
    for bug summaries and fixes.
    """
    config = desk.run.config
    if incumbent is not None:
        desk.run.incumbents[slot] = incumbent
    await desk.note(slot.agent_name, **{slot.skip_key: False})
    fixes_left, why = config.max_debug_round, "No version of it worked."
    for _ in range(config.max_rollback_round):
        try:
            made = await write_script(desk, slot, slot.agent_name, "code", prompt, to_code)
        except ReplyFormatError as exc:
            why = str(exc)
            break
        if made is None:
            return None
        while (problem := problem_of(made)) and fixes_left > 0:
            if not desk.run.may_try(f"fix {slot.code_key} {fixes_left}"):
                return None
            fixes_left -= 1
            fixed = await _fix(desk, slot, made, problem)
            if fixed is not None and (parsed(fixed.script) is not None or parsed(made.script) is None):
                made = fixed  # else the last version that ran is a better start than one that does not parse
        if not problem:
            return made
    await desk.note(slot.agent_name, **{slot.result_key: {}, f"{slot.result_key}_reason": why})
    return None


async def write_script(desk: Desk, slot: Slot, agent: str, role: str, prompt: str, to_code: ToCode) -> Attempt | None:
    """The attempt that an agent's script makes, or None if it needs none; with the checker on, the checked one runs.

    Raises: ReplyFormatError if no reply held a script that qualifies to run.
    """
    check = desk.run.config.leakage_checker and slot.stage.kind != "submission"

    async def take(callback_context: CallbackContext, reply: str) -> Attempt | Literal["unchecked"] | None:
        code = to_code(reply)
        if code is None:
            return None
        callback_context.state[slot.code_key] = code
        reason = why_not_run(agent, code, desk.run.config)
        if check and reason is None:
            return "unchecked"
        made = await evaluate_code(callback_context, desk.run)
        if reason is not None:
            raise ReplyFormatError(reason)
        return made

    made = await desk.ask(agent, role, prompt, take, tools=desk.search_tools(role) if role == "debug" else ())
    return await check_then_run(desk, slot) if made == "unchecked" else made


async def _fix(desk: Desk, slot: Slot, failed: Attempt, problem: str) -> Attempt | None:
    """The attempt that one debug round makes; None if no reply held a script that qualifies."""
    module = missing_module(failed.execution.stderr) or ""
    refs = (ScriptRef(name=slot.filename),)
    numbers = {"solution": slot.solution, "attempt": slot.attempt}

    async def take(callback_context: CallbackContext, reply: str) -> str:
        callback_context.state[slot.key("bug_summary")] = text = prose_of(reply)
        return text

    run, output = desk.run, cut(problem, _CARD_CHARACTERS)
    card = run.card("bug_summary", scripts=refs, output=output, missing_module=module, **numbers)
    prompt = render_bug_summary(card, problem, slot.filename)
    try:
        bug = await desk.ask(slot.agent("bug_summary_agent"), "summary", prompt, take, temperature=0.0)
    except ReplyFormatError:
        bug = ""  # the debug agent then reads the error itself
    card = run.card("debug", scripts=refs, output=output, missing_module=module, **numbers)
    prompt = render_debug(card, run.task.description, failed.script, bug)
    try:
        return await write_script(desk, slot, slot.agent("debug_agent"), "debug", prompt, code_of)
    except ReplyFormatError:
        return None


def problem_of(made: Attempt) -> str:
    """What a debug agent needs to know of an attempt; empty where there is nothing to mend.

    Nobody scores an ablation script, so no verdict says how it ended; one that measured nothing did not work.
    """
    if made.score is not None:
        return made.problem or ("" if made.succeeded else "The script made no submission that can be scored.")
    if made.succeeded and made.slot.stage.kind == "ablation" and not parse_ablation(made.execution.stdout):
        return "The script printed no line 'Ablation Performance [<component>]: <number>' with a finite number."
    if made.succeeded:
        return ""
    ended = f"The script ended with outcome {made.execution.outcome!r}, exit code {made.execution.returncode}."
    return f"{made.problem}\n{ended}".strip()
