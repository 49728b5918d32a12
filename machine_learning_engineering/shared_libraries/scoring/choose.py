"""The one place that decides which attempt is better."""

from collections.abc import Iterable

from machine_learning_engineering.shared_libraries.records import Attempt, Metric


def adopt(metric: Metric, incumbent: Attempt | None, challenger: Attempt | None) -> bool:
    """Whether the challenger replaces the incumbent: it succeeded and its score is strictly better.

    An incumbent that failed, or is None, loses to every finite score.
    """
    return metric.better(_score(challenger), than=_score(incumbent))


def best(attempts: Iterable[Attempt], metric: Metric) -> Attempt | None:
    """The successful attempt with the best score, the oldest of equals; None if none has a score."""
    chosen: Attempt | None = None
    for attempt in attempts:
        if adopt(metric, chosen, attempt):
            chosen = attempt
    return chosen


def ranked(attempts: Iterable[Attempt], metric: Metric) -> list[Attempt]:
    """The successful attempts that have a score, best first, equals in their given order."""
    scored = [(score, attempt) for attempt in attempts if (score := _score(attempt)) is not None]
    scored = [pair for pair in scored if metric.better(pair[0], than=None)]  # leaves out what is not finite
    sign = -1 if metric.maximize else 1
    return [attempt for _, attempt in sorted(scored, key=lambda pair: sign * pair[0])]


def _score(attempt: Attempt | None) -> float | None:
    return attempt.value if attempt is not None and attempt.succeeded else None
