"""The figure that a script prints is the one that the library computes, for every metric that it knows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from machine_learning_engineering.shared_libraries.models.offline import design
from machine_learning_engineering.shared_libraries.records import Metric
from machine_learning_engineering.shared_libraries.tasks.card import TaskCard
from machine_learning_engineering.shared_libraries.tasks.metrics import METRICS, compute
from machine_learning_engineering.shared_libraries.tasks.metrics.table import row_of

from .conftest import AUC, LOG_LOSS, RMSE, card

CASES = [
    (name, problem)
    for name, metric in METRICS.items()
    if not row_of(metric).outside
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
        if METRICS[name].predicts == "ranking":
            judged = np.array([" ".join(row) for row in np.array(labels)[(-given).argsort(axis=1)]])
        judged = judged[:, 1] if METRICS[name].predicts == "probability" and problem == "binary" else judged
    frame = pd.DataFrame({asked.target: truth})
    assert score_of(asked, frame, given) == pytest.approx(compute(METRICS[name], truth, judged, labels))


@pytest.mark.parametrize(
    ("predicts", "maximize", "stand_in"),
    [("value", True, "R2"), ("value", False, "root mean squared error"), ("probability", True, "area under")],
)
def test_for_a_metric_of_the_users_own_a_script_measures_itself_by_one_of_its_direction(
    predicts: Any, maximize: bool, stand_in: str
) -> None:
    own = Metric(name="mine:gain", title="gain", maximize=maximize, predicts=predicts)
    base = card("candidate", RMSE if predicts == "value" else AUC)
    script = design.script(base.model_copy(update={"metric": own}), ["linear"]).render()
    assert "judged by gain, itself measuring" in script
    assert stand_in in script.splitlines()[0]
