"""Scores come from hidden labels; what a script prints is only reported."""

from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import ScoreNotFound
from machine_learning_engineering.shared_libraries.records import FINAL, SEARCH, Execution, Outcome, Task
from machine_learning_engineering.shared_libraries.scoring.score import parse_score, score
from machine_learning_engineering.shared_libraries.scoring.views import held_out

CONFIG = RunConfig()


@pytest.mark.parametrize(
    ("output", "figure"),
    [
        ("Final Validation Performance: 0.25", 0.25),
        ("Final Validation Performance: 1\nFinal Validation Performance: 2\nbye", 2.0),
        ("Final Validation Performance = -1.5e-3", -0.0015),
        ("Final Validation Performance (RMSE): 0.25 +/- 0.01", 0.25),
        ("Final Validation Performance: 0.25 (RMSE)", 0.25),
        ("Final Validation Performance: RMSE: 0.25.", 0.25),
        ("Final Validation Performance (fold 5): 0.25", 0.25),
        ("Final Validation Performance R2 0.25", 0.25),
        ("Final Validation Performance: 85.5%", 0.855),
        ("Final Validation Performance: 68,250.5", 68250.5),
        ("Final Validation Performance: .5", 0.5),
        ("Final Validation Performance: 3\nFinal Validation Performance: nan", 3.0),
        ("[I] Final Validation Performance: 3", 3.0),
    ],
)
def test_the_last_finite_figure_counts(output: str, figure: float) -> None:
    assert parse_score(output) == pytest.approx(figure, rel=1e-12)


@pytest.mark.parametrize(
    "output", ["", "0.5", "Final Validation Performance:", "Final Validation Performance: nan\n5", "Performance: 1"]
)
def test_no_figure_is_an_error(output: str) -> None:
    with pytest.raises(ScoreNotFound):
        parse_score(output)


def execution(folder: Path, outcome: Outcome = "ok", stdout: str = "") -> Execution:
    return Execution(
        outcome=outcome, returncode=0, stdout=stdout, stderr="", execution_time=1, backend="test", folder=folder
    )


def submit(task: Task, folder: Path, shift: float) -> None:
    held = held_out(task, SEARCH, CONFIG)
    assert held is not None
    (folder / "final").mkdir()
    rows = [f"{one},{float(label) + shift}" for one, label in zip(held.expected.ids or (), held.labels, strict=True)]
    (folder / "final" / "submission.csv").write_text("\n".join(["id,y", *reversed(rows)]))


def test_the_score_is_taken_on_hidden_labels_whatever_is_printed(task: Task, tmp_path: Path) -> None:
    submit(task, tmp_path, shift=2.0)
    printed = execution(tmp_path, stdout="Final Validation Performance: 0.0")
    verdict = score(task, [SEARCH], [printed], CONFIG, enforced=False)
    assert verdict.value == pytest.approx(2.0)
    assert (verdict.reported, verdict.rows, verdict.source) == (0.0, 12, "sealed_unenforced")


def test_only_an_enforcing_sandbox_gives_sealed_scores(task: Task, tmp_path: Path) -> None:
    submit(task, tmp_path, shift=1.0)
    assert score(task, [SEARCH], [execution(tmp_path)], CONFIG, enforced=True).source == "sealed"


def test_a_failed_script_has_no_score_even_with_a_submission(task: Task, tmp_path: Path) -> None:
    submit(task, tmp_path, shift=0.0)
    verdict = score(task, [SEARCH], [execution(tmp_path, "timeout")], CONFIG, enforced=True)
    assert verdict.value is None
    assert verdict.reason == "The script was ended after 1 seconds; make it faster."


def test_a_missing_submission_is_a_reason(task: Task, tmp_path: Path) -> None:
    verdict = score(task, [SEARCH], [execution(tmp_path)], CONFIG, enforced=True)
    assert verdict.value is None
    assert "did not write ./final/submission.csv" in (verdict.reason or "")


def test_the_final_view_is_checked_and_not_scored(task: Task, tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    (tmp_path / "final" / "submission.csv").write_text("id,y\n" + "".join(f"0{i},1\n" for i in range(10)))
    verdict = score(task, [FINAL], [execution(tmp_path)], CONFIG, enforced=True)
    assert (verdict.value, verdict.reason, verdict.rows) == (None, None, 10)
