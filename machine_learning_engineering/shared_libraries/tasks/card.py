"""The task card: the one machine-readable block that every rendered prompt holds, and its way out and back in.

A real model reads it as context; the offline model reads nothing else but it and the fenced code of the prompt.
Cells of the data appear in it as data, inside JSON strings, never as instructions.
"""

import ctypes
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import ReplyFormatError
from machine_learning_engineering.shared_libraries.records import DataProfile, Metric, Problem, Record, Task
from machine_learning_engineering.shared_libraries.replies import fences

Step = Literal[
    "summarize",
    "retrieve",
    "candidate",
    "merge",
    "data_use",
    "ablation",
    "ablation_summary",
    "plan",
    "refine_plan",
    "implement",
    "ensemble_plan",
    "ensemble",
    "refine_ensemble_plan",
    "submission",
    "bug_summary",
    "debug",
    "leakage_check",
    "leakage_repair",
]

INFO = "json task-card"  # of the fence around a card


class ModelCard(Record):
    """A model worth trying, as the retriever found it."""

    model_name: str
    example_code: str
    model_description: str = ""
    source: str = Field("", description="where it was found: a URL, a search query, or 'recipe library'")


class PlanResult(Record):
    """An earlier plan and what became of it; score None means that its script failed."""

    plan: str
    score: float | None


class ScriptRef(Record):
    """A script shown in the prompt; fenced code blocks follow in the order of these references."""

    name: str
    score: float | None = None


class TaskCard(Record):
    """Everything about a step that a program can use; fields that a step does not need keep their defaults."""

    step: Step
    problem: Problem
    task_type: str
    metric: Metric
    target: str
    id: str | None = None
    group: str | None = None
    time: str | None = None
    submission_columns: tuple[str, ...]
    profile: DataProfile
    fit_rows: int = Field(description="training rows of the view that scripts are scored on")
    script_seconds: float = Field(description="wall-clock limit of one script")
    threads: int
    seed: int
    packages: dict[str, str] = Field(description="installed third-party packages and their versions")
    solution: int = Field(0, description="which of the parallel solutions this is for, from 1; 0: all of them")
    attempt: int = Field(0, description="candidate, merge or plan number within the step")
    wanted: int = Field(0, description="how many models the retriever should name")
    model: ModelCard | None = None
    scripts: tuple[ScriptRef, ...] = ()
    plans: tuple[PlanResult, ...] = ()
    plan: str = ""
    notes: tuple[str, ...] = Field((), description="ablation summaries, or earlier refined code blocks")
    output: str = Field("", description="what a script printed, or its error, cut head and tail")
    missing_module: str = Field("", description="a module that a script could not import")


def render_card(card: TaskCard) -> str:
    """The card as the fenced block that prompts embed; fields at their default are left out."""
    return f"```{INFO}\n{card.model_dump_json(indent=1, exclude_defaults=True)}\n```"


def parse_card(prompt: str) -> TaskCard:
    """The one task card of a prompt.

    Raises: ReplyFormatError if the prompt holds none, several, or one that does not validate.
    """
    found = [block.text for block in fences(prompt) if block.info == INFO]
    if len(found) != 1:
        raise ReplyFormatError(f"a prompt must hold exactly one json task-card block, this one holds {len(found)}")
    try:
        return TaskCard.model_validate_json(found[0])
    except ValidationError as exc:
        raise ReplyFormatError(f"the task card of the prompt does not validate: {exc}") from exc


_PACKAGES = (
    "catboost", "category-encoders", "imbalanced-learn", "lightgbm", "nltk", "numpy", "optuna", "pandas", "pillow",
    "polars", "scikit-learn", "scipy", "sentence-transformers", "statsmodels", "timm", "torch", "torchvision",
    "transformers", "xgboost",
)  # fmt: skip


def make_card(task: Task, config: RunConfig, step: Step, **fields: Any) -> TaskCard:
    """The card of a step of this task; `fields` are what the step adds."""
    return TaskCard(
        step=step,
        problem=task.problem,
        task_type=task.task_type,
        metric=task.metric,
        target=task.target,
        id=task.id,
        group=task.group,
        time=task.time,
        submission_columns=task.submission_columns,
        profile=task.profile,
        fit_rows=config.fit_rows(task.profile.train_rows),
        script_seconds=config.exec_timeout,
        threads=config.threads,
        seed=config.seed,
        packages=installed_packages(),
        **fields,
    )


@cache
def installed_packages() -> dict[str, str]:
    """The machine-learning packages that scripts can import here, with their versions."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if "lightgbm" in found and not _lightgbm_loads():
        del found["lightgbm"]
    return found


def _lightgbm_loads() -> bool:
    """Whether LightGBM's library finds libgomp, without importing all of LightGBM."""
    spec = find_spec("lightgbm")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    libraries = [path for folder in folders for path in Path(folder).glob("lib/lib_lightgbm.*")]
    try:
        return all(ctypes.CDLL(str(path)) for path in libraries[:1])
    except OSError:
        return False
