"""What the offline model says in sentences: summaries, plans, and what it reads in a script's output."""

import re

from machine_learning_engineering.shared_libraries.models.offline.program import cut
from machine_learning_engineering.shared_libraries.replies import parse_ablation
from machine_learning_engineering.shared_libraries.tasks.card import TaskCard

REWRITE = (
    "Rewrite the solution on the recipe library's features and models. Fit every model on the same folds. "
    "Weigh the models by greedy selection on their out-of-fold predictions, so that each one counts for what it adds."
)

ENSEMBLE_PLANS = (
    "Run the models of all solutions in one program, on the same folds. Choose the weights by greedy selection with "
    "replacement on the out-of-fold predictions, so that a model counts for what it adds to the others. Refit every "
    "model on all training rows and average the test predictions with these weights.",
    "Run the models of all solutions in one program, on the same folds. Draw the greedy weights half-way towards "
    "equal ones: with so many similar models, greedy weights alone fit the noise of the validation rows.",
    "Run the models of all solutions in one program and average their predictions with equal weights. Nothing is "
    "chosen on the validation rows, so nothing can be overfitted to them.",
    "Run the models of all solutions in one program, on the same folds. Stack them: fit the target by a regression on "
    "their out-of-fold predictions, with no weight below zero, and apply it to their test predictions.",
)

_NUMBER = r"([-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)"
_WHOLE = re.compile(rf"With every component .+? is {_NUMBER}")
_EFFECT = re.compile(rf"Without `(\w+)` it is {_NUMBER} (worse|better)")


def listing(items: list[str]) -> str:
    """`a, b and c`."""
    return " and ".join([*([", ".join(items[:-1])] if items[1:] else []), *items[-1:]])


def ensemble_plans(card: TaskCard) -> tuple[str, ...]:
    """The ways to weigh the models, the most promising first: classes do not begin with greedy weights."""
    greedy, shrunk, equal, stacked = ENSEMBLE_PLANS
    return ENSEMBLE_PLANS if card.problem == "regression" else (shrunk, equal, greedy, stacked)


def weights_of(plan: str) -> str | None:
    """The variant of the blend weights that an ensemble plan asks for; None where it asks for none."""
    if "stack" in plan.lower():
        return "stacked"
    if "half-way" in plan or "shrink" in plan.lower():
        return "shrunk"
    if "equal weights" in plan or "simple average" in plan.lower():
        return "equal"
    return "" if "greedy" in plan.lower() else None


def summary(card: TaskCard) -> str:
    """The task in a paragraph."""
    profile = card.profile
    kinds = [column.kind for column in profile.columns]
    counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    gaps = sum(column.missing > 0 for column in profile.columns)
    lines = [
        f"{card.task_type}: predict {card.target!r} from {len(kinds)} columns ({counted}).",
        f"There are {profile.train_rows:,} training rows.",
        f"The metric is {card.metric.title}; {'higher' if card.metric.maximize else 'lower'} is better.",
        f"{gaps} columns have missing cells." if gaps else "No cell is missing.",
    ]
    if profile.classes:
        shares = ", ".join(f"{c} {n:,}" for c, n in list(zip(profile.classes, profile.class_counts, strict=False))[:6])
        lines.append(f"There are {len(profile.classes)} classes ({shares}).")
    elif profile.target.skew is not None:
        lines.append(
            f"The target ranges from {profile.target.minimum:g} to {profile.target.maximum:g}, "
            f"skewness {profile.target.skew:.1f}."
        )
    return " ".join(lines)


def description(card: TaskCard, name: str, variant: str = "") -> str:
    """What a model of the library does, and why it suits this data."""
    text = cut(card.problem, name, variant).text
    return text.split('"""')[1] + f" Suits {card.fit_rows:,} rows and {len(card.profile.columns)} columns."


def _figures(card: TaskCard) -> dict[str, float]:
    return parse_ablation(card.output) or parse_ablation("\n".join(card.notes[-1:]))


def losses(card: TaskCard) -> dict[str, float]:
    """How much worse the metric gets without each component, the most important first; from figures or sentences."""
    figures = _figures(card)
    if "baseline" in figures:
        effect = {n: card.metric.gain(figures["baseline"], f) for n, f in figures.items() if n != "baseline"}
    else:
        told = _EFFECT.findall(card.output)
        effect = {name: float(size) * (-1 if how == "better" else 1) for name, size, how in told}
    return dict(sorted(effect.items(), key=lambda item: -item[1]))


def harmful(card: TaskCard) -> list[str]:
    """The components without which the metric is clearly better: by 2% of what it lacks to perfection."""
    whole = _WHOLE.findall(card.output)
    baseline = _figures(card).get("baseline", float(whole[0]) if whole else None)
    if baseline is None:
        return []
    room = 1 - baseline if card.metric.maximize else baseline
    return [name for name, loss in losses(card).items() if loss < 0 and -loss > 0.02 * abs(room)]


def important(card: TaskCard) -> list[str]:
    """The components of the latest ablation, the most important first."""
    return list(losses(card)) or list(dict.fromkeys(re.findall(r"Without `(\w+)`", card.output)))


def effects(card: TaskCard) -> str:
    """What the ablation's output says, in sentences."""
    effect = losses(card)
    if not effect:
        return "The ablation printed no figures for components, so it gives no reason to prefer one part of the script."
    baseline = _figures(card).get("baseline")
    lines = [] if baseline is None else [f"With every component {card.metric.title} is {baseline:.6g}."]
    for name, loss in effect.items():
        how = "worse" if loss > 0 else "better" if loss < 0 else "no different"
        lines.append(f"Without `{name}` it is {f'{abs(loss):.4g} ' if loss else ''}{how}.")
    first, loss = next(iter(effect.items()))
    lines.append(f"`{first}` matters most." if loss > 0 else "No component makes it better.")
    return " ".join(lines)


def bug(card: TaskCard) -> str:
    """The essence of an error: the last location in the script and the last line of the traceback."""
    if card.missing_module:
        return f"The module {card.missing_module!r} is not installed."
    lines = [line.strip() for line in card.output.splitlines() if line.strip()]
    places = [line for line in lines if line.startswith("File ")]
    return "\n".join([*places[-1:], *lines[-1:]]) or "The script failed without saying why."
