"""The event loop keeps its beat while scripts run: whoever serves a chat or a page meanwhile does not freeze.

The goal is a beat within 50 ms. On a machine that others load, a single late beat is the scheduler's doing as often as
ours, so the longest gap proves nothing. Code of ours that blocks the loop for as long as a script, a server start or a
clearing up takes loses most of the beats instead. Hence the median gap, and the number of beats.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.execution.observed import beating
from machine_learning_engineering.shared_libraries.execution.sandbox import BACKENDS, Sandbox, make_sandbox
from machine_learning_engineering.shared_libraries.records import Job, Limits

BEAT_SECONDS, LATE_SECONDS = 0.01, 0.05
MOST_LATE_SECONDS = 0.4  # of all beats together
SCRIPTS = {
    "sleeps": "import time\ntime.sleep(0.4)\n",
    "computes": "import time\nend = time.monotonic() + 0.4\nwhile time.monotonic() < end:\n    pass\n",
    "prints": "import sys\nfor _ in range(400):\n    sys.stdout.write('x' * 50_000)\n",
    "writes files": "for i in range(1500):\n    open(f'{i}.txt', 'w').write('x')\n",
    "runs too long": "import os, time\nfor _ in range(4):\n    os.fork()\ntime.sleep(60)\n",
}


@pytest.fixture(params=BACKENDS)
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    made = make_sandbox(request.param)
    yield made
    await made.close()


def assert_beats(gaps: list[float]) -> None:
    """The gaps are mostly short, as many as if every one of them was just in time, and hardly late in all.

    A machine that does other work as well may keep any process waiting in ways that it does not tell of, so a single
    late beat proves nothing.
    """
    assert statistics.median(gaps) <= LATE_SECONDS
    assert len(gaps) >= sum(gaps) / LATE_SECONDS
    assert sum(max(gap - LATE_SECONDS, 0) for gap in gaps) <= MOST_LATE_SECONDS


def job(folder: Path, script: str) -> Job:
    return Job(script, "script.py", folder, limits=Limits(wall_seconds=0.6 if "60" in script else 30))


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
async def test_the_loop_keeps_its_beat_while_two_scripts_run(sandbox: Sandbox, script: str, tmp_path: Path) -> None:
    await sandbox.run(job(tmp_path / "first", "pass"))
    both = asyncio.gather(*(sandbox.run(job(tmp_path / f"{i}", script)) for i in range(2)))
    _, gaps = await beating(both, BEAT_SECONDS)
    assert_beats(gaps)


async def test_the_loop_keeps_its_beat_while_a_fork_server_starts(tmp_path: Path) -> None:
    sandbox = make_sandbox("warm")
    try:
        _, gaps = await beating(sandbox.run(job(tmp_path / "job", "import sklearn, lightgbm")), BEAT_SECONDS)
        assert_beats(gaps)
    finally:
        await sandbox.close()


@pytest.mark.parametrize("before", [0.05, 1.0])
async def test_a_blocked_loop_is_noticed(before: float) -> None:
    """The measure itself: half a second of blocking fails it, also among many good beats."""

    async def block() -> None:
        await asyncio.sleep(before)
        time.sleep(0.5)  # noqa: ASYNC251 - the very fault

    _, gaps = await beating(block(), BEAT_SECONDS)
    with pytest.raises(AssertionError):
        assert_beats(gaps)
