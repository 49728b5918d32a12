"""What checks and tests see of a sandbox from outside, on a machine that may be busy with other things.

That is whether the event loop keeps its beat, and whether processes have ended.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")


async def beating(work: Awaitable[T], seconds: float) -> tuple[T, list[float]]:
    """What comes of `work`, and the gaps between the beats of a heart that has one every so many seconds meanwhile.

    The time for which the machine had no processor for this process, but for others, does not count.
    """
    gaps: list[float] = []

    async def beat() -> None:
        moment, waits = time.monotonic(), _waits()
        try:
            while True:
                await asyncio.sleep(seconds)
                before, earlier = moment, waits
                moment, waits = time.monotonic(), _waits()
                gaps.append(moment - before - _longer(waits, earlier))
        finally:
            gaps.append(time.monotonic() - moment - _longer(_waits(), waits))

    heart = asyncio.create_task(beat())
    await asyncio.sleep(0)
    try:
        made = await work
    finally:
        heart.cancel()
        await asyncio.wait({heart})
    return made, gaps


def _waits() -> dict[str, float]:
    """How many seconds each thread of this process was ready and had no processor; empty where none can tell."""
    waits = {}
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            waits[path.parent.name] = int(path.read_text().split()[1]) / 1e9
    return waits


def _longer(waits: dict[str, float], earlier: dict[str, float]) -> float:
    return sum(wait - earlier.get(thread, 0.0) for thread, wait in waits.items())


async def dies(pid: int, seconds: float = 30.0) -> bool:
    """Whether a process ends within this time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not lives(pid):
            return True
        await asyncio.sleep(0.02)
    return False


def lives(pid: int) -> bool:
    """Whether a process exists and is no zombie, whose parent may have been killed with it."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
