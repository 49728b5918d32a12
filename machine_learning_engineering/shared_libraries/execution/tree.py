"""The processes of one job, seen from the sandbox: what they use, and how to end them."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from machine_learning_engineering.shared_libraries.execution.supervisor import (
    IN_VAIN,
    descendants,
    end_descendants,
    send,
)

_LOST_SECONDS = 5.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What some processes use: memory now, CPU time so far (with their ended children), and their threads."""

    memory_bytes: int = 0
    cpu_seconds: float = 0.0
    threads: int = 0


class CpuTime:
    """CPU seconds of a tree of processes, looked at now and then: those of children that nobody waited for included.

    A child that is waited for adds its time to its parent's; one that vanishes otherwise takes it along.
    """

    def __init__(self) -> None:
        self._seen = self._lost = 0.0

    def total(self, seen: float) -> float:
        """All seconds so far, given those of the processes that live now and of the children they waited for."""
        self._lost += max(self._seen - seen, 0.0)
        self._seen = seen
        return self._lost + seen


def usage(pids: Iterable[int], memory_ceiling: int | None) -> Usage:
    """What these processes use.

    Resident sizes count a page once for each process that shares it, so a sum above the ceiling is measured again by
    proportional sizes, which are exact and slow to get.
    """
    pids = list(pids)
    resident = sum(map(_resident_bytes, pids))
    if memory_ceiling is not None and resident > memory_ceiling and sys.platform == "linux":
        resident = sum(map(_proportional_bytes, pids))
    times = [_times(pid) for pid in pids]
    return Usage(resident, sum(seconds for seconds, _ in times), sum(threads for _, threads in times))


def members(supervisor: int) -> list[int]:
    """The living processes below a supervisor."""
    if sys.platform == "linux":
        return descendants(supervisor)
    try:
        return [child.pid for child in psutil.Process(supervisor).children(recursive=True)]
    except psutil.Error:
        return []


def end_tree(supervisor: int, token: str, orderly: bool) -> None:
    """Ends every process of a job; its supervisor may be running, stopped or dead.

    If the supervisor did not come to an orderly end, processes that it lost are found by the job's token in their
    environment.
    """
    if orderly:
        return
    if sys.platform == "linux":
        end_descendants(supervisor)
    for pid in members(supervisor):
        send(pid, signal.SIGKILL)
    send(supervisor, signal.SIGKILL)
    end_all(lambda: _marked(token))


def end_all(find: Callable[[], list[int]]) -> None:
    """Kills what `find` finds until it finds nothing any more, several times in a row, for some seconds at most.

    Once is not enough: of a process that forks and exits after it was listed and before it is looked at, neither it
    nor its child is found.
    """
    deadline, in_vain = time.monotonic() + _LOST_SECONDS, 0
    while in_vain < IN_VAIN and time.monotonic() < deadline:
        found = find()
        in_vain = 0 if found else in_vain + 1
        for pid in found:
            send(pid, signal.SIGKILL)
        time.sleep(0.001)


def all_processes() -> list[int]:
    """Every process that /proc shows; empty where there is none."""
    with contextlib.suppress(OSError):
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    return []


def _resident_bytes(pid: int) -> int:
    if sys.platform != "linux":
        with contextlib.suppress(psutil.Error):
            return int(psutil.Process(pid).memory_info().rss)
        return 0
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return _resident_bytes(pid)
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _times(pid: int) -> tuple[float, int]:
    """The CPU seconds of a process and its ended children, and how many threads it has."""
    if sys.platform != "linux":
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            return float(sum(process.cpu_times()[:4])), process.num_threads()
        return 0.0, 0
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS, int(fields[17])
    return 0.0, 0


def _marked(token: str) -> list[int]:
    """Processes with this token in their environment, wherever they hang; empty where there is no /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if token.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found
