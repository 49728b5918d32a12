"""From a task card to the parts of a script: which columns are what, which features pay, which models suit the data."""

import json
import math
import re
from collections.abc import Container, Sequence
from dataclasses import replace

from machine_learning_engineering.shared_libraries.models.offline.program import Part, Program, compose, cut, library
from machine_learning_engineering.shared_libraries.records import ColumnProfile
from machine_learning_engineering.shared_libraries.tasks.card import TaskCard
from machine_learning_engineering.shared_libraries.tasks.metrics import METRICS

NUMERIC = ("numeric", "integer", "boolean")


def numbers(card: TaskCard) -> list[str]:
    return [c.name for c in card.profile.columns if c.kind in NUMERIC and c.minimum is not None]


def categories(card: TaskCard) -> list[str]:
    found = [c for c in card.profile.columns if c.kind == "categorical" or (c.kind == "boolean" and c.minimum is None)]
    return [c.name for c in found]


def of_kind(card: TaskCard, kind: str) -> list[str]:
    return [c.name for c in card.profile.columns if c.kind == kind]


def amounts(card: TaskCard) -> list[str]:
    """Columns that look like sizes or counts: never negative, with a long tail; the most skewed six."""
    found = [c for c in card.profile.columns if c.kind in NUMERIC and _long_tail(c)]
    kept = {c.name for c in sorted(found, key=lambda c: -(c.skew or 0))[:6]}
    return [c.name for c in found if c.name in kept]


def _long_tail(column: ColumnProfile) -> bool:
    return column.minimum is not None and column.minimum >= 0 and (column.skew or 0) > 1 and column.unique > 20


def coordinates(card: TaskCard) -> list[str]:
    """Columns whose pairs can be read as a map: numbers with many values, hardly ever missing."""
    many = min(50, card.fit_rows // 20)
    found = [c for c in card.profile.columns if c.kind in ("numeric", "integer") and c.minimum is not None]
    return [c.name for c in found if c.unique >= many and c.missing < 0.05][:40]


def features(card: TaskCard) -> list[str]:
    """The feature blocks that this data calls for."""
    profile = card.profile
    gaps = any(c.missing > 0.01 for c in profile.columns if c.name in set(numbers(card)))
    calls = {
        "numbers": bool(numbers(card)),
        "gaps": gaps,
        "ratios": len(amounts(card)) >= 2,
        "rotations": _has_planes(card),
        "neighbourhoods": _has_planes(card),
        "one_hot": bool(categories(card)),
        "category_counts": any(c.unique > 12 for c in profile.columns if c.name in set(categories(card))),
        "category_means": any(c.unique > 2 for c in profile.columns if c.name in set(categories(card))),
        "dates": bool(of_kind(card, "datetime")),
        "text_shape": bool(of_kind(card, "text")),
        "text_opinion": bool(of_kind(card, "text")),
    }
    return [name for name, called in calls.items() if called]


def _has_planes(card: TaskCard) -> bool:
    return len(coordinates(card)) >= 2 and card.fit_rows >= 200 and len(card.profile.classes) <= 3


# --- Variants ---------------------------------------------------------------------------------------------------------

_IN_PROPORTION = ("rmsle", "mape", "smape")
_LOSSES = {"mae": "distances", "medae": "distances", "mape": "distances", "smape": "distances", "pinball": "quantile"}
# What a script measures itself by where it cannot compute the metric, by what it predicts and whether higher is better.
_STAND_INS = {
    ("value", True): "r2", ("value", False): "rmse", ("label", True): "accuracy", ("label", False): "log_loss",
    ("probability", True): "auc", ("probability", False): "log_loss",
}  # fmt: skip


def judged_by(card: TaskCard) -> str:
    """The metric that a script computes: the card's, or for one of the user's own a usual one of its direction."""
    if ":" in card.metric.name:
        return _STAND_INS[card.metric.predicts, card.metric.maximize]
    return card.metric.name.partition("@")[0]


def variants(card: TaskCard) -> dict[str, str]:
    """Which variant of each part this task needs."""
    chosen = {"score": _score(card), "split": _split(card), "write_submission": _submission(card)}
    if card.problem == "regression":
        scale, loss = _decode(card), _LOSSES.get(judged_by(card), "")
        chosen |= {"encode": scale if scale in ("logs", "scaled") else "", "decode": scale, "loss": loss}
    else:
        chosen |= {"encode": "classes", "signals": "binary" if _two(card) else "classes", "loss": "classes"}
        if len(card.profile.classes) > 5:
            chosen["kernel"] = "vectors"  # the borders between many classes need more kernels than a ridge can afford
        chosen["blend_weights"] = "shrunk"  # the log loss says little about what a model adds to the metric
    mixed = bool(categories(card) or of_kind(card, "text") or of_kind(card, "datetime"))
    return chosen | {"read": "mixed" if mixed else ""}


def _decode(card: TaskCard) -> str:
    """The variant of `decode` that leads back to the scale of a regression target."""
    name, least = judged_by(card), card.profile.target.minimum
    positive = least is not None and least >= 0
    if name == "poisson":
        return "positive"
    if positive and name in _IN_PROPORTION:
        return "logs"
    if _scale(card) != 1:
        return "scaled"
    return "nonnegative" if positive else ""


def _scale(card: TaskCard) -> float:
    """The power of ten that a regression target is counted in: 1 unless 32 bits cannot hold its values or squares."""
    target = card.profile.target
    largest = max(abs(target.minimum or 0), abs(target.maximum or 0))
    return 1.0 if largest == 0 or 1e-15 < largest < 1e15 else float(f"1e{math.floor(math.log10(largest))}")


def _two(card: TaskCard) -> bool:
    return len(card.profile.classes) == 2


def _score(card: TaskCard) -> str:
    """The variant of `score` that computes the metric, or what stands in for it."""
    name = judged_by(card)
    if name in ("auc", "average_precision", "brier", "gini") and not _two(card):
        return f"{name}_multiclass"
    return "" if name == "rmse" else name


def _split(card: TaskCard) -> str:
    if card.time:
        return "time"
    if card.group:
        return "groups"
    rare = min(card.profile.class_counts, default=0) * card.fit_rows / max(card.profile.train_rows, 1) < 6
    return "" if card.problem == "regression" or rare else "classes"


def _submission(card: TaskCard) -> str:
    if card.problem == "regression":
        return ""
    if card.metric.predicts != "probability":
        return "ranking" if card.metric.predicts == "ranking" else "labels"
    return "binary" if _two(card) else "classes"


# --- Models -----------------------------------------------------------------------------------------------------------

TITLES = {
    "lightgbm": "LightGBM", "hist_boosting": "Histogram gradient boosting", "extra_trees": "Extremely randomised trees",
    "random_forest": "Random forest", "linear": "Penalised linear model", "kernel": "Gaussian kernel machine",
    "neighbours": "Nearest neighbours", "network": "Neural network", "words_linear": "TF-IDF with a linear model",
}  # fmt: skip


# However few rows the search sees, the last script is fitted on all of them: from here on only with quick families.
_MANY_ROWS = 200_000


def ranking(card: TaskCard) -> list[str]:
    """Model families for this data, the most promising first; what cannot work here is left out."""
    boosting = "lightgbm" if "lightgbm" in card.packages else "hist_boosting"
    plain = len(numbers(card)) == len(card.profile.columns)
    wide = len(card.profile.columns) > card.fit_rows / 20
    if card.fit_rows > 50_000 or card.profile.train_rows > _MANY_ROWS:
        order = [boosting, "extra_trees", "hist_boosting", "random_forest", "linear"]
    elif plain and (card.fit_rows < 1_000 or wide):
        order = ["kernel", "extra_trees", "network", boosting, "linear", "neighbours", "random_forest", "hist_boosting"]
    else:
        order = [boosting, "extra_trees", "kernel", "network", "linear", "hist_boosting", "random_forest", "neighbours"]
    texts, others = (
        len(of_kind(card, "text")),
        len(numbers(card)) + len(categories(card)) + len(of_kind(card, "datetime")),
    )
    if texts:
        order.insert(0 if others <= 2 * texts else 2, "words_linear")
    return list(dict.fromkeys(order))


def for_solution(card: TaskCard, solution: int, wanted: int) -> list[str]:
    """The families that one of several solutions starts from: each solution leads with other ones."""
    order = ranking(card)
    start = (max(solution, 1) - 1) * wanted % len(order)
    return (order[start:] + order[:start])[:wanted]


Offer = tuple[str, str, bool]  # a family, one of its variants or "", and whether on plain columns alone
MANY = 1_000
_ELABORATE = ("bagged", "tuned", "dense", "squares")
_PLAIN = ("numbers", "one_hot", "category_counts", "dates", "text_shape")


def offers(card: TaskCard, solution: int, wanted: int) -> list[Offer]:
    """What one of several solutions may start from: families first, then their variants, then all on plain columns."""
    names, known = for_solution(card, solution, wanted), library(card.problem)
    names += [name for name in ranking(card) if name not in names]
    shapes = [(name, variants(card).get(name, "")) for name in names]
    shapes += [(name, kind) for kind in _ELABORATE for name in names if f"{name}__{kind}" in known]
    return [(*shape, plain) for plain in (False, True) for shape in shapes][:wanted]


def offer_title(offer: Offer) -> str:
    name, variant, plain = offer
    return TITLES[name] + (f" ({variant})" if variant else "") + (" on plain columns" if plain else "")


def offered_script(card: TaskCard, offer: Offer) -> Program:
    name, variant, plain = offer
    program = script(card, [name], only=_PLAIN if plain else None)
    return program.with_parts(cut(card.problem, name, variant)) if variant else program


# --- Scripts ----------------------------------------------------------------------------------------------------------


def script(card: TaskCard, models: Sequence[str], only: Container[str] | None = None) -> Program:
    """A whole solution with these models on the features that the data call for (`only` these, where it is given)."""
    families = dict.fromkeys(models)
    blocks = [name for name in features(card) if only is None or name in only]
    lists = [
        Part("FEATURES", f"FEATURES = [{', '.join(blocks)}]", "Features"),
        Part("MODELS", f"MODELS = [{', '.join(families)}]", "Models"),
    ]
    program = compose("", card.problem, variants(card), [*constants(card), *lists])
    return titled(card, program.pruned(), models)


def titled(card: TaskCard, program: Program, models: Sequence[str]) -> Program:
    """The program with a docstring that says what it does."""
    names = " + ".join(TITLES.get(name, name) for name in models)
    target = re.sub(r"[^\w .,:()-]", "_", card.target)
    stand_in = f", itself measuring {METRICS[judged_by(card)].title}" if ":" in card.metric.name else ""
    return replace(program, doc=f"{names}: predicts {target}, judged by {card.metric.title}{stand_in}.")


def constants(card: TaskCard) -> list[Part]:
    """The facts of the task as the constants that the library's parts name."""
    columns = {
        "NUMBERS": numbers(card),
        "AMOUNTS": amounts(card),
        "COORDINATES": coordinates(card),
        "CATEGORIES": categories(card),
        "TEXTS": of_kind(card, "text"),
        "DATES": of_kind(card, "datetime"),
    }
    facts = {
        "TARGET": card.target,
        "ID": card.id or "",
        "SPELT": [name for name in (card.id, card.target if card.profile.classes else None) if name],
        "GROUP": card.group or "",
        "TIME": card.time or "",
        "COLUMNS": list(card.submission_columns),
        "CLASSES": list(card.profile.classes),
        **columns,
        "LEVEL": float(card.metric.name.partition("@")[2] or 0),
        "SCALE": _scale(card),
        "ROWS": card.profile.train_rows,
        "SEED": card.seed,
        "THREADS": card.threads,
    }
    return [Part(name, f"{name} = {_literal(name, value)}", "Task") for name, value in facts.items()]


def _literal(name: str, value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if len(name) + len(text) + 3 <= 120 or not isinstance(value, list):
        return text
    return "[\n" + "".join(f"    {json.dumps(item, ensure_ascii=False)},\n" for item in value) + "]"
