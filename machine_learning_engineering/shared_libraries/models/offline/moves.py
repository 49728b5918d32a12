"""Ways to improve one block of a script; a plan names a move, and the move writes the block anew."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from machine_learning_engineering.shared_libraries.models.offline import design, words
from machine_learning_engineering.shared_libraries.models.offline.program import (
    Part,
    Program,
    compose,
    cut,
    library,
    render_imports,
)
from machine_learning_engineering.shared_libraries.tasks.card import TaskCard


@dataclass(frozen=True)
class Move:
    """One improvement: the parts it rewrites (neighbours in the script), what it does in words, the new text.

    `write` gives the new block for a program, or an empty text where the move changes nothing.
    """

    blocks: tuple[str, ...]
    title: str
    reason: str
    write: Callable[[TaskCard, Program], str]

    @property
    def plan(self) -> str:
        return f"{self.title}. {self.reason}"


def moves(card: TaskCard, program: Program) -> list[Move]:
    """Every move that changes this program, the most promising first."""
    fewer = _fewer_features(card, program)
    found = [*fewer, *_more_models(card, program), *_variants(card), *_more_features(card), *_scales(card)]
    return [move for move in found if _applies(move, card, program)]


def _applies(move: Move, card: TaskCard, program: Program) -> bool:
    known = all(name in program for name in move.blocks)
    return known and move.write(card, program) not in ("", old_text(move, program))


def old_text(move: Move, program: Program) -> str:
    """The block as the script has it."""
    return "\n\n\n".join(program[name].text for name in move.blocks)


def _rewritten(name: str, variant: str) -> Callable[[TaskCard, Program], str]:
    def write(card: TaskCard, program: Program) -> str:
        if f"{name}__{variant}" not in library(card.problem):
            return ""
        return with_imports(program, [cut(card.problem, name, variant)])

    return write


def with_imports(program: Program, parts: list[Part]) -> str:
    """The text of these parts, after the imports that the script lacks."""
    whole = program.with_parts(*parts)
    missing = render_imports(whole.names - program.names)
    return "\n\n\n".join([*([missing] if missing else []), *(part.text for part in parts)])


_VARIANTS: tuple[tuple[str, str, str, str], ...] = (
    ("lightgbm", "bagged", "Bag the boosted trees over more seeds with smaller steps",
     "The ablation shows that this model carries the score. Halve the learning rate, draw fewer rows and columns for "
     "each tree, penalise leaves harder, and average two seeds: that lowers the variance of the predictions."),
    ("lightgbm", "tuned", "Choose the size of the boosted trees on held-out rows",
     "The number of leaves decides between underfitting and overfitting. Try three sizes on a fifth of the training "
     "rows inside the model function and refit the best one on all of them."),
    ("hist_boosting", "bagged", "Bag the histogram boosting over seeds with smaller steps",
     "Use a smaller learning rate, a third of the columns at each split and a stronger penalty. Average two seeds."),
    ("extra_trees", "bagged", "Grow more trees that look at more columns",
     "With many derived columns a split that sees half of them often misses the good ones. Grow more trees and let "
     "each split see more columns."),
    ("kernel", "dense", "Lay more kernels and choose their width among more",
     "The kernel machine is sensitive to the width of its kernels, and a point between two of them is blurred. Lay 450 "
     "kernels instead of 300 and choose among four widths by leave-one-out errors."),
    ("linear", "squares", "Give the linear model curvature",
     "The linear model can only add up columns. Add the square of every normal score, so that it can bend."),
    ("neighbourhoods", "wide", "Look at more neighbourhood sizes in more planes",
     "The neighbourhood features carry most of the score. Add small and large neighbourhoods, which tell local "
     "deviations from regional levels, and a third plane."),
    ("blend_weights", "shrunk", "Draw the blend weights half-way towards equal ones",
     "Greedy weights fit the noise of the validation rows. Averaging them with equal weights keeps the gain and most "
     "of the stability."),
    ("blend_weights", "stacked", "Stack the models by a regression on their out-of-fold predictions",
     "Fit the target by what the models predict for rows that they did not see, with no weight below zero. Where all "
     "models shrink their predictions towards the mean, weights that need not add up to one stretch them again."),
)  # fmt: skip


def _variants(card: TaskCard) -> list[Move]:
    settled = design.variants(card)  # what the data call for is no mere start
    return [
        Move((name,), title, reason, _rewritten(name, variant))
        for name, variant, title, reason in _VARIANTS
        if not settled.get(name)
    ]


def _more_models(card: TaskCard, program: Program) -> list[Move]:
    have = {name.rstrip("_0123456789") for name in program.listed("MODELS")}
    lacking = [name for name in design.ranking(card) if name not in have]
    return [_adding(names) for names in (lacking[:2], lacking[2:4], lacking[:1]) if names]


def _adding(names: list[str]) -> Move:
    titles = " and ".join(design.TITLES[name].lower() for name in names)
    return Move(
        ("MODELS",),
        f"Add {titles} to the blend",
        "Models of another kind make other mistakes. Fit them on the same features and folds, and let the weights, "
        "found on out-of-fold predictions, decide how much each one counts.",
        lambda card, program: _extended(card, program, "MODELS", names),
    )


_EXTRA_FEATURES = (
    ("products", "Add products, sums and differences of the strongest columns",
     "Trees approximate interactions by many splits. Offering the interactions of the five columns that correlate most "
     "with the target as columns of their own saves those splits."),
    ("text_topics", "Add topics of the texts",
     "A decomposition of the TF-IDF weights gives the trees twenty smooth directions of the vocabulary."),
)  # fmt: skip


def _more_features(card: TaskCard) -> list[Move]:
    found = []
    for name, title, reason in _EXTRA_FEATURES:
        suits = len(design.numbers(card)) >= 3 if name == "products" else bool(design.of_kind(card, "text"))
        if suits:
            found.append(Move(("FEATURES",), title, reason, _adder("FEATURES", name)))
    return found


_LEAVE_OUT = "Leave out the features"


def _fewer_features(card: TaskCard, program: Program) -> list[Move]:
    """Leaving out the blocks that the ablation found harmful, or that the plan of the card names."""
    found = re.search(rf"{_LEAVE_OUT} ((?:`\w+`(?:, | and )?)+)", card.plan)
    told = re.findall(r"`(\w+)`", found[1]) if found else words.harmful(card)
    blocks = program.listed("FEATURES")
    harmful = [name for name in blocks if name in told]
    kept = [name for name in blocks if name not in told]
    if not harmful or not kept:
        return []
    return [_dropping(harmful, kept)]


def _dropping(names: list[str], kept: list[str]) -> Move:
    return Move(
        ("FEATURES",),
        f"{_LEAVE_OUT} {words.listing([f'`{name}`' for name in names])}",
        "The ablation shows a better score without them: what they add is noise to the models, and columns "
        "that crowd out the others.",
        lambda card, program: f"FEATURES = [{', '.join(kept)}]",
    )


def is_dropping(move: Move) -> bool:
    return move.title.startswith(_LEAVE_OUT)


def _adder(block: str, name: str) -> Callable[[TaskCard, Program], str]:
    return lambda card, program: _extended(card, program, block, [name])


def _extended(card: TaskCard, program: Program, block: str, names: list[str]) -> str:
    """The list `block` with these library parts in it, after the definitions that the script lacks."""
    listed = program.listed(block)
    fresh = [name for name in names if name not in program]
    if not fresh:
        return ""
    line = Part(block, f"{block} = [{', '.join([*listed, *fresh])}]", program[block].section)
    given = [*program.parts, *design.constants(card)]
    lists = [part for part in given if part.name != block]
    whole = compose("", card.problem, design.variants(card), [line, *lists])
    added = [part for part in whole.closure(fresh) if part.name not in program]
    return with_imports(program, [*added, line])


def _scales(card: TaskCard) -> list[Move]:
    if card.problem != "regression":
        return []
    target, scales = card.profile.target, []
    if (target.minimum or -1) >= 0:
        scales += [("roots", "square root"), ("logs", "logarithm")]
    if abs(target.skew or 0) > 1:
        scales.append(("ranks", "rank"))
    return [
        Move(
            ("encode", "decode"),
            f"Learn the {what} of the target",
            "The target has a long tail, so that a few large values dominate the squared errors of the models. On the "
            "new scale their noise is more even. Predictions go back to the target's own scale before they are scored.",
            _scaler(variant),
        )
        for variant, what in scales
    ]


def _scaler(variant: str) -> Callable[[TaskCard, Program], str]:
    def write(card: TaskCard, program: Program) -> str:
        pair, known = [cut(card.problem, name, variant) for name in ("encode", "decode")], library(card.problem)
        lacking = [known[name] for name in sorted(pair[0].uses & known.keys()) if name not in program]
        return with_imports(program, [*lacking, *pair])

    return write
