"""The command line as a person meets it."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.monitoring import doctor
from tests.fixtures import tiny

MLE = [sys.executable, "-m", "machine_learning_engineering.cli"]


def mle(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MLE, *arguments], capture_output=True, text=True, cwd=cwd, check=False, timeout=120)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    tiny.make_task(tmp_path / "tiny")
    (tmp_path / "replies.json").write_text(json.dumps(tiny.replies()))
    return tmp_path


RUN = ["run", "tiny", "--model", "scripted/replies.json"]


def test_a_run_in_a_terminal_shows_no_warning(place: Path) -> None:
    """Everything a person sees in a pseudo-terminal is ours: no deprecation, no experimental note, no log line."""
    env = {**os.environ, "MLE_USE_DATA_LEAKAGE_CHECKER": "false", "PYTHONWARNINGS": "default"}
    outer, inner = pty.openpty()
    process = subprocess.Popen(
        [*MLE, *RUN, "--out", "run"], cwd=place, stdout=inner, stderr=inner, stdin=inner, env=env
    )
    os.close(inner)
    seen = b""
    while True:
        try:
            data = os.read(outer, 65536)
        except OSError:  # the other end is closed
            break
        seen += data
    os.close(outer)
    text = seen.decode()
    assert process.wait(60) == 0, text
    for word in ("Warning", "EXPERIMENTAL", "Traceback", "LiteLLM"):
        assert word not in text
    assert str(place / "run" / "final" / "submission.csv") in text


def test_the_end_of_a_run_names_score_and_files(place: Path) -> None:
    done = mle(*RUN, "--out", "run", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "root mean squared error" in done.stdout
    assert "held-out rows" in done.stdout
    for name in ("submission.csv", "solution.py"):
        assert str(place / "run" / "final" / name) in done.stdout
        assert (place / "run" / "final" / name).exists()
    assert done.stderr == ""


def test_without_out_a_run_gets_a_folder_of_its_own(place: Path) -> None:
    assert mle(*RUN, cwd=place).returncode == 0
    assert mle(*RUN, cwd=place).returncode == 0
    runs = list((place / "mle-runs").iterdir())
    assert len(runs) == 2
    assert all(run.name.startswith("tiny-") for run in runs)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "nowhere"], "there is no file, folder or bundled task 'nowhere'"),
        (["run", "tiny", "--model", "gpt-17"], "gpt-17"),
        (["run", "tiny", "--seed", "-1"], "seed"),
        (["run", "tiny", "--metric", "rmsee"], "rmse"),
        (["run", "tiny", "--target", "z"], "'z'"),
        (["run", "tiny", "--model", "scripted/none.json"], "none.json"),
    ],
)
def test_a_mistake_ends_in_a_sentence(place: Path, arguments: list[str], told: str) -> None:
    done = mle(*arguments, cwd=place)
    assert done.returncode == 2
    assert done.stderr.startswith("mle: ")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_with_something_else_in_it_is_left_alone(place: Path) -> None:
    (place / "mine").mkdir()
    (place / "mine" / "thesis.txt").write_text("precious")
    done = mle(*RUN, "--out", "mine", cwd=place)
    assert done.returncode == 2
    assert "is not empty and holds no run" in done.stderr
    assert [p.name for p in (place / "mine").iterdir()] == ["thesis.txt"]


def test_ids_keep_their_leading_zeros(tmp_path: Path) -> None:
    """A whole run of the offline model on a small table of classes, ids such as 007 included."""
    rows = [f"{i:04d},{i % 7},{'yes' if i % 7 > 3 else 'no'}" for i in range(150)]
    (tmp_path / "train.csv").write_text("\n".join(["Kunde Nr,größe,kauft", *rows[:120]]) + "\n", encoding="utf-8")
    test = [row.rpartition(",")[0] for row in rows[120:]]
    (tmp_path / "test.csv").write_text("\n".join(["Kunde Nr,größe", *test]) + "\n", encoding="utf-8")
    options = ["--target", "kauft", "--metric", "accuracy", "--id", "Kunde Nr", "--test", "test.csv", "--out", "out"]
    small = ["--solutions", "1", "--candidates", "1", "--rounds", "0"]
    done = mle("run", "train.csv", *options, *small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "out" / "final" / "submission.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in lines] == ["Kunde Nr", *(f"{i:04d}" for i in range(120, 150))]


def test_runs_are_listed_and_compared(place: Path) -> None:
    for out, more in (("first", ()), ("second", ("--seed", "7"))):
        assert mle(*RUN, "--rounds", "0", "--out", f"mle-runs/{out}", *more, cwd=place).returncode == 0
    (place / "mle-runs" / "never-began").mkdir()
    (place / "mle-runs" / "never-began" / "journal.jsonl").touch()
    listed = json.loads(mle("runs", "--json", cwd=place).stdout)
    assert [(line["run"], line["task"], line["status"]) for line in listed] == [
        ("first", "tiny", "finished"),
        ("second", "tiny", "finished"),
    ]
    shown = mle("runs", cwd=place).stdout
    assert "first" in shown
    assert f"{listed[0]['best']:.6g} rmse" in shown
    compared = json.loads(mle("runs", "first", "sec", "--json", cwd=place).stdout)
    assert compared["differences"] == [{"what": "seed", "first": "42", "second": "7"}]
    assert "--seed" in mle("runs", "first", "sec", cwd=place).stdout


def test_folds_are_chosen_and_told(place: Path) -> None:
    assert mle(*RUN, "--rounds", "0", "--folds", "2", "--out", "two", cwd=place).returncode == 0
    assert list((place / "two").glob("*/1/runs/*.fold1"))
    assert not list((place / "two").glob("*/1/runs/*.fold2"))
    assert "--folds 2" in (place / "two" / "report.html").read_text()
    shown = mle("config", "--folds", "2", "--json", cwd=place).stdout
    found = next(one for one in json.loads(shown)["settings"] if one["name"] == "folds")
    assert (found["value"], found["source"], found["flag"]) == (2, "--folds", "--folds")


def test_a_run_is_named_by_the_beginning_of_its_name(place: Path) -> None:
    assert mle(*RUN, "--rounds", "0", "--out", "mle-runs/first", cwd=place).returncode == 0
    done = mle("report", "fir", cwd=place)
    assert done.stdout.strip() == str(place / "mle-runs" / "first" / "report.html")
    wrong = mle("report", "frist", cwd=place)
    assert wrong.returncode == 2
    assert "Nearest: first" in wrong.stderr


def test_a_run_is_found_wherever_it_lies(place: Path) -> None:
    """Also by a command that is given somewhere else, until its folder is deleted."""
    assert mle(*RUN, "--rounds", "0", "--out", "mine/first", cwd=place).returncode == 0
    other = place / "other"
    other.mkdir()
    assert str(place / "mine" / "first") in mle("runs", "--json", cwd=other).stdout
    assert "./mine/first" in mle("runs", cwd=place).stdout
    assert mle("report", "first", cwd=other).stdout.strip() == str(place / "mine" / "first" / "report.html")
    assert "No runs" in mle("runs", "--in", "other", cwd=place).stdout
    refused = mle("runs", "--in", "mle-runs", cwd=place)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"there is no folder {place}/mle-runs" in refused.stderr
    shutil.rmtree(place / "mine")
    assert "No runs" in mle("runs", cwd=place).stdout


def test_an_unknown_command_is_answered_with_the_nearest(tmp_path: Path) -> None:
    done = mle("rnu", cwd=tmp_path)
    assert done.returncode == 2
    assert "Did you mean 'run'?" in done.stderr


def test_a_place_without_runs_says_how_to_start_one(tmp_path: Path) -> None:
    done = mle("runs", cwd=tmp_path)
    assert done.returncode == 0
    assert "Start one: mle run" in done.stdout


def test_config_tells_where_each_value_comes_from(tmp_path: Path) -> None:
    env = {**os.environ, "MLE_SEED": "7", "MLE_MINUTES": "3", "MLE_SEEED": "1"}
    command = [*MLE, "config", "--minutes", "5", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, check=True, timeout=60)
    told = json.loads(done.stdout)
    found = {one["name"]: (one["value"], one["source"]) for one in told["settings"]}
    assert found["seed"] == (7, "MLE_SEED")
    assert found["minutes"] == (5, "--minutes")
    assert found["num_solutions"] == (2, "default")
    by = {one["name"]: (one["flag"], one["variable"]) for one in told["settings"]}
    assert by["outer_loop_round"] == ("--rounds", "MLE_OUTER_LOOP_ROUND")
    assert by["threads"] == ("", "MLE_THREADS")
    assert "MLE_SEEED" in told["warnings"][0]
    assert "Did you mean MLE_SEED?" in told["warnings"][0]


def test_doctor_looks_at_everything_and_shows_no_key(tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'NVIDIA H200, 143771 MiB, 570.1'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    env = {**os.environ, "OPENAI_API_KEY": "sk-secret", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [*MLE, "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, check=False, timeout=120)
    findings = {(one["area"], one["name"]): one for one in json.loads(done.stdout)}
    assert {area for area, _ in findings} >= {"Python", "Packages", "Libraries", "GPU", "Keys", "Machine"}
    assert findings["Libraries", "LightGBM loads"]["verdict"] == "ok"
    assert findings["GPU", "device 0"]["found"].startswith("NVIDIA H200")
    assert findings["Keys", "openai"]["verdict"] == "ok"
    assert findings["Keys", "groq"]["verdict"] == "note"
    assert "sk-secret" not in done.stdout + done.stderr
    missing = [one for one in findings.values() if one["verdict"] == "missing"]
    assert done.returncode == (1 if missing else 0)
    assert all(one["advice"] for one in missing)


def test_doctor_tells_of_settings_that_this_machine_cannot_meet(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise ImportError('not the one that was meant')")
    wrong = {"MLE_SANDBOX": "subprocess", "MLE_GPUS": "64", "MLE_MEMORY_GB": "0.05"}
    command = [*MLE[:1], "-P", *MLE[1:], "doctor", "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, **wrong}, check=False, timeout=120
    )
    told = {one["name"]: one for one in json.loads(done.stdout) if one["area"] == "Settings"}
    expected = {"gpus": "missing", "memory": "missing"} | ({"sandbox": "note"} if sys.platform == "linux" else {})
    assert {name: one["verdict"] for name, one in told.items()} == expected
    assert not [one for one in json.loads(done.stdout) if "probe" in one["name"]]
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"MLE_SANDBOX": "subprocess", "MLE_CONTAINMENT": "fenced"}, "cannot fence scripts"),
        ({"MLE_CONTAINMENT": "fenced", "MLE_ALLOW_NETWORK": "1"}, "MLE_ALLOW_NETWORK"),
        ({"CUDA_VISIBLE_DEVICES": "0", "MLE_GPUS": "2"}, "CUDA_VISIBLE_DEVICES names 1"),
        ({"MLE_MEMORY_GB": "100000"}, "this machine has"),
    ],
)
def test_doctor_says_what_a_run_would(wrong: dict[str, str], told: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in wrong.items():
            patch.setenv(name, value)
        found = [one.found for one in doctor._settings()]
    assert any(told in one for one in found), found


@pytest.mark.parametrize("command", ["run", "runs", "predict", "report", "tasks", "config", "doctor"])
def test_every_command_explains_itself_and_its_options(tmp_path: Path, command: str) -> None:
    import typer.main

    from machine_learning_engineering.cli import app

    shown = mle(command, "--help", cwd=tmp_path)
    assert shown.returncode == 0
    found = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    assert found.help
    assert all(getattr(option, "help", None) for option in found.params)
