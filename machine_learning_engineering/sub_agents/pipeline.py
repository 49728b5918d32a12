"""The five phases of a run, one after the other, and how a run is driven from its start to its end."""

import asyncio

from google.adk.agents.run_config import RunConfig as AdkRunConfig
from google.adk.apps import App
from google.adk.runners import Runner
from google.adk.sessions import InMemorySessionService
from google.genai import types

from machine_learning_engineering.shared_libraries.agents import Pipeline
from machine_learning_engineering.shared_libraries.entries import RunEnded
from machine_learning_engineering.shared_libraries.errors import MleError
from machine_learning_engineering.shared_libraries.runs.journal import now, write_atomically
from machine_learning_engineering.shared_libraries.runs.publish import Publisher
from machine_learning_engineering.shared_libraries.runs.run import Run, to_the_end
from machine_learning_engineering.shared_libraries.runs.state import final_state
from machine_learning_engineering.shared_libraries.scoring.views import forget_tables
from machine_learning_engineering.sub_agents.ablation.agent import build_ablation
from machine_learning_engineering.sub_agents.board import Board
from machine_learning_engineering.sub_agents.ensemble.agent import build_ensemble
from machine_learning_engineering.sub_agents.initialization.agent import build_initialization
from machine_learning_engineering.sub_agents.refinement.agent import build_refinement
from machine_learning_engineering.sub_agents.submission.agent import build_submission

_APP = "machine_learning_engineering"
_NO_CAP = 10**9  # of ADK's own on model calls; the run's budget rules instead


def build_pipeline(run: Run, publisher: Publisher) -> Pipeline:
    """A fresh tree of the five phases for one run."""
    board = Board()
    return Pipeline(
        name="mle_pipeline_agent",
        description="Turns a task into a submission: models, refinement, ablation, ensemble, submission.",
        sub_agents=[
            build_initialization(run, board),
            build_refinement(run, board),
            build_ablation(run, board),
            build_ensemble(run, board),
            build_submission(run, publisher),
        ],
    )


async def run_pipeline(run: Run) -> Publisher:
    """Drives a run to its end and leaves `final/` and `final_state.json`; the publisher knows what was published.

    However it ends, the journal says so and everything finished so far is kept. Raises: MleError if no script worked
    or a model cannot be reached.
    """
    publisher = Publisher(run)
    try:
        await _drive(build_pipeline(run, publisher))
        run.journal.append(RunEnded(at=now(), status="finished"))
    except asyncio.CancelledError:
        run.journal.append(RunEnded(at=now(), status="stopped"))
        raise
    except Exception as exc:
        reason = str(exc) if isinstance(exc, MleError) else f"{type(exc).__name__}: {exc}"
        run.journal.append(RunEnded(at=now(), status="failed", reason=reason))
        raise
    finally:
        await to_the_end(publisher.close())
        await to_the_end(run.sandbox.close())
        forget_tables()
        run.task_folder.mkdir(parents=True, exist_ok=True)
        text = final_state(run.folder, run.journal.entries)
        write_atomically(run.task_folder / "final_state.json", text.encode())
        run.journal.close()
    return publisher


async def _drive(pipeline: Pipeline) -> None:
    """Runs the agents in a session in memory: the journal is the durable record of a run."""
    sessions = InMemorySessionService()
    runner = Runner(app=App(name=_APP, root_agent=pipeline), session_service=sessions)
    session = await sessions.create_session(app_name=_APP, user_id="mle")
    message = types.UserContent("Solve the task.")
    config = AdkRunConfig(max_llm_calls=_NO_CAP)
    events = runner.run_async(user_id="mle", session_id=session.id, new_message=message, run_config=config)
    async for _ in events:
        pass
