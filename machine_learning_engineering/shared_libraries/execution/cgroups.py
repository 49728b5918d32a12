"""Memory and process limits that the kernel keeps for a whole process tree, where we may make control groups.

That is so for root on systems with the first version of control groups; elsewhere the sandbox watches the tree itself.
"""

import contextlib
import os
import secrets
import time
from pathlib import Path

from machine_learning_engineering.shared_libraries.execution.local_sandbox import Groups
from machine_learning_engineering.shared_libraries.records import Outcome

_ROOT = Path("/sys/fs/cgroup")
_REMOVE_SECONDS = 1.0


def usable(controller: str) -> bool:
    """Whether this process may make groups of a controller."""
    folder = _ROOT / controller
    return os.getuid() == 0 and (folder / "cgroup.procs").exists() and os.access(folder, os.W_OK)


class MemoryGroup(Groups):
    """The memory limit of one job, made when constructed; the job's process must join the folder `path`.

    Raises: OSError.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._folder = _make("memory")
        (self._folder / "memory.limit_in_bytes").write_text(str(memory_bytes))
        with contextlib.suppress(OSError):  # kernels without swap accounting
            (self._folder / "memory.memsw.limit_in_bytes").write_text(str(memory_bytes))

    @property
    def path(self) -> str:
        return str(self._folder)

    def exceeded(self) -> Outcome | None:
        return "memory" if _oom_kills(self._folder) else None

    def peak_bytes(self) -> int:
        with contextlib.suppress(OSError):
            return int((self._folder / "memory.max_usage_in_bytes").read_text())
        return 0

    def remove(self) -> None:
        _remove(self._folder)


class ProcessGroup:
    """A bound on the processes of a whole fork server, since joining a group of its own would cost a job 10 ms.

    The sandbox's watch ends a job that passes its own bound; this one keeps the machine alive until then.

    Raises: OSError.
    """

    def __init__(self, pid: int, processes: int) -> None:
        self._folder = _make("pids")
        (self._folder / "pids.max").write_text(str(processes))
        (self._folder / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """Takes the bound away once the server has ended."""
        _remove(self._folder)


def _make(controller: str) -> Path:
    folder = _ROOT / controller / f"mle-{secrets.token_hex(6)}"
    folder.mkdir()
    return folder


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + _REMOVE_SECONDS
    while folder.exists() and time.monotonic() < deadline:
        try:
            folder.rmdir()
        except OSError:  # an ended process may stay listed for a moment
            time.sleep(0.001)


def _oom_kills(folder: Path) -> int:
    with contextlib.suppress(OSError, StopIteration):
        lines = (folder / "memory.oom_control").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("oom_kill ")))
    return 0
