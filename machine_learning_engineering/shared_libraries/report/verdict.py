"""Whether the winner of a run is better than a guess, in a sentence that the terminal and the report share."""

import math

from machine_learning_engineering.shared_libraries.entries import Guessed
from machine_learning_engineering.shared_libraries.monitoring.words import figure
from machine_learning_engineering.shared_libraries.records import Metric
from machine_learning_engineering.shared_libraries.report.story import Story
from machine_learning_engineering.shared_libraries.tasks.metrics import bounds


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
