"""A run as it looks in a terminal, in a pipe and to a program; and how Ctrl-C ends it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from machine_learning_engineering.shared_libraries.entries import Scored, ScriptRun
from machine_learning_engineering.shared_libraries.monitoring import answers
from machine_learning_engineering.shared_libraries.monitoring.narrate import Narrator, closing
from machine_learning_engineering.shared_libraries.monitoring.progress import PHASES, Progress
from machine_learning_engineering.shared_libraries.monitoring.words import figure
from machine_learning_engineering.shared_libraries.report.evidence import gather
from machine_learning_engineering.shared_libraries.report.story import read_story
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from tests.fixtures import tiny

MLE = [sys.executable, "-m", "machine_learning_engineering.cli"]
RUN = ["run", "tiny", "--model", "scripted/replies.json"]
PAUSE = "import time; time.sleep({})\n# --- model"
# Files that take the sandbox a while to clear away, so that there is time for a second Ctrl-C.
LITTER = """import os, time
for n in range(40_000):
    os.close(os.open(f"litter{n}", os.O_CREAT))
time.sleep(10)
# --- model"""
needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux on this machine")


def slow_replies(pause: str) -> dict[str, list[str]]:
    """Replies for a run whose last candidate of solution 2 does something before it starts."""
    slow = tiny.solution(0.0, 2.5).replace("# --- model", pause)
    return {**tiny.replies(), "model_eval_agent_2_2": [tiny.fenced(slow)]}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    tiny.make_task(tmp_path / "tiny")
    (tmp_path / "replies.json").write_text(json.dumps(tiny.replies()))
    return tmp_path


def mle(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "MLE_USE_DATA_LEAKAGE_CHECKER": "false"}
    return subprocess.run([*MLE, *arguments], capture_output=True, text=True, cwd=cwd, env=env, timeout=120)


class Terminal:
    """A tmux pane, which is a terminal that can be read."""

    def __init__(self, folder: Path, columns: int, rows: int) -> None:
        self._socket, self._folder = str(folder / "tmux.sock"), folder
        size = ("-x", str(columns), "-y", str(rows))
        env = {**os.environ, "MLE_USE_DATA_LEAKAGE_CHECKER": "false", "PS1": "$ "}
        for name in ("COLUMNS", "LINES"):  # those of a worker of pytest-xdist, which would hold against the terminal's
            env.pop(name, None)
        command = ["tmux", "-S", self._socket, "-f", "/dev/null", "new-session", "-d", *size, "sh"]
        subprocess.run(command, cwd=folder, env=env, check=True)

    def tmux(self, *arguments: str) -> str:
        done = subprocess.run(["tmux", "-S", self._socket, *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    def start(self, *arguments: str, clear: bool = True) -> None:
        """Runs `mle` and then says its exit code."""
        command = f"{' '.join([*MLE, *arguments])}; echo code=$?"
        self.tmux("send-keys", f"clear; {command}" if clear else command, "Enter")

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def wait(self, for_what: Callable[[str], object], seconds: float = 120) -> str:
        """The screen once it shows something."""
        deadline = time.monotonic() + seconds
        while not for_what(screen := self.screen()):
            assert time.monotonic() < deadline, screen
            time.sleep(0.05)
        return screen

    def process(self) -> psutil.Process:
        """The running command."""
        shell = psutil.Process(int(self.tmux("display-message", "-p", "#{pane_pid}")))
        return shell.children()[0]

    def close(self) -> None:
        self.tmux("kill-server")


@pytest.fixture
def terminal(place: Path) -> Iterator[Callable[[int, int], Terminal]]:
    opened: list[Terminal] = []

    def open_one(columns: int, rows: int) -> Terminal:
        opened.append(Terminal(place, columns, rows))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def ended(screen: str) -> bool:
    return re.search(r"code=\d", screen) is not None


@needs_tmux
@pytest.mark.slow
@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (200, 50), (50, 12)])
def test_a_terminal_of_any_size_shows_phases_work_and_leaders(
    place: Path, terminal: Callable[[int, int], Terminal], columns: int, rows: int
) -> None:
    (place / "replies.json").write_text(json.dumps(slow_replies(PAUSE.format(4))))
    pane = terminal(columns, rows)
    pane.start(*RUN, "--out", "run", "--minutes", "9")
    screen = pane.wait(lambda seen: "Candidate 2.2" in seen and re.search(r"best \d", seen))
    assert ("● initialization" if rows > 12 else "phase 1 of 5: initialization") in screen
    assert "of 9:00" in screen or columns < 80
    assert re.search(r"Candidate 2\.2 +0:0\d of 10:00", screen)
    assert ("Best attempts" in screen) == (rows > 12)
    assert all(len(line) <= columns for line in screen.splitlines())
    screen = pane.wait(ended)
    assert "code=0" in screen
    assert "final/submission.csv" in screen.replace("\n", "")


@needs_tmux
@pytest.mark.slow
def test_a_resize_leaves_one_picture(place: Path, terminal: Callable[[int, int], Terminal]) -> None:
    (place / "replies.json").write_text(json.dumps(slow_replies(PAUSE.format(8))))
    pane = terminal(120, 40)
    pane.tmux("send-keys", "seq 40", "Enter")  # so that the picture does not begin at the top
    pane.start(*RUN, "--out", "run", clear=False)
    pane.wait(lambda seen: "Candidate 2.2" in seen)
    for columns, rows in ((60, 30), (150, 40), (80, 24)):
        pane.tmux("resize-window", "-x", str(columns), "-y", str(rows))
        time.sleep(1)
        layout = re.compile("Phases +Best attempts" if columns > 110 else r"Phases\n")
        screen = pane.wait(layout.search)
        for words in ("lower is better", "Phases", "submission", "Best attempts"):
            assert screen.count(words) == 1, screen
    # What the terminal itself pushed up as it folded lines may remain above; no picture that was drawn since.
    assert pane.tmux("capture-pane", "-p", "-S", "-").count("lower is better") <= 2


@needs_tmux
def test_ctrl_c_once_finishes_up(place: Path, terminal: Callable[[int, int], Terminal]) -> None:
    (place / "replies.json").write_text(json.dumps(slow_replies(PAUSE.format(60))))
    pane = terminal(100, 40)
    pane.start(*RUN)
    pane.wait(lambda seen: "published" in seen)
    below = pane.process().children(recursive=True)
    pane.tmux("send-keys", "C-c")
    screen = pane.wait(ended, 20)
    assert "code=130" in screen
    (folder,) = (place / "mle-runs").iterdir()
    assert "so far: root mean squared error" in screen
    for made in ("final/submission.csv", "final/solution.py", "report.html"):
        assert str(folder / made) in screen.replace("\n", "")
        assert (folder / made).exists()
    assert screen.count("Phases") == 1
    assert read_story(folder).status == "stopped"
    assert not [one for one in below if one.is_running()]
    again = pasted(pane)
    assert again.endswith(f" --out mle-runs/{folder.name}")
    process = subprocess.Popen(again, shell=True, cwd=place, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while read_story(folder).sessions < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def pasted(pane: Terminal) -> str:
    """The command that goes on, as a person would copy it from the screen."""
    lines = pane.tmux("capture-pane", "-p", "-J").splitlines()
    return lines[next(n for n, line in enumerate(lines) if line.endswith("This goes on:")) + 1].strip()


@needs_tmux
@pytest.mark.slow
def test_ctrl_c_twice_stops_at_once(place: Path, terminal: Callable[[int, int], Terminal]) -> None:
    (place / "replies.json").write_text(json.dumps(slow_replies(LITTER)))
    pane = terminal(100, 40)
    pane.start(*RUN, "--folds", "1", "--out", "run")
    pane.wait(lambda seen: "published" in seen)
    time.sleep(2)
    below = pane.process().children(recursive=True)
    pane.tmux("send-keys", "C-c")
    pane.wait(lambda seen: "Finishing up" in seen, 5)
    pane.tmux("send-keys", "C-c")
    screen = pane.wait(ended, 3)
    assert "code=130" in screen
    assert "stopped at once" in screen
    assert "so far: " in screen
    assert "mle report" in screen
    assert pane.tmux("display-message", "-p", "#{cursor_flag}").strip() == "1"  # the cursor is shown again
    psutil.wait_procs(below, timeout=5)
    assert not [one for one in below if one.is_running()]
    (place / "replies.json").write_text(json.dumps(tiny.replies()))
    assert subprocess.run(pasted(pane), shell=True, cwd=place, capture_output=True, timeout=150).returncode == 0


def test_a_file_gets_plain_lines(place: Path) -> None:
    done = mle(*RUN, "--out", "run", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "Candidate 1.1: " in done.stdout
    assert "published the submission of " in done.stdout
    assert "_code_" not in done.stdout  # the names of files are not those of people
    assert done.stderr == ""


def test_a_stopped_run_in_a_file_tells_what_there_is(place: Path) -> None:
    (place / "replies.json").write_text(json.dumps(slow_replies(PAUSE.format(60))))
    env = {**os.environ, "MLE_USE_DATA_LEAKAGE_CHECKER": "false"}
    command = [*MLE, *RUN, "--out", "run", "--json"]
    process = subprocess.Popen(command, cwd=place, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["kind"] == "published":
            process.send_signal(signal.SIGINT)
            break
    rest, said = process.communicate(timeout=30)
    assert process.returncode == 130
    told = json.loads(rest.splitlines()[-1])
    assert (told["kind"], told["status"]) == ("result", "stopped")
    assert told["score"]["source"] == "sealed"
    assert Path(told["files"]["report"]).exists()
    assert told["again"].startswith("MLE_HOME=")
    assert told["again"] in said


def test_a_finished_run_says_so_when_it_is_repeated(place: Path) -> None:
    listed = []
    for before in (False, True):
        done = mle(*RUN, "--rounds", "0", "--out", "run", cwd=place)
        assert done.returncode == 0, done.stderr
        assert ("had finished before, so nothing was run" in done.stdout) == before
        listed.append(mle("runs", "--json", cwd=place).stdout)
    assert listed[0] == listed[1]
    assert "<dt>sessions</dt>" not in (place / "run" / "report.html").read_text()


def test_results_from_the_cache_are_told_where_the_run_ends_and_in_its_report(place: Path) -> None:
    for out in ("first", "second"):
        done = mle(*RUN, "--rounds", "0", "--out", out, cwd=place)
        assert done.returncode == 0, done.stderr
    ran = [entry for entry in read_journal(place / "second") if isinstance(entry, ScriptRun)]
    told = f"{sum(one.execution.cached for one in ran)} of {len(ran)} script results came from the cache"
    assert f"note: {told}" in done.stdout
    assert told in (place / "second" / "report.html").read_text()


def test_the_rows_set_aside_from_a_lone_csv_judge_the_submission(place: Path) -> None:
    """The error that is told is that of the published predictions on the labels that the CSV has for them."""
    run = [
        "run",
        "tiny/train.csv",
        "--target",
        "y",
        "--metric",
        "rmse",
        "--id",
        "id",
        "--model",
        "scripted/replies.json",
    ]
    done = mle(*run, "--out", "run", cwd=place)
    assert done.returncode == 0, done.stderr
    truth = dict(line.split(",")[::2] for line in (place / "tiny" / "train.csv").read_text().splitlines()[1:])
    given = [line.split(",") for line in (place / "run" / "final" / "submission.csv").read_text().splitlines()[1:]]
    error = (sum((float(truth[one]) - float(value)) ** 2 for one, value in given) / len(given)) ** 0.5
    assert f"root mean squared error {error:.6g} on the 20 rows set aside" in done.stdout
    assert f"On 20 rows set aside: {error:.6g}." in (place / "run" / "report.html").read_text()

    journal = place / "run" / "journal.jsonl"  # before its end a run does not tell, since one could stop by it
    journal.write_bytes(b"".join(line for line in journal.open("rb") if b'"kind":"run_ended"' not in line))
    assert gather(read_story(place / "run")).predictions is not None
    assert gather(read_story(place / "run")).set_aside is None


def test_a_limit_without_room_is_warned_of_and_what_it_left_out_is_told(place: Path) -> None:
    done = mle(*RUN, "--minutes", "0.001", "--out", "run", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "A limit of 0:00 cannot be kept" in done.stdout.splitlines()[0]
    told = re.search(r"left no time for \w+ [\d.]+", done.stdout)
    assert told is not None
    assert "no time left for Merge 1.1" in done.stdout
    assert "_code_" not in done.stdout
    assert "The run took" in done.stdout
    assert told[0] in (place / "run" / "report.html").read_text()


def test_a_finished_run_is_not_warned_of_its_limit_when_it_is_repeated(place: Path) -> None:
    for warned in (True, False):
        done = mle(*RUN, "--rounds", "0", "--minutes", "0.001", "--out", "run", cwd=place)
        assert done.returncode == 0, done.stderr
        assert ("cannot be kept" in done.stdout) == warned
    told = mle(*RUN, "--rounds", "0", "--minutes", "0.001", "--out", "new", "--json", cwd=place).stdout
    assert "cannot be kept" in json.loads(told.splitlines()[1])["text"]


def test_the_audit_leads_and_a_stopped_script_is_recognisable_everywhere(tmp_path: Path) -> None:
    """In lines, JSON, report, chat and the comparison of runs, all of one run on enough rows to spare some."""
    tiny.make_task(tmp_path / "tiny", rows=600)
    behind = {"plan_implement_initial_agent_1": [tiny.fenced(tiny.solution(0.0, -3.0))]}
    (tmp_path / "replies.json").write_text(json.dumps({**tiny.replies(), **behind}))
    done = mle(*RUN, "--solutions", "1", "--out", "run", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    audited = next(one for one in told if one["kind"] == "audited")
    assert told[-1]["audit"] == {"score": audited["score"], "low": audited["low"], "high": audited["high"]}
    story = read_story(tmp_path / "run")
    assert story.audit is not None
    assert story.winner is not None
    value, searched = f"{audited['score']['value']:.6g}", f"{story.winner.value:.6g}"
    last = story.leaderboard[-1]
    assert last.stopped
    assert story.winner.value < last.value

    lines = mle(*RUN, "--solutions", "1", "--out", "run", cwd=tmp_path).stdout
    assert f"\nroot mean squared error {value} on 90 rows that chose nothing" in lines
    assert f"on the test rows (95 %); the search measured {searched}" in lines
    html = (tmp_path / "run" / "report.html").read_text()
    assert f"<strong>{value}</strong>" in html
    assert f"<title>tiny – {value}" in html
    assert f"Not run on the other folds: {last.score.stopped if last.score else ''}" in html
    assert (
        f"{last.title}: {last.value:.6g} (first fold only, clearly behind: -"
        in answers.leaderboard(tmp_path / "run")["leaderboard"][-1]
    )
    assert f"**Root mean squared error {value} on 90 rows" in closing(story)
    (row,) = [one for one in Narrator().tell(read_journal(tmp_path / "run"), story) if one.startswith(last.title)]
    assert ", first fold only, clearly behind: -" in row
    expected = f"{value} ({figure(audited['low'], 4)} to {figure(audited['high'], 4)})"
    assert f"{searched} rmse  {expected}" in mle("runs", cwd=tmp_path).stdout
    compared = json.loads(mle("runs", "run", "run", "--json", cwd=tmp_path).stdout)
    assert compared["runs"][0]["audit"] == audited["score"]["value"]


def test_quiet_says_only_where_the_submission_is(place: Path) -> None:
    done = mle(*RUN, "--out", "run", "--quiet", cwd=place)
    assert done.stdout == f"{place / 'run' / 'final' / 'submission.csv'}\n"
    assert done.stderr == ""


def test_json_is_one_object_a_line_that_ends_with_the_result(place: Path) -> None:
    done = mle(*RUN, "--out", "run", "--json", cwd=place)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told[0]["kind"] == "run_started"
    assert {"llm_call", "script_run", "scored", "published", "run_ended"} <= {one["kind"] for one in told}
    scored = [entry for entry in read_journal(place / "run") if isinstance(entry, Scored)]
    assert [one["score"]["value"] for one in told if one["kind"] == "scored"] == [e.score.value for e in scored]
    assert told[-1]["kind"] == "result"
    assert Path(told[-1]["files"]["submission"]).read_text().startswith("id,y\n")
    assert told[-1]["score"]["source"] == "sealed"


@pytest.mark.parametrize("how", ["", "--json", "--quiet"])
def test_a_closed_pipe_costs_nobody_a_run(place: Path, how: str) -> None:
    command = f"{' '.join([*MLE, *RUN])} --out run {how} | head -c 1"
    done = subprocess.run(command, shell=True, cwd=place, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert read_story(place / "run").status == "finished"


def test_a_terminal_that_knows_no_such_signs_gets_others(place: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "MLE_USE_DATA_LEAKAGE_CHECKER": "false"}
    (place / "tiny" / "task.yaml").write_text("name: tiny\nmetric: rmse\ntarget: y\nid: id\ndescription: größe\n")
    done = subprocess.run([*MLE, *RUN, "--out", "run"], capture_output=True, cwd=place, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


def test_progress_tells_what_runs_and_how_far_the_phases_are(place: Path) -> None:
    """Folded entry by entry: a script is under way before it has run, and no phase goes back."""
    from machine_learning_engineering._cli_watch import code_key

    assert mle(*RUN, "--out", "run", cwd=place).returncode == 0
    first, *entries = read_journal(place / "run")
    progress, reached = Progress(place / "run", code_key), 0
    progress.take(first)
    for entry in entries:
        shot = progress.snapshot()
        assert shot is not None
        if isinstance(entry, ScriptRun) and entry.view.startswith("search"):  # the first fold or a later one
            under_way = [one for one in shot.doing if one.since is not None]
            assert under_way
            assert len(under_way) <= 2  # scripts run side by side
        now = [n for n, phase in enumerate(shot.phases) if phase.standing == "now"]
        assert now
        assert now[0] >= reached
        reached = now[0]
        progress.take(entry)
    shot = progress.snapshot()
    assert shot is not None
    assert reached >= PHASES.index("ensemble")
    assert {phase.standing for phase in shot.phases} == {"done"}
    assert shot.doing == ()
    assert [phase.scripts for phase in shot.phases] == [6, 6, 2, 2, 0]
