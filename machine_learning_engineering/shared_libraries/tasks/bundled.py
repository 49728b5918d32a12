"""The tasks that come with the package: made on this machine at first use, their truth sealed in a folder of its own.

Nothing of the data is shipped. A recipe in `machine_learning_engineering.tasks` makes a table from random numbers that
derive from a salt, drawn once per installation and kept with the truth, so that neither this package nor a public data
set tells the labels of the test rows. An explicit seed takes the place of the salt and makes a task reproducible.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module, resources
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from machine_learning_engineering.shared_libraries.config import data_home
from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.records import Problem, TaskRequest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_RECIPES = "machine_learning_engineering.tasks"
_TEST_SHARE = 0.2
_DIGITS = "%.6g"


@dataclass(frozen=True)
class BundledTask:
    """One line of `mle tasks`; `rows` counts training and test rows."""

    name: str
    title: str
    problem: Problem
    metric: str
    rows: int


_TASKS = (
    BundledTask("glucose-progression", "Disease progression one year after the baseline", "regression", "rmse", 900),
    BundledTask("lesion-screening", "Which lesions turn out to be malignant", "binary", "auc", 1000),
    BundledTask("parcel-sorting", "Which chute a parcel belongs in", "multiclass", "accuracy", 2000),
    BundledTask("ticket-routing", "The team that should answer a support ticket", "multiclass", "f1_macro", 3000),
    BundledTask("machine-prices", "Auction prices of used construction machines", "regression", "rmsle", 4000),
    BundledTask("bearing-wear", "Hours until a bearing must be replaced", "regression", "mae", 3000),
)


def bundled_tasks() -> list[BundledTask]:
    """All bundled tasks, in the order in which they are shown."""
    return list(_TASKS)


def bundled_names() -> tuple[str, ...]:
    """The names of all bundled tasks."""
    return tuple(task.name for task in _TASKS)


def bundled_task(name: str, seed: int | None = None) -> TaskRequest:
    """The request for a bundled task, whose folder is made if this is its first use. A seed takes the salt's place.

    Raises: TaskError for an unknown name, or if the data cannot be written.
    """
    return TaskRequest(source=_made(name, seed)[0], name=name)


def truth_path(name: str, seed: int | None = None) -> Path:
    """The CSV with id and target of the test rows, in their order; for judging submissions, never for a script.

    Raises: TaskError as `bundled_task`.
    """
    return _made(name, seed)[1]


def _made(name: str, seed: int | None) -> tuple[Path, Path]:
    """The task folder and the truth file, both complete."""
    if name not in bundled_names():
        raise TaskError(f"there is no bundled task {name!r}. There are: {', '.join(bundled_names())}.")
    home = data_home().absolute()
    label = name if seed is None else f"{name}-{seed}"
    folder, truth = home / "tasks" / label, home / "truth" / f"{label}.csv"
    if folder.is_dir() and truth.is_file():
        return folder, truth
    try:
        with _locked(home):
            if not (folder.is_dir() and truth.is_file()):
                _make(name, _secret(home) if seed is None else f"seed {seed}".encode(), folder, truth)
    except OSError as exc:
        raise TaskError(f"{home} cannot be written ({exc}). Set MLE_HOME to a folder of yours.") from exc
    return folder, truth


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Both folders exist, and no other process makes a task meanwhile."""
    from filelock import FileLock

    (home / "tasks").mkdir(parents=True, exist_ok=True)
    (home / "truth").mkdir(mode=0o700, exist_ok=True)
    (home / "truth").chmod(0o700)
    with FileLock(home / "truth" / ".lock"):
        yield


def _secret(home: Path) -> bytes:
    path = home / "truth" / "salt"
    if not path.exists():
        _seal(path, secrets.token_hex(32))
    return path.read_bytes()


def _seal(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


def _make(name: str, secret: bytes, folder: Path, truth: Path) -> None:
    import numpy as np
    import yaml

    package = f"{_RECIPES}.{name.replace('-', '_')}"
    shipped = resources.files(package)
    settings = yaml.safe_load(shipped.joinpath("task.yaml").read_text(encoding="utf-8"))
    rng = np.random.default_rng(list(sha256(secret + b"\0" + name.encode()).digest()))
    train, test = _split(import_module(f"{package}.recipe").make(rng), rng, settings)
    target = settings["target"]
    part = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        train.to_csv(part / "train.csv", index=False, float_format=_DIGITS)
        test.drop(columns=target).to_csv(part / "test.csv", index=False, float_format=_DIGITS)
        sample = test[[settings["id"]]].assign(**{target: _constant(train[target], settings["metric"])})
        sample.to_csv(part / "sample_submission.csv", index=False, float_format=_DIGITS)
        for file in ("task_description.md", "task.yaml"):
            (part / file).write_bytes(shipped.joinpath(file).read_bytes())
        part.chmod(0o755)
        _seal(truth, test[[settings["id"], target]].to_csv(index=False, float_format=_DIGITS))
        shutil.rmtree(folder, ignore_errors=True)  # left without its truth
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _split(
    table: "pd.DataFrame", rng: "np.random.Generator", settings: dict[str, Any]
) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Training and test rows, shuffled and numbered; the rows of a group stay together."""
    table = table.iloc[rng.permutation(len(table))].reset_index(drop=True)
    table.insert(0, settings["id"], range(1, len(table) + 1))
    group = settings.get("group")
    if group is None:
        is_test = table.index >= round(len(table) * (1 - _TEST_SHARE))
    else:
        groups = rng.permutation(table[group].unique())
        is_test = table[group].isin(groups[: round(len(groups) * _TEST_SHARE)])
    return table[~is_test], table[is_test]


def _constant(labels: "pd.Series[Any]", metric: str) -> Any:
    """What the sample submission says of every row."""
    if metric == "auc":
        return 0.5
    return labels.median() if metric in ("rmse", "rmsle", "mae") else labels.mode()[0]
