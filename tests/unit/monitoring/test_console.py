"""The lines of `mle run` where its output goes to a file."""

from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.monitoring.console import Console
from tests.unit.report.journals import Diary


def test_a_score_on_the_first_fold_alone_is_told_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    diary = Diary(tmp_path)
    diary.begin(0)
    diary.scored(1, "init_code_1_1", 0.5)
    diary.scored(2, "init_code_1_2", 0.9, stopped="no time was left for its other folds")
    console = Console()
    for entry in diary.entries:
        console.show(entry)
    assert capsys.readouterr().out == (
        "    1.0 s  Candidate 1.1: 0.5\n"
        "    2.0 s  Candidate 1.2: 0.9, first fold only, no time was left for its other folds\n"
    )
