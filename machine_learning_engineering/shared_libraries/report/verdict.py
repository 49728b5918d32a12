"""What is said of the winner of a run, in sentences that terminal, chat and report share: whether it is better than a
guess, and which columns it leans on.
"""

import math

from machine_learning_engineering.shared_libraries.entries import Guessed
from machine_learning_engineering.shared_libraries.monitoring.words import figure, name_of
from machine_learning_engineering.shared_libraries.records import Metric
from machine_learning_engineering.shared_libraries.report.story import Story
from machine_learning_engineering.shared_libraries.tasks.metrics import bounds

_MOST_COLUMNS = 4  # that a sentence names


def verdict(story: Story) -> tuple[str, ...]:
    """All that is known of the winner beside its score, a sentence each."""
    return tuple(filter(None, (against_guess(story), leans_on(story))))


def against_guess(story: Story) -> str:
    """How the winner compares with the best answer that is the same for every row; empty where that is not known."""
    guess = story.guess
    if guess is None:
        return ""
    told = f"always answering {guess.what} gets {figure(guess.value)}"
    if guess.comparison.gain <= 0:
        return f"{told} there: this is no better"
    if not guess.comparison.is_real:
        return f"{told} there: it is not sure that this is better ({guess.comparison})"
    return f"{told} there{_share(guess, story.metric)}"


def leans_on(story: Story) -> str:
    """The columns that matter most to the winner; empty where that was not measured."""
    if story.importance is None or not story.importance.columns:
        return ""
    rows = story.importance.columns[0].comparison.rows
    real = [one for one in story.importance.columns if one.comparison.gain > 0 and one.comparison.is_real]
    if not real:
        return f"no single column makes the winner better for sure, on {rows:,} rows"
    first, *others = real[:_MOST_COLUMNS]
    worse = f"{figure(first.comparison.gain, 3)} worse with its cells shuffled"
    told = f"the winner leans most on {name_of(first.column)} ({worse})"
    if not others:
        return f"{told}, and for sure on no other column"
    then = ", ".join(f"{name_of(one.column)} ({figure(one.comparison.gain, 3)})" for one in others)
    more = f" and {len(real) - _MOST_COLUMNS} more" if len(real) > _MOST_COLUMNS else ""
    return f"{told}, then on {then}{more}"


def _share(guess: Guessed, metric: Metric) -> str:
    """How much of the way from the guess to a perfect score is gone; empty where there is no such score."""
    least, most = bounds(metric)
    perfect = most if metric.maximize else least
    if math.isinf(perfect) or not (whole := abs(perfect - guess.value)):
        return ""
    share = guess.comparison.gain / whole
    if perfect == 0:
        return f": this is {share:.0%} less"
    return f": this is {share:.0%} of the way from there to {perfect:g}, which is perfect"
