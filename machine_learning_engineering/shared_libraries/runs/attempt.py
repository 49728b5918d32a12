"""The heart of the engine: a script at an address becomes an attempt, with or without ADK around it."""

from machine_learning_engineering.shared_libraries.records import FINAL, SEARCH, Attempt, ScriptRun, Slot
from machine_learning_engineering.shared_libraries.runs.run import Run


async def attempt(slot: Slot, code: str, run: Run) -> Attempt:
    """The attempt that `code` makes at `slot`: run on its view, scored on held-out labels, journaled.

    Whatever the script does is in the attempt; only our own failures raise. Ablation scripts have no score. A script
    of the submission stage runs on the final view and is checked, not scored.
    """
    ordinal = run.journal.next_ordinal(ScriptRun, slot.code_key)
    view = FINAL if slot.stage.kind == "submission" else SEARCH
    run.write_script(slot, code)
    execution = await run.execute(slot, ordinal, code, view)
    verdict = None if slot.stage.kind == "ablation" else await run.score(slot, ordinal, view, execution)
    made = Attempt(slot, ordinal, code, execution, verdict)
    run.keep(made)
    return made
