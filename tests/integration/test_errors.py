"""What a person does wrong, through the real command line: one sentence that names the thing and the next step."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.runs.journal import Journal
from tests.fixtures import tiny
from tests.fixtures.hostile.client import user_driver, user_folder

MODULE = "machine_learning_engineering.cli"
USER = 1000
ROWS = "".join(f"{i},{i % 13},{i * 7 % 11},{i % 13 * 2.5 + 1}\n" for i in range(60))
TRAIN_OF = "id,width,height,price\n{}"
TRAIN = TRAIN_OF.format(ROWS)
EUROS = TRAIN_OF.format("".join(f"{i},{i % 13},{i * 7 % 11},{i + 1.5} EUR\n" for i in range(60)))
SLIP = ("train.csv", TRAIN.replace(",3.5\n", ",n/a?\n", 1))
TARGET_ALONE = ("train.csv", "price\n" + "".join(f"{i}\n" for i in range(60)))
TEST = "id,width,height\n90,3,4\n91,5,6\n"
PRICE = ("train.csv", "--target", "price")


@dataclass
class Account:
    """Somebody at this machine: an interpreter, a folder that is theirs, and how to become them."""

    folder: Path
    python: Path
    become: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def is_root(self) -> bool:
        return os.getuid() == 0 and not self.become

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def files(self) -> set[Path]:
        """All that lies in the folder but what the command keeps for itself."""
        home = self.folder / "home"
        return {path for path in self.folder.rglob("*") if path != home and home not in path.parents}

    def mle(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.own()
        command = [*self.become, str(self.python), "-m", MODULE, *arguments]
        env = {**os.environ, "HOME": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1", **self.environment}
        env["MLE_HOME"] = str(self.folder / "home")
        return subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, env=env, check=False, timeout=120
        )

    def own(self) -> None:
        """Hands what the test wrote to the account."""
        for path in (self.folder, *self.folder.rglob("*")) if self.become else ():
            os.chown(path, USER, USER, follow_symlinks=False)


@pytest.fixture(scope="module")
def user_python() -> Iterator[Path | str]:
    """An interpreter that an ordinary user can execute, or why there is none."""
    place = user_folder()
    driver = user_driver(place)
    yield driver if isinstance(driver, str) else place / "bin" / "python"
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(params=["own_user", pytest.param("user_1000", marks=pytest.mark.slow)])
def account(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Account]:
    if request.param == "own_user":
        yield Account(tmp_path, Path(sys.executable))
        return
    python = request.getfixturevalue("user_python")
    if isinstance(python, str):
        pytest.skip(python)
    folder = user_folder()
    become = ("setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups")
    yield Account(folder, python, become)
    shutil.rmtree(folder, ignore_errors=True)


def is_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence that a failed command said, after all that every such end must keep to."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stderr.startswith("mle: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""
    assert re.search(r"[.!?)]$", done.stderr.strip()), done.stderr
    return done.stderr


@dataclass(frozen=True)
class Case:
    """Files (name: content), the arguments of `mle run`, and what the sentence must say: the thing, the next step."""

    name: str
    arguments: tuple[str, ...]
    told: tuple[str, ...]
    files: tuple[tuple[str, str | bytes], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


CASES = [
    Case("missing folder", ("nowhere/data",), ("'nowhere/data'", "Bundled tasks: glucose-progression")),
    Case("nearly a bundled task", ("gluco",), ("'gluco'", "Did you mean 'glucose-progression'?")),
    Case("folder of a run", ("old",), ("the folder of a run, not of data", "--out"), (("old/journal.jsonl", "{}"),)),
    Case(
        "workbook",
        ("rows.xlsx", "--target", "price"),
        ("rows.xlsx is a workbook", "Save it as CSV"),
        (("rows.xlsx", b"PK\x03\x04\x14\0\x06\0\x08\0"),),
    ),
    Case(
        "folder with a workbook",
        ("task",),
        ("Save train.xlsx as a CSV file named train.csv",),
        (("task/train.xlsx", "x"),),
    ),
    Case(
        "text where numbers are asked",
        (*PRICE, "--metric", "rmse"),
        ("holds values such as '1.5 EUR'", "plain numbers"),
        (("train.csv", EUROS),),
    ),
    Case(
        "the same as classes",
        (*PRICE, "--metric", "accuracy"),
        ("different values", "plain numbers"),
        (("train.csv", EUROS),),
    ),
    Case("folder without data", ("empty",), ("has no train.csv", "Put the training rows into it"), (("empty/a", ""),)),
    Case("two targets", (*PRICE, "--target", "width"), ("--target is given more than once", "Give it once")),
    Case("no target said", ("train.csv",), ("Say --target with one of", "'price'")),
    Case("empty source", ("",), ("the source is empty", "Name a CSV file")),
    Case("nothing but the target", PRICE, ("no column to predict 'price' from", "Add columns"), (TARGET_ALONE,)),
    Case("slip among numbers", PRICE, ("'n/a?' in 1 row of 60", "Write numbers there"), (SLIP,)),
    Case(
        "slip and a metric for numbers",
        (*PRICE, "--metric", "rmse"),
        ("'n/a?' in 1 row of 60", "Write numbers there"),
        (SLIP,),
    ),
    Case("new folder for a refused run", ("train.csv", "--target", "prise", "--out", "a/b"), ("no column 'prise'",)),
    Case("target not found", ("train.csv", "--target", "prise"), ("no column 'prise'", "Did you mean 'price'?")),
    Case("mistyped file", ("trian.csv", "--target", "price"), ("'trian.csv'", "Did you mean 'train.csv'")),
    Case(
        "mistyped test file",
        (*PRICE, "--test", "tset.csv"),
        ("tset.csv", "Did you mean 'test.csv'"),
        (("test.csv", TEST),),
    ),
    Case("unknown metric", (*PRICE, "--metric", "rmsee"), ("'rmsee'", "Did you mean rmse?", "mae", "auc")),
    Case("unknown model", (*PRICE, "--model", "gpt-17"), ("'gpt-17'", "openai/gpt-17", "offline", "gemini-")),
    Case("model without key", (*PRICE, "--model", "gemini-2.5-pro"), ("needs an API key", "set GOOGLE_API_KEY")),
    Case("other model without key", (*PRICE, "--model", "openai/gpt-4o"), ("API key", "set OPENAI_API_KEY")),
    Case("missing replies", (*PRICE, "--model", "scripted/no.yaml"), ("no.yaml",)),
    Case("empty file", PRICE, ("train.csv is empty", "needs a header"), (("train.csv", ""),)),
    Case("no rows", PRICE, ("no rows", "Put the rows below"), (("train.csv", "id,price\n"),)),
    Case("one row", PRICE, ("only one row", "--test"), (("train.csv", "id,width,price\n1,2,3\n"),)),
    Case(
        "one row and a test file",
        (*PRICE, "--test", "test.csv"),
        ("only one training row", "Add rows"),
        (("train.csv", "id,width,height,price\n1,2,3,4\n"), ("test.csv", TEST)),
    ),
    Case(
        "other columns",
        (*PRICE, "--test", "test.csv"),
        ("only train has 'height'", "only test has 'depth'", "Give both"),
        (("test.csv", TEST.replace("height", "depth")),),
    ),
    Case("missing test file", (*PRICE, "--test", "no.csv"), ("no file", "no.csv", "Check the path")),
    Case(
        "duplicate ids",
        (*PRICE, "--test", "test.csv", "--id", "id"),
        ("duplicate ids", "'id' is '90'", "Repair"),
        (("test.csv", TEST.replace("91", "90")),),
    ),
    Case(
        "not UTF-8",
        PRICE,
        ("train.csv is not UTF-8", "Save it as UTF-8"),
        (("train.csv", b"gr\xf6\xdfe,price\n1,2\n"),),
    ),
    Case("target all missing", PRICE, ("'price' is missing in every row",), (("train.csv", "x,price\n1,\n2,\n3,\n"),)),
    Case(
        "constant target",
        PRICE,
        ("'price' has the same value",),
        (("train.csv", "x,price\n1,5\n2,5\n3,5\n4,5\n5,5\n"),),
    ),
    Case(
        "10 MB description",
        ("task",),
        ("task_description.md has 10485760 bytes", "Shorten it"),
        (("task/train.csv", TRAIN), ("task/test.csv", TEST), ("task/task_description.md", "word " * 2**21)),
    ),
    Case(
        "too few groups",
        (*PRICE, "--test", "test.csv", "--group", "height"),
        ("'height'", "too few groups (2)", "Name another column with --group"),
        (
            ("train.csv", TRAIN_OF.format("".join(f"{i},{i % 13},{i % 2},{i % 13}\n" for i in range(60)))),
            ("test.csv", TEST),
        ),
    ),
    Case("flag out of bounds", (*PRICE, "--seed", "-1"), ("seed", "-1", "comes from --seed")),
    Case("variable of another type", PRICE, ("'abc'", "MLE_SEED"), environment=(("MLE_SEED", "abc"),)),
    Case(
        "variable out of bounds",
        PRICE,
        ("num_solutions", "MLE_NUM_SOLUTIONS"),
        environment=(("MLE_NUM_SOLUTIONS", "99"),),
    ),
    Case(
        "fence with an open network",
        PRICE,
        ("MLE_CONTAINMENT", "MLE_ALLOW_NETWORK"),
        environment=(("MLE_CONTAINMENT", "fenced"), ("MLE_ALLOW_NETWORK", "1")),
    ),
    Case("empty variable", PRICE, ("minutes", "MLE_MINUTES"), environment=(("MLE_MINUTES", ""),)),
    Case("variable that is no JSON", PRICE, ("models", "MLE_MODELS"), environment=(("MLE_MODELS", "{"),)),
    Case(
        "out inside a file", (*PRICE, "--out", "file/run"), ("file/run", "cannot be written", "--out"), (("file", "x"),)
    ),
    Case("out is a file", (*PRICE, "--out", "file"), ("file cannot be written", "--out"), (("file", "x"),)),
    Case("out unwritable", (*PRICE, "--out", "/proc/run"), ("/proc/run cannot be written", "Choose another folder")),
    Case("out is no run", (*PRICE, "--out", "mine"), ("mine is not empty", "--out"), (("mine/thesis", "precious"),)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "_"))
def test_a_mistake_ends_in_a_sentence(account: Account, case: Case) -> None:
    for name, content in {"train.csv": TRAIN, **dict(case.files)}.items():
        account.write(name, content)
    account.environment = dict(case.environment)
    before = account.files()
    said = is_sentence(account.mle("run", *case.arguments))
    assert account.files() == before
    for words in case.told:
        assert words in said


def test_a_folder_of_somebody_else_is_not_written(account: Account) -> None:
    if account.is_root:
        pytest.skip("root may write everywhere")
    account.write("train.csv", TRAIN)
    account.own()
    done = account.mle("run", *PRICE, "--out", "/usr/local/mle-test-run")
    assert "cannot be written (Permission denied)" in is_sentence(done)


def test_a_file_of_somebody_else_is_not_read(account: Account) -> None:
    if account.is_root:
        pytest.skip("root may read everything")
    account.write("train.csv", TRAIN).chmod(0)
    said = is_sentence(account.mle("run", *PRICE))
    assert "train.csv" in said
    assert "permission" in said.lower()


def test_a_run_of_somebody_else_is_not_told_as_none(account: Account) -> None:
    if account.is_root:
        pytest.skip("root may read everything")
    folder = account.write("run/journal.jsonl", "{}").parent
    account.own()
    folder.chmod(0)
    said = is_sentence(account.mle("report", "run"))
    folder.chmod(0o700)
    assert "run cannot be read (Permission denied). Check its permissions." in said


def test_the_folder_of_a_run_in_progress_is_left_to_it(account: Account) -> None:
    """So too for two commands with the same --out: the one that comes second is refused."""
    account.write("train.csv", TRAIN)
    journal = Journal(account.folder / "run")
    try:
        said = is_sentence(account.mle("run", *PRICE, "--out", "run"))
    finally:
        journal.close()
    assert f"{account.folder / 'run'} is in use by another run" in said
    assert "--out" in said


def test_two_runs_with_the_same_out_do_not_mix(account: Account) -> None:
    """Started side by side, one goes its way and the other is told; afterwards the folder holds one whole run."""
    tiny.make_task(account.folder / "tiny")
    slow = {"task_summarization_agent": ["x"], **tiny.replies()}
    first = tiny.solution(0.0, 2.1).replace("# --- model", "import time; time.sleep(3)\n# --- model")
    slow["model_eval_agent_1_1"] = [tiny.fenced(first)]
    account.write("replies.json", json.dumps(slow))
    account.own()
    command = [*account.become, str(account.python), "-m", MODULE, "run", "tiny", "--out", "same"]
    command += ["--model", "scripted/replies.json"]
    env = {**os.environ, "HOME": str(account.folder), "MLE_USE_DATA_LEAKAGE_CHECKER": "false"}
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, cwd=account.folder, env=env, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    said = [process.communicate(timeout=120)[1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 2], said
    assert "is in use by another run" in said[codes.index(2)]
    assert (account.folder / "same" / "final" / "submission.csv").exists()


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A disk of so many kilobytes, mounted at `folder`."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=1777", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="only root can mount a small disk")
@pytest.mark.parametrize("kilobytes", [4, 64, 96])
def test_a_full_disk_is_told_of(account: Account, kilobytes: int) -> None:
    """Whatever is written when the space runs out, and the same command goes on once there is some."""
    tiny.make_task(account.folder / "tiny")
    account.write("replies.json", json.dumps(tiny.replies()))
    account.environment = {"MLE_USE_DATA_LEAKAGE_CHECKER": "false"}
    account.own()
    with small_disk(account.folder / "disk", kilobytes) as disk:
        command = ("run", "tiny", "--model", "scripted/replies.json", "--out", "disk/run")
        done = account.mle(*command)
        assert done.returncode == 2, done.stdout + done.stderr
        last = done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
        assert last.startswith("mle: ")
        assert "disk" in last
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        again = account.mle(*command)
        assert again.returncode == 0, again.stderr
        assert (disk / "run" / "final" / "submission.csv").exists()


def test_a_traceback_comes_only_when_asked_for(tmp_path: Path) -> None:
    account = Account(tmp_path, Path(sys.executable))
    done = account.mle("run", "nowhere", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("mle: there is no file")


def test_a_key_is_never_shown(tmp_path: Path) -> None:
    account = Account(tmp_path, Path(sys.executable), environment={"OPENAI_API_KEY": "sk-very-secret"})
    for arguments in (("doctor",), ("config",), ("run", "nowhere", "--debug")):
        done = account.mle(*arguments)
        assert "sk-very-secret" not in done.stdout + done.stderr
