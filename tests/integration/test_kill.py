"""SIGKILL at any moment, then the same command: nothing finished is repeated, and the end is the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from machine_learning_engineering.shared_libraries.entries import LlmCall, ScriptRun
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from tests.fixtures import tiny


def start(folder: Path, out: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "machine_learning_engineering.cli", "run", str(folder / "task" / "tiny")]
    command += ["--model", f"scripted/{folder / 'replies.json'}", "--out", str(folder / out)]
    env = {**os.environ, "MLE_USE_DATA_LEAKAGE_CHECKER": "false"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, cwd=folder)


def finish(process: subprocess.Popen[bytes]) -> str:
    output = process.communicate(timeout=120)[0].decode()
    assert process.returncode == 0, output
    return output


def units(folder: Path) -> list[tuple[str, str, int]]:
    entries = read_journal(folder)
    calls = [("call", e.agent, e.ordinal) for e in entries if isinstance(e, LlmCall)]
    return calls + [(e.view, e.slot, e.ordinal) for e in entries if isinstance(e, ScriptRun)]


@pytest.mark.parametrize("kills", [1, 4])
def test_a_killed_run_is_taken_up_where_it_stopped(tmp_path: Path, kills: int) -> None:
    tiny.make_task(tmp_path / "task" / "tiny")
    (tmp_path / "replies.json").write_text(json.dumps(tiny.replies()))
    output = finish(start(tmp_path, "whole"))
    assert "Warning" not in output
    total = len((tmp_path / "whole" / "journal.jsonl").read_bytes().splitlines())
    for n in range(kills):
        process = start(tmp_path, "killed")
        wanted = total * (n + 1) // (kills + 1)
        journal = tmp_path / "killed" / "journal.jsonl"
        while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < wanted):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finish(start(tmp_path, "killed"))
    done = units(tmp_path / "killed")
    assert len(done) == len(set(done))
    searched = {unit for unit in units(tmp_path / "whole") if unit[0] != "final"}
    assert {unit for unit in done if unit[0] != "final"} == searched
    states = [(tmp_path / out / "tiny" / "final_state.json").read_bytes() for out in ("whole", "killed")]
    assert states[0] == states[1]
    finals = [(tmp_path / out / "final" / "submission.csv").read_bytes() for out in ("whole", "killed")]
    assert finals[0] == finals[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_ends_in_order_and_goes_on_later(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C says what is kept, leaves no process, and the journal says that the run was stopped."""
    replies = tiny.replies()
    slow = tiny.solution(0.0, 2.5).replace("# --- model", "import time; time.sleep(6)\n# --- model")
    tiny.make_task(tmp_path / "task" / "tiny")
    (tmp_path / "replies.json").write_text(json.dumps(replies | {"model_eval_agent_2_2": [tiny.fenced(slow)]}))
    process = start(tmp_path, "run")
    deadline = time.monotonic() + 30
    while not (tmp_path / "run" / "final" / "submission.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    below = psutil.Process(process.pid).children(recursive=True)
    assert below
    process.send_signal(number)
    output = process.communicate(timeout=20)[0].decode()
    assert process.returncode == 130, output
    assert "This goes on:" in output
    assert "Traceback" not in output
    ended = read_journal(tmp_path / "run")[-1]
    assert (ended.kind, ended.status) == ("run_ended", "stopped")
    assert not [one for one in below if one.is_running()]
    (tmp_path / "replies.json").write_text(json.dumps(replies))
    finish(start(tmp_path, "run"))


def test_a_signal_while_the_report_is_written_ends_no_run_that_has_finished(tmp_path: Path) -> None:
    tiny.make_task(tmp_path / "task" / "tiny")
    (tmp_path / "replies.json").write_text(json.dumps(tiny.replies()))
    process = start(tmp_path, "run")
    journal = tmp_path / "run" / "journal.jsonl"
    while process.poll() is None and (not journal.exists() or b'"run_ended"' not in journal.read_bytes()):
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    output = finish(process)
    assert "This goes on:" not in output
    assert str(tmp_path / "run" / "final" / "submission.csv") in output.replace("\n", "")
    assert (tmp_path / "run" / "report.html").exists()
