"""What the refinement agents are asked, and how a plan is read."""

from dataclasses import dataclass

from machine_learning_engineering.shared_libraries.errors import ReplyFormatError
from machine_learning_engineering.shared_libraries.prompt_parts import (
    contract,
    direction,
    fenced,
    goal,
    need,
    page,
    plans_shown,
    section,
    shown,
)
from machine_learning_engineering.shared_libraries.replies import code_of, fences, find_block, json_of
from machine_learning_engineering.shared_libraries.tasks.card import TaskCard

PLAN = """\
Choose the part of the solution below that is most worth improving for the {goal}, and plan the
improvement. Let the ablation study decide: take the code behind the component that matters most, or one that the study
shows to do harm. The plan must change how that code works, be specific enough to implement without further questions,
and not make the program much slower: no large hyperparameter search."""

NOT_AGAIN = "The blocks below were refined before: prefer a part of the solution that none of them covers."

PLAN_REPLY = """\
## Reply

A JSON list with one object and nothing else. `code_block` is a run of whole consecutive lines of the script, copied
character by character with their indentation, that occurs in it exactly once; it may be long, and it holds all lines
that the plan changes. `plan` has three to five sentences.

[{"code_block": "...", "plan": "..."}]"""

REFINE_PLAN = """\
Below is a block of a solution, with earlier plans to improve it and the scores they reached. Write a new plan that
should reach a {direction} score, {goal}. Build on what helped, drop what hurt, and do something that
none of the plans did. It must be specific enough to implement without further questions and not make the program much
slower: no large hyperparameter search."""

REFINE_PLAN_REPLY = """\
## Reply

The plan in three to five sentences of plain text. No code, no headings."""

IMPLEMENT = """\
Rewrite one block of the solution below as the plan says. Your block takes the place of the old one: what stands before
it has run, what follows it stays as it is and needs the same names. Define no stand-ins for variables that the script
defines elsewhere, and repeat no other part of the script."""

IMPLEMENT_REPLY = """\
## Reply

Exactly one fenced code block, opened with its language `python`, that holds the improved block alone, indented as the
old one. No text around it."""


@dataclass(frozen=True)
class Plan:
    """A block of a script, verbatim, and how to improve it."""

    code_block: str
    plan: str


class PlanWithoutBlock(ReplyFormatError):
    """A reply has a plan, but its block does not stand in the script exactly once."""

    def __init__(self, reason: str, plan: str) -> None:
        super().__init__(reason)
        self.plan = plan


def render_plan(card: TaskCard, code: str, summary: str) -> str:
    """The prompt for a block and a plan; blocks refined in earlier steps are `card.notes`."""
    blocks = "\n\n".join(fenced(block) for block in card.notes)
    earlier = section("Refined before", f"{NOT_AGAIN}\n\n{blocks}") if card.notes else ""
    study = section("Ablation study", fenced(summary) if summary.strip() else "There is none; use your judgement.")
    return page(card, "plan", PLAN.format(goal=goal(card)), shown(card, code), study, earlier, reply=PLAN_REPLY)


def render_refine_plan(card: TaskCard, block: str) -> str:
    """The prompt for another plan for the same block. Raises: ValueError if `card.plans` is empty."""
    if not card.plans:
        raise ValueError("a refine_plan prompt needs the earlier plans in card.plans")
    task = REFINE_PLAN.format(direction=direction(card), goal=goal(card))
    plans = plans_shown(card.plans, card.metric.name)
    return page(card, "refine_plan", task, shown(card, block, what="Block of "), plans, reply=REFINE_PLAN_REPLY)


def render_implement(card: TaskCard, code: str, block: str) -> str:
    """The prompt for the improved block. Raises: ValueError if `card.plan` is empty."""
    plan = section("Plan", fenced(need(card.plan, "card.plan", card)))
    return page(card, "implement", IMPLEMENT, shown(card, code, block), plan, contract(card), reply=IMPLEMENT_REPLY)


def parse_plan(reply: str, code: str) -> Plan:
    """The plan of a reply, its block exactly as it stands in the code.

    Raises: ReplyFormatError if there is no plan; PlanWithoutBlock if its block does not stand in the code exactly once.
    """
    named = json_of(reply, keys=("code_block", "plan"))[0]
    block, plan = str(named["code_block"] or ""), str(named["plan"] or "").strip()
    if not plan:
        raise ReplyFormatError('"plan" is empty; give it three to five sentences.')
    try:
        start, end = find_block(code, code_of(block) if fences(block) else block)
    except ReplyFormatError as exc:
        raise PlanWithoutBlock(str(exc), plan) from exc
    return Plan(code[start:end], plan)
