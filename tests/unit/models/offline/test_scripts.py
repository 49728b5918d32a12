"""The scripts of the offline model, run as a person would run them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from machine_learning_engineering.shared_libraries.models.offline import design
from machine_learning_engineering.shared_libraries.records import Metric

from .conftest import AUC, LOG_LOSS, RMSE, Runner, card, script


def every_family(metric: Metric) -> str:
    base = card("candidate", metric)
    return design.script(base, design.ranking(base)).render()


@pytest.mark.parametrize("metric", [RMSE, AUC, LOG_LOSS], ids=lambda metric: metric.name)
def test_every_family_runs_without_a_warning_and_predicts_every_row(run: Runner, metric: Metric) -> None:
    done, folder = run(every_family(metric), metric)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Final Validation Performance: " in done.stdout
    submission = pd.read_csv(folder / "final" / "submission.csv")
    assert list(submission) == list(card("candidate", metric).submission_columns)
    assert np.isfinite(submission.iloc[:, 1:].to_numpy()).all()
    assert submission["key"].tolist() == list(range(60))


def test_an_ablation_names_a_figure_for_each_component_and_writes_no_submission(run: Runner) -> None:
    done, folder = run(script("ablation", script("candidate")), RMSE)
    assert done.stderr == ""
    assert "Ablation Performance [baseline]: " in done.stdout
    assert done.stdout.count("Ablation Performance [") >= 3
    assert not (folder / "final").exists()


def test_class_probabilities_of_a_row_sum_to_one(run: Runner) -> None:
    done, folder = run(script("candidate", metric=LOG_LOSS), LOG_LOSS)
    assert done.returncode == 0
    submission = pd.read_csv(folder / "final" / "submission.csv", index_col="key")
    np.testing.assert_allclose(submission.sum(axis=1), 1, atol=1e-6)


def test_a_leave_one_out_answer_of_the_kernel_machine_hardly_knows_the_row_s_own_target() -> None:
    names: dict[str, Any] = {"__name__": "script"}
    exec(design.script(card("candidate"), ["kernel"]).render(), names)  # our own text
    rows = np.random.default_rng(0).normal(size=(80, 2))
    target = np.sin(rows[:, :1])

    def answers() -> tuple[float, float]:
        left_out, predicted = names["kernel_ridge"](rows, target, rows, widths=(1.0,), centres=40)
        return left_out[0, 0], predicted[0, 0]

    before = answers()
    target[0] += 1
    moved = np.abs(np.subtract(answers(), before))
    assert moved[0] < 0.03 < moved[1]
