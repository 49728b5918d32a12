"""What a script is given leads to no label of a held-out row."""

import csv
import json
from pathlib import Path

from machine_learning_engineering.shared_libraries.entries import ScriptRun
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from tests.fixtures import tiny

# Follows everything that a script is given: its folder and that folder's neighbours, its environment, its arguments,
# its own process. Every text file below these places is written to final/seen.txt.
SPY = """
import glob, os, sys

places = [os.getcwd(), os.path.dirname(os.getcwd()), os.path.realpath("input"), *map(os.path.abspath, sys.argv)]
places += [part for value in os.environ.values() for part in value.split(os.pathsep) if part.startswith("/")]
places += [os.readlink(f"/proc/self/{name}") for name in ("cwd", "root", "exe")]
places += [os.path.realpath(link) for link in glob.glob("/proc/self/fd/*")]
skip = {"/", "/tmp", "/usr", "/bin", "/sbin", sys.prefix, os.path.realpath(sys.executable)}
skip |= {os.path.dirname(sys.executable), *os.environ["PATH"].split(os.pathsep)}
seen = open("final/seen.txt", "w")
for place in dict.fromkeys(places):
    print("place", place)
    if place in skip or os.path.isfile(place):
        continue
    for folder, _, names in os.walk(place):
        for name in names:
            path = os.path.join(folder, name)
            if path != seen.name and os.path.isfile(path) and os.path.getsize(path) < 1e6:
                seen.write(open(path, errors="replace").read() + "\\n")
seen.close()
"""


def held_out_rows(run: Path, task: Path) -> list[str]:
    """The labelled rows of the task that the search view does not show."""
    views = [path.read_text().splitlines() for path in run.glob("views/*/train.csv")]
    shown = set(min(views, key=len))
    return [line for line in (task / "train.csv").read_text().splitlines() if line not in shown]


async def test_nothing_a_script_is_given_leads_to_a_held_out_label(solve, tmp_path: Path) -> None:
    replies = tiny.replies()
    spy = SPY + tiny.solution(0.0, 2.5)
    replies["model_eval_agent_1_2"] = [tiny.fenced("import time; time.sleep(1)\n" + spy)]  # final runs go on meanwhile
    result = await solve(replies)
    run = next(e for e in read_journal(result.folder) if isinstance(e, ScriptRun) and e.slot == "init_code_1_2")
    assert run.execution.outcome == "ok", run.execution.stderr
    seen = (result.folder / run.execution.folder / "final" / "seen.txt").read_text()
    hidden = held_out_rows(result.folder, tmp_path / "task" / "tiny")
    assert len(hidden) == 20
    assert "id,x,y" in seen  # it did look around, and found what it may see
    assert not [line for line in hidden if line in seen]


async def test_no_path_of_the_run_or_the_task_is_given_to_a_script(solve, tmp_path: Path) -> None:
    replies = tiny.replies()
    tell = "import json, os, sys\nprint(json.dumps([dict(os.environ), sys.argv, os.getcwd(), __file__]))\n"
    replies["model_eval_agent_1_1"] = [tiny.fenced(tell + tiny.solution(0.0, 2.5))]
    result = await solve(replies)
    run = next(e for e in read_journal(result.folder) if isinstance(e, ScriptRun) and e.slot == "init_code_1_1")
    told = (result.folder / run.execution.folder / "stdout.txt").read_text()
    assert str(tmp_path) not in told
    environment = json.loads(told.splitlines()[0])[0]
    assert not [name for name in environment if name.endswith(("KEY", "TOKEN", "SECRET"))]


async def test_a_script_cannot_change_what_others_read(solve) -> None:
    """Each job has an input of its own: writing to it, deleting it or linking over it reaches no other script."""
    replies = tiny.replies()
    vandal = (
        "import os, shutil\nos.chmod('input', 0o700)\nos.chmod('input/train.csv', 0o600)\n"
        "open('input/train.csv', 'w').write('id,x,y\\n1,1,1\\n')\nos.remove('input/test.csv')\n"
    )
    replies["model_eval_agent_1_1"] = [tiny.fenced(vandal + "print('Final Validation Performance: 0')")]
    replies["model_eval_bug_summary_agent_1_1"] = ["No submission.", "..."]
    replies["model_eval_debug_agent_1_1"] = [tiny.fenced(tiny.solution(0.0, 2.4))]
    result = await solve(replies)
    repaired = next(one for one in result.attempts if one.script == tiny.solution(0.0, 2.4))
    assert repaired.succeeded
    for view in result.folder.glob("views/*/train.csv"):
        with view.open() as file:
            assert len(list(csv.DictReader(file))) in (80, 100)
