"""A job that was run before is answered from disk, as it ended, in any process, and only where that is right."""

import asyncio
import hashlib
import io
import logging
import os
import signal
import subprocess
import sys
import tarfile
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machine_learning_engineering.shared_libraries.errors import SandboxError
from machine_learning_engineering.shared_libraries.execution.cache import CachedSandbox, Stored, holds
from machine_learning_engineering.shared_libraries.execution.self_check import make_job, make_view
from machine_learning_engineering.shared_libraries.execution.subprocess_sandbox import SubprocessSandbox
from machine_learning_engineering.shared_libraries.records import SEARCH, Execution, Job, Limits, StagedView

ROOT = Path(__file__).parents[3]


@dataclass
class FolderSandbox:
    """Makes a job's folder without running anything, and counts; the outcome is the test's choice."""

    outcome: str = "ok"
    returncode: int = 0
    stderr: str = ""
    files: dict[str, bytes] = field(default_factory=lambda: {"final/submission.csv": b"id,y\n1,2\n"})
    runs: int = 0
    name: str = "folder"
    enforces_seal: bool = True
    closed: bool = False

    async def run(self, job: Job) -> Execution:
        self.runs += 1
        for name, data in {"stdout.txt": b"out", "stderr.txt": b"", **self.files}.items():
            path = job.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return Execution.model_validate(
            {
                "outcome": self.outcome,
                "returncode": self.returncode,
                "stdout": f"run {self.runs}",
                "stderr": self.stderr,
                "execution_time": 1.0,
                "memory_bytes": 2**20,
                "backend": self.name,
                "layers": ("session",),
                "folder": job.folder,
            }
        )

    async def close(self) -> None:
        self.closed = True


class Bench:
    """A cached sandbox, and jobs that each get a folder of their own."""

    def __init__(self, tmp: Path, inner: FolderSandbox | None = None, max_bytes: int = 10**7) -> None:
        self.tmp, self.store = tmp, tmp / "store"
        self.inner = inner or FolderSandbox()
        self.sandbox = CachedSandbox(self.inner, self.store, max_bytes)
        self.count = 0

    async def run(self, script: str = "pass", **fields: object) -> Execution:
        self.count += 1
        return await self.sandbox.run(make_job(self.tmp, script, folder=self.tmp / f"job{self.count}", **fields))

    def entries(self) -> list[Path]:
        return sorted(self.store.iterdir()) if self.store.exists() else []


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


# --- a hit ------------------------------------------------------------------------------------------------------------


async def test_a_real_script_runs_once_and_comes_back_whole(tmp_path: Path) -> None:
    sandbox = CachedSandbox(SubprocessSandbox(), tmp_path / "store", 10**7)
    script = "import os\nos.makedirs('a/b/empty')\nopen('a/x.bin', 'wb').write(bytes(range(256)))\nprint(os.urandom(8))"
    view = make_view(tmp_path)
    first, second = [
        await sandbox.run(make_job(tmp_path, script, folder=tmp_path / name, view=view)) for name in ("one", "two")
    ]
    assert not first.cached
    assert second == first.model_copy(update={"cached": True, "folder": tmp_path / "two"})
    assert tree(tmp_path / "two") == tree(tmp_path / "one")
    assert (tmp_path / "two" / "a" / "x.bin").stat().st_mode == (tmp_path / "one" / "a" / "x.bin").stat().st_mode


async def test_another_sandbox_on_the_same_folder_finds_the_result(tmp_path: Path) -> None:
    assert not (await Bench(tmp_path / "a").run()).cached
    later = Bench(tmp_path / "b")
    later.sandbox = CachedSandbox(later.inner, tmp_path / "a" / "store", 10**7)
    assert (await later.run()).cached
    assert later.inner.runs == 0


async def test_odd_file_names_come_back(tmp_path: Path) -> None:
    names = ["x" * 150 + "/" + "y" * 200, os.fsdecode(b"not \xff utf-8"), "new\nline", " ", "-rf"]
    bench = Bench(tmp_path, FolderSandbox(files={name: name.encode(errors="replace") for name in names}))
    assert [(await bench.run()).cached for _ in range(2)] == [False, True]
    assert tree(tmp_path / "job1") == tree(tmp_path / "job2")


async def test_changing_a_restored_file_does_not_change_the_next(bench: Bench) -> None:
    for _ in range(2):
        (await bench.run()).folder.joinpath("final/submission.csv").write_text("changed")
    assert (await bench.run()).folder.joinpath("final/submission.csv").read_text() == "id,y\n1,2\n"


async def test_an_existing_folder_is_refused_as_the_inner_sandbox_does(tmp_path: Path) -> None:
    sandbox = CachedSandbox(SubprocessSandbox(), tmp_path / "store", 10**7)
    await sandbox.run(make_job(tmp_path, "pass"))
    with pytest.raises(SandboxError, match="exists already"):
        await sandbox.run(make_job(tmp_path, "pass"))


async def test_name_seal_and_end_are_those_of_the_inner_sandbox(bench: Bench) -> None:
    await bench.sandbox.close()
    assert (bench.sandbox.name, bench.sandbox.enforces_seal, bench.inner.closed) == ("folder", True, True)


@pytest.mark.parametrize("is_known", [False, True])
async def test_cancelling_at_any_moment_leaves_no_folder(tmp_path: Path, is_known: bool) -> None:
    inner = FolderSandbox(files={f"{i}": bytes(10**5) for i in range(50)})
    store = Bench(tmp_path, inner)
    if is_known:
        await store.run()
    for i in range(15):
        folder = tmp_path / "cancelled" / str(i)
        script = "pass" if is_known else f"pass  # {i}"
        task = asyncio.create_task(store.sandbox.run(make_job(tmp_path, script, folder=folder)))
        await asyncio.sleep(i * 0.004)
        task.cancel()
        await asyncio.wait({task})
        assert folder.exists() is not task.cancelled()
        assert not list(tmp_path.glob("cancelled/.*"))


# --- what makes a job another job -------------------------------------------------------------------------------------


def staged(digest: str, tmp: Path = Path("unused")) -> StagedView:
    return StagedView(view=SEARCH, path=tmp, digest=digest)


CHANGES: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "script": ({"script": "x = 1"}, {"script": "x = 1 "}),
    "name": ({"name": "a.py"}, {"name": "b.py"}),
    "view": ({"view": staged("a")}, {"view": staged("b")}),
    "no view": ({"view": staged("a")}, {}),
    "arguments": ({"argv": ("a", "b")}, {"argv": ("a b",)}),
    "stdin": ({"stdin": b"a"}, {"stdin": b"b"}),
    "seed": ({"seed": 1}, {"seed": 2}),
    "no seed": ({"seed": 0}, {}),
    "threads": ({"limits": {"threads": 1}}, {"limits": {"threads": 2}}),
}


@pytest.mark.parametrize(("one", "other"), CHANGES.values(), ids=CHANGES)
async def test_a_job_that_differs_is_run(bench: Bench, one: dict[str, object], other: dict[str, object]) -> None:
    assert [(await bench.run(**fields)).cached for fields in (one, other, one, other)] == [False, False, True, True]


async def test_priority_does_not_make_another_job(bench: Bench) -> None:
    assert [(await bench.run(low_priority=low)).cached for low in (False, True)] == [False, True]


@pytest.mark.parametrize("change", [{"name": "other"}, {"enforces_seal": False}])
async def test_another_backend_or_seal_is_another_job(tmp_path: Path, change: dict[str, object]) -> None:
    await Bench(tmp_path).run()
    other = Bench(tmp_path, replace(FolderSandbox(), **change))  # type: ignore[arg-type]
    other.count = 1
    assert not (await other.run()).cached


async def test_another_byte_of_the_runner_is_another_job(bench: Bench) -> None:
    runner = bench.tmp / "runner.py"
    runner.write_text("1")
    assert [(await bench.run(runner=runner)).cached for _ in range(2)] == [False, True]
    runner.write_text("2")
    assert not (await bench.run(runner=runner)).cached


async def test_another_package_or_version_is_another_job(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    cached = []
    for version, code in (("1.0", "a"), ("1.0", "a"), ("1.0", "b"), ("1.1", "b")):
        about = site / "thing-1.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: thing\nVersion: {version}\n")
        (about / "RECORD").write_text(f"thing.py,sha256={code},1\n")
        job = make_job(tmp_path, "pass", folder=tmp_path / f"job{len(cached)}", python=python)
        cached.append((await Bench(tmp_path).sandbox.run(job)).cached)
    assert cached == [False, True, False, False]


async def test_a_changed_module_without_metadata_or_of_an_editable_package_is_another_job(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (tmp_path / "project" / "package").mkdir(parents=True)
    cached = []
    for path, text in (
        (site / "editable.pth", str(tmp_path / "project")),
        (site / "loose.py", "X = 1"),
        (site / "loose.py", "X = 22"),
        (tmp_path / "project" / "package" / "a.py", "X = 1"),
        (tmp_path / "project" / "package" / "a.py", "X = 22"),
        (tmp_path / "project" / "notes.txt", "of no package"),
    ):
        path.write_text(text)
        job = make_job(tmp_path, "pass", folder=tmp_path / f"job{len(cached)}", python=tmp_path / "venv/bin/python")
        cached.append((await Bench(tmp_path).sandbox.run(job)).cached)
    assert cached == [False, False, False, False, False, True]


async def test_an_interpreter_that_is_not_there_is_the_inner_sandboxes_business(bench: Bench) -> None:
    assert [(await bench.run(python=Path("/nowhere/python"))).cached for _ in range(2)] == [False, False]


async def test_a_job_whose_world_may_change_is_always_run(bench: Bench) -> None:
    """In a folder of the user's, or with the network."""
    assert [(await bench.run(cwd=bench.tmp)).cached for _ in range(2)] == [False, False]
    assert [(await bench.run(limits={"network": True})).cached for _ in range(2)] == [False, False]
    assert bench.entries() == []


# --- which results are kept -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "is_kept"),
    [
        ({"outcome": "ok", "stderr": "warning: MemoryError was handled"}, True),
        ({"outcome": "error", "returncode": 1, "stderr": "ValueError: no"}, True),
        ({"outcome": "error", "returncode": 1, "stderr": "numpy._core._exceptions._ArrayMemoryError: no"}, False),
        ({"outcome": "error", "returncode": 1, "stderr": "OSError: [Errno 28] No space left on device"}, False),
        ({"outcome": "error", "returncode": 1, "stderr": "torch.OutOfMemoryError: CUDA out of memory."}, False),
        ({"outcome": "error", "returncode": 1, "stderr": "RuntimeError: can't start new thread"}, False),
        ({"outcome": "error", "returncode": 1, "stderr": "BlockingIOError: Resource temporarily unavailable"}, False),
        ({"outcome": "error", "returncode": 1, "stderr": "concurrent.futures.process.BrokenProcessPool: A"}, False),
        ({"outcome": "error", "returncode": 1, "stderr": "joblib...process_executor.TerminatedWorkerError: A"}, False),
        ({"outcome": "error", "returncode": 1, "stderr": "OSError: [Errno 24] Too many open files: 'a'"}, False),
        ({"outcome": "killed", "returncode": -signal.SIGSEGV}, True),
        ({"outcome": "killed", "returncode": -signal.SIGABRT}, True),
        ({"outcome": "killed", "returncode": -signal.SIGKILL}, False),
        ({"outcome": "killed", "returncode": -signal.SIGTERM}, False),
        ({"outcome": "timeout", "returncode": -signal.SIGKILL}, True),
        ({"outcome": "memory", "returncode": 1, "stderr": "MemoryError"}, True),
        ({"outcome": "output_limit", "returncode": 1}, True),
    ],
)
async def test_only_what_tells_of_the_script_is_kept(tmp_path: Path, result: dict[str, object], is_kept: bool) -> None:
    bench = Bench(tmp_path, replace(FolderSandbox(), **result))  # type: ignore[arg-type]
    limits = {"memory_bytes": 2**30}
    assert [(await bench.run(limits=limits)).cached for _ in range(2)] == [False, is_kept]


async def test_a_sandbox_that_cannot_work_leaves_nothing(tmp_path: Path) -> None:
    class Broken(FolderSandbox):
        async def run(self, job: Job) -> Execution:
            raise SandboxError("the disk is full")

    bench = Bench(tmp_path, Broken())
    with pytest.raises(SandboxError, match="the disk is full"):
        await bench.run()
    assert bench.entries() == []


# --- limits -----------------------------------------------------------------------------------------------------------


async def test_a_finished_result_counts_under_every_limit_that_it_kept(bench: Bench) -> None:
    await bench.run(limits={"wall_seconds": 10, "memory_bytes": 2**30})  # took 1 s and 1 MiB, printed 3 bytes
    for kept in ({"wall_seconds": 100}, {"wall_seconds": 1.5}, {"memory_bytes": 2**21}, {"output_bytes": 3}):
        assert (await bench.run(limits=kept)).cached, kept


@pytest.mark.parametrize(
    "limits",
    [{"wall_seconds": 0.5}, {"memory_bytes": 2**19}, {"file_bytes": 10}, {"output_bytes": 2}, {"processes": 8}],
)
async def test_a_finished_result_does_not_count_under_a_limit_that_it_may_not_keep(
    bench: Bench, limits: dict[str, object]
) -> None:
    await bench.run()
    assert not (await bench.run(limits=limits)).cached


@pytest.mark.parametrize(("first", "second", "is_cached"), [(10, 5, True), (10, 10, True), (5, 10, False)])
async def test_a_timeout_counts_only_under_limits_not_larger(
    tmp_path: Path, first: int, second: int, is_cached: bool
) -> None:
    bench = Bench(tmp_path, FolderSandbox(outcome="timeout", returncode=-9))
    await bench.run(limits={"wall_seconds": first})
    assert (await bench.run(limits={"wall_seconds": second})).cached is is_cached


@pytest.mark.parametrize("returncode", [-signal.SIGKILL, -signal.SIGXCPU])
async def test_a_timeout_by_cpu_time_counts_only_under_limits_not_larger(tmp_path: Path, returncode: int) -> None:
    """Ended by SIGKILL, it may have been the time of the whole tree as well as the wall clock."""
    bench = Bench(tmp_path, FolderSandbox(outcome="timeout", returncode=returncode))
    await bench.run(limits={"wall_seconds": 20, "cpu_seconds": 1})
    assert (await bench.run(limits={"wall_seconds": 20, "cpu_seconds": 1})).cached
    assert not (await bench.run(limits={"wall_seconds": 20, "cpu_seconds": 10})).cached


async def test_a_job_keeps_its_timeout_and_its_finished_result_side_by_side(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FolderSandbox(outcome="timeout", returncode=-9))
    await bench.run(limits={"wall_seconds": 0.5})
    bench.inner.outcome, bench.inner.returncode = "ok", 0
    await bench.run(limits={"wall_seconds": 10})
    again = [await bench.run(limits={"wall_seconds": seconds}) for seconds in (0.5, 10)]
    assert [(one.outcome, one.cached) for one in again] == [("timeout", True), ("ok", True)]


LIMITS = st.builds(
    Limits,
    wall_seconds=st.integers(1, 8),
    cpu_seconds=st.one_of(st.none(), st.integers(1, 8 * (os.cpu_count() or 1))),
    memory_bytes=st.one_of(st.none(), st.integers(1, 8)),
    file_bytes=st.integers(1, 8),
    output_bytes=st.integers(1, 8),
    processes=st.integers(8, 12),
)
MOMENTS = st.lists(
    st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(0, 3), st.integers(1, os.cpu_count() or 1)), max_size=8
)


def simulate(script: list[tuple[int, int, int, int]], limits: Limits) -> Stored:
    """How a script ends that each second holds some memory, has a file of some size, prints, and uses processors."""
    peak, printed, cpu, outcome, returncode, seconds = 0, 0, 0, "ok", 0, 0
    for memory, file, output, cores in script:
        seconds += 1
        peak, printed, cpu = max(peak, memory), printed + output, cpu + cores
        if memory > (limits.memory_bytes or 99):
            outcome, returncode = "memory", -9
        elif file > limits.file_bytes:
            outcome, returncode = "output_limit", 1
        elif cpu > (limits.cpu_seconds or 999):
            outcome, returncode = "timeout", -signal.SIGXCPU
        elif seconds > limits.wall_seconds:
            outcome, returncode = "timeout", -9
        if outcome != "ok":
            break
    kept = printed if printed <= limits.output_bytes else limits.output_bytes + 50
    execution = Execution.model_validate(
        {"outcome": outcome, "returncode": returncode, "stdout": str(kept), "stderr": "", "execution_time": seconds}
        | {"memory_bytes": peak or None, "backend": "model", "folder": Path()}
    )
    return Stored(execution=execution, limits=limits, printed_bytes=kept)


@settings(max_examples=1000, deadline=None)
@given(MOMENTS, LIMITS, LIMITS)
def test_a_result_that_holds_is_what_a_new_run_would_give(
    script: list[tuple[int, int, int, int]], then: Limits, now: Limits
) -> None:
    stored, fresh = simulate(script, then), simulate(script, now)
    if holds(stored, now):
        assert fresh.execution.outcome == stored.execution.outcome
        if stored.execution.outcome == "ok":
            assert fresh.execution == stored.execution


@given(MOMENTS, LIMITS)
def test_a_result_holds_under_its_own_limits(script: list[tuple[int, int, int, int]], limits: Limits) -> None:
    assert holds(simulate(script, limits), limits)


@given(MOMENTS, LIMITS, st.integers(0, 5))
def test_a_finished_result_holds_under_larger_limits(
    script: list[tuple[int, int, int, int]], then: Limits, more: int
) -> None:
    stored = simulate(script, then)
    larger = then.model_copy(
        update={"wall_seconds": then.wall_seconds + more, "file_bytes": then.file_bytes + more, "cpu_seconds": None}
        | {"memory_bytes": None, "processes": then.processes + more}
    )
    assert holds(stored, larger) or stored.execution.outcome != "ok"


# --- the folder -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: data[:30],
        lambda data: data[:3000] + bytes([data[3000] ^ 1]) + data[3001:],
        lambda data: b"0" * 64 + data[64:],
        lambda data: data + b"x",
    ],
    ids=["cut", "empty", "digest only", "a bit", "another digest", "longer"],
)
async def test_a_corrupted_entry_is_a_miss_and_goes(
    bench: Bench, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    await bench.run()
    (entry,) = bench.entries()
    entry.write_bytes(damage(entry.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert not (await bench.run()).cached
    assert f"removing the cache entry {entry}" in caplog.text
    assert (await bench.run()).cached
    assert bench.inner.runs == 2
    assert not list(bench.tmp.glob(".job*"))


async def test_an_entry_of_another_format_is_a_miss_and_goes(bench: Bench) -> None:
    await bench.run()
    (entry,) = bench.entries()
    body = b"not a tar archive"
    entry.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    assert [(await bench.run()).cached for _ in range(2)] == [False, True]


async def until_files_are_newer(bench: Bench) -> None:
    """Returns once a file that is made now is newer than all entries: the clock of files moves in steps."""
    newest, probe = max(path.stat().st_mtime_ns for path in bench.entries()), bench.tmp / "probe"
    while probe.write_bytes(b"") or probe.stat().st_mtime_ns <= newest:  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def test_the_least_recently_used_entries_go_first(tmp_path: Path) -> None:
    files = {"data": bytes(10_000)}
    bench = Bench(tmp_path, FolderSandbox(files=files), max_bytes=70_000)  # room for three
    for script in ("a", "b", "c", "a", "d"):
        await bench.run(script)
        await until_files_are_newer(bench)
    assert sum(path.stat().st_size for path in bench.entries()) <= 70_000
    assert [(await bench.run(script)).cached for script in ("a", "c", "d")] == [True, True, True]
    assert not (await bench.run("b")).cached


async def test_a_cache_never_holds_more_than_it_may(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FolderSandbox(files={"data": bytes(1_000)}), max_bytes=300_000)
    held = []
    for number in range(60):
        await bench.run(str(number))
        held.append(sum(path.stat().st_size for path in bench.entries()))
    assert max(held) <= 300_000
    assert min(held[40:]) > 200_000, "and makes use of its room"


async def test_a_result_larger_than_the_cache_is_not_kept_and_puts_nothing_out(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_bytes=70_000)
    await bench.run("small")
    bench.inner.files = {"data": bytes(80_000)}
    await bench.run("large")
    assert [(await bench.run(script)).cached for script in ("small", "large")] == [True, False]


async def test_what_a_dead_process_left_unfinished_goes_in_time(bench: Bench) -> None:
    bench.store.mkdir()
    old, new = bench.store / "old.unfinished", bench.store / "new.unfinished"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    await bench.run()
    assert [path.name for path in bench.entries() if path.suffix != ".entry"] == ["new.unfinished"]


async def test_a_cache_that_cannot_be_written_does_not_stop_a_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    assert (await Bench(tmp_path).run()).outcome == "ok"
    assert "results cannot be kept in" in caplog.text


async def test_only_this_user_can_look_into_the_cache(bench: Bench) -> None:
    await bench.run()
    assert bench.store.stat().st_mode & 0o777 == 0o700


async def test_an_entry_never_leads_out_of_its_folder(bench: Bench) -> None:
    await bench.run()
    (entry,) = bench.entries()
    archive = io.BytesIO()
    stored = io.BytesIO(entry.read_bytes()[65:])
    with tarfile.open(fileobj=archive, mode="w") as tar, tarfile.open(fileobj=stored) as old:
        tar.addfile(old.getmember("record.json"), old.extractfile("record.json"))
        tar.addfile(tarfile.TarInfo("files/../../escaped"), io.BytesIO())
    entry.write_bytes(hashlib.sha256(archive.getvalue()).hexdigest().encode() + b"\n" + archive.getvalue())
    assert not (await bench.run()).cached
    assert not list(bench.tmp.rglob("escaped"))


HAMMER_SCRIPT = """
import asyncio, random, sys
from pathlib import Path
from machine_learning_engineering.shared_libraries.execution.cache import CachedSandbox
from machine_learning_engineering.shared_libraries.execution.self_check import make_job
from machine_learning_engineering.shared_libraries.records import Execution

tmp, seed = Path(sys.argv[1]), int(sys.argv[2])

def data(script):
    return random.Random(script).randbytes(20_000)

class Inner:
    name, enforces_seal = "inner", True
    async def run(self, job):
        job.folder.mkdir(parents=True)
        for name in ("stdout.txt", "stderr.txt", "a", "b"):
            (job.folder / name).write_bytes(data(job.script))
        return Execution(outcome="ok", returncode=0, stdout=job.script, stderr="", execution_time=0.1,
                         backend="inner", folder=job.folder)

async def main():
    pick, hits = random.Random(seed), 0
    sandbox = CachedSandbox(Inner(), tmp / "store", 500_000)
    for i in range(120):
        script = str(pick.randrange(8))
        execution = await sandbox.run(make_job(tmp, script, folder=tmp / f"{seed}-{i}"))
        assert execution.stdout == script
        assert sorted(path.name for path in execution.folder.iterdir()) == ["a", "b", "stderr.txt", "stdout.txt"]
        assert all(path.read_bytes() == data(script) for path in execution.folder.iterdir())
        hits += execution.cached
        for entry in pick.sample(sorted((tmp / "store").glob("*.entry")), 1) if pick.random() < 0.1 else ():
            damaged = tmp / f"{seed}-damaged"
            damaged.write_bytes(bytes(5000) + b"damage")
            damaged.replace(entry)
    print(hits)

asyncio.run(main())
"""


def test_processes_share_a_cache_that_others_write_evict_and_damage(tmp_path: Path) -> None:
    """Every answer is right, whatever the others do; some come from disk."""
    command = [sys.executable, "-c", HAMMER_SCRIPT, str(tmp_path)]
    running = [
        subprocess.Popen([*command, str(seed)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for seed in range(4)
    ]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in running]
    assert [errors[-2000:] for _, errors, code in ended if code] == []
    assert all(int(output) > 10 for output, *_ in ended), "the cache answered"
    store = list((tmp_path / "store").iterdir())
    assert {path.suffix for path in store} == {".entry"}
    assert sum(path.stat().st_size for path in store) <= 500_000
    assert not list(tmp_path.glob(".*"))
