"""Jobs wait for room: none goes over the capacity, none is overtaken to its harm, a cancelled one leaves no trace."""

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machine_learning_engineering.shared_libraries.errors import QueueFull, SandboxUnavailable
from machine_learning_engineering.shared_libraries.execution.scheduler import (
    Capacity,
    Resources,
    ScheduledSandbox,
)
from machine_learning_engineering.shared_libraries.execution.self_check import make_job, run
from machine_learning_engineering.shared_libraries.execution.subprocess_sandbox import SubprocessSandbox
from machine_learning_engineering.shared_libraries.records import Execution, Job, Limits

CAPACITY = Capacity(cpus=4, memory_bytes=100, gpus=1)
ALL = Resources(4, 100, 1)


class StepSandbox:
    """Holds every job until the test lets it end; `running` has the names in the order in which they started."""

    name, enforces_seal = "step", True

    def __init__(self) -> None:
        self.running: dict[str, asyncio.Future[None]] = {}
        self.started: list[str] = []
        self.closed = False

    async def run(self, job: Job) -> Execution:
        self.started.append(job.name)
        self.running[job.name] = asyncio.get_running_loop().create_future()
        try:
            await self.running[job.name]
        finally:
            del self.running[job.name]
        return Execution(
            outcome="ok", returncode=0, stdout="", stderr="", execution_time=0, backend="step", folder=job.folder
        )

    def end(self, name: str) -> None:
        self.running[name].set_result(None)

    async def close(self) -> None:
        self.closed = True


def job_of(name: str, cpus: int, memory: int | None = None, low: bool = False, gpus: int = 0) -> Job:
    """A job that asks for so much."""
    limits = Limits(threads=cpus, memory_bytes=memory, gpus=gpus)
    return Job(script="", name=name, folder=Path("none"), limits=limits, low_priority=low)


class Bench:
    """A scheduler over a sandbox that the test steers; each action is followed until nothing moves."""

    def __init__(self, capacity: Capacity = CAPACITY) -> None:
        self.inner = StepSandbox()
        self.sandbox = ScheduledSandbox(self.inner, capacity)
        self.tasks: dict[str, asyncio.Task[Execution]] = {}

    async def submit(self, job: Job) -> None:
        self.tasks[job.name] = asyncio.create_task(self.sandbox.run(job))
        await settle()

    async def end(self, name: str) -> None:
        self.inner.end(name)
        await settle()

    async def cancel(self, name: str) -> None:
        self.tasks[name].cancel()
        await settle()


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def test_jobs_that_fit_run_side_by_side_and_others_wait() -> None:
    bench = Bench()
    for name, cpus in (("a", 2), ("b", 2), ("c", 1)):
        await bench.submit(job_of(name, cpus))
    assert list(bench.inner.running) == ["a", "b"]
    await bench.end("a")
    assert list(bench.inner.running) == ["b", "c"]


async def test_memory_is_counted_where_it_is_given() -> None:
    bench = Bench()
    for name, memory in (("a", 60), ("b", 60), ("c", None)):
        await bench.submit(job_of(name, 1, memory))
    assert list(bench.inner.running) == ["a", "c"]


async def test_a_job_larger_than_the_machine_runs_alone() -> None:
    bench = Bench()
    await bench.submit(job_of("large", 64, 10**6))
    await bench.submit(job_of("small", 1))
    assert list(bench.inner.running) == ["large"]


async def test_a_large_job_is_not_overtaken_by_small_ones() -> None:
    bench = Bench()
    await bench.submit(job_of("first", 2))
    await bench.submit(job_of("large", 4))
    for i in range(5):
        await bench.submit(job_of(f"small{i}", 1))
    assert list(bench.inner.running) == ["first"]
    await bench.end("first")
    assert list(bench.inner.running) == ["large"]


async def test_a_job_may_start_before_one_that_waits_for_something_else() -> None:
    bench = Bench()
    for name in ("gpu1", "gpu2"):
        await bench.submit(job_of(name, 1, gpus=1))
    for name in ("a", "b", "c"):
        await bench.submit(job_of(name, 1))
    assert list(bench.inner.running) == ["gpu1", "a", "b"], "the fourth processor is kept for gpu2"


async def test_a_job_that_asks_for_more_gpus_than_there_are_is_refused() -> None:
    bench = Bench()
    with pytest.raises(SandboxUnavailable, match="asks for 2 GPUs, of which there are 1"):
        await bench.sandbox.run(job_of("a", 1, gpus=2))
    assert bench.sandbox.free == ALL


async def test_a_low_priority_job_runs_where_there_is_room() -> None:
    bench = Bench()
    await bench.submit(job_of("a", 2))
    await bench.submit(job_of("low", 2, low=True))
    assert list(bench.inner.running) == ["a", "low"]


async def test_a_low_priority_job_stands_behind_all_others() -> None:
    bench = Bench()
    await bench.submit(job_of("a", 4))
    await bench.submit(job_of("low", 1, low=True))
    await bench.submit(job_of("b", 2))
    await bench.submit(job_of("c", 2))
    await bench.end("a")
    assert list(bench.inner.running) == ["b", "c"]
    await bench.end("b")
    assert list(bench.inner.running) == ["c", "low"]


async def test_a_low_priority_job_takes_nothing_that_a_waiting_one_needs() -> None:
    bench = Bench()
    await bench.submit(job_of("a", 3))
    await bench.submit(job_of("b", 2))
    await bench.submit(job_of("low", 1, low=True))
    assert list(bench.inner.running) == ["a"]


async def test_a_full_queue_refuses_the_next_job() -> None:
    bench = Bench(Capacity(cpus=1, waiting=1))
    await bench.submit(job_of("a", 1))
    await bench.submit(job_of("b", 1))
    with pytest.raises(QueueFull, match="1 jobs wait already"):
        await bench.sandbox.run(job_of("c", 1))
    await bench.end("a")
    assert list(bench.inner.running) == ["b"]


async def test_a_job_that_can_start_needs_no_place_in_the_queue() -> None:
    bench = Bench(Capacity(cpus=1, waiting=0))
    await bench.submit(job_of("a", 1))
    assert list(bench.inner.running) == ["a"]


async def test_cancelling_the_first_waiter_lets_the_others_go() -> None:
    bench = Bench()
    for name, cpus in (("a", 3), ("large", 4), ("small", 1)):
        await bench.submit(job_of(name, cpus))
    await bench.cancel("large")
    assert list(bench.inner.running) == ["a", "small"]
    assert bench.tasks["large"].cancelled()


async def test_a_waiter_cancelled_just_after_it_got_its_room_gives_it_back() -> None:
    bench = Bench()
    await bench.submit(job_of("a", 4))
    await bench.submit(job_of("b", 4))
    bench.inner.end("a")
    await asyncio.sleep(0)
    assert (bench.sandbox.waiting, bench.inner.started) == (0, ["a"]), "`b` has its room and has not noticed"
    await bench.cancel("b")
    assert bench.inner.started == ["a"]
    assert (bench.sandbox.free, bench.sandbox.waiting) == (ALL, 0)


async def test_a_waiter_cancelled_just_before_it_would_start_is_passed_over() -> None:
    bench = Bench()
    for name in ("a", "b", "c"):
        await bench.submit(job_of(name, 4))
    bench.inner.end("a")
    await bench.cancel("b")
    assert bench.inner.started == ["a", "c"]
    assert (await bench.tasks["a"]).outcome == "ok"


async def test_a_job_that_fails_gives_its_room_back() -> None:
    bench = Bench()
    await bench.submit(job_of("a", 4))
    bench.inner.running["a"].set_exception(OSError("no disk"))
    with pytest.raises(OSError, match="no disk"):
        await bench.tasks["a"]
    assert bench.sandbox.free == ALL


async def test_name_seal_and_end_are_those_of_the_inner_sandbox() -> None:
    bench = Bench()
    await bench.sandbox.close()
    assert (bench.sandbox.name, bench.sandbox.enforces_seal, bench.inner.closed) == ("step", True, True)


async def test_a_real_script_runs_through_it(tmp_path: Path) -> None:
    sandbox = ScheduledSandbox(SubprocessSandbox(), Capacity(cpus=1))
    jobs = [replace(make_job(tmp_path, f"print({i})"), folder=tmp_path / str(i)) for i in range(3)]
    executions = await asyncio.gather(*map(sandbox.run, jobs))
    assert [one.stdout for one in executions] == ["0\n", "1\n", "2\n"]
    assert (await run(sandbox, tmp_path, "print('again')")).stdout == "again\n"


JOBS = st.builds(
    job_of,
    name=st.uuids().map(str),
    cpus=st.integers(1, 5),
    memory=st.one_of(st.none(), st.integers(1, 120)),
    low=st.booleans(),
    gpus=st.integers(0, 1),
)
ACTIONS = st.lists(st.tuples(st.sampled_from(["submit", "submit", "end", "cancel"]), JOBS, st.integers(0)), max_size=40)


def needs(job: Job) -> Resources:
    return Resources(min(job.limits.threads, 4), min(job.limits.memory_bytes or 0, 100), job.limits.gpus)


def fits(job: Job, room: Resources) -> bool:
    wanted = needs(job)
    return wanted.cpus <= room.cpus and wanted.memory_bytes <= room.memory_bytes and wanted.gpus <= room.gpus


def check(bench: Bench, jobs: dict[str, Job]) -> None:
    """What holds whenever nothing moves."""
    running = [jobs[name] for name in bench.inner.running]
    taken = sum((needs(job) for job in running), Resources(0))
    free = bench.sandbox.free
    assert free + taken == ALL, "free is what no running job has, and never less than nothing"
    waiting = [jobs[name] for name, task in bench.tasks.items() if not task.done() and name not in bench.inner.running]
    assert len(waiting) == bench.sandbox.waiting
    in_order = sorted(waiting, key=lambda job: job.low_priority)
    if in_order:
        assert not fits(in_order[0], free), "the first in the order waits only because it does not fit"


@settings(max_examples=150, deadline=None)
@given(ACTIONS)
def test_whatever_happens_capacity_holds_and_no_job_is_lost(actions: list[tuple[str, Job, int]]) -> None:
    asyncio.run(play(actions))


async def play(actions: list[tuple[str, Job, int]]) -> None:
    bench, jobs = Bench(), dict[str, Job]()
    for action, job, pick in actions:
        living = [name for name, task in bench.tasks.items() if not task.done()]
        names = list(bench.inner.running) if action == "end" else living
        if action == "submit":
            jobs[job.name] = job
            await bench.submit(job)
        elif names:
            await (bench.end if action == "end" else bench.cancel)(names[pick % len(names)])
        check(bench, jobs)
    while bench.inner.running:
        await bench.end(next(iter(bench.inner.running)))
        check(bench, jobs)
    assert (bench.sandbox.free, bench.sandbox.waiting) == (ALL, 0)
    assert all(task.done() for task in bench.tasks.values()), "every job ran or was cancelled"


@settings(max_examples=150, deadline=None)
@given(st.lists(JOBS, min_size=1, max_size=8), st.lists(JOBS, max_size=8), st.integers(0, 10**6))
def test_later_and_low_priority_jobs_never_delay_a_waiting_one(first: list[Job], later: list[Job], choice: int) -> None:
    """The first jobs, all normal, start in the same order and at the same ends, whether or not others come after."""
    normal = [replace(job, low_priority=False) for job in first]
    assert asyncio.run(starts(normal, [])) == asyncio.run(starts(normal, later))


async def starts(first: list[Job], later: list[Job]) -> list[list[str]]:
    """Which of the first jobs run after each end of one of them, the oldest first; later ones never end."""
    bench, seen = Bench(), []
    names = {job.name for job in first}
    for job in (*first, *later):
        await bench.submit(job)
    while ours := [name for name in bench.inner.running if name in names]:
        seen.append(ours)
        await bench.end(ours[0])
    for task in bench.tasks.values():
        task.cancel()
    await settle()
    return seen


async def test_a_low_priority_job_has_spared_processors_of_its_own() -> None:
    """So that promotions go on while a search keeps all others busy; the second one waits."""
    bench = Bench(Capacity(cpus=2, spare_cpus=2))
    await bench.submit(job_of("search", 2))
    await bench.submit(job_of("promotion", 2, low=True))
    await bench.submit(job_of("next promotion", 2, low=True))
    assert list(bench.inner.running) == ["search", "promotion"]
    await bench.end("promotion")
    assert list(bench.inner.running) == ["search", "next promotion"]


async def test_on_spared_processors_memory_is_still_of_all(tmp_path: Path) -> None:
    bench = Bench(Capacity(cpus=1, spare_cpus=2, memory_bytes=100))
    await bench.submit(job_of("search", 1, memory=60))
    await bench.submit(job_of("large promotion", 1, low=True, memory=50))
    await bench.submit(job_of("promotion", 1, low=True, memory=40))
    assert list(bench.inner.running) == ["search"]  # the large one came first, and needs what the other would take
    await bench.end("search")
    assert list(bench.inner.running) == ["large promotion", "promotion"]
    for name in ("large promotion", "promotion"):
        await bench.end(name)
    assert bench.sandbox.free == Resources(1, 100)


def test_more_gpus_than_this_process_may_see_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(SandboxUnavailable, match="2 GPUs are to be used, but CUDA_VISIBLE_DEVICES names 1"):
        ScheduledSandbox(SubprocessSandbox(), Capacity(cpus=2, gpus=2))


async def test_jobs_get_gpus_of_their_own_and_give_them_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5,7")
    show = "import os, time\nprint(os.environ['CUDA_VISIBLE_DEVICES'])\n"
    show += "print(time.monotonic())\ntime.sleep(0.3)\nprint(time.monotonic())"
    sandbox = ScheduledSandbox(SubprocessSandbox(), Capacity(cpus=8, gpus=2))
    jobs = [make_job(tmp_path, show, folder=tmp_path / str(n), limits={"gpus": 1, "threads": 1}) for n in range(4)]
    done = [one.stdout.split() for one in await asyncio.gather(*map(sandbox.run, jobs))]
    used = [(device, float(begin), float(end)) for device, begin, end in done]
    assert {device for device, *_ in used} == {"3", "GPU-5"}
    for (one, _, end), (other, begin, _) in itertools.pairwise(sorted(used)):
        assert one != other or end < begin, "one job after the other, however many of them had this one"
    none = await sandbox.run(make_job(tmp_path, show, folder=tmp_path / "none"))
    assert none.stdout.splitlines()[0] == ""
    alone = await SubprocessSandbox().run(replace(jobs[0], folder=tmp_path / "alone"))
    assert alone.stdout.splitlines()[0] == "3,GPU-5,7"
