"""The offline model: answers every step of a run with code of its recipe library, needing no key and no network."""

from machine_learning_engineering.shared_libraries.replies import fences
from machine_learning_engineering.shared_libraries.tasks.card import parse_card


def reply(prompt: str) -> str:
    """The answer to a rendered prompt; it depends on the prompt's task card and fenced Python code alone.

    Raises: ReplyFormatError if the prompt does not hold exactly one task card.
    """
    from machine_learning_engineering.shared_libraries.models.offline.steps import STEPS

    card = parse_card(prompt)
    return STEPS[card.step](card, [block.text for block in fences(prompt) if block.is_python])
