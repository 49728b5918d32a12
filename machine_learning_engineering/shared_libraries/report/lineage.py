"""Where a script of a run comes from: what its address says, and the scripts it was made of.

A script's parents are found in the session state as it was when the script ran: the state names code, and equal code is
the same script. Only digests are compared, so no blob is read.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from machine_learning_engineering.shared_libraries.runs.journal import sha256

Kind = Literal["candidate", "merge", "data use", "ablation", "refinement", "ensemble", "submission", "script"]
EdgeKind = Literal["base", "reference", "guide", "fix", "rewrite"]

_N = r"(?P<{}>\d+)".format
_SLOTS: tuple[tuple[Kind, str, str], ...] = (
    ("candidate", rf"init_code_{_N('solution')}_{_N('attempt')}", "Candidate {solution}.{attempt}"),
    ("merge", rf"merger_code_{_N('solution')}_{_N('attempt')}", "Merge {solution}.{attempt}"),
    ("data use", rf"train_code_0_{_N('solution')}", "Data use {solution}"),
    ("ablation", rf"ablation_code_{_N('step')}_{_N('solution')}", "Ablation {solution}.{step}"),
    (
        "refinement",
        rf"train_code_improve_{_N('attempt')}_{_N('step')}_{_N('solution')}",
        "Refinement {solution}.{step}.{attempt}",
    ),
    ("ensemble", rf"ensemble_code_{_N('step')}", "Ensemble {step}"),
    ("submission", r"submission_code", "Final repair"),
)


@dataclass(frozen=True)
class Address:
    """What a slot's code key says; numbers that it does not have are 0."""

    kind: Kind
    title: str
    solution: int = 0
    step: int = 0
    attempt: int = 0


def address(code_key: str) -> Address:
    """The address that a code key spells; the scripts of other flows are of kind `script` under their own name."""
    for kind, pattern, title in _SLOTS:
        if match := re.fullmatch(pattern, code_key):
            numbers = {name: int(number) for name, number in match.groupdict().items()}
            return Address(kind, title.format(**numbers), **numbers)
    return Address("script", code_key)


def digest_of(value: Any) -> str:
    """The digest of a text of a packed state, which is a string or stands for a blob; empty where it is neither."""
    if isinstance(value, dict):
        return str(value.get("$blob", ""))
    return sha256(value) if isinstance(value, str) and value else ""


def sources(where: Address, state: Mapping[str, Any]) -> Iterator[tuple[EdgeKind, str]]:
    """What a new script at this address was made of: pairs of an edge's kind and the digest of the source."""
    t = where.solution
    if where.kind == "merge":
        yield "base", digest_of(state.get(f"base_solution_{t}"))
        ranking = state.get(f"performance_results_{t}")
        if isinstance(ranking, list) and len(ranking) > where.attempt:
            code = ranking[where.attempt][1]
            yield "reference", digest_of(state.get(code, code) if isinstance(code, str) else code)
    elif where.kind in ("data use", "ablation", "refinement"):
        yield "base", digest_of(state.get(f"train_code_{where.step}_{t}"))
    elif where.kind == "ensemble":
        yield from (("base", digest) for digest in current_solutions(state).values())


def current_solutions(state: Mapping[str, Any]) -> dict[int, str]:
    """The digest of each solution's latest adopted script, by the solution's number."""
    found: dict[int, tuple[int, str]] = {}
    for key, value in state.items():
        if match := re.fullmatch(r"train_code_(\d+)_(\d+)", key):
            step, solution = int(match[1]), int(match[2])
            found[solution] = max(found.get(solution, (-1, "")), (step, digest_of(value)))
    return {solution: digest for solution, (_, digest) in sorted(found.items())}


def plan(where: Address, state: Mapping[str, Any]) -> Any:
    """What a new script at this address is to do, as the packed state has it; None where no plan was asked for."""
    if where.kind == "candidate":
        model = state.get(f"init_{where.solution}_model_{where.attempt}")
        return model.get("model_name") if isinstance(model, dict) else None
    if where.kind == "refinement":
        return _item(state.get(f"refine_plans_{where.step}_{where.solution}"), where.attempt)
    return _item(state.get("ensemble_plans"), where.step) if where.kind == "ensemble" else None


def _item(value: Any, number: int) -> Any:
    return value[number] if isinstance(value, list) and len(value) > number else None
