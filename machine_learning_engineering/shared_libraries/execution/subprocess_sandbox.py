"""A fresh interpreter for each job, on any POSIX system.

Contained: the job has its own session, a clean environment, a private folder with a copy of its view, limits on wall
clock, CPU time, memory and number of processes of the whole tree, file size and output, and leaves no process behind.
Not contained: a script can read and write whatever the user can, open connections, and fill the disk with many files.
So scores under this backend are `sealed_unenforced`.
"""

import os

from machine_learning_engineering.shared_libraries.execution.environment import script_environment
from machine_learning_engineering.shared_libraries.execution.local_sandbox import (
    LOW_PRIORITY_NICE,
    LocalSandbox,
    Started,
    cpu_ceiling,
    python_of,
)
from machine_learning_engineering.shared_libraries.execution.process import Rules, Spawned, in_thread, new_token
from machine_learning_engineering.shared_libraries.execution.scratch import Scratch, fill
from machine_learning_engineering.shared_libraries.records import Job

_LAYERS = (
    "session",
    "environment",
    "private-folder",
    "rlimits",
    "tree-kill",
    "memory-watch",
    "process-watch",
    "output-cap",
)


class SubprocessSandbox(LocalSandbox):
    """Runs each job as `python script.py` in an interpreter of its own."""

    name = "subprocess"
    enforces_seal = False

    async def start(self, job: Job, scratch: Scratch) -> Started:
        await in_thread(fill, scratch, job)
        script = job.name if job.cwd is None and job.runner is None else str(scratch.work / job.name)
        runner = () if job.runner is None else (str(job.runner),)
        process = await Spawned.start(
            command=(str(python_of(job)), *runner, script, *job.argv),
            cwd=job.cwd or scratch.work,
            environment=script_environment(job, scratch.home, scratch.named_temp, new_token(), os.environ),
            stdin=job.stdin,
            rules=Rules(job.limits.file_bytes, cpu_ceiling(job.limits), LOW_PRIORITY_NICE if job.low_priority else 0),
            keep=job.limits.output_bytes,
        )
        return Started(process, _LAYERS)

    async def warm_up(self, threads: int) -> None:
        """Nothing: every script starts afresh."""

    async def close(self) -> None:
        """Nothing runs between jobs."""
