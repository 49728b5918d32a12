"""The nouns, each a frozen typed record: Request -> Task -> Plan -> Job -> Execution -> Score -> Attempt -> Report."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Z_95 = 1.959964  # half a 95 % interval, in standard errors


class Record(BaseModel):
    """A frozen record that refuses unknown fields and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Problem = Literal["regression", "binary", "multiclass"]
Predicts = Literal["value", "label", "probability", "ranking", "text", "mask"]


class Metric(Record):
    """How predictions are judged; direction is fixed here and nowhere else."""

    name: str = Field(description="registry key, for example 'rmse'")
    title: str = Field(description="name for people and prompts, for example 'root mean squared error'")
    maximize: bool
    predicts: Predicts = Field(description="what a submission cell holds for this metric")
    about: str = Field("", description="what a metric of the user's own computes, in the words of its docstring")

    def better(self, score: float | None, than: float | None) -> bool:
        """Whether `score` strictly beats `than`; no score (None or not finite) loses to every finite score."""
        if score is None or not math.isfinite(score):
            return False
        if than is None or not math.isfinite(than):
            return True
        return score > than if self.maximize else score < than

    def gain(self, score: float, over: float) -> float:
        """How much `score` improves on `over`, positive when better, in the metric's own unit."""
        return score - over if self.maximize else over - score

    @property
    def worst(self) -> float:
        """A value that every finite score beats."""
        return -math.inf if self.maximize else math.inf

    @property
    def fail_score(self) -> float:
        """The value that the specified result dict holds for a failed script; never compared with anything."""
        return 0.0 if self.maximize else 1e9


class ColumnProfile(Record):
    """What is known of one column, computed on training rows only."""

    name: str
    kind: Literal["numeric", "integer", "boolean", "categorical", "text", "datetime", "constant", "identifier"]
    missing: float = Field(ge=0, le=1, description="fraction of missing cells")
    unique: int = Field(ge=0, description="distinct non-missing values")
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    std: float | None = None
    skew: float | None = None
    mean_words: float | None = Field(None, description="average words a cell, text columns only")
    examples: tuple[str, ...] = Field((), description="a few cell values, cut to 40 characters: data, not instructions")


class DataProfile(Record):
    """The shape of a task's data as prompts and the report show it."""

    train_rows: int
    test_rows: int
    columns: tuple[ColumnProfile, ...] = Field(description="feature columns, in file order; without id and target")
    target: ColumnProfile
    classes: tuple[str, ...] = Field((), description="labels as the train file spells them, sorted; empty: regression")
    class_counts: tuple[int, ...] = ()
    duplicate_rows: int = 0


class TaskRequest(Record):
    """What a person asked for: where the data is and what they said about it. None means: find out."""

    source: Path = Field(description="task folder or CSV file")
    target: str | None = None
    metric: str | None = None
    direction: Literal["maximize", "minimize"] | None = None
    test: Path | None = None
    id: str | None = None
    group: str | None = None
    time: str | None = None
    description: str | None = None
    name: str | None = None


class Task(Record):
    """A prediction task, complete: every question about the data is answered here, once.

    `submission_columns` starts with the id column where there is one. `digest` covers the bytes of every data file and
    every choice made about them, so equal digests mean interchangeable tasks.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str
    task_type: str = Field(description="for example 'Tabular Regression'")
    problem: Problem
    metric: Metric
    train: Path
    test: Path
    sample: Path | None = None
    others: tuple[Path, ...] = Field((), description="further files of the task folder that scripts may read")
    home: Path | None = Field(None, description="the task folder")
    target: str
    id: str | None = None
    group: str | None = None
    time: str | None = None
    submission_columns: tuple[str, ...]
    profile: DataProfile
    digest: str
    notes: tuple[str, ...] = Field((), description="choices made for the user, one sentence each")


class View(Record):
    """Which rows a script sees.

    `search` holds one fold of the select rows back, and all audit rows; `audit` holds the audit rows alone back, to be
    scored once at the end; `final` shows all rows and the real test file. `shuffled` is a search view whose training
    labels are at the wrong rows. `permuted` holds rows back as the audit view does, or as the first search view where
    there are no audit rows, and shows them several times (see `scoring/permuted.py`).
    """

    kind: Literal["search", "audit", "final", "shuffled", "permuted"]
    fold: int = 0
    rows: int | None = Field(None, description="of a final or audit view that has only a sample of its training rows")

    @property
    def name(self) -> str:
        if self.kind == "search":
            return f"search-{self.fold}"
        return self.kind if self.rows is None else f"{self.kind}-{self.rows}"


SEARCH = View(kind="search")
AUDIT = View(kind="audit")
FINAL = View(kind="final")
SHUFFLED = View(kind="shuffled")
PERMUTED = View(kind="permuted")


class StagedView(Record):
    """A view on disk: `path` becomes a script's `./input`; `digest` identifies its bytes."""

    view: View
    path: Path
    digest: str


@dataclass(frozen=True)
class Stage:
    """One kind of script: a row of the table in `code_util.py`, which is the only reader of agent names.

    `ids` are the Slot fields that the agent name ends with, in order; `counters` maps the other fields to the state key
    that holds them. `initial` names the counter whose value 0 makes the agent name `<name>_initial`. Templates may use
    the fields of Slot. A `solution` script is scored, an `ablation` script only talks, a `submission` script makes the
    final file.
    """

    name: str
    ids: tuple[str, ...]
    suffix: str
    code_key: str
    result_key: str
    filename: str
    folder: str
    skip_key: str
    counters: tuple[tuple[str, str], ...] = ()
    initial: str | None = None
    kind: Literal["solution", "ablation", "submission"] = "solution"


@dataclass(frozen=True)
class Slot:
    """The address of one script of a run: solutions and candidates count from 1, steps and attempts from 0."""

    stage: Stage
    solution: int = 0
    step: int = 0
    attempt: int = 0

    def _fill(self, template: str) -> str:
        return template.format(solution=self.solution, step=self.step, attempt=self.attempt)

    @property
    def prefix(self) -> str:
        initial = self.stage.initial
        return f"{self.stage.name}_initial" if initial and getattr(self, initial) == 0 else self.stage.name

    def agent(self, role: str = "agent") -> str:
        """The name of this slot's agent in a role: `agent`, `debug_agent`, `bug_summary_agent`, ..."""
        return "_".join([self.prefix, role, *(str(getattr(self, name)) for name in self.stage.ids)])

    @property
    def agent_name(self) -> str:
        return self.agent()

    @property
    def suffix(self) -> str:
        return self._fill(self.stage.suffix)

    @property
    def code_key(self) -> str:
        return self._fill(self.stage.code_key)

    @property
    def result_key(self) -> str:
        return self._fill(self.stage.result_key)

    @property
    def skip_key(self) -> str:
        """The state key that says whether this slot's leakage check was skipped."""
        return self._fill(self.stage.skip_key)

    def key(self, name: str) -> str:
        """A further state key of this slot: `<prefix>_<name>_<suffix>`."""
        return "_".join(part for part in (self.prefix, name, self.suffix) if part)

    @property
    def filename(self) -> str:
        return self._fill(self.stage.filename)

    @property
    def folder(self) -> str:
        return self._fill(self.stage.folder)


Outcome = Literal["ok", "error", "timeout", "memory", "killed", "output_limit"]


class Limits(Record):
    """What one script may use. Reaching a limit ends the script with the outcome that names it."""

    wall_seconds: float = Field(600, gt=0)
    cpu_seconds: float | None = Field(None, gt=0, description="of the whole tree; None: wall_seconds x cores")
    memory_bytes: int | None = Field(None, gt=0, description="None: no ceiling")
    output_bytes: int = Field(10 * 2**20, gt=0, description="kept of stdout and of stderr each, head and tail")
    file_bytes: int = Field(4 * 2**30, gt=0, description="largest file the script may write")
    threads: int = Field(2, ge=1, description="OpenMP and BLAS threads, fixed per run configuration")
    processes: int = Field(1024, ge=8, description="processes and threads of the whole tree")
    gpus: int = Field(0, ge=0, description="GPUs that the script gets")
    network: bool = Field(False, description="whether the script may open connections, where that can be forbidden")


@dataclass(frozen=True)
class Job:
    """One script to run once. `folder` does not exist yet; afterwards it holds the script's files and full output.

    The script runs with its own folder as working directory, `./input` being the staged view, unless `cwd` says else.
    `runner` is a trusted program of ours that runs inside the fence and gets the script's path as its first argument.
    `devices` are the GPUs that a scheduler gave it, as CUDA_VISIBLE_DEVICES names them.
    """

    script: str
    name: str
    folder: Path
    view: StagedView | None = None
    limits: Limits = field(default_factory=Limits)
    stdin: bytes = b""
    argv: tuple[str, ...] = ()
    cwd: Path | None = None
    python: Path | None = None
    runner: Path | None = None
    seed: int | None = None
    low_priority: bool = False
    devices: tuple[str, ...] = ()


class Execution(Record):
    """What happened to one job, as its parent saw it; the text is cut and normalised, `folder` has all of it."""

    outcome: Outcome
    returncode: int
    stdout: str
    stderr: str
    execution_time: float = Field(ge=0, description="wall seconds")
    memory_bytes: int | None = None
    backend: str
    layers: tuple[str, ...] = Field((), description="containment layers that were in force")
    folder: Path
    cached: bool = False

    @property
    def last_error(self) -> str:
        """The last line that a script which ended with an error printed there, as a rule its exception; else empty."""
        return self.stderr.strip().rpartition("\n")[2].strip() if self.outcome == "error" else ""


ScoreSource = Literal["sealed", "sealed_unenforced", "reported"]


class Score(Record):
    """The harness's verdict on one script. No score is `value=None` with a `reason` the script's author can act on.

    A script that is clearly behind after its first folds is `stopped`: its value stands on those `rows` alone, and it
    is never preferred to a script that was scored on all.
    """

    value: float | None
    source: ScoreSource
    reported: float | None = Field(None, description="the figure the script printed; never used when labels are sealed")
    rows: int = 0
    folds: int = Field(1, description="views that the script ran on")
    stopped: str | None = Field(None, description="why it did not run on all folds")
    notes: tuple[str, ...] = Field((), description="what was repaired in the submission, without loss")
    reason: str | None = None


class Comparison(Record):
    """How much better one script is than another on the same held-out rows, in the metric's own unit."""

    gain: float = Field(description="positive when better")
    error: float = Field(ge=0, description="the gain's paired standard error")
    rows: int

    @property
    def interval(self) -> tuple[float, float]:
        """Where the gain lies with 95 % confidence."""
        return self.gain - Z_95 * self.error, self.gain + Z_95 * self.error

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves 0 out."""
        return abs(self.gain) > Z_95 * self.error

    def __str__(self) -> str:
        verdict = "real" if self.is_real else "within noise"
        return f"{_to_its_noise(self.gain, Z_95 * self.error)} on {self.rows:,} rows, {verdict}"


class ColumnImportance(Record):
    """How much better a script predicts with a column than with its cells at the wrong rows."""

    column: str
    comparison: Comparison


def _to_its_noise(value: float, error: float) -> str:
    """A figure and its error, both to the error's second digit: `+0.0123 ± 0.0045`, `+894 ± 450`."""
    if error == 0:
        return f"{value:+.4g} ± 0"
    places = max(1 - math.floor(math.log10(error)), 0)
    return f"{value:+.{places}f} ± {error:.{places}f}" if places < 12 else f"{value:+.2g} ± {error:.2g}"


@dataclass(frozen=True)
class Attempt:
    """One script run at one address. `ordinal` counts the runs of that address, from 0.

    `execution` is that of the first fold, or of the fold that failed; `folds` has all of them, in order.
    """

    slot: Slot
    ordinal: int
    script: str
    execution: Execution
    score: Score | None
    folds: tuple[Execution, ...] = ()

    @property
    def succeeded(self) -> bool:
        return self.execution.outcome == "ok" and (self.score is None or self.score.reason is None)

    @property
    def value(self) -> float | None:  # in the metric's own unit
        return self.score.value if self.score else None

    @property
    def problem(self) -> str:
        """What a debug agent needs to know; empty when the attempt succeeded."""
        reason = (self.score.reason if self.score else None) or ""
        parts = () if self.succeeded else (self.execution.stderr.strip(), reason)
        return "\n".join(part for part in parts if part)
