"""The processes of one job, seen from the sandbox: what memory they hold, and how to end them."""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import psutil

from machine_learning_engineering.shared_libraries.execution.supervisor import descendants, end_descendants, send

_LOST_SECONDS = 5.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def memory_bytes(supervisor: int, ceiling: int | None) -> int:
    """What the processes below a supervisor hold in memory.

    Resident sizes count a page once for each process that shares it, so a sum above the ceiling is measured again by
    proportional sizes, which are exact and slow to get.
    """
    pids = _members(supervisor)
    resident = sum(map(_resident_bytes, pids))
    if ceiling is None or resident <= ceiling or sys.platform != "linux":
        return resident
    return sum(map(_proportional_bytes, pids))


def end_tree(supervisor: int, token: str, orderly: bool) -> None:
    """Ends every process of a job; its supervisor may be running, stopped or dead.

    If the supervisor did not come to an orderly end, processes that it lost are found by the job's token in their
    environment.
    """
    if orderly:
        return
    if sys.platform == "linux":
        end_descendants(supervisor)
    for pid in _members(supervisor):
        send(pid, signal.SIGKILL)
    send(supervisor, signal.SIGKILL)
    deadline = time.monotonic() + _LOST_SECONDS
    while (lost := _marked(token)) and time.monotonic() < deadline:
        for pid in lost:
            send(pid, signal.SIGKILL)


def _members(supervisor: int) -> list[int]:
    if sys.platform == "linux":
        return descendants(supervisor)
    try:
        return [child.pid for child in psutil.Process(supervisor).children(recursive=True)]
    except psutil.Error:
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


def _marked(token: str) -> list[int]:
    """Processes with this token in their environment, wherever they hang; empty where there is no /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if token.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found
