"""The fork server dies under running jobs, and who waits for them does not notice."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

JOBS, KILLS = 20, 3

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the warm sandbox needs Linux")


@pytest.fixture(scope="module")
def storm() -> dict[str, Any]:
    """What three kills among twenty jobs did, in a process of its own: it adopts whatever outlives its parents."""
    command = [sys.executable, "-m", "benchmarks", "chaos", f"--jobs={JOBS}", f"--kills={KILLS}", "--starting=0"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert figures["kills"] == KILLS
    return figures


@pytest.mark.parametrize("fault", ["wrong", "lost", "doubled", "refused"])
def test_every_job_ends_in_one_result(storm: dict[str, Any], fault: str) -> None:
    assert (storm[fault], storm["right"]) == (0, JOBS), storm


@pytest.mark.parametrize("what", ["processes_left", "folders_left", "groups_left", "descriptors_left"])
def test_nothing_is_left_of_servers_that_died(storm: dict[str, Any], what: str) -> None:
    assert storm[what] == 0, storm
