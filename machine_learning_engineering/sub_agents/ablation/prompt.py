"""What the ablation agents are asked."""

from machine_learning_engineering.shared_libraries.prompt_parts import (
    RESPONSE_FORMAT,
    contract,
    fenced,
    goal,
    page,
    section,
    shown,
)
from machine_learning_engineering.shared_libraries.tasks.card import TaskCard

FIRST = """\
Write an ablation study of the solution below: a program that shows how much each of two or three of its parts
contributes to the {goal}. Choose parts whose change could move the score: features, encodings, the
treatment of the target, the model, its main settings, the way predictions are combined."""

LATER = (
    FIRST
    + """

Earlier studies are summarised below. Study other parts than they did, or smaller pieces of the part that mattered
most."""
)

SUMMARY = """\
Summarise the ablation study below for the engineer who will improve the solution. For each component give its figure,
{goal}, and its difference from the baseline. Then name the component that matters most, and say
whether taking any component away helped. Use the printed figures only; say so if there are none."""

SUMMARY_REPLY = """\
## Reply

At most 150 words of plain text. No code."""


def render_ablation(card: TaskCard, code: str) -> str:
    """The prompt for an ablation script; summaries of earlier studies are `card.notes`."""
    task = (LATER if card.notes else FIRST).format(goal=goal(card))
    notes = "\n\n".join(section(f"Earlier study {n}", fenced(note)) for n, note in enumerate(card.notes, 1))
    return page(card, "ablation", task, notes, shown(card, code), contract(card), reply=RESPONSE_FORMAT)


def render_ablation_summary(card: TaskCard, code: str, output: str) -> str:
    """The prompt for a summary of what an ablation script printed."""
    printed = section("What it printed", fenced(output) if output.strip() else "Nothing.")
    task = SUMMARY.format(goal=goal(card))
    return page(card, "ablation_summary", task, shown(card, code), printed, reply=SUMMARY_REPLY)
