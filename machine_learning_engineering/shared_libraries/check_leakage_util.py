"""The leakage checker: write -> static check -> LLM check -> run, whole script in, whole script out.

The verdict belongs to the very text that was checked: a rewritten script is checked anew, but for the last repair,
which runs unjudged.
"""

import asyncio

from google.adk.agents.callback_context import CallbackContext

from machine_learning_engineering.shared_libraries.agents import Desk
from machine_learning_engineering.shared_libraries.check_leakage_prompt import (
    CLEAN,
    LEAKS,
    parse_leakage,
    render_leakage_check,
    render_leakage_repair,
)
from machine_learning_engineering.shared_libraries.code_util import attempt_keys, evaluate_code, why_not_run
from machine_learning_engineering.shared_libraries.errors import ReplyFormatError
from machine_learning_engineering.shared_libraries.records import Attempt, Slot
from machine_learning_engineering.shared_libraries.replies import code_of, parsed
from machine_learning_engineering.shared_libraries.runs.attempt import attempt
from machine_learning_engineering.shared_libraries.scoring.leaks import advice, find_leaks
from machine_learning_engineering.shared_libraries.tasks.card import ScriptRef

_REPAIRS = 2  # of one script; after that it runs as it is


async def check_then_run(desk: Desk, slot: Slot) -> Attempt:
    """The attempt of the code in the state, run once it is judged clean; what leaks is repaired and judged again.

    The checker holds no script up: without a usable verdict or repair it runs as it is, which is safe because no script
    sees the labels that it is scored on. Code that does not parse runs unchecked, for the error message.
    """
    code = desk.state[slot.code_key]
    await desk.note(slot.agent_name, **{slot.key("leakage_status"): "", slot.key("extract_status"): False})
    try:
        for _ in range(_REPAIRS):
            if parsed(code) is None:
                break
            if made := await _check(desk, slot, code):
                return made
            code = await _repair(desk, slot, code)
    except ReplyFormatError:
        pass
    return await _run_as_it_is(desk, slot, code)


async def _check(desk: Desk, slot: Slot, code: str) -> Attempt | None:
    """The attempt that the code makes if it is judged clean, else None."""
    card = desk.run.card("leakage_check", scripts=(ScriptRef(name=slot.filename),))

    async def take(callback_context: CallbackContext, reply: str) -> Attempt | None:
        verdict = parse_leakage(reply)
        state = callback_context.state
        state[slot.key("leakage_status")] = LEAKS if verdict.leaks else CLEAN
        state[slot.key("leakage_block")] = verdict.code_block
        state[slot.key("extract_status")] = True
        return None if verdict.leaks else await evaluate_code(callback_context, desk.run)

    prompt = render_leakage_check(card, code, await _found(desk, code))
    return await desk.ask(slot.agent("check_leakage_agent"), "check", prompt, take, temperature=0.0)


async def _repair(desk: Desk, slot: Slot, code: str) -> str:
    """The repaired code, in the state as well. Raises: ReplyFormatError if no reply holds a script worth running."""
    agent = slot.agent("refine_leakage_agent")
    card = desk.run.card("leakage_repair", scripts=(ScriptRef(name=slot.filename),))

    async def take(callback_context: CallbackContext, reply: str) -> str:
        repaired = code_of(reply)
        if reason := why_not_run(agent, repaired, desk.run.config):
            raise ReplyFormatError(reason)
        unjudged = {slot.key("leakage_status"): "", slot.key("leakage_block"): "", slot.key("extract_status"): False}
        callback_context.state.update({slot.code_key: repaired, **unjudged})
        return repaired

    prompt = render_leakage_repair(card, code, await _found(desk, code))
    return await desk.ask(agent, "check", prompt, take, temperature=0.0)


async def _found(desk: Desk, code: str) -> str:
    return advice(await asyncio.to_thread(find_leaks, code, desk.run.task))


async def _run_as_it_is(desk: Desk, slot: Slot, code: str) -> Attempt:
    made = await attempt(slot, code, desk.run)
    await desk.note(slot.agent_name, **attempt_keys(slot, made, desk.run.task.metric, desk.state))
    return made
