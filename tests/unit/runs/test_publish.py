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
    publisher = Publisher(run)
    one = await made(run, 1, 2.0)
    going_on = publisher._start(one)
    while not going_on.done():
        assert publisher._start(one) is going_on
        await asyncio.sleep(0)
    assert (await going_on).reason is None
    await publisher.close()


async def test_a_final_run_that_was_given_up_can_be_asked_for_again(run: Run) -> None:
    publisher = Publisher(run)
    first = await made(run, 1, 1.0)
    second = await made(run, 2, 2.0)
    publisher._cancel_pending()
    settled = await publisher.settle([first])
    assert settled is not None
    assert settled[0] is first
    assert (run.folder / "final" / "submission.csv").exists()
    assert await publisher.settle([second])
    assert publisher.winner is second
    await publisher.close()
