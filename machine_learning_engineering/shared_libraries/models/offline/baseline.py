"""The script that every other script of a run has to beat: the recipe library's own, which needs no model."""

from machine_learning_engineering.shared_libraries.models.offline import design
from machine_learning_engineering.shared_libraries.tasks.card import TaskCard


def baseline_script(card: TaskCard) -> str:
    """The library's own best start for the task of a card."""
    return design.script(card, design.for_solution(card, 1, 2)).render()
