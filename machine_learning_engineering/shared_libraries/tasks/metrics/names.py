"""Which metric people mean: by name, however it is spelt, or in a description."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import ValidationError

from machine_learning_engineering.shared_libraries.errors import ConfigError
from machine_learning_engineering.shared_libraries.records import Metric, Problem
from machine_learning_engineering.shared_libraries.tasks.metrics.table import METRICS, ROWS, metric_of

Direction = Literal["maximize", "minimize"]


def find_metric(name: str, direction: Direction | None = None) -> Metric:
    """The metric of a name, however it is spelt. Raises: ConfigError for an unknown name or a wrong direction.

    `map@k`, `ndcg@k` and `pinball@q` take a number: `map@5`, `MAP5`, `pinball@0.9`.
    """
    metric = _named(name)
    if direction is not None and (direction == "maximize") != metric.maximize:
        raise ConfigError(
            f"{metric.name} is to be {'maximized' if metric.maximize else 'minimized'}, not {direction}d."
        )
    return metric


def _named(name: str) -> Metric:
    known = {_plain(alias): key for key in ROWS for alias in _aliases(key)}
    if found := known.get(_plain(name)):
        return metric_of(found)
    stem, number = re.fullmatch(r"(.*?)[\s@_:(=]*(\d*\.?\d*)[\s)]*", name, re.DOTALL).groups()  # type: ignore[union-attr]
    key = known.get(re.sub(r"at$", "", _plain(stem))) or known.get(_plain(stem))
    if key is None or not number or ROWS[key].default is None:
        near = get_close_matches(_plain(name), known, n=1)
        hint = f" Did you mean {metric_of(known[near[0]]).name}?" if near else ""
        raise ConfigError(
            f"there is no metric {name!r}.{hint} Known: {', '.join(METRICS)}. One of your own is written as "
            "module:function."
        )
    return metric_of(key, _checked(key, float(number)))


def _checked(key: str, number: float) -> float:
    if key == "pinball" and not 0 < number < 1:
        raise ConfigError(f"pinball@q needs a quantile between 0 and 1, not {number:g}; for example pinball@0.9.")
    if key != "pinball" and (number < 1 or number != int(number)):
        raise ConfigError(f"{key}@k needs a whole number of labels, not {number:g}; for example {key}@5.")
    return number


def metric_in(text: str) -> Metric | None:
    """The first metric that a description names, the longest of names that overlap, or None.

    Names that are also everyday words or abbreviations count only near a word such as "metric" or "evaluated". Those
    that take a number count only with it.
    """
    words = _words(text)
    found = [
        (match.start(), -len(match[0]), key, match[1])
        for key in ROWS
        for name in {_words(alias.split(" (")[0]) for alias in _aliases(key)}
        for match in _mentions(name, key, words)
        if name not in _EVERYDAY or _CUE.search(words, max(0, match.start() - _NEAR), match.end() + _NEAR)
    ]
    if not found:
        return None
    _, _, key, number = min(found)
    return metric_of(key, float(number) if number else None)


def recorded_metric(told: Any) -> Metric:
    """The metric as run.json has it: its record, or only its name. Raises: ConfigError for neither."""
    try:
        return Metric.model_validate(told) if isinstance(told, dict) else find_metric(str(told))
    except ValidationError as exc:
        raise ConfigError(f"{told!r} is no metric.") from exc


def default_metric(problem: Problem) -> Metric:
    """What a problem is judged by where nobody said."""
    return METRICS["rmse" if problem == "regression" else "accuracy"]


# "Precision" in a ranking and jargon of other fields: words that alone name no metric.
_EVERYDAY = frozenset((
    "accuracy", "acc", "average precision", "dice", "f1", "gini", "jaccard", "kappa", "kendall", "kl", "levenshtein",
    "mae", "mape", "mcc", "mse", "pearson", "poisson", "r2", "spearman",
))  # fmt: skip
_CUE = re.compile(r"\b(metric|evaluat|scor|judg|measured by|assess|maximi[sz]|minimi[sz]|optimi[sz])")
_NEAR = 80  # characters


def _aliases(key: str) -> tuple[str, ...]:
    row = ROWS[key]
    return key, row.title, *row.aliases


def _mentions(name: str, key: str, words: str) -> Iterator[re.Match[str]]:
    """Where a text names a metric; group 1 is the number of a metric that takes one.

    A mean average precision is that of rankings, and one without a number is another metric of theirs.
    """
    if key in ("map", "ndcg"):
        return re.finditer(rf"\b{name.removesuffix(' at')}(?: at)? ?(\d+)\b", words)
    return re.finditer(rf"\b(?<!mean ){name}\b()" if key == "average_precision" else rf"\b{name}\b()", words)


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
