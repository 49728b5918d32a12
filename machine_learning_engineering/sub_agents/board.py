"""What the phases of one run hand on to each other."""

from dataclasses import dataclass, field

from machine_learning_engineering.shared_libraries.records import Attempt


@dataclass
class Board:
    """The current best attempt of each solution, by its number, and the ensembles made of them, in order of rounds.

    `ablations` says, by solution, what each part of its refined version contributes.
    """

    summary: str = ""
    solutions: dict[int, Attempt] = field(default_factory=dict)
    ablations: dict[int, str] = field(default_factory=dict)
    ensembles: list[Attempt] = field(default_factory=list)
