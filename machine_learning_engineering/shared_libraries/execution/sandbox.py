"""The door to running a script: one method, whatever the backend."""

import os
import sys
from collections.abc import Callable
from typing import Protocol

from machine_learning_engineering.shared_libraries.errors import ConfigError, SandboxUnavailable
from machine_learning_engineering.shared_libraries.records import Execution, Job


class Sandbox(Protocol):
    """Runs scripts, each once, in a folder of its own. All backends pass `self_check.CHECKS`."""

    @property
    def name(self) -> str:
        """The name in configuration and in every `Execution`."""

    @property
    def enforces_seal(self) -> bool:
        """Whether a script can read nothing but the interpreter, system libraries, its view and its own folder."""

    async def warm_up(self, threads: int) -> None:
        """Begins to start what scripts with so many threads will need; returns at once."""

    async def run(self, job: Job) -> Execution:
        """What happened to the job's script, as its parent saw it; whatever the script does, this does not raise.

        `job.folder` exists afterwards, complete, and no process of the job is left. A cancelled call ends the script,
        leaves neither process nor folder, and raises CancelledError.

        Raises: SandboxError if the sandbox itself cannot do its work, for instance because the disk is full or
        `job.folder` exists already.
        """

    async def close(self) -> None:
        """Ends whatever the sandbox keeps running between jobs."""


def _subprocess(containment: str) -> Sandbox:
    if containment != "process":
        raise SandboxUnavailable("the subprocess sandbox cannot fence scripts; choose the sandbox 'warm', on Linux")
    if os.name != "posix":
        raise SandboxUnavailable("the subprocess sandbox needs Linux or macOS; on Windows, run inside WSL")
    from machine_learning_engineering.shared_libraries.execution.subprocess_sandbox import SubprocessSandbox

    return SubprocessSandbox()


def _warm(containment: str) -> Sandbox:
    if sys.platform != "linux":
        raise SandboxUnavailable("the warm sandbox needs Linux; choose the sandbox 'subprocess'")
    from machine_learning_engineering.shared_libraries.execution.warm_sandbox import WarmSandbox

    return WarmSandbox(containment)


BACKENDS: dict[str, Callable[[str], Sandbox]] = {"subprocess": _subprocess, "warm": _warm}


def make_sandbox(name: str, containment: str = "process") -> Sandbox:
    """The backend of this name, which refuses to run scripts below a level of containment.

    Raises: ConfigError for an unknown name; SandboxUnavailable where this machine cannot run the backend so.
    """
    if name not in BACKENDS:
        raise ConfigError(f"there is no sandbox {name!r}; choose one of: {', '.join(BACKENDS)}")
    return BACKENDS[name](containment)
