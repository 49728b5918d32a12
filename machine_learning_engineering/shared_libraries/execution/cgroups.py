"""Memory and process limits that the kernel keeps for a whole process tree, where we may make control groups.

That is so for root on systems with the first version of control groups; elsewhere the sandbox watches the tree itself.
"""

import contextlib
import os
import secrets
import time
from functools import cache
from pathlib import Path

from machine_learning_engineering.shared_libraries.execution.local_sandbox import Groups
from machine_learning_engineering.shared_libraries.records import Outcome

_ROOT = Path("/sys/fs/cgroup")
_REMOVE_SECONDS = 1.0
_OLD_SECONDS = 60.0  # its owner may be in a container, where it has a number that we do not see


@cache
def usable(controller: str) -> bool:
    """Whether this process may make groups of a controller."""
    folder = _ROOT / controller
    return os.getuid() == 0 and (folder / "tasks").exists() and os.access(folder, os.W_OK)


class ControlGroups(Groups):
    """Limits of one job, made when constructed, for memory, and for processes and threads together; None is no limit.

    The job's process joins them through the files `tasks`, while it has one thread: a moment's work. To move a process
    by its number, or one of several threads, all processes of the machine are held up for 10 to 20 ms.

    Raises: OSError.
    """

    def __init__(self, memory_bytes: int | None, processes: int | None) -> None:
        self._folders: dict[str, Path] = {}
        try:
            if memory_bytes is not None:
                folder = self._make("memory")
                (folder / "memory.limit_in_bytes").write_text(str(memory_bytes))
                with contextlib.suppress(OSError):  # kernels without swap accounting
                    (folder / "memory.memsw.limit_in_bytes").write_text(str(memory_bytes))
            if processes is not None:
                (self._make("pids") / "pids.max").write_text(str(processes))
        except BaseException:
            self.remove()
            raise

    @property
    def tasks(self) -> list[Path]:
        """The files that the job's process joins the groups through, by writing 0."""
        return [folder / "tasks" for folder in self._folders.values()]

    def exceeded(self) -> Outcome | None:
        memory = self._folders.get("memory")
        return "memory" if memory and _oom_kills(memory) else None

    def peak_bytes(self) -> int:
        with contextlib.suppress(OSError, KeyError):
            return int((self._folders["memory"] / "memory.max_usage_in_bytes").read_text())
        return 0

    def remove(self) -> None:
        for folder in self._folders.values():
            _remove(folder)

    def _make(self, controller: str) -> Path:
        _clear(controller)
        folder = _ROOT / controller / f"mle-{os.getpid()}-{secrets.token_hex(6)}"
        folder.mkdir()
        self._folders[controller] = folder
        return folder


@cache
def _clear(controller: str) -> None:
    """Removes what sandboxes that were killed have left, once in each process; groups that hold a process stay."""
    for folder in (_ROOT / controller).glob("mle-*-*"):
        owner = folder.name.split("-")[1]
        with contextlib.suppress(OSError):
            if not Path("/proc", owner).exists() and time.time() - folder.stat().st_mtime > _OLD_SECONDS:
                folder.rmdir()


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
