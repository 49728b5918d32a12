"""The one place that decides which attempt is better.

The search follows the estimate, not a test of it: a change that pays on average is worth taking long before it can be
proven (`benchmarks selection`). What is claimed of a step is tested instead, in `Comparison`.
"""

from collections.abc import Iterable

from machine_learning_engineering.shared_libraries.records import Attempt, Comparison, Metric

BEHIND = 3.0  # paired standard errors at which a script is not worth its further folds


def adopt(metric: Metric, incumbent: Attempt | None, challenger: Attempt | None) -> bool:
    """Whether the challenger replaces the incumbent: it succeeded and its score is strictly better.

    An incumbent that failed, or is None, loses to every finite score; a challenger that was stopped after its first
    folds wins against no script that was scored on all.
    """
    if challenger is None or (is_stopped(challenger) and _score(incumbent) is not None and not is_stopped(incumbent)):
        return False
    if is_stopped(incumbent) and not is_stopped(challenger):
        return _score(challenger) is not None
    return metric.better(_score(challenger), than=_score(incumbent))


def worth_adopting(comparison: Comparison, adopt_z: float) -> bool:
    """Whether a gain is large enough to act on: more than `adopt_z` paired standard errors, and more than nothing."""
    return comparison.gain > max(adopt_z * comparison.error, 0.0)


def best(attempts: Iterable[Attempt], metric: Metric) -> Attempt | None:
    """The successful attempt with the best score, the oldest of equals; None if none has a score."""
    return next(iter(ranked(attempts, metric)), None)


def ranked(attempts: Iterable[Attempt], metric: Metric) -> list[Attempt]:
    """The successful attempts that have a score, best first, equals in their given order, stopped ones last."""
    scored = [(score, attempt) for attempt in attempts if (score := _score(attempt)) is not None]
    scored = [pair for pair in scored if metric.better(pair[0], than=None)]  # leaves out what is not finite
    sign = -1 if metric.maximize else 1
    return [one for _, one in sorted(scored, key=lambda pair: (is_stopped(pair[1]), sign * pair[0]))]


def why_stop(comparison: Comparison) -> str | None:
    """Why a script need not run on its further folds, given how it compares on the first; None where it should."""
    if comparison.gain >= -BEHIND * comparison.error:
        return None
    return f"clearly behind: {comparison}"


def is_stopped(attempt: Attempt | None) -> bool:
    """Whether an attempt was scored on its first folds alone."""
    return attempt is not None and attempt.score is not None and attempt.score.stopped is not None


def _score(attempt: Attempt | None) -> float | None:
    return attempt.value if attempt is not None and attempt.succeeded else None
