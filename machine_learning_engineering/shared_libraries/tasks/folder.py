"""What lies in a task folder: which file is which, what `task.yaml` says, the description."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from machine_learning_engineering.shared_libraries.common_util import listed
from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.records import TaskRequest

MAX_DESCRIPTION_BYTES = 2**20
MAX_FILES = 20_000
RUN_MARK = "journal.jsonl"  # what makes a folder a run
_NOT_DATA = ("mle-runs", "venv", "node_modules", "__pycache__")
_DESCRIPTIONS = ("task_description.txt", "task_description.md", "description.md", "README.md")
_SETTINGS = ("name", "metric", "direction", "target", "id", "group", "time", "description")


@dataclass
class Files:
    """The files of a task and what was noted while looking for them."""

    train: Path
    test: Path | None
    sample: Path | None = None
    others: tuple[Path, ...] = ()
    notes: list[str] = field(default_factory=list)


def find_files(folder: Path, request: TaskRequest) -> Files:
    """Which file of a folder is which. Raises: TaskError if there is no train file, or several files for one role."""
    if (folder / RUN_MARK).exists():
        raise TaskError(
            f"{folder} is the folder of a run, not of data. To take that run up, repeat its command with --out; "
            "`mle report` with this folder says which that was."
        )
    tables = sorted(p for p in folder.iterdir() if p.name.endswith((".csv", ".tsv", ".csv.gz", ".tsv.gz")))
    by_role = {role: _pick(tables, role) for role in ("train", "test", "sample")}
    if by_role["train"] is None:
        names = ", ".join(p.name for p in tables) or "no tables"
        other = sorted(p.name for p in folder.iterdir() if p.stem.lower() == "train")
        advice = f"Save {other[0]} as a CSV file named train.csv." if other else "Put the training rows into it."
        raise TaskError(f"{folder} has no train.csv (it has {names}). {advice}")
    used = {p for p in by_role.values() if p}
    skip = {*_DESCRIPTIONS, "task.yaml"}
    top = {folder / name for name in skip}
    others = tuple(path for path in _files_below(folder) if path not in used and path not in top)
    return Files(by_role["train"], request.test or by_role["test"], by_role["sample"], others)


def _files_below(folder: Path) -> list[Path]:
    """The files of a folder that scripts may see, those in folders below included.

    Left out are hidden things, whatever is named an answer, environments, runs, and what links lead to. Raises:
    TaskError if there are more than a run can copy.
    """
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if not _withheld(name) and not (here / name / RUN_MARK).exists())
        files = (here / name for name in sorted(names) if not _withheld(name))
        found += [path for path in files if path.is_file() and (here == folder or not path.is_symlink())]
        if len(found) > MAX_FILES:
            raise TaskError(
                f"{folder} holds more than {MAX_FILES} files. Give a folder with the task's own files alone."
            )
    return found


def _withheld(name: str) -> bool:
    """Whether a file or folder of this name is never shown to scripts."""
    return name.startswith(".") or "answer" in name.lower() or name in _NOT_DATA


def _pick(tables: list[Path], role: str) -> Path | None:
    exact = [p for p in tables if p.name.split(".")[0] in (role, f"{role}_submission")]
    found = exact or [p for p in tables if p.name.lower().startswith(role)]
    if len(found) > 1:
        raise TaskError(
            f"several files could be the {role} file: {', '.join(p.name for p in found)}. Keep one, named {role}.csv."
        )
    return found[0] if found else None


def settings_of(source: Path, request: TaskRequest) -> dict[str, Any]:
    """The settings of task.yaml under those of the request."""
    path = source / "task.yaml"
    settings = _settings(path) if source.is_dir() and path.exists() else {}
    given = {key: value for key in _SETTINGS if (value := getattr(request, key)) is not None}
    return {**settings, **given}


def _settings(path: Path) -> dict[str, str]:
    """What a task.yaml says. Raises: TaskError for what is not YAML, not known, or not text."""
    import yaml

    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8-sig")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise TaskError(f"{path} is not YAML: {' '.join(str(exc).split())}. Repair it.") from exc
    if not isinstance(settings, dict):
        raise TaskError(f"{path} must hold settings such as `target: price`.")
    for key, value in settings.items():
        if key not in _SETTINGS:
            near = nearest(str(key), _SETTINGS)
            raise TaskError(f"{path} has an unknown setting {key!r}.{near} Known: {', '.join(_SETTINGS)}.")
        if value is not None and (isinstance(value, bool) or not isinstance(value, str | int | float)):
            raise TaskError(f"{key} in {path} must be text, not {value!r}. Put it in quotes.")
    if settings.get("direction") not in (None, "maximize", "minimize"):
        raise TaskError(f"direction in {path} must be maximize or minimize, not {settings['direction']!r}.")
    return {key: str(value) for key, value in settings.items() if value is not None}


def description_of(source: Path, said: str | None) -> str:
    """What was said about the task, else its description file, else nothing."""
    if said is not None:
        _check_size("the description", len(said.encode()))
        return said.strip()
    for name in _DESCRIPTIONS if source.is_dir() else ():
        path = source / name
        if not path.exists():
            continue
        _check_size(str(path), path.stat().st_size)
        try:
            return path.read_text(encoding="utf-8-sig").strip()
        except UnicodeDecodeError as exc:
            raise TaskError(f"{path} is not UTF-8 (byte {exc.start}). Save it as UTF-8 and try again.") from exc
    return ""


def _check_size(name: str, size: int) -> None:
    if size > MAX_DESCRIPTION_BYTES:
        raise TaskError(f"{name} has {size} bytes; a description may have {MAX_DESCRIPTION_BYTES}. Shorten it.")


def nearest(name: str, known: Iterable[str]) -> str:
    """A question that names what begins with or is spelt like `name`, after a space; empty where nothing is."""
    names = list(dict.fromkeys(known))
    begun = [one for one in names if name and one.startswith(name)]
    near = (begun or get_close_matches(name, names, n=3, cutoff=0.5))[:3]
    return f" Did you mean {listed(near)}?" if near else ""
