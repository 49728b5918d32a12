"""Only real scores are compared, by the metric's direction, and ties keep the older."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine_learning_engineering.shared_libraries.code_util import STAGES
from machine_learning_engineering.shared_libraries.records import (
    Attempt,
    Comparison,
    Execution,
    Metric,
    Outcome,
    Score,
    Slot,
)
from machine_learning_engineering.shared_libraries.scoring.choose import adopt, best, ranked

RMSE = Metric(name="rmse", title="rmse", maximize=False, predicts="value")
R2 = Metric(name="r2", title="r2", maximize=True, predicts="value")


def attempt(value: float | None, outcome: Outcome = "ok", reason: str | None = None) -> Attempt:
    execution = Execution(
        outcome=outcome, returncode=0, stdout="", stderr="", execution_time=0, backend="test", folder=Path("x")
    )
    score = Score(value=value, source="sealed", reason=reason)
    return Attempt(Slot(STAGES["model_eval"], 1, 0, 1), 0, "", execution, score)


@pytest.mark.parametrize("metric", [RMSE, R2])
@pytest.mark.parametrize("loser", [None, attempt(None, "error", "failed"), attempt(None, reason="no file")])
@pytest.mark.parametrize("value", [-5.0, 0.0, 1e12])
def test_a_failure_loses_to_every_score(metric: Metric, loser: Attempt | None, value: float) -> None:
    assert adopt(metric, loser, attempt(value))
    assert not adopt(metric, attempt(value), loser)


def test_a_failed_script_loses_whatever_its_score_says() -> None:
    assert not adopt(RMSE, attempt(5.0), attempt(0.0, "timeout"))


def test_the_metric_gives_the_direction() -> None:
    assert adopt(RMSE, attempt(2.0), attempt(1.0))
    assert adopt(R2, attempt(1.0), attempt(2.0))


def test_ties_keep_the_older() -> None:
    older, newer = attempt(1.0), attempt(1.0)
    assert not adopt(RMSE, older, newer)
    assert best([older, newer], RMSE) is older
    assert ranked([older, newer], RMSE)[0] is older


def test_no_score_means_no_best() -> None:
    assert best([attempt(None, "error", "failed")], RMSE) is None
    assert ranked([attempt(None, "error", "failed")], RMSE) == []


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))), st.booleans())
def test_the_best_is_the_first_ranked(values: list[float | None], maximize: bool) -> None:
    metric = R2 if maximize else RMSE
    attempts = [attempt(value) for value in values]
    order = ranked(attempts, metric)
    assert best(attempts, metric) is (order[0] if order else None)
    assert len(order) == sum(value is not None for value in values)


@pytest.mark.parametrize(
    ("gain", "error", "told"),
    [
        (893.9, 230.0, "+894 ± 451 on 9 rows, real"),
        (0.01234, 0.01, "+0.012 ± 0.020 on 9 rows, within noise"),
        (-2.5, 0.5, "-2.50 ± 0.98 on 9 rows, real"),
        (0.0, 0.0, "+0 ± 0 on 9 rows, within noise"),
    ],
)
def test_a_comparison_is_told_to_its_noise(gain: float, error: float, told: str) -> None:
    assert str(Comparison(gain=gain, error=error, rows=9)) == told
