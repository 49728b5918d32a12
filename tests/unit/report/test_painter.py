"""The process that draws the report's pictures."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.report import page
from machine_learning_engineering.shared_libraries.report.painter import PAINTER, Painter, get_ready
from tests.unit.report.journals import Diary

SPEC = {"data": {"values": [{"a": 1, "b": "<x>"}]}, "mark": "bar", "encoding": {"x": {"field": "a"}}}


@pytest.fixture
def painter() -> Iterator[Painter]:
    painter = Painter()
    yield painter
    painter.close()


def test_it_draws_again_and_again(painter: Painter) -> None:
    first, second = painter.draw(SPEC), painter.draw(SPEC)

    assert first == second
    assert first.startswith("<svg")


def test_a_specification_that_cannot_be_drawn_is_told_and_the_next_is_drawn(painter: Painter) -> None:
    with pytest.raises(ValueError, match="conversion failed"):
        painter.draw({"mark": "nonsense"})

    assert painter.draw(SPEC).startswith("<svg")


def test_a_process_that_ends_is_told_and_replaced(painter: Painter) -> None:
    painter.draw(SPEC)
    assert painter._process is not None
    os.kill(painter._process.pid, signal.SIGKILL)

    with pytest.raises(BrokenPipeError):
        painter.draw(SPEC)
    assert painter.draw(SPEC).startswith("<svg")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_gets_no_key(painter: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    painter.draw(SPEC)
    assert painter._process is not None

    assert b"canary" not in Path(f"/proc/{painter._process.pid}/environ").read_bytes()


def test_it_ends_with_the_report(tmp_path: Path) -> None:
    get_ready()
    process = PAINTER._process
    assert process is not None
    diary = Diary(tmp_path)
    diary.begin(100)
    diary.ran(101, "init_code_1_1")
    diary.scored(101, "init_code_1_1", 0.25)

    assert "<svg" in page.build_report(diary.save()).read_text()
    assert process.poll() is not None
