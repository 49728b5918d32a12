"""What the agents of the run-and-debug unit are asked when a script fails."""

from machine_learning_engineering.shared_libraries.prompt_parts import (
    RESPONSE_FORMAT,
    contract,
    described,
    fenced,
    need,
    page,
    section,
    shown,
)
from machine_learning_engineering.shared_libraries.tasks.card import TaskCard

BUG_SUMMARY = """\
The script `{filename}` failed. Reduce its error report to what an engineer needs to repair it: the kind of error, the
message, the place (line and function of `{filename}`), and the cause if the report shows it. Leave out progress bars,
warnings without a bearing on the failure, and frames inside libraries."""

BUG_REPLY = """\
## Reply

At most ten lines of plain text. Quote the final error message word for word. No code, no repair."""

DEBUG = """\
A script fails. Repair the cause, and change nothing else: same model, same features, same validation, all training
rows. If the error is a limit of time or memory, make the program cheaper by the smallest change that suffices."""

MISSING_MODULE = """\
The module `{module}` is not installed and cannot be: no pip, no download. Do without it, with the installed package
that comes closest."""


def render_bug_summary(card: TaskCard, error: str, filename: str) -> str:
    """The prompt for a summary of an error report. Raises: ValueError if the file name is missing."""
    task = BUG_SUMMARY.format(filename=need(filename, "a file name", card))
    report = section("Error report", fenced(error) if error.strip() else "It is empty: the script said nothing.")
    return page(card, "bug_summary", task, report, reply=BUG_REPLY)


def render_debug(card: TaskCard, description: str, code: str, bug: str) -> str:
    """The prompt for a repaired script; with `card.missing_module` set it says how to do without that module.

    An empty bug summary is replaced by `card.output`, the error itself. Raises: ValueError if both are empty.
    """
    module = card.missing_module
    missing = section("Missing module", MISSING_MODULE.format(module=module)) if module else ""
    problem = section("What went wrong", fenced(bug if bug.strip() else need(card.output, "a bug summary", card)))
    sections = [described(description), shown(card, code), problem, missing, contract(card)]
    return page(card, "debug", DEBUG, *sections, reply=RESPONSE_FORMAT)
