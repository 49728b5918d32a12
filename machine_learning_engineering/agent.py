"""The front door for `adk run` and `adk web`: a chat agent whose tools list tasks and start, follow and stop runs.

A run is a process of its own, so closing the chat ends nothing.
"""

import os
from typing import Any

os.environ.setdefault("ADK_SUPPRESS_EXPERIMENTAL_FEATURE_WARNINGS", "1")  # they would stand in a user's terminal

from google.adk.agents import LlmAgent
from google.adk.apps import App
from google.adk.models import BaseLlm

from machine_learning_engineering import client
from machine_learning_engineering.prompt import ABOUT, FRONTDOOR
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import MleError


def list_tasks() -> dict[str, Any]:
    """Lists the bundled tasks with their problem type, metric and size."""
    from machine_learning_engineering.shared_libraries.tasks.bundled import bundled_tasks

    rows = [f"{task.name}: {task.title} ({task.problem}, {task.metric}, {task.rows} rows)" for task in bundled_tasks()]
    return {"tasks": rows}


def describe_task(name: str, target: str = "") -> dict[str, Any]:
    """Describes a task from its own files, without running it.

    Args:
        name: a bundled task's name, a task folder or a CSV file.
        target: the column to predict, where the data do not tell.
    """
    return _told(lambda: client.describe(name, target=target or None))


def start_run(name: str, settings: dict[str, str] | None = None) -> dict[str, Any]:
    """Starts a run in a process of its own and returns its name at once.

    Args:
        name: a bundled task's name, a task folder or a CSV file.
        settings: options of `mle run` by name, for example {"minutes": "20", "rounds": "3", "metric": "rmse"}.
    """
    return _told(lambda: client.start(name, settings or {}))


def run_status(run: str = "") -> dict[str, Any]:
    """Says how far a run is and what its best score is so far. Without a name: the latest run."""
    return _told(lambda: client.status(run))


def stop_run(run: str) -> dict[str, Any]:
    """Stops a run; what it has finished is kept and the run can be taken up again."""
    return _told(lambda: client.stop(run))


def run_result(run: str = "") -> dict[str, Any]:
    """Returns a run's best score and where its submission and script lie. Without a name: the latest run."""
    return _told(lambda: client.result(run))


def build_frontdoor(config: RunConfig) -> LlmAgent:
    """A fresh front door that talks with the configured model; the offline one understands a small grammar."""
    return LlmAgent(
        name="mle_frontdoor_agent",
        model=_chat_model(config),
        description="Lists and describes machine-learning tasks, and starts, follows and stops runs.",
        instruction=lambda _: FRONTDOOR,
        tools=[list_tasks, describe_task, start_run, run_status, stop_run, run_result],
    )


def _chat_model(config: RunConfig) -> BaseLlm:
    from machine_learning_engineering.shared_libraries.models.offline.chat import OfflineChat
    from machine_learning_engineering.shared_libraries.models.registry import make_model, model_for

    name = model_for("chat", config)
    return OfflineChat(model="offline", about=ABOUT) if name == "offline" else make_model(name, config)


def _told(work: Any) -> dict[str, Any]:
    """What `work` returns, or its failure as a sentence that the model can pass on."""
    try:
        return dict(work())
    except MleError as exc:
        return {"error": str(exc)}


root_agent = build_frontdoor(RunConfig.from_env())
app = App(name="machine_learning_engineering", root_agent=root_agent)
