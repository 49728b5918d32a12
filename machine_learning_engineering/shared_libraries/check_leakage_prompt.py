"""What the leakage checker asks, and how its verdict is read."""

from dataclasses import dataclass
from typing import Any

from machine_learning_engineering.shared_libraries.errors import ReplyFormatError
from machine_learning_engineering.shared_libraries.prompt_parts import (
    RESPONSE_FORMAT,
    contract,
    fenced,
    page,
    section,
    shown,
)
from machine_learning_engineering.shared_libraries.replies import json_of
from machine_learning_engineering.shared_libraries.tasks.card import TaskCard

LEAKS = "Yes Data Leakage"
CLEAN = "No Data Leakage"

LEAKAGE = """\
data leaks when, before the validation figure is printed, the model or any preprocessing step learns from
validation rows: a scaler, imputer, encoder, target statistic or feature selection that is fitted on them, or
validation rows among the training rows. It also leaks when the target, or a column derived from it, is a feature, and
when anything is fitted on rows of `test.csv`. Refitting on all training rows after the figure is printed is no leak,
and neither is a step that learns nothing from the rows it sees."""

LEAKAGE_CHECK = f"""\
Judge whether the script below leaks data. In this competition {LEAKAGE}

Find the block that prepares validation and test rows, decide, and report a leak only where you can name the line."""

CHECK_REPLY = f"""\
## Reply

A JSON list with one object and nothing else. `leakage_status` is "{LEAKS}" or "{CLEAN}"; `code_block` holds the
lines that leak, or else the lines that prepare validation and test rows, copied character by character:

[{{"leakage_status": "{LEAKS} | {CLEAN}", "code_block": "..."}}]"""

LEAKAGE_REPAIR = f"""\
The script below leaks data. In this competition {LEAKAGE}

Repair every leak, and change nothing else: same model, same features as far as they do not leak, same split."""


@dataclass(frozen=True)
class Leakage:
    """The verdict on a script: whether it leaks, and the block that the verdict is about."""

    leaks: bool
    code_block: str


def render_leakage_check(card: TaskCard, code: str, found: str = "") -> str:
    """The question whether a script leaks; `found` is what static rules say of it, one line each."""
    return page(card, "leakage_check", LEAKAGE_CHECK, shown(card, code), _found(found), reply=CHECK_REPLY)


def render_leakage_repair(card: TaskCard, code: str, found: str = "") -> str:
    sections = (shown(card, code), _found(found), contract(card))
    return page(card, "leakage_repair", LEAKAGE_REPAIR, *sections, reply=RESPONSE_FORMAT)


def _found(found: str) -> str:
    """The section with what static rules found; empty where they found nothing."""
    if not found:
        return ""
    note = "They follow values through the script, so they are seldom wrong; they do not see everything."
    return section("What static rules found", f"{note}\n\n{fenced(found)}")


def parse_leakage(reply: str) -> Leakage:
    """The verdict of a reply; of several, one that leaks. Raises: ReplyFormatError if it says neither or both."""
    verdicts = [_verdict(one) for one in json_of(reply, keys=("leakage_status", "code_block"))]
    return next((verdict for verdict in verdicts if verdict.leaks), verdicts[0])


def _verdict(said: dict[str, Any]) -> Leakage:
    status = " ".join(str(said["leakage_status"]).casefold().split())
    leaks, clean = LEAKS.casefold() in status, CLEAN.casefold() in status
    if leaks == clean:
        raise ReplyFormatError(f'"leakage_status" must be "{LEAKS}" or "{CLEAN}".')
    return Leakage(leaks, str(said["code_block"] or ""))
