"""What the subprocess backend does beyond the contract: keys, fences between jobs, deaths of all kinds, both users."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import psutil
import pytest

from machine_learning_engineering.shared_libraries.errors import SandboxError
from machine_learning_engineering.shared_libraries.execution.observed import dies
from machine_learning_engineering.shared_libraries.execution.self_check import make_job, make_view, run
from machine_learning_engineering.shared_libraries.execution.subprocess_sandbox import SubprocessSandbox

ROOT = Path(__file__).parents[3]


@pytest.fixture
def sandbox() -> SubprocessSandbox:
    return SubprocessSandbox()


@pytest.fixture
def scratch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which this test's scratch folders appear."""
    home = tmp_path / "scratch-home"
    home.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    return home


async def test_secrets_of_the_user_do_not_reach_a_script(
    sandbox: SubprocessSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    execution = await run(sandbox, tmp_path, "import os\nprint(sorted(os.environ))")
    assert "OPENAI_API_KEY" not in execution.stdout
    assert "PYTHONPATH" not in execution.stdout


async def test_a_seed_reaches_the_script(sandbox: SubprocessSandbox, tmp_path: Path) -> None:
    execution = await run(sandbox, tmp_path, "import os\nprint(os.environ['MLE_SEED'])", seed=7)
    assert execution.stdout == "7\n"


async def test_descriptors_of_the_sandbox_are_closed(sandbox: SubprocessSandbox, tmp_path: Path) -> None:
    execution = await run(sandbox, tmp_path, "import os\nprint(os.listdir('/proc/self/fd'))")
    assert execution.stdout == "['0', '1', '2', '3']\n"


async def test_no_scratch_folder_is_left(sandbox: SubprocessSandbox, tmp_path: Path, scratch_home: Path) -> None:
    script = "import os\nos.makedirs('a/b')\nos.chmod('a/b', 0)\nos.chmod('a', 0)\nos.chmod('..', 0o500)"
    execution = await run(sandbox, tmp_path, script, view=make_view(tmp_path))
    assert execution.outcome == "ok"
    assert list(scratch_home.iterdir()) == []


async def test_cancelling_at_any_moment_leaves_no_scratch_folder(
    sandbox: SubprocessSandbox, tmp_path: Path, scratch_home: Path
) -> None:
    view = make_view(tmp_path)
    for i in range(20):
        job = make_job(tmp_path, "pass", view=view, folder=tmp_path / f"job{i}")
        task = asyncio.create_task(sandbox.run(job))
        await asyncio.sleep(i * 0.002)
        task.cancel()
        await asyncio.wait({task})
        assert list(scratch_home.iterdir()) == []
        assert task.cancelled() is not (tmp_path / f"job{i}").exists()


async def test_a_hard_link_to_a_file_outside_is_copied(sandbox: SubprocessSandbox, tmp_path: Path) -> None:
    outside = Path(tempfile.mkdtemp()) / "outside"
    outside.write_text("outside")
    await run(sandbox, tmp_path, f"import os\nos.link({str(outside)!r}, 'linked')")
    (tmp_path / "job" / "linked").write_text("changed")
    assert outside.read_text() == "outside"
    shutil.rmtree(outside.parent)


async def test_a_folder_that_exists_is_refused(sandbox: SubprocessSandbox, tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    with pytest.raises(SandboxError, match="exists already"):
        await run(sandbox, tmp_path, "pass")


async def test_a_missing_interpreter_is_our_failure(sandbox: SubprocessSandbox, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="/no/python"):
        await run(sandbox, tmp_path, "pass", python=Path("/no/python"))


async def test_a_script_that_kills_its_supervisor_is_killed(sandbox: SubprocessSandbox, tmp_path: Path) -> None:
    script = "import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(600)"
    execution = await run(sandbox, tmp_path, script)
    assert execution.outcome == "killed", "and not ended at its time limit"


async def test_a_daemon_whose_supervisor_was_killed_is_found(sandbox: SubprocessSandbox, tmp_path: Path) -> None:
    script = (
        f"import os, signal, time\npid = {str(tmp_path / 'pid')!r}\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork():\n        os._exit(0)\n"
        "    open(pid + '.new', 'w').write(str(os.getpid()))\n    os.rename(pid + '.new', pid)\n    time.sleep(600)\n"
        "while not os.path.exists(pid):\n    time.sleep(0.01)\n"
        "os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(600)"
    )
    execution = await run(sandbox, tmp_path, script)
    assert execution.outcome == "killed"
    assert await dies(int((tmp_path / "pid").read_text()), seconds=60)


async def test_a_fork_bomb_ends_at_its_time(sandbox: SubprocessSandbox, tmp_path: Path, scratch_home: Path) -> None:
    script = "import os, time\nfor _ in range(6): os.fork()\nwhile True:\n    os.fork() or os._exit(0)\n    os.wait()"
    execution = await run(sandbox, tmp_path, script, limits={"wall_seconds": 0.5})
    assert execution.outcome == "timeout"
    assert not [process for process in psutil.process_iter() if _works_in(process, scratch_home)]


async def test_a_low_priority_job_is_nice(sandbox: SubprocessSandbox, tmp_path: Path) -> None:
    execution = await run(sandbox, tmp_path, "import os\nprint(os.nice(0))", low_priority=True)
    assert int(execution.stdout) == min(os.nice(0) + 10, 19)  # the tests themselves may be nice


async def test_loky_workers_hold_nothing_up(sandbox: SubprocessSandbox, tmp_path: Path) -> None:
    script = "from joblib import Parallel, delayed\nprint(Parallel(n_jobs=2)(delayed(abs)(-i) for i in range(3)))"
    execution = await run(sandbox, tmp_path, script)
    assert (execution.outcome, execution.stdout) == ("ok", "[0, 1, 2]\n")


_HOST = """
import asyncio, sys
from pathlib import Path
from machine_learning_engineering.shared_libraries.execution.self_check import run
from machine_learning_engineering.shared_libraries.execution.subprocess_sandbox import SubprocessSandbox

tmp = Path(sys.argv[1])
script = f"import os, time\\nos.fork()\\nopen('{tmp}/' + str(os.getpid()) + '.pid', 'w')\\ntime.sleep(600)"
asyncio.run(run(SubprocessSandbox(), tmp, script))
"""


async def test_scripts_die_with_a_sandbox_that_is_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}  # the scratch folder of a killed sandbox stays behind
    command = [sys.executable, "-c", _HOST, str(tmp_path)]
    host = subprocess.Popen(command, cwd=ROOT, env=environment)  # noqa: ASYNC220
    while len(list(tmp_path.glob("*.pid"))) < 2:
        assert host.poll() is None
        await asyncio.sleep(0.02)
    host.send_signal(signal.SIGKILL)
    host.wait()
    for pid in tmp_path.glob("*.pid"):
        assert await dies(int(pid.stem), seconds=60)


_CONTRACT = """
import asyncio, sys, tempfile
from pathlib import Path
from machine_learning_engineering.shared_libraries.execution.self_check import CHECKS
from machine_learning_engineering.shared_libraries.execution.subprocess_sandbox import SubprocessSandbox

for check in CHECKS:
    with tempfile.TemporaryDirectory() as tmp:
        asyncio.run(check(SubprocessSandbox(), Path(tmp)))
    print(check.__name__)
"""


# The shell between them is what clears root's capabilities: an interpreter in root's home must not seem reachable.
_DROP = ("setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", "sh", "-c", 'exec "$0" "$@"')


def test_an_ordinary_user_gets_the_same_contract() -> None:
    if os.geteuid() != 0:
        pytest.skip("this user is an ordinary one: test_contract has shown it")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}"}
    pythons = (sys.executable, shutil.which(f"python3.{sys.version_info.minor}", path="/usr/local/bin:/usr/bin"))
    for python in filter(None, pythons):
        command = [*_DROP, python, "-c", "import pydantic_core, psutil"]
        if subprocess.run(command, env=environment, cwd="/", capture_output=True).returncode == 0:
            break
    else:
        pytest.skip(f"uid 1000 reaches none of {pythons}")
    command = [*_DROP, python, "-c", _CONTRACT]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.cwd().startswith(str(folder)) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
