"""From a person's files to a Task: a folder or a CSV, what they said about it, and what can be found out."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.records import DataProfile, Metric, Problem, Task, TaskRequest
from machine_learning_engineering.shared_libraries.tasks.metrics import default_metric, find_metric, metric_in
from machine_learning_engineering.shared_libraries.tasks.profile import profile
from machine_learning_engineering.shared_libraries.tasks.table import is_missing, read_table, typed

MAX_DESCRIPTION_BYTES = 2**20
SET_ASIDE = 0.2  # of the rows of a lone CSV become its test rows
FEW_LABELS = 20  # whole numbers with at most so many distinct values are classes
_DESCRIPTIONS = ("task_description.txt", "task_description.md", "description.md", "README.md")
_SETTINGS = ("name", "metric", "direction", "target", "id", "group", "time", "description")


@dataclass
class _Files:
    """The files of a task and what was noted while looking for them."""

    train: Path
    test: Path | None
    sample: Path | None = None
    others: tuple[Path, ...] = ()
    notes: list[str] = field(default_factory=list)


def load_task(request: TaskRequest, work: Path | None = None) -> Task:
    """The task of a request. Derived files, such as a test file cut from a lone CSV, are written under `work`.

    Raises: TaskError for data that cannot be used, ConfigError for an unknown metric.
    """
    source = request.source
    if not source.exists():
        raise TaskError(f"there is no file or folder {source}. Check the path.")
    files = _find_files(source, request) if source.is_dir() else _Files(source, request.test)
    said = _said(source, request)
    description = said.get("description") or _description(source)
    train = read_table(files.train)
    test = read_table(files.test) if files.test else None
    sample = read_table(files.sample) if files.sample else None
    target = _target(train, test, sample, said.get("target"))
    train = _labelled(train, target, files, work, test is None)
    if test is None:
        train, test = _split_off_test(train, target, files, work)
    _check_features(train, test, target)
    id_column = _id_column(train, test, sample, said.get("id"))
    for role in ("group", "time"):
        _check_column(train, said.get(role), role)
    values = typed(train)
    _check_varies(train[target], target)
    metric = _metric(values[target], said, description, files)
    problem = _problem(values[target], train[target], metric)
    columns = _submission_columns(train, target, id_column, sample, metric, problem, files)
    facts = profile(values, len(test), target, id_column, None if problem == "regression" else train[target])
    name = said.get("name") or (source.stem if source.is_file() else source.name)
    choices = [metric.name, problem, target, id_column, said.get("group"), said.get("time"), list(columns), description]
    return Task(
        name="".join(c if c.isalnum() or c in "._-" else "-" for c in name).lstrip("._-") or "task",
        description=description or f"Predict {target!r} for every row of the test file, judged by {metric.title}.",
        task_type=_task_type(facts, problem),
        problem=problem,
        metric=metric,
        train=files.train,
        test=files.test or files.train,
        sample=files.sample,
        others=files.others,
        target=target,
        id=id_column,
        group=said.get("group"),
        time=said.get("time"),
        submission_columns=columns,
        profile=facts,
        digest=_digest([files.train, files.test, files.sample, *files.others], choices),
        notes=tuple(files.notes),
    )


def _find_files(folder: Path, request: TaskRequest) -> _Files:
    tables = sorted(p for p in folder.iterdir() if p.name.endswith((".csv", ".tsv", ".csv.gz")))
    by_role = {role: _pick(tables, role) for role in ("train", "test", "sample")}
    if by_role["train"] is None:
        names = ", ".join(p.name for p in tables) or "no tables"
        raise TaskError(f"{folder} has no train.csv (it has {names}). Put the training rows there.")
    used = {p for p in by_role.values() if p}
    skip = {*_DESCRIPTIONS, "task.yaml"}
    others = tuple(p for p in sorted(folder.iterdir()) if p not in used and p.name not in skip and p.is_file())
    others = tuple(p for p in others if not p.name.startswith(".") and "answer" not in p.name)
    return _Files(by_role["train"], request.test or by_role["test"], by_role["sample"], others)


def _pick(tables: list[Path], role: str) -> Path | None:
    exact = [p for p in tables if p.name.split(".")[0] in (role, f"{role}_submission")]
    found = exact or [p for p in tables if p.name.lower().startswith(role)]
    if len(found) > 1 and not exact:
        raise TaskError(
            f"several files could be the {role} file: {', '.join(p.name for p in found)}. Name one {role}.csv."
        )
    return found[0] if found else None


def _said(source: Path, request: TaskRequest) -> dict[str, Any]:
    """The settings of task.yaml under those of the request."""
    path = source / "task.yaml"
    settings: dict[str, Any] = {}
    if source.is_dir() and path.exists():
        import yaml

        try:
            settings = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as exc:
            raise TaskError(f"{path} is not YAML: {' '.join(str(exc).split())}") from exc
        if not isinstance(settings, dict):
            raise TaskError(f"{path} must hold settings such as `target: price`.")
        for key in settings:
            if key not in _SETTINGS:
                raise TaskError(
                    f"{path} has an unknown setting {key!r}.{_near(str(key), _SETTINGS)} Known: {', '.join(_SETTINGS)}."
                )
    given = {key: value for key in _SETTINGS if (value := getattr(request, key)) is not None}
    return {**settings, **given}


def _description(source: Path) -> str:
    for name in _DESCRIPTIONS if source.is_dir() else ():
        path = source / name
        if not path.exists():
            continue
        if path.stat().st_size > MAX_DESCRIPTION_BYTES:
            raise TaskError(f"{path} has {path.stat().st_size} bytes; a description may have {MAX_DESCRIPTION_BYTES}.")
        try:
            return path.read_text(encoding="utf-8").strip()
        except UnicodeDecodeError as exc:
            raise TaskError(f"{path} is not UTF-8 (byte {exc.start}). Save it as UTF-8 and try again.") from exc
    return ""


def _target(train: pd.DataFrame, test: pd.DataFrame | None, sample: pd.DataFrame | None, said: str | None) -> str:
    if said is not None:
        if said not in train.columns:
            near = _near(said, train.columns)
            raise TaskError(f"the training data have no column {said!r}.{near} They have: {_list(train.columns)}.")
        return said
    if test is None:
        raise TaskError(f"which column is to be predicted? Say --target with one of: {_list(train.columns)}.")
    only = [name for name in train.columns if name not in test.columns]
    if sample is not None:
        only = [name for name in only if name in sample.columns] or only
    if len(only) != 1:
        why = (
            "every column of the training data is also in the test data"
            if not only
            else f"candidates are {_list(only)}"
        )
        raise TaskError(f"which column is to be predicted? {why[0].upper()}{why[1:]}. Say --target.")
    return only[0]


def _labelled(train: pd.DataFrame, target: str, files: _Files, work: Path | None, lone: bool) -> pd.DataFrame:
    """The training rows that have a target; with a test file, unlabelled ones are left out in a file of their own."""
    missing = is_missing(train[target])
    if missing.all():
        raise TaskError(f"the target {target!r} is missing in every row of {files.train.name}.")
    if lone or not missing.any():
        return train
    train = train[~missing]
    files.train = _write(train, work, "train.csv")
    files.notes.append(f"{int(missing.sum())} training rows without {target!r} are left out.")
    return train


def _split_off_test(
    train: pd.DataFrame, target: str, files: _Files, work: Path | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows of a lone CSV: those without a target are the test rows, or else a fifth is set aside."""
    is_test = is_missing(train[target])
    if is_test.any():
        files.notes.append(f"There is no test file: the {int(is_test.sum())} rows without {target!r} are predicted.")
    else:
        rows = train.sample(frac=SET_ASIDE, random_state=0).index
        is_test = pd.Series(train.index.isin(rows), index=train.index)
        files.notes.append(
            f"There is no test file: {int(is_test.sum())} rows are set aside and predicted. Give one with --test."
        )
    kept, test = train[~is_test], train[is_test].drop(columns=target)
    if not len(kept) or not len(test):
        raise TaskError(f"{files.train} has {len(train)} rows, too few to train on some and predict others.")
    files.train, files.test = _write(kept, work, "train.csv"), _write(test, work, "test.csv")
    return kept, test


def _check_features(train: pd.DataFrame, test: pd.DataFrame, target: str) -> None:
    missing = [name for name in train.columns if name != target and name not in test.columns]
    extra = [name for name in test.columns if name not in train.columns]
    if extra or len(missing) == len(train.columns) - 1:
        raise TaskError(
            "train and test columns differ: "
            + "; ".join(
                part
                for part in (
                    f"only train has {_list(missing)}" if missing else "",
                    f"only test has {_list(extra)}" if extra else "",
                )
                if part
            )
            + ". Give both files the same feature columns."
        )


def _id_column(train: pd.DataFrame, test: pd.DataFrame, sample: pd.DataFrame | None, said: str | None) -> str | None:
    if said is not None and said not in test.columns:
        raise TaskError(
            f"the test data have no column {said!r}.{_near(said, test.columns)} They have: {_list(test.columns)}."
        )
    found = said
    if found is None and sample is not None:
        found = next((name for name in sample.columns if name in test.columns), None)
    if found is None:
        names = [
            name
            for name in test.columns
            if name.lower() == "id" or name.lower().endswith(("_id", "id_")) or name.endswith("Id")
        ]
        return next(
            (name for name in names if test[name].is_unique and (name not in train or train[name].is_unique)), None
        )
    if not test[found].is_unique:
        twice = test[found][test[found].duplicated()].iloc[0]
        raise TaskError(f"the test data have duplicate ids: {found!r} is {twice!r} in more than one row.")
    return found


def _check_column(train: pd.DataFrame, name: str | None, role: str) -> None:
    if name is not None and name not in train.columns:
        raise TaskError(f"the training data have no {role} column {name!r}.{_near(name, train.columns)}")


def _metric(values: "pd.Series[Any]", said: dict[str, Any], description: str, files: _Files) -> Metric:
    """The metric that was said, or that the description names, or the usual one for such values."""
    if name := said.get("metric"):
        return find_metric(str(name), said.get("direction"))
    if found := metric_in(description):
        files.notes.append(f"The metric is taken from the description: {found.title}.")
        return found
    usual = default_metric("multiclass" if _looks_like_classes(values) else "regression")
    files.notes.append(f"No metric was named: {usual.title} is used. Choose one with --metric.")
    return usual


def _problem(values: "pd.Series[Any]", labels: "pd.Series[str]", metric: Metric) -> Problem:
    """What the metric makes of the target. Raises: TaskError for a metric of numbers on a target of words."""
    if metric.predicts != "value":
        return "binary" if labels.nunique() == 2 else "multiclass"
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        raise TaskError(
            f"{metric.title} needs numbers, but the target {values.name!r} holds values such as {labels.iloc[0]!r}. "
            "Choose a metric for classes, such as accuracy, with --metric."
        )
    return "regression"


def _looks_like_classes(values: "pd.Series[Any]") -> bool:
    known = values.dropna()
    if not pd.api.types.is_numeric_dtype(known) or pd.api.types.is_bool_dtype(known):
        return True
    return bool((known == known.round()).all()) and known.nunique() <= FEW_LABELS


def _check_varies(values: "pd.Series[str]", target: str) -> None:
    if values.nunique() < 2:
        raise TaskError(f"the target {target!r} has the same value in every row, so there is nothing to learn.")


def _submission_columns(
    train: pd.DataFrame,
    target: str,
    id_column: str | None,
    sample: pd.DataFrame | None,
    metric: Metric,
    problem: Problem,
    files: _Files,
) -> tuple[str, ...]:
    if sample is not None:
        _check_sample(sample, id_column, metric, problem, files)
        return tuple(sample.columns)
    head = (id_column,) if id_column else ()
    if metric.predicts == "probability" and problem == "multiclass":
        return (*head, *sorted(set(train[target])))
    return (*head, target)


def _check_sample(sample: pd.DataFrame, id_column: str | None, metric: Metric, problem: Problem, files: _Files) -> None:
    """Raises: TaskError for a sample submission that does not fit the test file or has several targets."""
    assert files.sample is not None
    assert files.test is not None
    name, test = files.sample.name, read_table(files.test)
    if len(sample) != len(test):
        raise TaskError(
            f"{name} has {len(sample)} rows, the test data have {len(test)}: one is needed for each test row."
        )
    if id_column in sample.columns and set(sample[id_column]) != set(test[id_column]):
        wrong = next(iter(set(sample[id_column]) ^ set(test[id_column])))
        raise TaskError(f"the ids of {name} are not those of the test data: {wrong!r} is in one of them only.")
    values = [column for column in sample.columns if column != id_column]
    if len(values) > 1 and not (metric.predicts == "probability" and problem == "multiclass"):
        raise TaskError(f"{name} has several columns to predict ({_list(values)}); tasks have one target.")


def _task_type(facts: DataProfile, problem: Problem) -> str:
    kinds = [column.kind for column in facts.columns]
    mostly_text = "text" in kinds and kinds.count("text") * 2 >= len(kinds)
    return f"{'Text' if mostly_text else 'Tabular'} {'Regression' if problem == 'regression' else 'Classification'}"


def _write(frame: pd.DataFrame, work: Path | None, name: str) -> Path:
    if work is None:
        raise TaskError("these data need a working folder for the files cut from them.")
    work.mkdir(parents=True, exist_ok=True)
    path = work / name
    text = frame.to_csv(index=False)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return path


def _digest(paths: Iterable[Path | None], choices: list[Any]) -> str:
    total = hashlib.sha256(json.dumps(choices).encode())
    for path in paths:
        total.update(b"-" if path is None else hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f" Did you mean {_list(near)}?" if near else ""


def _list(names: Iterable[str], most: int = 12) -> str:
    listed = [repr(name) for name in names]
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
