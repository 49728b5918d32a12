"""How to make a run again: the command with every setting that is not the default, and the files that it left."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.entries import RunStarted
from machine_learning_engineering.shared_libraries.report.story import Story
from machine_learning_engineering.shared_libraries.tasks.bundled import bundled_names

_OPTIONS = {
    "agent_model": "--model",
    "api_base": "--api-base",
    "num_solutions": "--solutions",
    "num_model_candidates": "--candidates",
    "outer_loop_round": "--rounds",
    "folds": "--folds",
    "minutes": "--minutes",
    "exec_timeout": "--timeout",
    "sandbox": "--sandbox",
}
_SAID = {"target": "--target", "metric": "--metric", "test": "--test", "id": "--id", "group": "--group"}
_SAID |= {"time": "--time", "description": "--description"}


@dataclass(frozen=True)
class File:
    """A file of the run, its name relative to the run's folder."""

    name: str
    what: str
    size: int


def command(started: RunStarted) -> str:
    """The `mle run` line of a run; settings without an option of their own stand before it as variables."""
    request, settings = started.request, dict(_changed(started.config))
    words = ["mle", "run", _source(request)]
    for name, option in _SAID.items():
        if request.get(name) is not None:
            words += [option, str(request[name])]
    for name, option in _OPTIONS.items():
        if name in settings:
            value = settings.pop(name)
            words += [option, f"{value:.12g}" if isinstance(value, float) else str(value)]
    words += ["--seed", str(started.config.get("seed", ""))]
    settings.pop("seed", None)
    variables = [f"MLE_{name.upper()}={shlex.quote(_as_variable(value))}" for name, value in settings.items()]
    return " ".join([*variables, shlex.join(words)])


def prediction(story: Story) -> str:
    """The `mle predict` line of a run, by its name."""
    return shlex.join(["mle", "predict", story.folder.absolute().name, "ROWS.csv"])


def _source(request: dict[str, Any]) -> str:
    """What to name the data by: a bundled task by its name, as its folder is another on another machine."""
    source, name = str(request.get("source", "")), request.get("name")
    return str(name) if name in bundled_names() and Path(source).name == name else source


def files(story: Story) -> list[File]:
    """The files of a run that people want, those that are there."""
    task = str(story.state.get("task_name") or "")
    wanted = (
        ("final/submission.csv", "the predictions for the test rows"),
        ("final/solution.py", "the script that made them; run it beside an input folder"),
        ("journal.jsonl", "everything that happened, a line each"),
        (f"{task}/final_state.json", "the state of the agents at the end"),
    )
    found = ((name, what, story.folder / name) for name, what in wanted)
    return [File(name, what, path.stat().st_size) for name, what, path in found if _is_file(path)]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _changed(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The settings of a run that a person chose; those of older versions are left out, and the machine's that have no
    option."""
    for name, value in config.items():
        known = RunConfig.model_fields.get(name)
        if known is None or (known.default_factory not in (None, dict) and name not in _OPTIONS):
            continue
        if value != known.get_default(call_default_factory=True, validated_data={}):
            yield name, value


def _as_variable(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
