"""Which final runs go on, with the real sandbox around scripts that take their time."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from machine_learning_engineering.client import find_request
from machine_learning_engineering.shared_libraries.code_util import STAGES
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.records import Attempt, Slot
from machine_learning_engineering.shared_libraries.runs.attempt import attempt
from machine_learning_engineering.shared_libraries.runs.opening import open_run
from machine_learning_engineering.shared_libraries.runs.publish import Publisher
from machine_learning_engineering.shared_libraries.runs.run import Run
from machine_learning_engineering.shared_libraries.runs.sandboxes import sandbox_of
from tests.fixtures import tiny

# The final view is the only one that shows all rows.
PATIENT = "import time\nif len(train) == 100:\n    time.sleep(0.6)\n# --- model"


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    (tmp_path / "replies.json").write_text(json.dumps(tiny.replies()))
    config = RunConfig(
        agent_model=f"scripted/{tmp_path / 'replies.json'}", folds=1, select_fraction=0.2, audit_fraction=0
    )
    one = open_run(find_request(tiny.make_task(tmp_path / "tiny")), config, sandbox_of(config), tmp_path / "run")
    yield one
    await one.sandbox.close()
    one.journal.close()


async def made(run: Run, candidate: int, slope: float) -> Attempt:
    """A candidate whose error is smaller the nearer its slope is to 3; on all rows it takes its time."""
    slot = Slot(STAGES["model_eval"], solution=1, attempt=candidate)
    return await attempt(slot, tiny.solution(1.0, slope).replace("# --- model", PATIENT), run)


async def test_a_final_run_that_goes_on_is_never_begun_again(run: Run) -> None:
    """Asked at every turn of the event loop, so also in those in which a timeout inside the run has just fired."""
    one = await made(run, 1, 2.0)
    publisher = Publisher(run)
    going_on = publisher._start(one)
    while not going_on.done():
        assert publisher._start(one) is going_on
        await asyncio.sleep(0)
    assert (await going_on).reason is None
    await publisher.close()


async def test_a_final_run_that_was_given_up_can_be_asked_for_again(run: Run) -> None:
    first, second = [await made(run, n, slope) for n, slope in enumerate((1.0, 2.0), 1)]
    publisher = Publisher(run)
    publisher.consider(first)
    publisher.consider(second)
    publisher._cancel_pending()
    settled = await publisher.settle([first])
    assert settled is not None
    assert settled[0] is first
    assert (run.folder / "final" / "submission.csv").exists()
    assert await publisher.settle([second])
    assert publisher.winner is second
    await publisher.close()


async def test_a_better_attempt_is_not_given_up_for_a_worse_one(run: Run) -> None:
    """The worse one beats what is published, which is an older one, but not what soon will be."""
    first, better, worse = [await made(run, n, slope) for n, slope in enumerate((1.0, 2.8, 2.0), 1)]
    publisher = Publisher(run)  # nobody asked for final runs until here
    assert await publisher.settle([first])
    publisher.consider(better)
    publisher.consider(worse)
    assert (await publisher._final_runs[better.slot.code_key, 0]).reason is None
    assert (worse.slot.code_key, 0) not in publisher._final_runs
    assert publisher.winner is better
    await publisher.close()


async def test_after_a_final_run_that_fails_the_next_best_has_its_turn(run: Run) -> None:
    publisher = Publisher(run)
    slot = Slot(STAGES["model_eval"], solution=1, attempt=1)
    text = tiny.solution(1.0, 2.9).replace("# --- model", f"{PATIENT.removesuffix('# --- model')}    assert False\n")
    broken = await attempt(slot, text, run)
    worse = await made(run, 2, 2.0)  # while the better one still goes on
    assert (await publisher._final_runs[broken.slot.code_key, 0]).reason is not None
    await asyncio.sleep(0.01)
    assert (await publisher._final_runs[worse.slot.code_key, 0]).reason is None
    assert publisher.winner is worse
    await publisher.close()
