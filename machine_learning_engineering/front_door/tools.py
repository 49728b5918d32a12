"""The tools of the front door: tasks, and runs as processes of their own. Each returns a dictionary for the model.

What a person can act on comes back as `error`, a question that only the person can answer as `question`.
"""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.adk.tools.tool_context import ToolContext

from machine_learning_engineering import client
from machine_learning_engineering.front_door.files import keep_file
from machine_learning_engineering.front_door.follow import RUN_KEY
from machine_learning_engineering.shared_libraries.errors import MleError, TargetUnclear
from machine_learning_engineering.shared_libraries.tasks.metrics.own import is_own

FOLLOWS = "follows"  # of an answer: whether the progress of its run is shown next
TASK_KEY = "front_door_task"  # state: the task that was spoken of last
Answer = dict[str, Any]


async def list_tasks() -> Answer:
    """Lists the bundled tasks with their problem type, metric and size."""
    from machine_learning_engineering.shared_libraries.tasks.bundled import bundled_tasks

    rows = [f"{task.name}: {task.title} ({task.problem}, {task.metric}, {task.rows} rows)" for task in bundled_tasks()]
    return {"tasks": rows}


async def describe_task(tool_context: ToolContext, name: str = "", target: str = "") -> Answer:
    """Describes a task from its own files, without running it.

    Args:
        name: a bundled task's name, or the path of a task folder or CSV file, as a dropped file's note gives it.
            Empty: the task that was spoken of last.
        target: the column to predict, where the data do not tell.
    """
    name = name or str(tool_context.state.get(TASK_KEY, ""))
    tool_context.state[TASK_KEY] = name
    return await _told(lambda: client.describe(_named(name), target=target or None))


async def start_run(
    tool_context: ToolContext,
    name: str = "",
    target: str = "",
    metric: str = "",
    test: str = "",
    minutes: float | None = None,
    rounds: int | None = None,
    solutions: int | None = None,
    candidates: int | None = None,
    seed: int | None = None,
    script_seconds: int | None = None,
    model: str = "",
    follow: bool = True,
) -> Answer:
    """Starts a run in a process of its own. Its progress then appears in the chat by itself.

    Args:
        name: a bundled task's name, or the path of a task folder or CSV file, as a dropped file's note gives it.
            Empty: the task that was spoken of last.
        target: the column to predict, where the data do not tell.
        metric: how predictions are judged, for example rmse, accuracy or auc. Empty: as the task says.
        test: path of a CSV with the rows to predict, for a CSV task.
        minutes: wall-clock minutes for the whole run. None: no limit.
        rounds: refinement steps of each solution. None: as configured, like the following.
        solutions: solutions developed side by side.
        candidates: models tried for each solution.
        seed: seed of splits and scripts.
        script_seconds: seconds that one script may take.
        model: the model that writes the scripts, such as offline, gemini-2.5-flash or openai/gpt-4o.
        follow: whether to show its progress here; False leaves it in the background.
    """
    name = name or str(tool_context.state.get(TASK_KEY, ""))
    tool_context.state[TASK_KEY] = name
    said = {
        "target": target, "metric": metric, "test": test, "minutes": minutes, "rounds": rounds,
        "solutions": solutions, "candidates": candidates, "seed": seed, "timeout": script_seconds, "model": model,
    }  # fmt: skip
    settings = {key: value for key, value in said.items() if value not in ("", None)}
    begun = await _told(lambda: {"folder": str(client.start(_named(name), _of_words(settings)))})
    if "folder" in begun:
        return _shows(tool_context, begun["folder"], follow)
    return begun


async def follow_run(tool_context: ToolContext, run: str = "") -> Answer:
    """Takes up a run: shows its progress and result in the chat, and goes on with it where it was interrupted.

    Args:
        run: a run's name, the beginning of it, or its folder. Empty: the run of this chat, else the latest.
    """
    taken = await _told(lambda: {"folder": str(client.take_up(_run(tool_context, run)))})
    return _shows(tool_context, taken["folder"], follows=True) if "folder" in taken else taken


async def list_runs() -> Answer:
    """Lists the latest runs with their standing and best score, also those begun outside this chat."""
    return await _told(client.runs)


async def run_status(tool_context: ToolContext, run: str = "") -> Answer:
    """Says how far a run is and what its best score is so far.

    Args:
        run: a run's name, the beginning of it, or its folder. Empty: the run of this chat, else the latest.
    """
    return await _told(lambda: client.status(_run(tool_context, run)))


async def stop_run(tool_context: ToolContext, run: str = "") -> Answer:
    """Stops a run; what it has finished is kept and `follow_run` goes on with it later.

    Args:
        run: a run's name, the beginning of it, or its folder. Empty: the run of this chat, else the latest.
    """
    return await _told(lambda: client.stop(_run(tool_context, run)))


async def run_result(tool_context: ToolContext, run: str = "") -> Answer:
    """Returns a run's best score and where its submission, script and report lie.

    Args:
        run: a run's name, the beginning of it, or its folder. Empty: the run of this chat, else the latest.
    """
    return await _told(lambda: client.result(_run(tool_context, run)))


async def predict_rows(tool_context: ToolContext, rows: str, run: str = "") -> Answer:
    """Predicts new rows with the script that a run handed in, without another search; returns the predictions' file.

    Args:
        rows: path of a CSV with the columns of the run's test file, as a dropped file's note gives it.
        run: a run's name, the beginning of it, or its folder. Empty: the run of this chat, else the latest.
    """
    told = await _told(lambda: {"predictions": str(asyncio.run(client.predict(_run(tool_context, run), rows)))})
    if "predictions" in told:
        await keep_file(tool_context, Path(told["predictions"]), "text/csv")
    return told


async def run_leaderboard(tool_context: ToolContext, run: str = "") -> Answer:
    """Lists the scripts of a run, best first, and those that failed.

    Args:
        run: a run's name, the beginning of it, or its folder. Empty: the run of this chat, else the latest.
    """
    return await _told(lambda: client.leaderboard(_run(tool_context, run)))


async def why_dropped(tool_context: ToolContext, script: str, run: str = "") -> Answer:
    """Tells from a run's records why one of its scripts was dropped: its error, or what beat it and by how much.

    Also tells what became of a column of the data.

    Args:
        script: a script's title as the leaderboard has it, such as "Candidate 1.2", or the model that it tries, or
            "column " and the name of a column.
        run: a run's name, the beginning of it, or its folder. Empty: the run of this chat, else the latest.
    """
    return await _told(lambda: client.why(_run(tool_context, run), script))


async def what_matters(tool_context: ToolContext, run: str = "") -> Answer:
    """Tells which parts of a run's scripts matter for the score, and what is known of columns.

    Args:
        run: a run's name, the beginning of it, or its folder. Empty: the run of this chat, else the latest.
    """
    return await _told(lambda: client.matters(_run(tool_context, run)))


TOOLS = (
    list_tasks, describe_task, start_run, list_runs, follow_run, run_status, stop_run, run_result, predict_rows,
    run_leaderboard, why_dropped, what_matters,
)  # fmt: skip


def _shows(tool_context: ToolContext, folder: str, follows: bool) -> Answer:
    """The answer about a run that this chat is about from now on; with `follows` the front door tells the rest."""
    tool_context.state[RUN_KEY] = folder
    return {"run": Path(folder).name, "folder": folder, FOLLOWS: follows}


def _run(tool_context: ToolContext, run: str) -> str:
    return run or str(tool_context.state.get(RUN_KEY, ""))


def _named(name: str) -> str:
    """Raises: MleError where no task was named."""
    if not name:
        raise MleError(
            "which task? Name a bundled one (`list tasks`), a folder or a CSV file, or drop a CSV file here."
        )
    return name


def _of_words(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, none of which is code: what the data say may have put words into the model's mouth.

    Raises: MleError for a metric of the user's own, which the harness would import and call outside the sandbox.
    """
    if is_own(metric := str(settings.get("metric", ""))):
        raise MleError(
            f"the metric {metric!r} is code of your own, which no chat may call; start this run in a terminal, "
            "with `mle run`, or name a metric from docs/metrics.md"
        )
    return settings


async def _told(work: Callable[[], Answer]) -> Answer:
    """What `work` returns, or its failure as a sentence that the model can pass on; the chat stays free meanwhile."""
    try:
        return await asyncio.to_thread(work)
    except TargetUnclear as exc:
        return {"question": "Which column is to be predicted?", "columns": list(exc.columns)}
    except (MleError, OSError) as exc:
        return {"error": _in_chat(str(exc))}


def _in_chat(sentence: str) -> str:
    """A sentence made for the command line, without what is of use there alone."""
    return re.sub(r"--(\w+)", r"`\1`", sentence.replace(" `mle config` lists all settings.", ""))
