"""What every sandbox must do: run `CHECKS` over a new backend before anything else uses it.

Each check takes a sandbox and an empty folder and raises AssertionError with a sentence where the backend falls short.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from machine_learning_engineering.shared_libraries.errors import SandboxError
from machine_learning_engineering.shared_libraries.execution.observed import beating, dies, lives
from machine_learning_engineering.shared_libraries.execution.output import SHOWN_CHARACTERS
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox
from machine_learning_engineering.shared_libraries.records import FINAL, SEARCH, Execution, Job, Limits, StagedView

Check = Callable[[Sandbox, Path], Awaitable[None]]
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    CHECKS.append(function)
    return function


def make_job(tmp: Path, script: str, **fields: Any) -> Job:
    """A job called script.py with the folder `tmp`/job, a minute, and 2 MiB of output."""
    limits = Limits(**{"wall_seconds": 60, "output_bytes": 2**21, **fields.pop("limits", {})})
    defaults: dict[str, Any] = {"name": "script.py", "folder": tmp / "job", "limits": limits}
    return Job(script=script, **{**defaults, **fields})


async def run(sandbox: Sandbox, tmp: Path, script: str, **fields: Any) -> Execution:
    return await sandbox.run(make_job(tmp, script, **fields))


def make_view(tmp: Path) -> StagedView:
    """A view with one file, and one in a subfolder."""
    path = tmp / "view"
    (path / "media").mkdir(parents=True)
    (path / "train.csv").write_text("x,y\n1,2\n")
    (path / "media" / "a.txt").write_text("media")
    return StagedView(view=SEARCH, path=path, digest="0")


def _expect(condition: bool, sentence: str, execution: Execution | None = None) -> None:
    assert condition, sentence if execution is None else f"{sentence}: {execution!r}"


def _pid(folder: Path) -> int:
    """The number of a process that a script wrote down."""
    return int((folder / "pid").read_text())


_LIMITS = (0.5, 2, 8, 32)  # seconds, the next where a slow machine has not begun the script within the one before


# --- how a script ends ------------------------------------------------------------------------------------------------


@check
async def a_script_that_ends_is_ok(sandbox: Sandbox, tmp: Path) -> None:
    execution = await run(sandbox, tmp, "import sys\nprint('out')\nprint('err', file=sys.stderr)")
    _expect((execution.outcome, execution.returncode) == ("ok", 0), "a script that ends is ok", execution)
    _expect((execution.stdout, execution.stderr) == ("out\n", "err\n"), "both streams are kept apart", execution)
    _expect(execution.backend == sandbox.name and not execution.cached, "an execution names its backend", execution)


@check
async def an_exception_is_an_error_with_its_traceback(sandbox: Sandbox, tmp: Path) -> None:
    execution = await run(sandbox, tmp, "def f():\n    raise ValueError('no')\nf()")
    expected = (
        'Traceback (most recent call last):\n  File "./script.py", line 3, in <module>\n    f()\n'
        "  File \"./script.py\", line 2, in f\n    raise ValueError('no')\nValueError: no\n"
    )
    _expect((execution.outcome, execution.returncode) == ("error", 1), "an exception is an error", execution)
    _expect(execution.stderr == expected, "a traceback shows the script's frames only", execution)


@check
async def the_exit_code_is_kept(sandbox: Sandbox, tmp: Path) -> None:
    execution = await run(sandbox, tmp, "import sys\nsys.exit(3)")
    _expect((execution.outcome, execution.returncode) == ("error", 3), "an exit code is kept", execution)


@check
async def a_syntax_error_is_an_error(sandbox: Sandbox, tmp: Path) -> None:
    execution = await run(sandbox, tmp, "print('never')\ndef")
    _expect(execution.outcome == "error" and "SyntaxError" in execution.stderr, "syntax errors are told", execution)


@check
async def a_signal_of_its_own_is_killed(sandbox: Sandbox, tmp: Path) -> None:
    execution = await run(sandbox, tmp, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    _expect((execution.outcome, execution.returncode) == ("killed", -9), "a signal is named", execution)


@check
async def a_script_past_its_time_is_ended(sandbox: Sandbox, tmp: Path) -> None:
    script = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('before')\ntime.sleep(60)"
    for seconds in _LIMITS:
        execution = await run(sandbox, tmp / f"{seconds}", script, limits={"wall_seconds": seconds})
        _expect(execution.outcome == "timeout" and execution.returncode != 0, "a time limit is named", execution)
        _expect(0.8 * seconds < execution.execution_time < 50, "a time limit is kept", execution)
        if execution.stdout:
            break
    _expect(execution.stdout == "before\n", "what a script printed before its end is kept", execution)


@check
async def a_script_past_its_cpu_time_is_ended(sandbox: Sandbox, tmp: Path) -> None:
    execution = await run(sandbox, tmp, "while True: pass", limits={"cpu_seconds": 1})
    _expect(execution.outcome == "timeout", "a limit of CPU time is named", execution)


@check
async def a_script_that_stops_itself_is_ended(sandbox: Sandbox, tmp: Path) -> None:
    script = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"
    execution = await run(sandbox, tmp, script, limits={"wall_seconds": 0.5})
    _expect(execution.outcome == "timeout", "a stopped script runs into its time limit", execution)


@check
async def memory_over_the_ceiling_is_named(sandbox: Sandbox, tmp: Path) -> None:
    script = "import time\nblocks = [bytes([1]) * 2**20 for _ in range(200)]\ntime.sleep(30)"
    execution = await run(sandbox, tmp, script, limits={"memory_bytes": 100 * 2**20})
    _expect(execution.outcome == "memory", "a memory ceiling is named", execution)
    _expect((execution.memory_bytes or 0) >= 100 * 2**20, "the memory that was held is told", execution)


@check
async def memory_of_all_processes_counts(sandbox: Sandbox, tmp: Path) -> None:
    script = "import os, time\nfor _ in range(4): os.fork() or (bytes([1]) * 2**25, time.sleep(30))\n"
    script = script.replace("bytes([1]) * 2**25, time", "globals().update(block=bytes([1]) * 2**25), time")
    execution = await run(sandbox, tmp, script + "time.sleep(30)", limits={"memory_bytes": 100 * 2**20})
    _expect(execution.outcome == "memory", "a memory ceiling holds for the sum of all processes", execution)


@check
async def a_memory_error_under_a_ceiling_is_memory(sandbox: Sandbox, tmp: Path) -> None:
    execution = await run(sandbox, tmp, "raise MemoryError('no room')", limits={"memory_bytes": 2**30})
    _expect(execution.outcome == "memory", "MemoryError under a ceiling is the memory outcome", execution)


@check
async def a_file_past_the_limit_is_an_output_limit(sandbox: Sandbox, tmp: Path) -> None:
    script = "with open('big', 'wb') as file:\n    for _ in range(100): file.write(bytes(2**16))"
    execution = await run(sandbox, tmp, script, limits={"file_bytes": 2**20})
    _expect(execution.outcome == "output_limit", "a file that grows too large is named", execution)


# --- what it leaves behind --------------------------------------------------------------------------------------------

_ESCAPE = """\
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(os.path.abspath("pid"), "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
while not os.path.exists("pid") or not open("pid").read():
    time.sleep(0.01)
"""


@check
async def a_daemon_does_not_outlive_a_script_that_ends(sandbox: Sandbox, tmp: Path) -> None:
    execution = await run(sandbox, tmp, _ESCAPE)
    _expect(execution.outcome == "ok", "a script ends by itself, whose daemon holds its pipes open", execution)
    _expect(await dies(_pid(execution.folder)), "a daemon in a session of its own is ended")


@check
async def a_daemon_does_not_outlive_a_timeout(sandbox: Sandbox, tmp: Path) -> None:
    for seconds in _LIMITS:
        execution = await run(
            sandbox, tmp / f"{seconds}", _ESCAPE + "time.sleep(600)", limits={"wall_seconds": seconds}
        )
        _expect(execution.outcome == "timeout", "the script runs into its time limit", execution)
        if (execution.folder / "pid").exists() and (execution.folder / "pid").read_text():
            break
    _expect(await dies(_pid(execution.folder)), "a daemon in a session of its own is ended")


@check
async def cancelling_ends_the_script_and_leaves_nothing(sandbox: Sandbox, tmp: Path) -> None:
    script = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(600)"
    task = asyncio.create_task(run(sandbox, tmp, script, cwd=tmp, limits={"wall_seconds": 600}))
    while not (tmp / "pid").exists() or not (tmp / "pid").read_text():  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.01)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=60)
    _expect(bool(done) and task.cancelled(), "a cancelled job ends as cancelled, soon")
    _expect(await dies(_pid(tmp)), "a cancelled script is ended")
    _expect(not (tmp / "job").exists(), "a cancelled job leaves no folder")


@check
async def cancelling_again_changes_nothing(sandbox: Sandbox, tmp: Path) -> None:
    script = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(600)"
    task = asyncio.create_task(run(sandbox, tmp, script, cwd=tmp, limits={"memory_bytes": 2**30, "wall_seconds": 600}))
    while not (tmp / "pid").exists() or not (tmp / "pid").read_text():  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.01)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    _expect(not lives(_pid(tmp)), "who cancels twice waits for the script's end, too")
    _expect(not (tmp / "job").exists(), "a job that was cancelled twice leaves no folder")


@check
async def files_come_back_without_links(sandbox: Sandbox, tmp: Path) -> None:
    (tmp / "secret").write_text("secret")
    script = (
        "import os\nopen('final/submission.csv', 'w').write('id\\n')\n"
        f"os.symlink({str(tmp / 'secret')!r}, 'final/link')\nos.symlink({str(tmp)!r}, 'folder')\nos.mkfifo('fifo')\n"
        "os.mkdir('closed')\nopen('closed/kept', 'w').write('1')\nos.chmod('closed', 0)\nprint('told')"
    )
    execution = await run(sandbox, tmp, script, view=make_view(tmp))
    _expect(execution.outcome == "ok", "a script may make links and special files", execution)
    found = {str(path.relative_to(tmp / "job")) for path in (tmp / "job").rglob("*") if path.is_file()}
    expected = {"script.py", "final/submission.csv", "closed/kept", "stdout.txt", "stderr.txt"}
    _expect(found == expected, f"the folder holds the script's own files alone, not {sorted(found)}")
    _expect(not any(path.is_symlink() for path in (tmp / "job").rglob("*")), "symbolic links are dropped")
    _expect((tmp / "job" / "stdout.txt").read_text() == "told\n", "the full output is in the folder")
    _expect([path.name for path in tmp.iterdir() if path.name.startswith(".")] == [], "nothing unfinished is left")


# --- what it sees -----------------------------------------------------------------------------------------------------


@check
async def the_view_is_input_and_cannot_be_changed(sandbox: Sandbox, tmp: Path) -> None:
    view = make_view(tmp)
    script = (
        "import os\nprint(open('./input/train.csv').read(), open('input/media/a.txt').read())\n"
        "for path in ('input/train.csv', 'input/media/a.txt'):\n"
        "    try:\n        os.chmod(path, 0o644)\n        open(path, 'w').write('changed')\n"
        "    except OSError:\n        pass"
    )
    execution = await run(sandbox, tmp, script, view=view)
    _expect(execution.stdout == "x,y\n1,2\n media\n", "a script reads its view under ./input", execution)
    unchanged = (view.path / "train.csv").read_text(), (view.path / "media" / "a.txt").read_text()
    _expect(unchanged == ("x,y\n1,2\n", "media"), "nothing a script does changes the staged view")


@check
async def sockets_have_room_in_the_temporary_folder(sandbox: Sandbox, tmp: Path) -> None:
    """However long the path of a job on a final view is, whose folder lies in the run."""
    script = (
        "import multiprocessing, os, tempfile\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.Manager() as manager:\n        print(*manager.list([1, 2]))\n"
        "    with tempfile.NamedTemporaryFile('w', delete=False) as file:\n        file.write('whole')\n"
        "    os.replace(file.name, 'final/submission.csv')\n"
    )
    for name, view in (("search", SEARCH), ("final", FINAL)):
        folder = tmp / name / ("long-" * 20) / "job"
        staged = make_view(tmp / name).model_copy(update={"view": view})
        execution = await run(sandbox, tmp, script, view=staged, folder=folder)
        _expect(execution.stdout == "1 2\n", f"a pool of processes works on the {name} view", execution)
        written = (folder / "final" / "submission.csv").read_text()
        _expect(written == "whole", "a temporary file can be moved to where it belongs", execution)


@check
async def a_large_file_of_the_view_is_no_output(sandbox: Sandbox, tmp: Path) -> None:
    view = make_view(tmp)
    (view.path / "large.bin").write_bytes(bytes(2**21))
    execution = await run(sandbox, tmp, "raise ValueError(1)", view=view, limits={"file_bytes": 2**20})
    _expect(execution.outcome == "error", "what a script is given is not what it wrote", execution)


@check
async def paths_of_a_job_may_be_relative(sandbox: Sandbox, tmp: Path) -> None:
    view = make_view(tmp)
    view = view.model_copy(update={"path": Path(os.path.relpath(view.path))})
    script = "import os\nprint(open('input/train.csv').readline().strip(), os.path.basename(os.getcwd()))"
    execution = await run(sandbox, tmp, script, view=view)
    _expect(execution.stdout == "x,y work\n", "a view's path may be relative", execution)
    execution = await sandbox.run(make_job(tmp / "other", "print(1)", cwd=Path(os.path.relpath(tmp))))
    _expect(execution.outcome == "ok", "a working directory may be relative", execution)


@check
async def a_job_that_cannot_be_started_is_our_failure(sandbox: Sandbox, tmp: Path) -> None:
    cases: tuple[dict[str, Any], ...] = ({"python": tmp / "no-python"}, {"argv": ("a\0b",)})
    for number, wrong in enumerate(cases):
        try:
            execution = await sandbox.run(make_job(tmp / str(number), "print(1)", **wrong))
        except SandboxError:
            continue
        _expect(False, "a missing interpreter and a NUL among the arguments raise SandboxError", execution)


@check
async def it_runs_like_python_script(sandbox: Sandbox, tmp: Path) -> None:
    script = (
        "import os, sys\nprint(sys.argv, __name__, os.path.basename(__file__))\n"
        "print(os.path.dirname(os.path.abspath(__file__)) == os.getcwd() == os.path.realpath(sys.path[0]))\n"
        "print(os.path.isdir('final'), os.listdir('final'))"
    )
    execution = await run(sandbox, tmp, script, argv=("a", "b c"))
    expected = "['script.py', 'a', 'b c'] __main__ script.py\nTrue\nTrue []\n"
    _expect(execution.stdout == expected, "a script runs as `python script.py` in its own folder", execution)


@check
async def input_ends(sandbox: Sandbox, tmp: Path) -> None:
    script = "import sys\nprint(input())\nprint(repr(sys.stdin.read()))\ninput()"
    execution = await run(sandbox, tmp, script, stdin=b"first\nrest")
    _expect(execution.stdout == "first\n'rest'\n", "a script reads its stdin", execution)
    _expect("EOFError" in execution.stderr, "after its stdin comes the end of file", execution)


@check
async def a_runner_gets_the_script(sandbox: Sandbox, tmp: Path) -> None:
    (tmp / "runner.py").write_text("import sys\nprint('runner', open(sys.argv[1]).read(), sys.argv[2:])")
    execution = await run(sandbox, tmp, "the script", runner=tmp / "runner.py", argv=("x",))
    _expect(execution.stdout == "runner the script ['x']\n", "a runner gets the script's path first", execution)


@check
async def the_working_directory_can_be_another(sandbox: Sandbox, tmp: Path) -> None:
    (tmp / "elsewhere").mkdir()
    script = "import os\nprint(os.path.basename(os.getcwd()), os.path.basename(__file__))"
    execution = await run(sandbox, tmp, script, cwd=tmp / "elsewhere")
    _expect(execution.stdout == "elsewhere script.py\n", "a job can name its working directory", execution)


@check
async def nothing_it_is_given_leads_to_the_run(sandbox: Sandbox, tmp: Path) -> None:
    script = (
        "import os, sys, tempfile\nprint([v for v in os.environ.values()], sys.argv, os.getcwd())\n"
        "inside = [os.path.realpath(p) for p in (os.path.expanduser('~'), tempfile.gettempdir())]\n"
        "root = os.path.dirname(os.getcwd())\nprint(all(p.startswith(root) for p in inside))"
    )
    execution = await run(sandbox, tmp, script, view=make_view(tmp))
    full = (tmp / "job" / "stdout.txt").read_text()
    _expect(str(tmp) not in full, "no argument, variable or folder of a script leads to its run", execution)
    _expect(full.endswith("True\n"), "home and temporary folder are private", execution)


@check
async def thread_counts_and_hash_seed_are_fixed(sandbox: Sandbox, tmp: Path) -> None:
    script = "import os\nprint(*map(os.environ.get, ('OMP_NUM_THREADS', 'OMP_WAIT_POLICY', 'PYTHONHASHSEED')))"
    execution = await run(sandbox, tmp, script, limits={"threads": 3})
    _expect(execution.stdout == "3 PASSIVE 0\n", "threads and hash seed do not depend on the machine", execution)


# --- what it prints ---------------------------------------------------------------------------------------------------


@check
async def endless_output_is_kept_head_and_tail(sandbox: Sandbox, tmp: Path) -> None:
    script = "print('first')\nfor _ in range(3000): print('x' * 1023)\nprint('last')"
    execution = await run(sandbox, tmp, script, limits={"output_bytes": 2**16})
    _expect(execution.outcome == "ok", "a script that prints too much runs on", execution)
    kept = (tmp / "job" / "stdout.txt").read_bytes()
    _expect(kept.startswith(b"first\n") and kept.endswith(b"last\n"), "head and tail of the output are kept")
    _expect(len(kept) < 2**16 + 100 and b"bytes left out" in kept, "the output is bounded and says so")
    shown = execution.stdout
    _expect(len(shown) <= SHOWN_CHARACTERS and "characters left out" in shown, "shown text is bounded and says so")


@check
async def output_is_normalised(sandbox: Sandbox, tmp: Path) -> None:
    script = (
        "import os, sys, tempfile\nprint(os.getcwd() + '/a', tempfile.gettempdir() + '/b', hex(id(0)))\n"
        "sys.stdout.flush()\nos.write(1, b'bad \\xff nul \\0\\n10%\\r50%\\r100%\\n')"
    )
    execution = await run(sandbox, tmp, script)
    _expect(execution.stdout == "./a <tmp>/b 0x\nbad \ufffd nul \n100%\n", "output is normalised", execution)


# --- beside others ----------------------------------------------------------------------------------------------------


# Each waits until all of them have begun.
_MEET = """\
import os, sys, time
open(f"begun{sys.argv[1]}", "w").close()
while not all(os.path.exists(f"begun{i}") for i in range(4)):
    time.sleep(0.01)
time.sleep(1)
print(sys.argv[1])
"""


@check
async def jobs_run_side_by_side_and_the_loop_beats_on(sandbox: Sandbox, tmp: Path) -> None:
    (tmp / "met").mkdir()
    jobs = [make_job(tmp, _MEET, folder=tmp / str(i), argv=(str(i),), cwd=tmp / "met") for i in range(4)]
    executions, gaps = await beating(asyncio.gather(*map(sandbox.run, jobs)), seconds=0.005)
    _expect(
        [one.stdout for one in executions] == [f"{i}\n" for i in range(4)], "concurrent jobs overlap, and do not mix"
    )
    _expect(max(gaps) < 0.25, f"the event loop is never blocked, here for {max(gaps):.3f} s")
