"""Where a script of a run comes from: what its address says, and the scripts it was made of.

A script's parents are found in the session state as it was when the script ran: the state names code, and equal code is
the same script. Only digests are compared, and only of a blend is the text read, as its parents stand in it.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from machine_learning_engineering.shared_libraries.entries import CHECK, Decision
from machine_learning_engineering.shared_libraries.errors import JournalError
from machine_learning_engineering.shared_libraries.runs.journal import read_blob, sha256

Kind = Literal[
    "candidate", "merge", "data use", "ablation", "refinement", "ensemble", "baseline", "blend", "submission", "script"
]
EdgeKind = Literal["base", "reference", "guide", "fix", "rewrite", "member"]

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
    ("baseline", r"baseline_code", "Baseline"),
    ("blend", r"blend_code", "Blend"),
    ("submission", r"submission_code", "Final repair"),
)
# What the clock of a run is asked for, by the names that the phases give it.
_WORK = (
    (rf"candidate {_N('solution')} {_N('attempt')}", "Candidate {solution}.{attempt}"),
    (rf"merge {_N('solution')} {_N('attempt')}", "Merge {solution}.{attempt}"),
    (rf"refine {_N('step')} {_N('solution')}", "Refinement {solution}.{step}"),
    (rf"plan {_N('attempt')} {_N('step')} {_N('solution')}", "Refinement {solution}.{step}.{attempt}"),
    (rf"ablation {_N('step')} {_N('solution')}", "Ablation {solution}.{step}"),
    (rf"ensemble {_N('step')}", "Ensemble {step}"),
    ("columns", "measuring which columns matter"),
)
_BUDGET = "budget:"


@dataclass(frozen=True)
class Edge:
    """A way from one script to another: made from it (`base`, `reference`), a blend of it (`member`),
    told by it (`guide`), or mending it.
    """

    source: str
    target: str
    kind: EdgeKind


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


def titled(code_key: str, ordinal: int = 0) -> str:
    """What people call a script: `Candidate 1.2`, from its second version on with the version."""
    return address(code_key).title + (f" (version {ordinal + 1})" if ordinal else "")


def left_out(decision: Decision) -> str:
    """What a run had no time left for by this decision; empty where it says nothing of the kind that is news."""
    if decision.chosen or not decision.what.startswith(_BUDGET):
        return ""
    what = decision.what.removeprefix(_BUDGET)
    if script := re.fullmatch(r"(folds|fix) (\w+) \d+", what):
        return f"mending {titled(script[2])}" if script[1] == "fix" else ""  # the script's score tells of its folds
    found = ((title, re.fullmatch(pattern, what)) for pattern, title in _WORK)
    return next((title.format(**match.groupdict()) for title, match in found if match), what)


def decided(decision: Decision) -> str:
    """A decision in words; empty for one that only says that there is time left."""
    if adopted := re.fullmatch(r"adopt (\w+?)(?: (\d+))?", decision.what):
        title = titled(adopted[1], int(adopted[2] or 0)) if adopted[2] else adopted[1].capitalize()
        return f"{title} {'adopted' if decision.chosen else 'not adopted'}: {decision.why}"
    if sized := re.fullmatch(r"final rows (\w+) \d+(?: after all)?", decision.what):
        rows = "all" if decision.chosen is None else f"{decision.chosen:,}"
        return f"{titled(sized[1])} is trained on {rows} rows: {decision.why}"
    if not decision.what.startswith(_BUDGET):
        return f"{decision.what.removeprefix(CHECK)}: {decision.why}"
    work = left_out(decision)
    return f"no time left for {work}: {decision.why}" if work else ""


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


def members(folder: Path, script: str) -> list[str]:
    """The scripts that a blend is made of, each as its code key, a dot and its ordinal; none if its text is gone."""
    try:
        tree = ast.parse(read_blob(folder, script))
    except (JournalError, OSError, SyntaxError, ValueError):
        return []
    found = [one.value for one in tree.body if isinstance(one, ast.Assign) and ast.unparse(one).startswith("MEMBERS ")]
    names = [ast.literal_eval(name) for one in found if isinstance(one, ast.Dict) for name in one.keys if name]
    return [".".join(name.rsplit("_", 1)) for name in names]


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
