"""Tables for people, and for the programs that they pipe them into."""

from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.monitoring.runs import RunLine
from machine_learning_engineering.shared_libraries.monitoring.tables import show_runs

NAME = "a-task-with-a-long-name-20261201-101112-3060"


@pytest.mark.parametrize(("columns", "whole"), [("", True), ("60", False)])
def test_a_name_is_folded_in_a_narrow_terminal_and_never_in_a_pipe(
    columns: str, whole: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    line = RunLine(
        run=NAME, task="t", status="finished", metric="rmse", best=1.0, audit=1.5, low=1.0, high=2.0, seconds=9.0,
        scripts=3, model="offline", started=0.0, folder=Path("/runs", NAME),
    )  # fmt: skip
    show_runs([line], "/runs")
    assert (NAME in capsys.readouterr().out) is whole
