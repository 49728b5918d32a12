"""A blend as a script of its own: its members inline, each trained on all rows, their submissions averaged."""

from collections.abc import Mapping, Sequence

from machine_learning_engineering.shared_libraries.records import Task
from machine_learning_engineering.shared_libraries.scoring.blend import Scale, Space

_MIX: Mapping[Space, str] = {
    "raw": "mixed = sum(weight * table[VALUES].astype(float) for weight, table in made)",
    "log": """\
logs = (weight * np.log1p(table[VALUES].astype(float).clip(lower=0)) for weight, table in made)
mixed = np.expm1(sum(logs))""",
    "rank": """\
mixed = made[0][1][VALUES].astype(float)
for name, (to_places, to_values) in CURVES.items():
    own = [np.interp(table[name].astype(float), *curve) for (_, table), curve in zip(made, to_places)]
    mixed[name] = np.interp(np.average(own, axis=0, weights=[weight for weight, _ in made]), *to_values)""",
    "vote": """\
votes = pd.DataFrame(0.0, index=range(len(made[0][1])), columns=CLASSES)
for weight, table in made:
    labels = table[VALUES[0]].to_numpy()
    for name in CLASSES:
        votes[name] += weight * (labels == name)
mixed = votes.idxmax(axis=1).to_frame(VALUES[0])""",
}
_CURVES = """\
# For each column, lines through points (x, y): from each member's values to their places among those of the rows that
# the search predicted, and from the mean place to a value. So a row gets the same whatever stands beside it.
CURVES = {
"""
_SCRIPT = '''\
"""A blend of {count} scripts: each is trained on all rows of ./input, and their submissions are averaged."""

import multiprocessing
import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd

ID = {id!r}
VALUES = {values!r}
{settings}SUBMISSION = Path("final", "submission.csv")
MEMBERS = {{  # name: (weight, script)
{members}
}}


def run(path):
    """Runs a member as the main program of this process; a submission that cannot be relied on ends the blend."""
    sys.argv = [path]
    runpy.run_path(path, run_name="__main__")


def submission_of(name, code):
    """What a member submits. It works in a process of its own, so that nothing of it is left when it is done."""
    path = Path(f"member_{{name}}.py")
    path.write_text(code, encoding="utf-8")
    SUBMISSION.unlink(missing_ok=True)
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() and sys.platform == "linux" else "spawn"
    member = multiprocessing.get_context(method).Process(target=run, args=(str(path),))
    member.start()
    member.join()
    if member.exitcode != 0 or not SUBMISSION.is_file():
        sys.exit(f"{{path}} ended with exit code {{member.exitcode}}, so there is nothing to blend")
    return pd.read_csv(SUBMISSION, dtype=str, keep_default_na=False)


def in_order(table, first):
    """The rows as the first member lists them."""
    if ID is None or table[ID].equals(first[ID]):
        return table
    return table.set_index(ID).loc[first[ID]].reset_index()


def main():
    tables = [(weight, submission_of(name, code)) for name, (weight, code) in MEMBERS.items()]
    made = [(weight, in_order(table, tables[0][1])) for weight, table in tables]
{mix}
    if ID is not None:
        mixed.insert(0, ID, made[0][1][ID].to_numpy())
    SUBMISSION.parent.mkdir(exist_ok=True)
    unfinished = SUBMISSION.with_suffix(".unfinished")
    mixed.to_csv(unfinished, index=False, float_format="%.10g")
    os.replace(unfinished, SUBMISSION)


if __name__ == "__main__":
    main()
'''


def blend_script(
    task: Task, space: Space, members: Mapping[str, tuple[float, str]], scales: Sequence[Scale] = ()
) -> str:
    """A program that runs each member (by name: its weight and source) and submits the weighted mean, or the vote.

    In the space of ranks it needs `scales`, one a column. It needs what its members need, and nothing of ours.
    """
    id_column = task.id if task.id in task.submission_columns else None
    values = [column for column in task.submission_columns if column != id_column]
    inline = [f"    {name!r}: ({weight:.6g}, {_literal(code)})," for name, (weight, code) in members.items()]
    settings = f"CLASSES = {list(task.profile.classes)!r}\n" if space == "vote" else ""
    if space == "rank":
        settings = _CURVES + "".join(map(_curves, values, scales)) + "}\n"
    return _SCRIPT.format(
        count=len(members),
        id=id_column,
        values=values,
        settings=settings,
        members="\n".join(inline),
        mix="\n".join(f"    {line}" for line in _MIX[space].splitlines()),
    )


def _curves(name: str, scale: Scale) -> str:
    members = "".join(f"        {curve},\n" for curve in scale.members)
    return f"    {name!r}: ([\n{members}    ], {scale.back}),\n"


def _literal(code: str) -> str:
    """A script as a Python literal that reads as the script does, where its text allows that."""
    plain = "'''" not in code and not code.endswith(("'", "\\")) and "\r" not in code
    return f"r'''{code}'''" if plain else repr(code)
