"""The effective settings of a run, and where each came from."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import ConfigError

# Filled in while a run begins, or by its task: nobody sets them.
FILLED_IN = frozenset({"data_dir", "start_time", "task_description", "task_name", "task_summary", "workspace_dir"})
_OTHERS = ("MLE_HOME", "MLE_DEBUG")  # variables that are read, but are no field


@dataclass(frozen=True)
class Setting:
    """One field of RunConfig; `source` is `default`, an environment variable or a flag.

    `flag` is that of `mle run` which sets it, empty where there is none; `variable` sets it too.
    """

    name: str
    flag: str
    variable: str
    value: Any
    source: str
    about: str


def configure(flags: Mapping[str, Any], spelt: Mapping[str, str]) -> RunConfig:
    """The configuration of flags (None: not given), environment and defaults. `spelt` names the flag of a field.

    Raises: ConfigError that names each wrong setting and the flag or variable that it came from.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return RunConfig.from_env(**given)
    except ConfigError as exc:
        blamed = [name for name in RunConfig.model_fields if f"{name}: " in str(exc)]
        told = [f"{name} comes from {_source(name, given, spelt)}" for name in blamed]
        raise ConfigError(f"{exc} ({'; '.join(told)})" if told else str(exc)) from exc


def settings(config: RunConfig, flags: Mapping[str, Any], spelt: Mapping[str, str]) -> list[Setting]:
    """Every setting that a person can make, in the order of RunConfig."""
    given = {name: value for name, value in flags.items() if value is not None}
    return [
        Setting(
            name=name,
            flag=spelt.get(name, ""),
            variable=_variable(name),
            value=getattr(config, name),
            source=_source(name, given, spelt),
            about=field.description or "",
        )
        for name, field in RunConfig.model_fields.items()
        if name not in FILLED_IN
    ]


def misspelt() -> list[str]:
    """A sentence for each MLE_ variable of the environment that no setting reads."""
    known = [*map(_variable, RunConfig.model_fields), *_OTHERS]
    found = [name for name in sorted(os.environ) if name.upper().startswith("MLE_") and name.upper() not in known]
    return [f"{name} is set, but nothing reads it.{_hint(name, known)}" for name in found]


def _source(name: str, given: Mapping[str, Any], spelt: Mapping[str, str]) -> str:
    if name in given:
        return spelt.get(name, f"--{name.replace('_', '-')}")
    variables = [variable for variable in os.environ if variable.upper() == _variable(name)]
    if not variables and name == "agent_model" and os.environ.get("ROOT_AGENT_MODEL"):
        variables = ["ROOT_AGENT_MODEL"]
    return variables[0] if variables else "default"


def _variable(name: str) -> str:
    return f"MLE_{name.upper()}"


def _hint(name: str, known: list[str]) -> str:
    near = get_close_matches(name.upper(), known, n=1, cutoff=0.7)
    return f" Did you mean {near[0]}?" if near else ""
