"""What the ensemble agents are asked."""

from collections.abc import Sequence

from machine_learning_engineering.shared_libraries.prompt_parts import (
    RESPONSE_FORMAT,
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
from machine_learning_engineering.shared_libraries.tasks.card import TaskCard

PLAN = """\
Plan how to merge the solutions below into one program with a better {goal}. The plan is about the
merging, not about the settings of the single models: for example averaging, weights chosen on the validation part,
ranks, stacking with a simple model on out-of-fold predictions. Keep each solution as it is wherever possible, and
choose something that is easy to implement without error and fits into the time limit of one program."""

REFINE_PLAN = """\
Below are solutions, with earlier plans to merge them and the scores they reached. Write a new plan that should reach a
{direction} score, {goal}, and that differs from all of them. It is about the merging, not about the
settings of the single models, and easy to implement without error within the time limit of one program."""

STUDIES = "What the parts of the solutions contribute, as measured by leaving them out, solution by solution."

PLAN_REPLY = """\
## Reply

The plan in three to five sentences of plain text. No code, no headings."""

IMPLEMENT = """\
Merge the solutions below into one program as the plan says. Keep the features, models and settings of each; load the
data once, split it once in the same way for all, and print the figure of the merged prediction."""


def render_ensemble_plan(card: TaskCard, codes: Sequence[str]) -> str:
    """The prompt for a first way to merge; what the parts of each solution contribute are `card.notes`."""
    studies = "\n\n".join(fenced(note) for note in card.notes)
    study = section("Ablation studies", f"{STUDIES}\n\n{studies}") if card.notes else ""
    return page(card, "ensemble_plan", PLAN.format(goal=goal(card)), shown(card, *codes), study, reply=PLAN_REPLY)


def render_refine_ensemble_plan(card: TaskCard, codes: Sequence[str]) -> str:
    """The prompt for another way to merge. Raises: ValueError if `card.plans` is empty."""
    if not card.plans:
        raise ValueError("a refine_ensemble_plan prompt needs the earlier plans in card.plans")
    task = REFINE_PLAN.format(direction=direction(card), goal=goal(card))
    plans = plans_shown(card.plans, card.metric.name)
    return page(card, "refine_ensemble_plan", task, shown(card, *codes), plans, reply=PLAN_REPLY)


def render_ensemble(card: TaskCard, codes: Sequence[str]) -> str:
    """The prompt for the merged program. Raises: ValueError if `card.plan` is empty."""
    plan = section("Plan", fenced(need(card.plan, "card.plan", card)))
    return page(card, "ensemble", IMPLEMENT, shown(card, *codes), plan, contract(card), reply=RESPONSE_FORMAT)
