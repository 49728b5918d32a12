"""Every setting of a run, each with its default, bounds and unit, and the one place that reads the environment."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, ConfigDict, Field, ValidationError, create_model
from pydantic_settings import BaseSettings, SettingsConfigDict

from machine_learning_engineering.shared_libraries.errors import ConfigError
from machine_learning_engineering.shared_libraries.records import Limits, Record

Role = Literal["plan", "code", "debug", "check", "summary", "chat"]
Rounds = Annotated[int, Field(ge=0, le=1000)]
LEAST_AUDITED_ROWS = 500
MOST_FOLDED_ROWS = 10_000


class RunConfig(Record):
    """The settings of one run. Field names of the first group are those of the specified session state.

    Zero rounds mean zero: `outer_loop_round=0` leaves the merged solutions unrefined, `inner_loop_round=0` tries only
    the first plan of a step, `ensemble_loop_round=0` only the first ensemble, `max_debug_round=0` never debugs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, protected_namespaces=())

    # Specified (spec/code-execution-system.md and the reference's DefaultConfig)
    data_dir: str = Field("", description="folder that holds the task's files; filled in when the task is loaded")
    task_name: str = Field("", description="name of the task, also the name of its folder in the run")
    task_type: str = Field("", description="for example 'Tabular Regression'; filled in from the task when empty")
    lower: bool | None = Field(None, description="whether lower scores are better; None: as the metric says")
    workspace_dir: str = Field("", description="the run's folder; empty: mle-runs/<run id>")
    agent_model: str = Field(
        "offline",
        validation_alias=AliasChoices("agent_model", "model"),
        description="model for every role: offline, scripted/<file>, a Gemini name, or <provider>/<model> of LiteLLM",
    )
    task_description: str = Field("", description="filled in from the task")
    task_summary: str = Field("", description="filled in by the summarizer")
    start_time: float = Field(0.0, ge=0, description="seconds since the epoch; filled in when the run starts")
    seed: int = Field(42, ge=0, le=2**32 - 1, description="seeds splits, scripts and the offline model")
    exec_timeout: int = Field(600, ge=1, le=86_400, description="seconds that one script run may take")
    num_solutions: int = Field(2, ge=1, le=16, description="solutions developed side by side, L in the paper")
    num_model_candidates: int = Field(2, ge=1, le=24, description="models tried for each solution, M in the paper")
    max_retry: int = Field(10, ge=1, le=100, description="calls of one agent until its reply qualifies")
    max_debug_round: Rounds = Field(5, description="debug attempts of one script, over all its rollbacks")
    max_rollback_round: int = Field(2, ge=1, le=100, description="times a script is written anew before it is given up")
    inner_loop_round: Rounds = Field(1, description="plan refinements after the first plan of a step")
    outer_loop_round: Rounds = Field(1, description="ablate-and-refine steps of each solution, T in the paper")
    ensemble_loop_round: Rounds = Field(1, description="ensemble refinements after the first ensemble, R in the paper")
    num_top_plans: int = Field(2, ge=1, le=100, description="earlier plans shown as feedback")
    use_data_leakage_checker: bool | None = Field(
        None, description="check every script for leakage before it runs; None: on for real models"
    )
    leak_audit: bool | None = Field(
        None,
        description="compare test with training rows, and run the winner once on shuffled labels; None: the first "
        "always, the second as the leakage checker",
    )
    use_data_usage_checker: bool = Field(False, description="ask once a solution whether all provided data are used")

    # Ours
    use_baseline: bool | None = Field(
        None, description="also run the recipe library's own script, which the winner must beat; None: for real models"
    )
    models: dict[Role, str] = Field(default_factory=dict, description="model by role, instead of agent_model")
    api_base: str = Field("", description="base URL of an OpenAI-compatible server, for LiteLLM names")
    llm_seconds: float = Field(300, gt=0, description="seconds one model request may take")
    llm_retries: int = Field(4, ge=0, le=20, description="further tries on rate limits, server errors and time-outs")
    max_output_tokens: int | None = Field(
        None, ge=256, description="tokens a reply may have; None: as many as the model can give"
    )
    minutes: float | None = Field(None, gt=0, description="wall-clock minutes for the whole run; None: no limit")
    use_blend: bool = Field(True, description="hand in a blend of the run's scripts where that scores better")
    importance: bool = Field(True, description="measure at the end how much each column matters to the winner")
    adopt_z: float = Field(
        0.0, ge=0, le=5, description="paired standard errors by which a step must be better to be adopted"
    )
    folds: int = Field(5, ge=1, le=20, description="folds that score a script on tables of up to 10,000 rows")
    select_fraction: float = Field(
        0.15, gt=0, lt=0.9, description="training rows held out to score scripts on, where that is not done by folds"
    )
    audit_fraction: float = Field(
        0.15, ge=0, lt=0.5, description="training rows kept for one score at the end, from 500 rows on; 0: none"
    )
    max_search_rows: int = Field(30_000, ge=100, description="training rows a script sees while searching")
    memory_gb: float | None = Field(None, gt=0, description="memory one script may use; None: no ceiling")
    threads: int = Field(
        default_factory=lambda: max(1, _cores() // 2),
        ge=1,
        le=1024,
        description="OpenMP and BLAS threads of one script",
    )
    parallel_scripts: int = Field(2, ge=1, le=256, description="scripts that run side by side")
    sandbox: Literal["warm", "subprocess"] = Field(
        default_factory=lambda: "warm" if sys.platform == "linux" else "subprocess",
        description="backend that runs scripts: warm (Linux: preloaded and fenced) or subprocess",
    )
    containment: Literal["process", "fenced"] = Field(
        "process", description="least containment to run scripts at; fenced: no other files, no network"
    )
    cache_gb: float = Field(2.0, ge=0, description="results of scripts kept for later runs on this machine; 0: none")
    gpus: int = Field(0, ge=0, le=64, description="GPUs that scripts may use, one each; 0: none is shown to them")
    validation: Literal["off", "warn", "block"] = Field(
        "warn", description="what is done about suspicious code: nothing, a note in its result, or it does not run"
    )
    allow_network: bool = Field(False, description="let scripts open connections")

    @property
    def model(self) -> str:
        return self.agent_model

    @property
    def limits(self) -> Limits:
        """What one script of this run may use."""
        memory = None if self.memory_gb is None else int(self.memory_gb * 2**30)
        return Limits(
            wall_seconds=self.exec_timeout,
            memory_bytes=memory,
            threads=self.threads,
            network=self.allow_network,
            gpus=min(self.gpus, 1),
        )

    def audit_share(self, rows: int) -> float:
        """The share of a table of `rows` rows that is kept for the score at the end; small tables cannot spare any."""
        return self.audit_fraction if rows >= LEAST_AUDITED_ROWS else 0.0

    def folds_of(self, rows: int) -> int:
        """Into how many folds a table of `rows` rows is cut; 1 is a single split."""
        return self.folds if rows <= MOST_FOLDED_ROWS else 1

    def fit_rows(self, rows: int) -> int:
        """About how many of `rows` training rows a script sees while searching."""
        folds = self.folds_of(rows)
        held = (1 - self.audit_share(rows)) / folds if folds > 1 else self.select_fraction
        return min(self.max_search_rows, round(rows * (1 - self.audit_share(rows) - held)))

    @property
    def leakage_checker(self) -> bool:
        """Whether scripts are checked for leakage before they run."""
        return self._real_model if self.use_data_leakage_checker is None else self.use_data_leakage_checker

    @property
    def audits_leaks(self) -> bool:
        """Whether the data and the winner are checked for ways in which labels leak."""
        return self.leakage_checker if self.leak_audit is None else self.leak_audit

    @property
    def baseline(self) -> bool:
        """Whether the recipe library's own script takes part; the offline model writes it anyway."""
        return self._real_model if self.use_baseline is None else self.use_baseline

    @property
    def _real_model(self) -> bool:
        names = {self.agent_model, *self.models.values()}
        return any(not name.startswith(("offline", "scripted")) for name in names)

    @classmethod
    def from_env(cls, **settings: Any) -> "RunConfig":
        """The configuration from `settings`, then `MLE_<FIELD>` variables (and ROOT_AGENT_MODEL), then defaults.

        Raises: ConfigError that names each wrong setting and its bounds.
        """
        return make_config(**{**_environment(), **settings})


def _cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Environment(BaseSettings):
    """What the process environment says; API keys are read by the providers' own libraries."""

    model_config = SettingsConfigDict(extra="ignore")

    root_agent_model: str | None = None
    mle_home: Path | None = None


def _environment() -> dict[str, Any]:
    fields = dict.fromkeys(RunConfig.model_fields, (Any, None))
    reader = create_model("Settings", __base__=_Prefixed, **fields)  # type: ignore[call-overload]
    found = {name: value for name, value in reader().model_dump().items() if value is not None}
    if isinstance(found.get("models"), str):
        found["models"] = _by_role(found["models"])
    model = _Environment().root_agent_model
    if model and "agent_model" not in found:
        found["agent_model"] = model
    return found


def _by_role(text: str) -> Any:
    """The models by role that MLE_MODELS names as a JSON object."""
    try:
        return json.loads(text)
    except ValueError:
        raise ConfigError(
            f'MLE_MODELS must be a JSON object of models by role, such as {{"plan": "gemini-2.5-pro"}}, not {text!r}.'
        ) from None


class _Prefixed(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MLE_", extra="ignore", protected_namespaces=())


def make_config(**settings: Any) -> RunConfig:
    """A RunConfig, with wrong settings told in one sentence each.

    Raises: ConfigError.
    """
    try:
        return RunConfig(**settings)
    except ValidationError as exc:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r})" for e in exc.errors()]
        raise ConfigError("wrong settings: " + "; ".join(problems) + ". `mle config` lists all settings.") from exc


def data_home() -> Path:
    """The user's folder for bundled tasks and their sealed truth: $MLE_HOME, else ~/.local/share/mle (not created)."""
    home = _Environment().mle_home
    return home.expanduser() if home else Path.home() / ".local" / "share" / "mle"
