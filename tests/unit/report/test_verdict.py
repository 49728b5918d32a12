"""Whether a run's winner is better than the same answer for every row, in words."""

from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.entries import Guessed, Importance
from machine_learning_engineering.shared_libraries.monitoring.ending import Ending
from machine_learning_engineering.shared_libraries.records import ColumnImportance, Comparison, Metric
from machine_learning_engineering.shared_libraries.report.plots import _labelled
from machine_learning_engineering.shared_libraries.report.story import tell
from machine_learning_engineering.shared_libraries.report.verdict import against_guess, leans_on
from machine_learning_engineering.shared_libraries.tasks.metrics import METRICS
from tests.unit.report.journals import Diary


def said(tmp_path: Path, metric: Metric, what: str, value: float, gain: float, error: float, ordinal: int = 0) -> str:
    diary = Diary(tmp_path)
    diary.begin(100)
    diary.ran(101, "init_code_1_1")
    diary.scored(102, "init_code_1_1", 0.5)
    diary.published(103, "init_code_1_1", 0.5)
    comparison = Comparison(gain=gain, error=error, rows=100)
    diary.entries.append(
        Guessed(at=104, slot="init_code_1_1", ordinal=ordinal, what=what, value=value, comparison=comparison)
    )
    return against_guess(tell(diary.folder, diary.entries, metric))


@pytest.mark.parametrize(
    ("metric", "what", "value", "gain", "error", "sentence"),
    [
        ("rmse", "the mean", 240.0, 160.0, 9.0, "always answering the mean gets 240 there: this is 67% less"),
        ("accuracy", "'no'", 0.9, 0.0, 0.0, "always answering 'no' gets 0.9 there: this is no better"),
        ("accuracy", "'no'", 0.9, -0.1, 0.01, "always answering 'no' gets 0.9 there: this is no better"),
        ("accuracy", "'no'", 0.9, 0.01, 0.02, "it is not sure that this is better (+0.010 ± 0.039 on 100 rows, within"),
        ("auc", "the shares of the classes", 0.5, 0.4, 0.01, "gets 0.5 there: this is 80% of the way from there to 1"),
        ("r2", "the mean", 0.0, 0.25, 0.01, "this is 25% of the way from there to 1, which is perfect"),
    ],
)
def test_a_winner_is_held_against_a_guess(
    tmp_path: Path, metric: str, what: str, value: float, gain: float, error: float, sentence: str
) -> None:
    assert sentence in said(tmp_path, METRICS[metric], what, value, gain, error)


def test_a_metric_without_a_perfect_score_has_no_share(tmp_path: Path) -> None:
    own = Metric(name="profit", title="profit", maximize=True, predicts="value")
    assert said(tmp_path, METRICS["rmse"], "the mean", 0.0, 0.0, 0.0).endswith("no better")
    assert said(tmp_path / "own", own, "the mean", 3.0, 1.0, 0.1) == "always answering the mean gets 3 there"


def test_what_was_held_against_another_script_is_not_told(tmp_path: Path) -> None:
    assert said(tmp_path, METRICS["rmse"], "the mean", 240.0, 160.0, 9.0, ordinal=1) == ""


def test_the_terminal_tells_it_after_the_score(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    diary.begin(100)
    diary.ran(101, "init_code_1_1")
    diary.scored(102, "init_code_1_1", 0.5)
    diary.published(103, "init_code_1_1", 0.5)
    comparison = Comparison(gain=1.5, error=0.1, rows=100)
    guessed = Guessed(at=104, slot="init_code_1_1", ordinal=0, what="the median", value=2.0, comparison=comparison)
    diary.entries.append(guessed)
    told = [*Ending(tell(diary.folder, diary.entries, METRICS["rmse"])).sentences()]
    assert told[1] == "always answering the median gets 2 there: this is 75% less"


@pytest.mark.parametrize(
    ("gains", "sentence"),
    [
        ({"a": 3.0}, "the winner leans most on a (3 worse with its cells shuffled), and for sure on no other column"),
        ({"b": 12.3456, "a": 3.0}, "the winner leans most on b (12.3 worse with its cells shuffled), then on a (3)"),
        (dict(zip("abcdef", range(9, 3, -1), strict=True)), "then on b (8), c (7), d (6) and 2 more"),
        ({"a": 0.5, "b": -3.0}, "no single column makes the winner better for sure, on 100 rows"),
        ({}, ""),
    ],
)
def test_the_columns_that_matter_for_sure_are_named(tmp_path: Path, gains: dict[str, float], sentence: str) -> None:
    diary = Diary(tmp_path)
    diary.begin(100)
    diary.ran(101, "init_code_1_1")
    diary.scored(102, "init_code_1_1", 0.5)
    diary.published(103, "init_code_1_1", 0.5)
    found = tuple(
        ColumnImportance(column=name, comparison=Comparison(gain=gain, error=1.0, rows=100))
        for name, gain in gains.items()
    )
    diary.entries.append(Importance(at=104, slot="init_code_1_1", ordinal=0, columns=found))
    assert leans_on(tell(diary.folder, diary.entries, METRICS["rmse"])).endswith(sentence)
    assert (leans_on(tell(diary.folder, diary.entries, METRICS["rmse"])) == "") is (sentence == "")


def test_names_that_cannot_be_shown_are_made_so_and_kept_apart() -> None:
    long = "measured_at_the_second_visit_of_the_patient_" * 2
    shown = [label for _, label in _labelled([(3.0, "bad\x1b[31m"), (2.0, f"{long}a" * 2), (1.0, f"{long}a" * 2)])]
    assert shown[0] == "bad\ufffd[31m"
    assert len({*shown}) == 3
    assert max(map(len, shown)) < 50
