"""Predictions of new rows by the script that a run handed in, with the real sandbox."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from machine_learning_engineering import client
from machine_learning_engineering.client import Result, predict
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import ConfigError, JournalError, MleError, TaskError
from machine_learning_engineering.shared_libraries.runs.journal import Journal
from tests.fixtures import tiny

LOOPS = dict.fromkeys(("inner_loop_round", "outer_loop_round", "ensemble_loop_round", "max_debug_round"), 0)
STUMBLES = 'assert all(float(row["x"]) < 700 for row in test), "no training row is like this"\n# --- validate'
COUNTS = "def predict(row):\n    return len(train)\n\n\n# --- validate"


async def solve(place: Path, source: Path, script: str, **said: str) -> Result:
    """A run whose only script is this one."""
    replies = tiny.replies(solutions=1, candidates=1) | {"model_eval_agent_1_1": [tiny.fenced(script)]}
    (place / "replies.json").write_text(json.dumps(replies))
    steps = LOOPS | {"max_debug_round": 1, "folds": 1, "use_data_leakage_checker": False, "use_blend": False}
    config = RunConfig(
        agent_model=f"scripted/{place / 'replies.json'}", num_solutions=1, num_model_candidates=1, **steps
    )
    return await client.solve(client.find_request(source, **said), config, place / "run")


@pytest.fixture
async def run(tmp_path: Path) -> Result:
    """A run on a task folder with a sample submission; its script knows no x over 700."""
    task = tiny.make_task(tmp_path / "tiny")
    ids = [row["id"] for row in table(task / "test.csv")]
    (task / "sample_submission.csv").write_text("id,y\n" + "".join(f"{one},0\n" for one in ids))
    return await solve(tmp_path, task, tiny.solution(0.5, 2.98).replace("# --- validate", STUMBLES))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


async def test_the_test_rows_of_a_run_are_predicted_as_they_were(run: Result) -> None:
    made = await predict(run.folder, run.task.test)
    assert made == run.folder / "predictions" / "test.csv"
    assert made.read_bytes() == run.submission.read_bytes()


async def test_rows_and_columns_may_come_in_any_order_and_be_more_or_fewer(run: Result, tmp_path: Path) -> None:
    rows = table(run.task.test)[3::-1]
    (tmp_path / "new.csv").write_text("x,y,id,more\n" + "".join(f"{row['x']},,{row['id']},9\n" for row in rows))
    made = await predict(str(run.folder), tmp_path / "new.csv", tmp_path / "a" / "b.csv")
    assert made == tmp_path / "a" / "b.csv"
    assert table(made) == table(run.submission)[3::-1]
    assert not (run.folder / "predictions").exists()


async def test_all_labelled_rows_of_a_lone_csv_are_trained_on(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,x,y\n" + "".join(f"{n},{n % 7},{n % 7 * 2}.5\n" for n in range(100)))
    (tmp_path / "new.csv").write_text("id,x\na,1\nb,2\n")
    script = tiny.solution().replace("# --- validate", COUNTS)
    result = await solve(tmp_path, tmp_path / "rows.csv", script, target="y", metric="rmse")
    assert {row["y"] for row in table(result.submission)} == {"80.000000"}
    made = await predict(result.folder, tmp_path / "new.csv")
    assert table(made) == [{"id": "a", "y": "100.000000"}, {"id": "b", "y": "100.000000"}]


MISTAKES = [
    ("id\n1\n", TaskError, "lacks 'x', which the run's test file has"),
    ("x\n1\n", TaskError, "lacks 'id', which"),
    ("id,x\n1,1\n1,2\n", TaskError, "duplicate ids"),
    ("id,x\n", TaskError, "no rows"),
    ("id,x\n1,abc\n2,3\n", TaskError, "holds 'abc' in 'x', where the run's data have numbers: 1 of 2 cells"),
    ("id,x\n1,777\n", MleError, "no valid predictions of .*new.csv: AssertionError: no training row is like this"),
]


@pytest.mark.parametrize(("text", "kind", "told"), MISTAKES, ids=[told[:14] for _, _, told in MISTAKES])
async def test_rows_that_cannot_be_predicted_are_told(
    run: Result, tmp_path: Path, text: str, kind: type[MleError], told: str
) -> None:
    (tmp_path / "new.csv").write_text(text)
    with pytest.raises(kind, match=told):
        await predict(run.folder, tmp_path / "new.csv")
    assert not (run.folder / "predictions").exists()


async def test_a_run_on_data_that_were_changed_predicts_nothing(run: Result) -> None:
    with run.task.train.open("a") as file:
        file.write("999,1.5,5.5\n")
    with pytest.raises(TaskError, match="changed since the run began"):
        await predict(run.folder, run.task.test)


async def test_where_to_write_is_looked_at_first(run: Result, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it is a folder"):
        await predict(run.folder, run.task.test, tmp_path)
    with pytest.raises(ConfigError, match="below a file"):
        await predict(run.folder, run.task.test, run.task.test / "new.csv")


async def test_a_run_without_a_submission_says_so(tmp_path: Path) -> None:
    Journal(tmp_path / "run").close()
    (tmp_path / "run" / "journal.jsonl").write_text(
        '{"kind": "state_delta", "at": 1, "agent": "a", "ordinal": 0, "delta": {}}\n'
    )
    (tmp_path / "new.csv").write_text("id,x\n1,1\n")
    with pytest.raises(JournalError, match=r"has no final/solution\.py"):
        await predict(tmp_path / "run", tmp_path / "new.csv")


def mle(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "machine_learning_engineering.cli", *words]
    env = {**os.environ, "MLE_HOME": str(cwd / "home")}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, check=False, timeout=120)


async def test_the_command_prints_where_the_predictions_are(run: Result, tmp_path: Path) -> None:
    done = mle("predict", "run", str(run.task.test), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{run.folder / 'predictions' / 'test.csv'}\n"
    assert done.stderr == ""
    done = mle("predict", "run", "no.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("mle: there is no file")
