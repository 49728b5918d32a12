"""A fresh interpreter for each job, on any POSIX system.

Contained: the job has its own session, a clean environment, a private folder with a copy of its view, limits on wall
clock, CPU time, memory of the whole process tree, file size and output, and leaves no process behind.
Not contained: a script can read and write whatever the user can, open connections, start processes without a bound,
and fill the disk with many files. So scores under this backend are `sealed_unenforced`.
"""

import asyncio
import math
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from machine_learning_engineering.shared_libraries.errors import SandboxError
from machine_learning_engineering.shared_libraries.execution.environment import script_environment
from machine_learning_engineering.shared_libraries.execution.output import Normaliser, cut
from machine_learning_engineering.shared_libraries.execution.process import Process, Rules, in_thread, new_token
from machine_learning_engineering.shared_libraries.execution.scratch import (
    Scratch,
    collect,
    fill,
    largest_file_bytes,
    make_scratch,
    remove,
)
from machine_learning_engineering.shared_libraries.records import Execution, Job, Limits, Outcome

_LAYERS = ("session", "environment", "private-folder", "rlimits", "tree-kill")
_LOOK_SECONDS = 0.1  # between two looks at the memory of a job
_LOW_PRIORITY_NICE = 10


@dataclass
class _Watched:
    """What the sandbox saw of a process that has ended; `stopped` names the limit for which it was ended."""

    seconds: float
    peak_bytes: int
    stopped: Outcome | None


class SubprocessSandbox:
    """Runs each job as `python script.py` in an interpreter of its own."""

    name = "subprocess"
    enforces_seal = False

    async def run(self, job: Job) -> Execution:
        _check(job)
        try:
            return await self._run(job)
        except asyncio.CancelledError:  # perhaps after the files were moved there: nobody will hear of them
            await in_thread(remove, job.folder)
            raise

    async def _run(self, job: Job) -> Execution:
        scratch = make_scratch(job)
        try:
            await in_thread(fill, scratch, job)
            process = _start(job, scratch)
            try:
                watched = await _watch(process, job.limits)
            finally:
                await process.finish()
            return await in_thread(_conclude, job, scratch, process, watched)
        except OSError as exc:
            raise SandboxError(f"the folder of {job.name} cannot be made: {exc}. Is the disk full?") from exc
        finally:
            await in_thread(remove, scratch.root)

    async def close(self) -> None:
        """Nothing runs between jobs."""


def _check(job: Job) -> None:
    if Path(job.name).name != job.name or job.name in ("", ".", "..", "input", "final"):
        raise SandboxError(f"{job.name!r} cannot be the name of a script: give a plain file name")
    if job.folder.exists():
        raise SandboxError(f"{job.folder} exists already; every job needs a folder of its own")


def _start(job: Job, scratch: Scratch) -> Process:
    script = job.name if job.cwd is None and job.runner is None else str(scratch.work / job.name)
    runner = () if job.runner is None else (str(job.runner),)
    return Process(
        command=(str(_python(job)), *runner, script, *job.argv),
        cwd=job.cwd or scratch.work,
        environment=script_environment(job, scratch.home, scratch.temp, new_token(), os.environ),
        stdin=job.stdin,
        rules=Rules(job.limits.file_bytes, _cpu_seconds(job.limits), _LOW_PRIORITY_NICE if job.low_priority else 0),
        keep=job.limits.output_bytes,
    )


def _python(job: Job) -> Path:
    return job.python or Path(sys.executable)


def _cpu_seconds(limits: Limits) -> int:
    return math.ceil(limits.cpu_seconds or limits.wall_seconds * (os.cpu_count() or 1))


async def _watch(process: Process, limits: Limits) -> _Watched:
    """Waits for the end of a process, or for the first limit that it passes."""
    start = time.monotonic()
    ceiling, peak = limits.memory_bytes, 0
    while True:
        left = start + limits.wall_seconds - time.monotonic()
        if await process.ended(min(max(left, 0), _LOOK_SECONDS)):
            return _Watched(time.monotonic() - start, peak, None)
        peak = max(peak, process.memory_bytes(ceiling))
        if ceiling is not None and peak > ceiling:
            return _Watched(time.monotonic() - start, peak, "memory")
        if time.monotonic() - start >= limits.wall_seconds:
            return _Watched(time.monotonic() - start, peak, "timeout")


def _conclude(job: Job, scratch: Scratch, process: Process, watched: _Watched) -> Execution:
    """The record of an ended job, whose files are moved to its folder."""
    returncode = -signal.SIGKILL if process.status is None else os.waitstatus_to_exitcode(process.status)
    stdout, stderr = process.stdout.value(), process.stderr.value()
    normalise = Normaliser(scratch.work, (scratch.temp, scratch.home, scratch.root.parent), _python(job))
    execution = Execution(
        outcome=watched.stopped or _outcome(returncode, job.limits, scratch.work, stderr),
        returncode=returncode,
        stdout=cut(normalise(stdout)),
        stderr=cut(normalise(stderr)),
        execution_time=watched.seconds,
        memory_bytes=watched.peak_bytes or None,
        backend=SubprocessSandbox.name,
        layers=_LAYERS + (("memory-watch",) if job.limits.memory_bytes else ()),
        folder=job.folder,
    )
    collect(scratch, job.folder, stdout, stderr)
    return execution


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
