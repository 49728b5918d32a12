"""The process that draws the report's pictures."""

import fcntl
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.errors import PictureError
from machine_learning_engineering.shared_libraries.report.painter import Painter

SPEC = {"data": {"values": [{"a": 1, "b": "<x>"}]}, "mark": "bar", "encoding": {"x": {"field": "a"}}}


@pytest.fixture
def painter() -> Iterator[Painter]:
    painter = Painter()
    yield painter
    painter.close()


def once_asked(stopped: subprocess.Popen[str], act: Callable[..., None], *args: int) -> None:
    """Acts as soon as there is a request that a stopped process has not read."""

    def unread() -> int:
        assert stopped.stdin is not None
        return int.from_bytes(fcntl.ioctl(stopped.stdin.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)

    def watch() -> None:
        while not unread():
            time.sleep(0.01)
        act(*args)

    threading.Thread(target=watch, daemon=True).start()


def test_it_draws_again_and_again(painter: Painter) -> None:
    first, second = painter.svg({**SPEC, "title": "one"}), painter.svg({**SPEC, "title": "two"})

    assert ("one" in first, "two" in second) == (True, True)


def test_a_picture_that_was_drawn_is_remembered(painter: Painter) -> None:
    first = painter.svg(SPEC)
    painter.close()

    assert painter.svg(SPEC) == first
    assert painter._process is None


def test_a_specification_that_cannot_be_drawn_is_told_and_the_next_is_drawn(painter: Painter) -> None:
    with pytest.raises(PictureError, match="conversion failed"):
        painter.svg({"mark": "nonsense"})

    assert painter.svg(SPEC).startswith("<svg")


def test_a_process_that_has_ended_is_replaced(painter: Painter) -> None:
    painter.svg(SPEC)
    assert painter._process is not None
    os.kill(painter._process.pid, signal.SIGKILL)
    painter._process.wait()

    assert "another" in painter.svg({**SPEC, "title": "another"})


def test_a_process_that_ends_while_it_draws_is_told(painter: Painter) -> None:
    painter.svg(SPEC)
    assert painter._process is not None
    os.kill(painter._process.pid, signal.SIGSTOP)
    once_asked(painter._process, os.kill, painter._process.pid, signal.SIGKILL)

    with pytest.raises(PictureError, match=r"ended|Broken pipe"):
        painter.svg({**SPEC, "title": "lost"})
    assert "lost" in painter.svg({**SPEC, "title": "lost"})


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_gets_no_key(painter: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    painter.svg(SPEC)
    assert painter._process is not None

    assert b"canary" not in Path(f"/proc/{painter._process.pid}/environ").read_bytes()


def test_an_interrupted_answer_is_not_taken_for_the_next_ones(painter: Painter) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    painter.svg(SPEC)
    assert painter._process is not None
    os.kill(painter._process.pid, signal.SIGSTOP)
    before = signal.signal(signal.SIGUSR1, interrupt)
    once_asked(painter._process, os.kill, os.getpid(), signal.SIGUSR1)
    try:
        with pytest.raises(Interrupted):
            painter.svg({**SPEC, "title": "first"})
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert "first" not in painter.svg({**SPEC, "title": "second"})


def test_packages_are_found_where_this_process_finds_them(
    painter: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vl_convert.py").write_text("def vegalite_to_svg(spec, **settings): return 'of another package'")
    monkeypatch.syspath_prepend(tmp_path)

    assert painter.svg(SPEC) == "of another package"


def test_a_module_of_the_current_folder_is_not_imported(
    painter: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")

    assert painter.svg(SPEC).startswith("<svg")
