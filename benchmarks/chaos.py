"""Fork servers killed at random moments under running jobs: each job has exactly one result, and nothing is left."""

import argparse
import asyncio
import os
import random
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.jobs import busy
from machine_learning_engineering.shared_libraries.errors import SandboxError
from machine_learning_engineering.shared_libraries.execution import kernel, supervisor
from machine_learning_engineering.shared_libraries.execution.warm_sandbox import WarmSandbox
from machine_learning_engineering.shared_libraries.records import Execution, Job, Limits

_SLOTS = 4
_SPACING = 2 * _SLOTS  # jobs that end between two kills, if there are enough: one that is hit five times is given up
_LONGEST_SECONDS = 0.05
_START_SECONDS = 0.3  # about what a server needs to start
_FAULTS = ("wrong", "lost", "doubled", "refused", "processes_left", "folders_left", "groups_left", "descriptors_left")
_SCRIPT = """\
import os, pathlib, subprocess, sys, time
number, seconds, stray = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
with open("began.txt", "a") as file:
    file.write("began\\n")
if stray == 1:
    subprocess.Popen(["sleep", "600"], start_new_session=True)
if stray == 2 and os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
time.sleep(seconds)
pathlib.Path("final/submission.csv").write_text(f"id,y\\n{number},1\\n")
print(number)
"""


@dataclass
class _Storm:
    """What happened: how each job ended, and what was seen of the servers that were killed."""

    jobs: list[Job]
    results: dict[int, list[Execution]] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    kills: int = 0
    groups: list[Path] = field(default_factory=list)

    @property
    def ended(self) -> int:
        return len(self.results) + len(self.refused)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--kills", type=int, default=40, help="without those of servers that are starting")
    parser.add_argument(
        "--starting", type=float, default=0.25, help="share of kills that the next server's start meets"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments and of the jobs' lengths")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """How many jobs ended in one right result, and what was lost, doubled or left behind."""
    jobs, kills = (60, 5) if options.quick else (options.jobs, options.kills)
    kernel.adopt_orphans()  # a process that outlives its job and its server then hangs below this one
    with tempfile.TemporaryDirectory() as place:
        tempfile.tempdir = str(Path(place) / "tmp")  # nobody else's scratch folders are there
        Path(tempfile.tempdir).mkdir()
        try:
            figures = asyncio.run(_whole(Path(place) / "jobs", jobs, kills, options))
        finally:
            tempfile.tempdir = None
    for what, value in figures.items():
        print(f"{what:22} {value}")
    faultless = figures["right"] == jobs and not any(figures[what] for what in _FAULTS)
    return {"benchmark": "chaos", **figures, "target_met": faultless, "load": busy()}


async def _whole(place: Path, jobs: int, kills: int, options: argparse.Namespace) -> dict[str, Any]:
    dice = random.Random(options.seed)
    storm = _Storm([_job(place, number, dice) for number in range(jobs)])
    sandbox, free, started = WarmSandbox(), asyncio.Semaphore(_SLOTS), time.perf_counter()
    await sandbox.run(_job(place, -1, dice))
    descriptors = psutil.Process().num_fds()
    weather = [_kill(storm, _moments(jobs, kills, dice), options.starting, dice), _collect_orphans()]
    tasks = [asyncio.create_task(each) for each in weather]
    try:
        await asyncio.gather(*(_run(sandbox, storm, number, free) for number in range(jobs)))
    finally:
        for task in tasks:
            task.cancel()
        leaked = psutil.Process().num_fds() - descriptors
        await sandbox.close()
    figures = {"jobs": jobs, "kills": storm.kills, "seconds": round(time.perf_counter() - started, 1)}
    return {**figures, **_ends(storm), **_left(storm, place), "descriptors_left": leaked}


def _job(place: Path, number: int, dice: random.Random) -> Job:
    argv = (str(number), f"{dice.uniform(0, _LONGEST_SECONDS):.4f}", str(dice.randrange(3)))
    limits = Limits(wall_seconds=30, threads=1)
    return Job(_SCRIPT, "script.py", place / f"job{number}", argv=argv, limits=limits)


def _moments(jobs: int, kills: int, dice: random.Random) -> list[int]:
    """How many jobs are to have ended before each kill, in order and far enough apart."""
    spacing = min(_SPACING, jobs // max(kills, 1))
    room = jobs - kills * spacing
    return [at + i * spacing for i, at in enumerate(sorted(dice.randint(0, room) for _ in range(kills)))]


async def _run(sandbox: WarmSandbox, storm: _Storm, number: int, free: asyncio.Semaphore) -> None:
    async with free:
        try:
            execution = await sandbox.run(storm.jobs[number])
            storm.results.setdefault(number, []).append(execution)
        except SandboxError as exc:
            storm.refused[number] = str(exc)


async def _kill(storm: _Storm, moments: list[int], starting: float, dice: random.Random) -> None:
    """Kills the fork server a random while after so many jobs have ended, at times the one that starts then too."""
    for moment in moments:
        while storm.ended < moment:  # noqa: ASYNC110 - a moment of its own, not that of another job's end
            await asyncio.sleep(0.001)
        await asyncio.sleep(dice.uniform(0, _LONGEST_SECONDS))
        _kill_servers(storm)
        if dice.random() < starting:
            await asyncio.sleep(dice.uniform(0, _START_SECONDS))
            _kill_servers(storm)


def _kill_servers(storm: _Storm) -> None:
    for server in _servers():
        storm.groups.append(_process_group(server))
        os.kill(server, signal.SIGKILL)
        storm.kills += 1


async def _collect_orphans() -> None:
    """Does for the dead among our adopted processes what the system's first process does."""
    own = supervisor.user_namespace(os.getpid())
    while True:
        await asyncio.sleep(0.005)
        for pid in supervisor.children(os.getpid()):
            if not supervisor.lives(pid) and supervisor.user_namespace(pid) not in (0, own):
                os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 - it waits for nothing


def _servers() -> list[int]:
    """The fork servers below this process: unlike a job's processes, which we may have adopted, they are not fenced.

    Only root can look into a server, so that an ordinary user sees no namespace of it.
    """
    unfenced = (0, supervisor.user_namespace(os.getpid()))
    children = filter(supervisor.lives, supervisor.children(os.getpid()))
    return [pid for pid in children if supervisor.user_namespace(pid) in unfenced]


def _process_group(pid: int) -> Path:
    """The folder of the control group that bounds a server's processes; that of all where there is none."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next((Path(f"/sys/fs/cgroup/pids{line.split(':')[2]}") for line in lines if ":pids:" in line), Path("/"))


def _ends(storm: _Storm) -> dict[str, Any]:
    """How the jobs ended; those that are neither right nor refused are wrong, lost or doubled."""
    once = {number: results[0] for number, results in storm.results.items() if len(results) == 1}
    right = [number for number, execution in once.items() if _is_right(number, execution)]
    return {
        "right": len(right),
        "wrong": len(once) - len(right),
        "lost": len(storm.jobs) - storm.ended,
        "doubled": sum(len(results) > 1 for results in storm.results.values()),
        "refused": len(storm.refused),
        "refusals": dict(Counter(storm.refused.values())),
    }


def _is_right(number: int, execution: Execution) -> bool:
    """Whether the result is that of one whole run of this very job."""
    folder = execution.folder
    return (
        execution.outcome == "ok"
        and execution.stdout == (folder / "stdout.txt").read_text() == f"{number}\n"
        and (folder / "began.txt").read_text() == "began\n"
        and (folder / "final" / "submission.csv").read_text() == f"id,y\n{number},1\n"
    )


def _left(storm: _Storm, place: Path) -> dict[str, Any]:
    """What is there that should not be: processes, folders, control groups."""
    known = {job.folder.name for job in storm.jobs} | {"job-1"}
    folders = [folder for folder in place.iterdir() if folder.name not in known]
    own = psutil.Process()
    return {
        "processes_left": sum(child.status() != psutil.STATUS_ZOMBIE for child in own.children(recursive=True)),
        "folders_left": len(folders) + len(list(Path(tempfile.gettempdir()).iterdir())),
        "groups_left": sum(group.name.startswith("mle-") and group.exists() for group in storm.groups),
    }
