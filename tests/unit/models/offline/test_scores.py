"""The figure that a script prints is the one that the library computes, for every metric that it knows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from machine_learning_engineering.shared_libraries.models.offline import design
from machine_learning_engineering.shared_libraries.tasks.card import TaskCard
from machine_learning_engineering.shared_libraries.tasks.metrics import METRICS, compute

from .conftest import AUC, LOG_LOSS, RMSE, card

CASES = [
    (name, problem)
    for name, metric in METRICS.items()
    for problem in (["regression"] if metric.predicts == "value" else ["binary", "multiclass"])
    if (name, problem) != ("f1", "multiclass")  # it is the F1 score of one of two classes
]


def card_for(name: str, problem: str, labels: tuple[str, ...]) -> TaskCard:
    base = card("candidate", {"regression": RMSE, "binary": AUC, "multiclass": LOG_LOSS}[problem])
    profile = base.profile.model_copy(update={"classes": labels})
    return base.model_copy(update={"metric": METRICS[name], "profile": profile})


def score_of(asked: TaskCard, y: Any, prediction: Any) -> float:
    """What the `score` of a script for this card says."""
    script: dict[str, Any] = {"__name__": "script"}
    exec(design.script(asked, ["linear"]).render(), script)  # our own text
    return float(script["score"](script["encode"](y), prediction))


@pytest.mark.parametrize(("name", "problem"), CASES)
def test_a_script_prints_the_right_figure(name: str, problem: str) -> None:
    draw = np.random.default_rng(5)
    labels = {"regression": (), "binary": ("no", "yes"), "multiclass": ("10", "2", "9")}[problem]
    asked = card_for(name, problem, labels)
    if problem == "regression":
        truth = draw.gamma(3, 2, 50)
        guess = truth * draw.lognormal(0, 0.3, 50)
        given, judged = np.log1p(guess) if design.variants(asked)["encode"] == "logs" else guess, guess
    else:
        truth = draw.choice(labels, 50)
        given = draw.dirichlet([1.0] * len(labels), 50)
        judged = np.array(labels)[given.argmax(axis=1)] if METRICS[name].predicts == "label" else given
        judged = judged[:, 1] if METRICS[name].predicts == "probability" and problem == "binary" else judged
    frame = pd.DataFrame({asked.target: truth})
    assert score_of(asked, frame, given) == pytest.approx(compute(METRICS[name], truth, judged, labels))
