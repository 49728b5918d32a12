"""What the backends on this machine share: a job's private folder, the watch over its limits, and its record."""

import asyncio
import math
import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path

from machine_learning_engineering.shared_libraries.errors import SandboxError, WorkerBroken
from machine_learning_engineering.shared_libraries.execution.output import HeadTail, Normaliser, cut
from machine_learning_engineering.shared_libraries.execution.process import Process, in_thread, uninterrupted
from machine_learning_engineering.shared_libraries.execution.scratch import (
    Scratch,
    collect,
    discard,
    largest_file_bytes,
    make_scratch,
    remove,
)
from machine_learning_engineering.shared_libraries.execution.tree import CpuTime, Usage, usage
from machine_learning_engineering.shared_libraries.records import Execution, Job, Limits, Outcome

LOW_PRIORITY_NICE = 10
_LOOK_SECONDS = 0.1  # between two looks at what a job uses
_NORMALISED_BYTES = 2**20
_TRIES = 5  # of a job whose worker died under it


@dataclass
class Started:
    """A job's running process, and the layers around it."""

    process: Process
    layers: tuple[str, ...]
    groups: "Groups | None" = None


class Groups(ABC):
    """Limits that the kernel keeps for a whole process tree."""

    @abstractmethod
    def exceeded(self) -> Outcome | None:
        """The limit for which the kernel ended a process of the tree."""

    @abstractmethod
    def peak_bytes(self) -> int:
        """The most memory that the tree held; 0 if that is not known."""

    @abstractmethod
    def remove(self) -> None:
        """Takes the limits away once the tree has ended."""


class WorkerLost(Exception):
    """The worker died under a job, of which nothing can be told; it may be run again."""


@dataclass
class _Watched:
    """What the sandbox saw of a process that has ended; `stopped` names the limit for which it was ended."""

    seconds: float
    peak_bytes: int
    stopped: Outcome | None


class LocalSandbox(ABC):
    """A backend that runs scripts as processes of this machine."""

    name: str

    async def run(self, job: Job) -> Execution:
        job = _checked(job)
        for _ in range(_TRIES):
            try:
                return await self._run(job)
            except WorkerLost:
                continue
            except asyncio.CancelledError:  # perhaps after the files were moved there: nobody will hear of them
                await in_thread(remove, job.folder)
                raise
        raise SandboxError(f"the worker of {job.name} died {_TRIES} times under it; see whether the system kills it")

    @abstractmethod
    async def start(self, job: Job, scratch: Scratch) -> Started:
        """Fills the job's folder and starts its script there.

        Raises: OSError, SandboxError, WorkerLost.
        """

    def scratch_for(self, job: Job) -> Scratch:
        """The job's private folder. Raises: OSError."""
        return make_scratch(job)

    @abstractmethod
    async def warm_up(self, threads: int) -> None:
        """Begins to start what scripts with so many threads will need; returns at once."""

    @abstractmethod
    async def close(self) -> None:
        """Ends whatever runs between jobs."""

    async def _run(self, job: Job) -> Execution:
        try:
            scratch = self.scratch_for(job)
        except OSError as exc:
            raise _cannot_run(job, exc) from exc
        try:
            started = await self.start(job, scratch)
            try:
                watched = await _watch(started, job.limits)
            finally:
                exceeded, peak = await uninterrupted(_end(started))
            watched.stopped = watched.stopped or exceeded
            watched.peak_bytes = max(watched.peak_bytes, peak)
            return await in_thread(self._conclude, job, scratch, started, watched)
        except OSError as exc:
            raise _cannot_run(job, exc) from exc
        finally:
            await in_thread(discard, scratch)

    def _conclude(self, job: Job, scratch: Scratch, started: Started, watched: _Watched) -> Execution:
        """The record of an ended job, whose files are moved to its folder."""
        process = started.process
        returncode = -signal.SIGKILL if process.status is None else os.waitstatus_to_exitcode(process.status)
        stdout, stderr = process.stdout.value(), process.stderr.value()
        temps = (scratch.temp, scratch.named_temp, scratch.home, scratch.root.parent)
        normalise = Normaliser(scratch.work, temps, python_of(job))
        execution = Execution(
            outcome=watched.stopped or _outcome(returncode, job.limits, scratch.work, stderr),
            returncode=returncode,
            stdout=cut(normalise(_ends(stdout))),
            stderr=cut(normalise(_ends(stderr))),
            execution_time=watched.seconds,
            memory_bytes=watched.peak_bytes or None,
            backend=self.name,
            layers=started.layers,
            folder=job.folder,
        )
        collect(scratch, job.folder, stdout, stderr)
        return execution


def _cannot_run(job: Job, exc: OSError) -> SandboxError:
    return SandboxError(f"{job.name} cannot be run: {exc}. Is the disk full, or are there too many processes?")


def _ends(output: bytes) -> bytes:
    """Head and tail of an output, far more than is shown: a regular expression over all of it would stop the loop."""
    kept = HeadTail(_NORMALISED_BYTES)
    kept.feed(output)
    return kept.value()


def python_of(job: Job) -> Path:
    return job.python or Path(sys.executable)


def cpu_ceiling(limits: Limits) -> int:
    """Whole CPU seconds that a job may use."""
    return math.ceil(limits.cpu_seconds or limits.wall_seconds * (os.cpu_count() or 1))


def _checked(job: Job) -> Job:
    """A job that can be run, its paths absolute: who starts it may stand elsewhere, and links lead to nothing there."""
    if Path(job.name).name != job.name or job.name in ("", ".", "..", "input", "final"):
        raise SandboxError(f"{job.name!r} cannot be the name of a script: give a plain file name")
    if job.folder.exists():
        raise SandboxError(f"{job.folder} exists already; every job needs a folder of its own")
    if job.python is not None and not job.python.exists():
        raise WorkerBroken(f"the interpreter {job.python} of {job.name} is not there; name another one")
    if any("\0" in argument for argument in job.argv):
        raise SandboxError(f"an argument of {job.name} holds a NUL, which no program can be given")
    view = job.view and job.view.model_copy(update={"path": job.view.path.resolve()})
    return replace(job, cwd=job.cwd and job.cwd.resolve(), view=view)


async def _watch(started: Started, limits: Limits) -> _Watched:
    """Waits for the end of a job's process, or for the first limit that the job passes."""
    start, peak, spent = time.monotonic(), 0, CpuTime()
    while True:
        left = start + limits.wall_seconds - time.monotonic()
        if await started.process.ended(min(max(left, 0), _LOOK_SECONDS)):
            return _Watched(time.monotonic() - start, peak, None)
        used, stopped = await in_thread(_look, started, limits, spent)
        peak = max(peak, used.memory_bytes)
        if time.monotonic() - start >= limits.wall_seconds:
            return _Watched(time.monotonic() - start, peak, "timeout")
        if stopped:
            return _Watched(time.monotonic() - start, peak, stopped)


def _look(started: Started, limits: Limits, spent: CpuTime) -> tuple[Usage, Outcome | None]:
    """What a job uses now, and the limit that it has passed."""
    used = usage(started.process.members(), limits.memory_bytes)
    used = replace(used, cpu_seconds=spent.total(used.cpu_seconds))
    exceeded = started.groups.exceeded() if started.groups else None
    return used, exceeded or _passed(used, limits)


def _passed(used: Usage, limits: Limits) -> Outcome | None:
    """The limit that a job has passed; the number of processes is checked where the kernel does not do it."""
    if limits.memory_bytes is not None and used.memory_bytes > limits.memory_bytes:
        return "memory"
    if used.cpu_seconds > cpu_ceiling(limits):
        return "timeout"
    return "killed" if used.threads > limits.processes else None


async def _end(started: Started) -> tuple[Outcome | None, int]:
    """Ends what still runs of a job; what the kernel's limits have to tell of it."""
    try:
        await started.process.finish()
    finally:
        told = await in_thread(_lift, started.groups)
    return told


def _lift(groups: Groups | None) -> tuple[Outcome | None, int]:
    """What the kernel's limits have to tell of an ended job, which they are then taken from."""
    if groups is None:
        return None, 0
    try:
        return groups.exceeded(), groups.peak_bytes()
    finally:
        groups.remove()


def _outcome(returncode: int, limits: Limits, work: Path, stderr: bytes) -> Outcome:
    """How a script ended that the sandbox did not end."""
    if returncode == 0:
        return "ok"
    if returncode == -signal.SIGXCPU:
        return "timeout"
    # Python ignores SIGXFSZ and raises OSError instead, so a file of exactly the limit's size is the evidence.
    if returncode == -signal.SIGXFSZ or largest_file_bytes(work) >= limits.file_bytes:
        return "output_limit"
    if returncode < 0:
        return "killed"
    last_line = stderr.strip().rpartition(b"\n")[2]
    return "memory" if limits.memory_bytes and b"MemoryError" in last_line.partition(b":")[0] else "error"
