"""What is said of a time limit once a run has ended."""

from pathlib import Path
from typing import Any

import pytest

from machine_learning_engineering.shared_libraries.entries import Decision, RunEnded
from machine_learning_engineering.shared_libraries.monitoring.budget import kept
from machine_learning_engineering.shared_libraries.report.story import tell
from tests.unit.report.journals import RMSE, Diary

ASKED = {"minutes": 1, "outer_loop_round": 1}


def told(folder: Path, seconds: float, *left_out: str, ended: bool = True, **config: Any) -> tuple[str, ...]:
    diary = Diary(folder)
    diary.begin(100, **(config or ASKED))
    diary.entries += [Decision(at=101, what=f"budget:{one}", chosen=False, why="") for one in left_out]
    diary.ran(100 + seconds, "init_code_1_1")
    if ended:
        diary.entries.append(RunEnded(at=100 + seconds, status="finished"))
    return kept(tell(diary.folder, diary.entries, RMSE))


def test_a_run_that_was_done_early_says_how_to_use_the_time(tmp_path: Path) -> None:
    said = "Done with all that was asked for after 0:20 of 1:00; --rounds 2 asks for more."
    assert told(tmp_path, 20) == (said,)


@pytest.mark.parametrize("seconds", [31, 60])
def test_a_run_that_used_its_time_says_nothing(tmp_path: Path, seconds: float) -> None:
    assert told(tmp_path, seconds) == ()


def test_a_run_without_a_limit_or_that_goes_on_says_nothing(tmp_path: Path) -> None:
    assert told(tmp_path / "a", 20, minutes=None) == ()
    assert told(tmp_path / "b", 20, ended=False) == ()


def test_what_was_left_out_is_told_alone(tmp_path: Path) -> None:
    said = "The limit of 1:00 left no time for Merge 1.1, measuring which columns matter."
    assert told(tmp_path, 20, "merge 1 1", "columns") == (said,)
