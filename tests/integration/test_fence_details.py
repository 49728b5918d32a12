"""What the fence of the warm sandbox leaves open and what not, beyond the hostile cases."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import venv
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from machine_learning_engineering.shared_libraries.errors import SandboxError
from machine_learning_engineering.shared_libraries.execution import cgroups, reachable, warm_sandbox
from machine_learning_engineering.shared_libraries.execution.fork_client import ForkServer
from machine_learning_engineering.shared_libraries.execution.sandbox import BACKENDS, Sandbox, make_sandbox
from machine_learning_engineering.shared_libraries.execution.scratch import make_scratch
from machine_learning_engineering.shared_libraries.execution.self_check import make_job, make_view, run
from machine_learning_engineering.shared_libraries.records import FINAL

pytestmark = pytest.mark.skipif("warm" not in BACKENDS, reason="needs the warm backend")


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    made = make_sandbox("warm")
    yield made
    await made.close()


async def test_what_lies_beside_an_interpreter_is_not_read(sandbox: Sandbox, tmp_path: Path) -> None:
    """People make virtual environments in their project folder, where their runs and data are too."""
    project = tmp_path / "project"
    venv.create(project, symlinks=True)
    (project / "labels.csv").write_text("secret")
    script = f"import sys\nprint(sys.prefix)\nopen({str(project / 'labels.csv')!r})"
    execution = await run(sandbox, tmp_path, script, python=project / "bin" / "python")
    if "landlock" not in execution.layers:
        pytest.skip("this machine has no Landlock")
    assert execution.stdout.strip()
    assert "PermissionError" in execution.stderr or "FileNotFoundError" in execution.stderr


async def test_the_parent_of_a_system_interpreter_is_not_open(sandbox: Sandbox, tmp_path: Path) -> None:
    python = next((path for path in (Path("/bin/python3"), Path("/usr/bin/python3")) if path.exists()), None)
    if python is None:
        pytest.skip("there is no system Python")
    (tmp_path / "secret").write_text("secret")
    execution = await run(sandbox, tmp_path, f"print(1)\nopen({str(tmp_path / 'secret')!r})", python=python)
    if "landlock" not in execution.layers:
        pytest.skip("this machine has no Landlock")
    assert execution.stdout == "1\n", execution.stderr
    assert "secret" not in execution.stdout
    assert execution.outcome == "error"


def test_an_interpreter_in_the_home_opens_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one built with `--prefix=$HOME/.local`, where the data home lies, too."""
    for name in ("bin", "lib", "share/mle/tasks", "share/keyrings", "share/zoneinfo", "ssl/certs", "ssl/private"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    opened = {path for path in reachable.readable_paths.__wrapped__() if Path(path).is_relative_to(tmp_path)}
    assert opened == {str(tmp_path / name) for name in ("bin", "lib", "share/zoneinfo", "ssl/certs")}


@pytest.mark.parametrize("folder", ["/usr/src", "/usr/local", "/usr/local/share", "/etc/ssl", "/opt"])
async def test_what_images_keep_beside_the_system_is_not_read(sandbox: Sandbox, tmp_path: Path, folder: str) -> None:
    if not os.access(folder, os.W_OK):
        pytest.skip(f"{folder} cannot be written here")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        (Path(place) / "labels.csv").write_text("secret")
        execution = await run(sandbox, tmp_path, f"print(open({f'{place}/labels.csv'!r}).read())")
    if "landlock" not in execution.layers:
        pytest.skip("this machine has no Landlock")
    assert "secret" not in execution.stdout
    assert "PermissionError" in execution.stderr or "FileNotFoundError" in execution.stderr


@pytest.mark.parametrize("network", [True, False])
async def test_name_servers_are_read_where_the_network_is_open(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: bool
) -> None:
    """On many machines /etc/resolv.conf is a link into a folder that the fence hides."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as hidden:
        (Path(hidden) / "stub.conf").write_text("nameserver 127.0.0.53\n")
        (tmp_path / "resolv.conf").symlink_to(Path(hidden) / "stub.conf")
        monkeypatch.setattr(reachable, "_NAME_SERVERS", tmp_path / "resolv.conf")
        script = f"print(open({f'{hidden}/stub.conf'!r}).read())"
        execution = await run(sandbox, tmp_path, script, limits={"network": network})
        if "landlock" not in execution.layers:
            pytest.skip("this machine has no Landlock")
        assert ("nameserver 127.0.0.53" in execution.stdout) is network, execution.stderr


@pytest.mark.parametrize(
    "call",
    [
        "os.setpriority(os.PRIO_PGRP, 0, os.getpriority(os.PRIO_PROCESS, 0))",
        "os.sched_setscheduler(os.getppid(), os.SCHED_OTHER, os.sched_param(0))",
        "os.sched_setparam(os.getppid(), os.sched_param(0))",
    ],
)
async def test_the_scheduling_of_other_processes_is_out_of_reach(sandbox: Sandbox, tmp_path: Path, call: str) -> None:
    own = "os.nice(1); os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))"
    execution = await run(sandbox, tmp_path, f"import os\n{own}\nprint('own')\n{call}")
    if "seccomp" not in execution.layers:
        pytest.skip("this machine has no seccomp filters")
    assert execution.stdout == "own\n"
    assert "PermissionError" in execution.stderr


async def test_a_disk_that_is_mounted_later_is_seen_and_one_that_is_unmounted_is_let_go(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """The next job's process waits with a copy of all mounts, which must not be an old one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    await run(sandbox, tmp_path / "first", "print(1)")
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(disk)]
    if (await asyncio.to_thread(subprocess.run, mount, check=False, capture_output=True)).returncode != 0:
        pytest.skip("this user cannot mount")
    try:
        view = make_view(disk)
        execution = await run(sandbox, tmp_path / "second", "print(open('input/train.csv').read())", view=view)
    finally:
        await asyncio.to_thread(subprocess.run, ["umount", str(disk)], check=True)
    assert execution.stdout == "x,y\n1,2\n\n", execution.stderr
    holders = {child.pid for child in psutil.Process().children(recursive=True)}
    async with asyncio.timeout(60):
        while holders := {pid for pid in holders if _has_mounted(pid, disk)}:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.01)


@pytest.fixture
def readable(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Adds a folder to what every script may read, as if the interpreter's libraries were there."""

    def add(folder: Path) -> None:
        found = (*reachable.readable_paths(), str(folder))
        for module in (reachable, warm_sandbox):
            monkeypatch.setattr(module, "readable_paths", lambda: found)
        warm_sandbox._fence.cache_clear()

    yield add
    warm_sandbox._fence.cache_clear()


@pytest.mark.parametrize("where", ["/tmp", "/opt"])
async def test_an_interpreter_inside_a_job_s_folder_stays_as_it_is(
    sandbox: Sandbox, tmp_path: Path, readable: Callable[[Path], None], where: str
) -> None:
    """People have virtual environments in their project, wherever that lies; what is planted there runs later, without
    a fence.
    """
    if not os.access(where, os.W_OK):
        pytest.skip(f"{where} cannot be written here")
    with tempfile.TemporaryDirectory(dir=where) as place:
        library = Path(place) / "project" / ".venv" / "lib"
        library.mkdir(parents=True)
        (library / "module.py").write_text("print('library')")
        readable(library)
        script = f"exec(open('.venv/lib/module.py').read())\nopen('own', 'w')\nopen({f'{library}/planted'!r}, 'w')"
        execution = await run(sandbox, tmp_path / "first", script, cwd=Path(place) / "project")
        if "mounts" not in execution.layers:
            pytest.skip("this machine has no mount namespaces")
        assert execution.stdout == "library\n"
        assert "Read-only file system" in execution.stderr
        assert (Path(place) / "project" / "own").exists()
        assert [path.name for path in library.iterdir()] == ["module.py"]


async def test_an_interpreter_behind_a_link_is_found(
    sandbox: Sandbox, tmp_path: Path, readable: Callable[[Path], None]
) -> None:
    """Such as one in a home that is a link to another disk."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as hidden:
        (Path(hidden) / "disk").mkdir()
        (Path(hidden) / "disk" / "module.py").write_text("print('library')")
        (Path(hidden) / "home").symlink_to(Path(hidden) / "disk")
        readable(Path(hidden) / "home" / "module.py")
        execution = await run(sandbox, tmp_path, f"exec(open({f'{hidden}/home/module.py'!r}).read())")
    assert execution.stdout == "library\n", execution


@pytest.mark.parametrize("kind", ["cwd", "final"])
async def test_a_folder_behind_a_link_is_found(sandbox: Sandbox, tmp_path: Path, kind: str) -> None:
    """A link outside the hidden folders that leads into one, such as to a run on a larger disk below /mnt."""
    if not os.access("/opt", os.W_OK):
        pytest.skip("/opt cannot be written here")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as disk, tempfile.TemporaryDirectory(dir="/opt") as outside:
        link = Path(outside) / "link"
        link.symlink_to(disk)
        view = make_view(tmp_path)
        fields: dict[str, Any] = {"cwd": link} if kind == "cwd" else {"folder": link / "job"}
        if kind == "final":
            fields["view"] = view.model_copy(update={"view": FINAL})
        execution = await run(sandbox, tmp_path, "open('made', 'w').write('x')", **fields)
        assert execution.outcome == "ok", execution
        assert Path(disk, "made" if kind == "cwd" else "job/made").read_text() == "x"


@pytest.mark.parametrize("folder", ["/tmp", "/", "/var/tmp"])
async def test_a_folder_that_all_share_is_nobody_s_own(sandbox: Sandbox, tmp_path: Path, folder: str) -> None:
    if "mounts" not in (await run(sandbox, tmp_path / "first", "print(1)")).layers:
        pytest.skip("this machine has no mount namespaces")
    with pytest.raises(SandboxError, match="Give it a folder of its own"):
        await run(sandbox, tmp_path / "second", "print(1)", cwd=Path(folder))


@pytest.mark.parametrize("off", [frozenset[str](), frozenset({"user-namespace"})])
async def test_a_job_has_its_own_memory_alone(tmp_path: Path, off: frozenset[str]) -> None:
    """Neither that of a job beside it nor that of the process that waits for the next one."""
    sandbox = warm_sandbox.WarmSandbox(off=off | {"memory-cgroup"})
    hoard = "import time\nhoard = b'1' * (300 * 2**20)\ntime.sleep(1.5)"
    try:
        await run(sandbox, tmp_path / "first", "import sklearn")
        await run(sandbox, tmp_path / "second", "print(1)")
        large, small = await asyncio.gather(
            run(sandbox, tmp_path / "large", hoard), run(sandbox, tmp_path / "small", "import time\ntime.sleep(1.5)")
        )
    finally:
        await sandbox.close()
    assert large.memory_bytes is not None
    assert small.memory_bytes is not None
    assert large.memory_bytes > 300 * 2**20
    assert small.memory_bytes < 60 * 2**20


async def test_a_server_that_is_busy_keeps_nobody_else_waiting(sandbox: Sandbox, tmp_path: Path) -> None:
    await run(sandbox, tmp_path / "first", "print(1)")
    assert isinstance(sandbox, warm_sandbox.WarmSandbox)
    (started,) = sandbox._servers.values()
    server = psutil.Process(started.result().pid)
    server.suspend()
    try:
        argv = ("x" * 60_000,) * 2
        jobs = [asyncio.ensure_future(run(sandbox, tmp_path / f"{n}", "print(1)", argv=argv)) for n in range(6)]
        for _ in range(30):
            await asyncio.sleep(0.01)
    finally:
        server.resume()
    assert [execution.outcome for execution in await asyncio.gather(*jobs)] == ["ok"] * 6


def test_groups_of_sandboxes_that_were_killed_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    if not cgroups.usable("pids"):
        pytest.skip("this user makes no control groups")
    ended = subprocess.Popen(["true"])
    ended.wait()
    left, own = (Path(f"/sys/fs/cgroup/pids/mle-{pid}-test") for pid in (ended.pid, os.getpid()))
    left.mkdir()
    own.mkdir()
    monkeypatch.setattr(cgroups, "_OLD_SECONDS", -1.0)
    cgroups._clear.cache_clear()
    try:
        cgroups.ControlGroups(None, 100).remove()
        assert not left.exists()
    finally:
        own.rmdir()


@pytest.mark.parametrize("off", [frozenset(), frozenset({"mounts"})])
async def test_folders_wait_for_jobs_only_where_no_script_sees_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: frozenset[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    sandbox = warm_sandbox.WarmSandbox(off=off)
    seen = "import os\nfolder = os.path.dirname(os.path.dirname(os.getcwd()))\nprint(*os.listdir(folder) if {} else ())"
    seen = seen.format("mounts" not in off)
    for number in range(3):
        execution = await run(sandbox, tmp_path / f"job{number}", seen)
        assert execution.outcome == "ok", execution.stderr
        await asyncio.sleep(0.05)
    waiting = list((tmp_path / "tmp").iterdir())
    assert len(waiting) == (2 if "mounts" in execution.layers else 0)
    if waiting:
        shutil.rmtree(waiting[0])  # as what clears old files away does
        assert len(execution.stdout.split()) == 1, "a script finds its own folder alone"
        assert (await run(sandbox, tmp_path / "again", "print(1)")).outcome == "ok"
        assert (await run(sandbox, tmp_path / "once more", "print(1)")).outcome == "ok"
    await sandbox.close()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_scratch_folder_has_no_link_in_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "link"))
    assert make_scratch(make_job(tmp_path, "")).root.parent == (tmp_path / "disk").resolve()


def _has_mounted(pid: int, folder: Path) -> bool:
    try:
        return f" {folder} " in Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:  # it has ended
        return False


@pytest.mark.parametrize("memory", [None, 2**30])
async def test_more_processes_than_allowed_are_refused_at_once(
    sandbox: Sandbox, tmp_path: Path, memory: int | None
) -> None:
    script = """
import threading, time
threading.stack_size(2**16)
try:
    for number in range(200):
        threading.Thread(target=time.sleep, args=(3,), daemon=True).start()
finally:
    print(number)
"""
    execution = await run(sandbox, tmp_path, script, limits={"processes": 50, "memory_bytes": memory})
    if not {"pids-cgroup", "user-namespace"} & {*execution.layers}:
        pytest.skip("here the watch alone bounds the number of processes")
    assert execution.outcome == "error", execution
    assert 30 < int(execution.stdout) < 50, execution


async def test_arguments_that_are_too_long_are_told_of(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="pass long ones in a file or on stdin"):
        await run(sandbox, tmp_path, "print(1)", argv=("x" * 50_000,) * 3)
    assert (await run(sandbox, tmp_path / "next", "print(1)", argv=("x" * 50_000,) * 2)).stdout == "1\n"


async def test_a_server_that_starts_is_ended_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed: one that were asked to end would import everything first."""
    servers: list[subprocess.Popen[bytes]] = []

    class Seen(ForkServer):
        def __init__(self, *settings: Any) -> None:
            super().__init__(*settings)
            servers.append(self._popen)

    monkeypatch.setattr(warm_sandbox, "ForkServer", Seen)
    sandbox = make_sandbox("warm")
    await sandbox.warm_up(1)
    while not servers:  # noqa: ASYNC110 - until its first turn
        await asyncio.sleep(0)
    await sandbox.close()
    others = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    if others:
        await asyncio.wait(others)
    assert [server.wait(60) for server in servers] == [-signal.SIGKILL]


async def test_a_script_without_libraries_finds_none_imported(sandbox: Sandbox, tmp_path: Path) -> None:
    await sandbox.warm_up(2)
    execution = await run(sandbox, tmp_path, "import sys\nprint('numpy' in sys.modules)")
    assert execution.stdout == "False\n"


async def test_packages_are_not_searched_anew_by_every_script(sandbox: Sandbox, tmp_path: Path) -> None:
    """As scikit-learn does for kinds of tables when it sees its first one."""
    script = """\
import sys
import pandas as pd
from sklearn.preprocessing import StandardScaler
before, read = set(sys.modules), []
sys.addaudithook(lambda event, args: read.append(str(args[0])) if event == "open" else None)
frame = pd.DataFrame({"a": [0.0, 1.0]})
for table in (frame, frame.to_numpy()):
    StandardScaler().fit(table)
print(len(read), sorted(set(sys.modules) - before))
"""
    execution = await run(sandbox, tmp_path, script)
    assert execution.stdout == "0 []\n", execution.stderr
