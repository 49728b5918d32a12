"""The stage table, the only reader of agent names, and the specified functions that run and score a script.

Each kind of script is one row of `STAGES`. A row gives the agent name, state keys, file and folder of a `Slot`, and
`parse` finds the slot of an agent's name again. A new kind of script costs one row.
Source: spec/code-execution-system.md.
"""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import ConfigError, ScoreNotFound
from machine_learning_engineering.shared_libraries.execution.names import Rule
from machine_learning_engineering.shared_libraries.execution.sandbox import make_sandbox
from machine_learning_engineering.shared_libraries.execution.validator import ADVISING, Policy, advise, validate
from machine_learning_engineering.shared_libraries.records import (
    Attempt,
    Execution,
    Job,
    Limits,
    Metric,
    Slot,
    Stage,
)
from machine_learning_engineering.shared_libraries.replies import MARKER, calls_exit
from machine_learning_engineering.shared_libraries.runs.attempt import attempt
from machine_learning_engineering.shared_libraries.runs.run import Run
from machine_learning_engineering.shared_libraries.scoring.leaks import find_leaks, told_by_validator
from machine_learning_engineering.shared_libraries.scoring.score import parse_score

if TYPE_CHECKING:
    from google.adk.agents.callback_context import CallbackContext

_STEP = ("step", "refine_step_{solution}")
STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage(
            name="model_eval",
            ids=("solution", "attempt"),
            suffix="{solution}_{attempt}",
            code_key="init_code_{solution}_{attempt}",
            result_key="init_code_exec_result_{solution}_{attempt}",
            filename="init_code_{attempt}.py",
            folder="{solution}",
            skip_key="model_eval_skip_data_leakage_check_{solution}_{attempt}",
        ),
        Stage(
            name="merger",
            ids=("solution", "attempt"),
            suffix="{solution}_{attempt}",
            code_key="merger_code_{solution}_{attempt}",
            result_key="merger_code_exec_result_{solution}_{attempt}",
            filename="train0_{attempt}.py",
            folder="{solution}",
            skip_key="merger_skip_data_leakage_check_{solution}_{attempt}",
        ),
        Stage(
            name="check_data_use",
            ids=("solution",),
            suffix="{solution}",
            code_key="train_code_0_{solution}",
            result_key="train_code_exec_result_0_{solution}",
            filename="train0.py",
            folder="{solution}",
            skip_key="check_data_use_skip_data_leakage_check_{solution}",
        ),
        Stage(
            name="ablation",
            ids=("solution",),
            counters=(_STEP,),
            suffix="{step}_{solution}",
            code_key="ablation_code_{step}_{solution}",
            result_key="ablation_code_exec_result_{step}_{solution}",
            filename="ablation_{step}.py",
            folder="{solution}",
            skip_key="ablation_skip_data_leakage_check_{solution}",
            kind="ablation",
        ),
        Stage(
            name="plan_implement",
            ids=("solution",),
            counters=(_STEP, ("attempt", "inner_iter_{solution}")),
            initial="attempt",
            suffix="{attempt}_{step}_{solution}",
            code_key="train_code_improve_{attempt}_{step}_{solution}",
            result_key="train_code_improve_exec_result_{attempt}_{step}_{solution}",
            filename="train{step}_improve{attempt}.py",
            folder="{solution}",
            skip_key="plan_implement_skip_data_leakage_check_{attempt}_{step}_{solution}",
        ),
        Stage(
            name="ensemble_plan_implement",
            ids=(),
            counters=(("step", "ensemble_iter"),),
            initial="step",
            suffix="{step}",
            code_key="ensemble_code_{step}",
            result_key="ensemble_code_exec_result_{step}",
            filename="ensemble{step}.py",
            folder="ensemble",
            skip_key="ensemble_plan_implement_skip_data_leakage_check_{step}",
        ),
        Stage(
            name="baseline",
            ids=(),
            suffix="",
            code_key="baseline_code",
            result_key="baseline_code_exec_result",
            filename="baseline.py",
            folder="baseline",
            skip_key="baseline_skip_data_leakage_check",
        ),
        Stage(
            name="blend",
            ids=(),
            suffix="",
            code_key="blend_code",
            result_key="blend_code_exec_result",
            filename="blend.py",
            folder="ensemble",
            skip_key="blend_skip_data_leakage_check",
        ),
        Stage(
            name="submission",
            ids=(),
            suffix="",
            code_key="submission_code",
            result_key="submission_code_exec_result",
            filename="final_solution.py",
            folder="ensemble",
            skip_key="submission_skip_data_leakage_check",
            kind="submission",
        ),
    )
}

_NAME = re.compile(
    rf"^(?P<stage>{'|'.join(sorted(STAGES, key=len, reverse=True))})(?P<initial>_initial)?"
    r"_(?P<role>(?:debug|bug_summary|check_leakage|refine_leakage)_agent|agent)(?P<ids>(?:_\d+)*)$"
)


def parse(agent_name: str, state: Mapping[str, Any]) -> tuple[Slot, str]:
    """The slot and the role that an agent's name stands for, given the counters in the state.

    Raises: ValueError for a name that belongs to no row of the table, or that lacks an id or a counter.
    """
    match = _NAME.match(agent_name)
    if match is None:
        raise ValueError(f"{agent_name!r} names no script: it must begin with one of {', '.join(STAGES)}")
    stage = STAGES[match["stage"]]
    ids = [int(number) for number in match["ids"].split("_") if number]
    if len(ids) != len(stage.ids) or (match["initial"] and stage.initial is None):
        raise ValueError(f"{agent_name!r} must end with {', '.join(stage.ids) or 'no ids'}")
    fields = dict(zip(stage.ids, ids, strict=True))
    for name, key in stage.counters:
        value = state.get(key.format(**fields))
        if not isinstance(value, int):
            raise ValueError(f"{agent_name!r} needs the counter {key.format(**fields)!r} in the state")
        fields[name] = value
    return Slot(stage, **fields), match["role"]


# --- The specified functions ------------------------------------------------------------------------------------------


def get_updated_suffix(callback_context: "CallbackContext") -> str:
    """The suffix of the state keys that the calling agent works on."""
    return _slot(callback_context).suffix


def get_code_state_key(agent_name: str, suffix: str) -> str:
    """The state key of the code that an agent with this name and suffix writes."""
    return _slot_of_suffix(agent_name, suffix).code_key


def get_code_execution_result_state_key(agent_name: str, suffix: str) -> str:
    """The state key of the result of that code."""
    return _slot_of_suffix(agent_name, suffix).result_key


def get_run_code_condition(agent_name: str, raw_code: str) -> bool:
    """Whether this code is worth running, by the specified table; `exit()` means that the program calls it."""
    return why_not_run(agent_name, raw_code) is None


def why_not_run(agent_name: str, raw_code: str, config: RunConfig | None = None) -> str | None:
    """The reason not to run this code, as a sentence for its author, or None when it qualifies.

    With a `config` that blocks suspicious code, the validator is asked as well.
    """
    if config is not None and config.validation == "block" and (report := validate(raw_code, _BLOCKING)).blocked:
        return f"The program may not run as it is: {report.text}"
    stage = _row(agent_name)
    first = "debug_agent" not in agent_name
    if first and stage.name in ("ensemble_plan_implement", "ablation"):
        return None
    if calls_exit(raw_code):
        return "The program calls exit() or quit(); let it run to its end instead."
    if stage.kind == "submission":
        wrong = first and "submission.csv" not in raw_code
        return "The program does not write ./final/submission.csv." if wrong else None
    if stage.kind == "solution" and MARKER not in raw_code:
        return f"The program does not print a line `{MARKER}: <number>`."
    return None


def extract_performance_from_text(text: str) -> float | None:
    """The last finite figure that a script printed after the marker, or None."""
    try:
        return parse_score(text)
    except ScoreNotFound:
        return None


async def run_python_code(code_text: str, run_cwd: str, py_filepath: str, exec_timeout: int) -> dict[str, Any]:
    """Runs a script of its own, outside any run: the four common keys of the result dict.

    The script file is written to `py_filepath`; what it makes lies in a new folder beside it under `run_cwd`/runs.
    """
    path = Path(py_filepath)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code_text, encoding="utf-8")
    runs = Path(run_cwd) / "runs"
    number = sum(1 for _ in runs.glob(f"{path.stem}.*"))
    job = Job(code_text, path.name, runs / f"{path.stem}.{number}", limits=Limits(wall_seconds=exec_timeout))
    sandbox = make_sandbox("subprocess")
    try:
        return _common_keys(await sandbox.run(job))
    finally:
        await sandbox.close()


_FORBIDDEN: tuple[Rule, ...] = ("process", "native", "network", "dynamic_code", "unpickle", "introspection")
_BLOCKING = Policy(levels={**ADVISING.levels, **dict.fromkeys(_FORBIDDEN, "block")})


async def evaluate_code(callback_context: "CallbackContext", run: Run | None = None) -> Attempt | None:
    """Runs the code that the calling agent has put into the state, scores it, and writes the result dict beside it.

    The attempt that was made, or None where the code does not qualify: then the result is `{}` and the reason lies
    under `<result key>_reason`. Without a `run` the script runs alone in `<workspace_dir>/<task_name>/<folder>` and its
    score is what it printed.
    """
    state = callback_context.state
    slot = _slot(callback_context)
    code = state.get(slot.code_key) or ""
    if reason := why_not_run(callback_context.agent_name, code, run.config if run else None):
        state[slot.result_key] = {}
        state[f"{slot.result_key}_reason"] = reason
        return None
    if run is None:
        state[slot.result_key] = await _evaluate_alone(slot, code, state)
        return None
    reading = asyncio.to_thread(_advice, code, run)
    made, advice = await asyncio.gather(attempt(slot, code, run), reading)
    state.update(attempt_keys(slot, made, run.task.metric, state))
    if advice or state.get(f"{slot.result_key}_advice"):
        state[f"{slot.result_key}_advice"] = advice
    return made


def _advice(code: str, run: Run) -> str:
    """What is suspicious about a script, one line each: what the sandbox will refuse, and what leaks."""
    if run.config.validation == "off":
        return ""
    leaks = [str(leak) for leak in find_leaks(code, run.task) if not told_by_validator(leak)]
    return "\n".join(filter(None, [advise(code).text, *leaks]))


def attempt_keys(slot: Slot, made: Attempt, metric: Metric, state: Any) -> dict[str, Any]:
    """The state keys of an attempt: code, result, and no reason left over from a version that was not run."""
    reason = f"{slot.result_key}_reason"
    left_over = {reason: None} if state.get(reason) else {}
    return {slot.code_key: made.script, slot.result_key: result_dict(made, metric), **left_over}


def result_dict(made: Attempt, metric: Metric) -> dict[str, Any]:
    """The specified result dict of an attempt, with our further keys.

    A failed script has the specified fail score, 1e9 where lower is better and else 0; nothing ever compares those.
    """
    result = _common_keys(made.execution)
    result |= {"outcome": made.execution.outcome, "cached": made.execution.cached}
    if made.slot.stage.kind == "ablation":
        return result | {"ablation_result": made.execution.stdout if made.succeeded else "None"}
    score = made.score
    return result | {
        "score": metric.fail_score if score is None or score.value is None else score.value,
        "reported_score": score.reported if score else None,
        "score_source": score.source if score else "reported",
        "reason": score.reason if score else None,
    }


def _common_keys(execution: Execution) -> dict[str, Any]:
    keys = {"returncode", "stdout", "stderr", "execution_time"}
    return execution.model_dump(include=keys)


async def _evaluate_alone(slot: Slot, code: str, state: Any) -> dict[str, Any]:
    folder = Path(state["workspace_dir"]) / state["task_name"] / slot.folder
    result = await run_python_code(code, str(folder), str(folder / slot.filename), state["exec_timeout"])
    ran = result["returncode"] == 0
    if slot.stage.kind == "ablation":
        return result | {"ablation_result": result["stdout"] if ran else "None"}
    score = extract_performance_from_text(result["stdout"]) if ran else None
    fail = 1e9 if state["lower"] else 0.0
    return result | {"score": fail if score is None else score, "score_source": "reported"}


def _slot(callback_context: "CallbackContext") -> Slot:
    return parse(callback_context.agent_name, callback_context.state)[0]  # type: ignore[arg-type]


def _row(agent_name: str) -> Stage:
    match = _NAME.match(agent_name)
    if match is None:
        raise ValueError(f"{agent_name!r} names no script: it must begin with one of {', '.join(STAGES)}")
    return STAGES[match["stage"]]


def _slot_of_suffix(agent_name: str, suffix: str) -> Slot:
    """The slot that a suffix addresses: its numbers are the placeholders of the row's suffix template, in order."""
    stage = _row(agent_name)
    names = re.findall(r"{(\w+)}", stage.suffix)
    numbers = [int(number) for number in suffix.split("_") if number]
    if len(names) != len(numbers):
        raise ConfigError(f"suffix {suffix!r} does not fit {agent_name!r}: it takes {', '.join(names) or 'nothing'}")
    return Slot(stage, **dict(zip(names, numbers, strict=True)))
