"""The leakage checker: write -> static check -> LLM check -> run, whole script in, whole script out.

The verdict belongs to the very text that was checked: a rewritten script is checked anew.
"""

import ast

from google.adk.agents.callback_context import CallbackContext

from machine_learning_engineering.shared_libraries.agents import Desk
from machine_learning_engineering.shared_libraries.check_leakage_prompt import (
    Leakage,
    parse_leakage,
    render_leakage_check,
    render_leakage_repair,
)
from machine_learning_engineering.shared_libraries.code_util import evaluate_code, why_not_run
from machine_learning_engineering.shared_libraries.errors import ReplyFormatError
from machine_learning_engineering.shared_libraries.records import Attempt, Slot
from machine_learning_engineering.shared_libraries.replies import code_of
from machine_learning_engineering.shared_libraries.tasks.card import ScriptRef


async def check_then_run(desk: Desk, slot: Slot) -> Attempt:
    """The attempt of the code in the state, run once it is judged clean or has been repaired.

    A check that gives no usable verdict does not hold the script up: it runs as it is. Code that does not parse runs
    unchecked, for the error message. Raises: ReplyFormatError if a repaired script does not qualify to run.
    """
    code = desk.state[slot.code_key]
    refs = (ScriptRef(name=slot.filename),)
    agent = slot.agent("check_leakage_agent")
    prompt = render_leakage_check(desk.run.card("leakage_check", scripts=refs), code)

    async def run_it(callback_context: CallbackContext) -> Attempt:
        made = await evaluate_code(callback_context, desk.run)
        if made is None:
            raise ReplyFormatError(
                why_not_run(callback_context.agent_name, callback_context.state[slot.code_key]) or ""
            )
        return made

    async def take_verdict(callback_context: CallbackContext, reply: str) -> Attempt | None:
        verdict = parse_leakage(reply) if _parses(code) else Leakage(leaks=False, code_block="")
        state = callback_context.state
        state[slot.key("leakage_status")] = "Yes Data Leakage" if verdict.leaks else "No Data Leakage"
        state[slot.key("leakage_block")] = verdict.code_block
        state[slot.key("extract_status")] = True
        return None if verdict.leaks else await run_it(callback_context)

    async def take_repair(callback_context: CallbackContext, reply: str) -> Attempt:
        callback_context.state[slot.code_key] = code_of(reply)
        return await run_it(callback_context)

    if (clean := await desk.ask(agent, "check", prompt, take_verdict, temperature=0.0)) is not None:
        return clean
    prompt = render_leakage_repair(desk.run.card("leakage_repair", scripts=refs), code)
    return await desk.ask(slot.agent("refine_leakage_agent"), "check", prompt, take_repair, temperature=0.0)


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    return True
