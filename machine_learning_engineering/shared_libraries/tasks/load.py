"""From a person's files to a Task: a folder or a CSV, what they said about it, and what can be found out."""

import hashlib
import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from machine_learning_engineering.shared_libraries.common_util import listed
from machine_learning_engineering.shared_libraries.errors import TargetUnclear, TaskError
from machine_learning_engineering.shared_libraries.records import DataProfile, Metric, Problem, Task, TaskRequest
from machine_learning_engineering.shared_libraries.tasks.content import content_digest
from machine_learning_engineering.shared_libraries.tasks.copies import copies_of_target, why_withheld
from machine_learning_engineering.shared_libraries.tasks.folder import (
    Files,
    description_of,
    find_files,
    nearest,
    settings_of,
)
from machine_learning_engineering.shared_libraries.tasks.lone import cut, spelt_missing, split_off_test, without
from machine_learning_engineering.shared_libraries.tasks.metrics.own import OwnMetric, identity, try_out
from machine_learning_engineering.shared_libraries.tasks.problem import (
    check_left,
    check_varies,
    choose_metric,
    problem_of,
)
from machine_learning_engineering.shared_libraries.tasks.profile import profile
from machine_learning_engineering.shared_libraries.tasks.row_files import RowFiles, lists_of_names, row_files
from machine_learning_engineering.shared_libraries.tasks.table import read_table, typed


def load_task(request: TaskRequest, work: Path | None = None) -> Task:
    """The task of a request. Derived files, such as a test file cut from a lone CSV, are written under `work`.

    Raises: TaskError for data that cannot be used, ConfigError for an unknown metric.
    """
    source = request.source
    if not source.exists():
        raise TaskError(f"there is no file or folder {source}. Check the path.")
    files = find_files(source, request) if source.is_dir() else Files(source, request.test)
    said = settings_of(source, request)
    description = description_of(source, said.get("description"))
    train = read_table(files.train)
    test = read_table(files.test) if files.test else None
    sample = read_table(files.sample) if files.sample else None
    target = _target(train, test, sample, said.get("target"))
    for role in ("group", "time"):
        _check_column(train, said.get(role), role)
    if said.get("time"):
        files.notes.append("Scores are of the last rows that are known; what changes after them is in no interval.")
    whole = train[target]  # also of rows that are set aside, where a slip would else be found in the end
    if test is None:
        train, test = split_off_test(train, target, said.get("group"), said.get("time"), files, work)
    train = _labelled(train, target, files, work)
    test = _unlabelled(test, target, files, work)
    id_column = _id_column(train, test, sample, said.get("id"), files)
    _withhold(train, test, target, id_column, files)
    of_rows = _files_of_rows(train, test, target, id_column, files, source)
    _check_features(train, test, target, id_column, said, of_rows)
    values = typed(train[[name for name in train.columns if name in test.columns or name == target]])
    known = whole[~without(whole, files.train.name)]
    check_left(known, train[target])
    check_varies(train[target], target, files.notes)
    metric = choose_metric(known, request, said, description, files)
    problem = problem_of(known, train[target], metric)
    labels = None if problem == "regression" else train[target]
    facts = profile(values, len(test), target, id_column, labels)
    _note_spellings(facts.classes, target, files)
    columns = _submission_columns(facts.classes, target, id_column, metric, sample, files)
    if request.test is not None:
        files.sample = None  # which tells the columns, but not of these rows
    elif sample is not None:
        _check_sample(sample, test, id_column, files)
    if isinstance(metric, OwnMetric):
        try_out(metric, (values if problem == "regression" else train)[target].to_numpy(), facts.classes)
    choices = [
        identity(metric),
        problem,
        target,
        id_column,
        said.get("group"),
        said.get("time"),
        list(columns),
        description,
    ]
    return Task(
        name=_name(said.get("name") or source.resolve().name),
        description=description or f"Predict {target!r} for every row of the test file, judged by {metric.title}.",
        task_type=_task_type(facts, problem),
        problem=problem,
        metric=metric,
        train=files.train,
        test=files.test or files.train,
        sample=files.sample,
        others=files.others,
        home=source if source.is_dir() else None,
        target=target,
        id=id_column,
        group=said.get("group"),
        time=said.get("time"),
        submission_columns=columns,
        profile=facts,
        digest=_digest(files, source, choices),
        notes=tuple(files.notes),
    )


def _name(source: str) -> str:
    """A name that folders may have, without the endings of a table."""
    plain = re.sub(r"\.(csv|tsv)(\.gz)?$", "", source)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip("._-") or "task"


def _target(train: pd.DataFrame, test: pd.DataFrame | None, sample: pd.DataFrame | None, said: str | None) -> str:
    if said is not None:
        if said not in train.columns:
            near = nearest(said, train.columns)
            raise TaskError(f"the training data have no column {said!r}.{near} They have: {listed(train.columns)}.")
        return said
    if test is None:
        likely = [*train.columns[-1:], *train.columns[:-1]]  # most people have the target last
        raise TargetUnclear(
            f"which column is to be predicted? Say --target with one of: {listed(likely)}.", train.columns
        )
    only = [name for name in train.columns if name not in test.columns]
    if sample is not None:
        only = [name for name in only if name in sample.columns] or only
    if len(only) != 1:
        why = f"Candidates are {listed(only)}" if only else "Every column of the training data is also in the test data"
        raise TargetUnclear(f"which column is to be predicted? {why}. Say --target.", only or train.columns)
    return only[0]


def _labelled(train: pd.DataFrame, target: str, files: Files, work: Path | None) -> pd.DataFrame:
    """The training rows that have a target, in a file of their own if some have none."""
    missing = without(train[target], files.train.name)
    if not missing.any():
        return train
    files.notes.append(
        f"{int(missing.sum())} training rows without {target!r} are left out{spelt_missing(train[target][missing])}."
    )
    train = train[~missing]
    files.train = cut(train, work, "train.csv")
    return train


def _unlabelled(test: pd.DataFrame, target: str, files: Files, work: Path | None) -> pd.DataFrame:
    """The test rows without the target, in a file of their own if their file has it."""
    if target not in test.columns:
        return test
    test = test.drop(columns=target)
    files.test = cut(test, work, "test.csv")
    files.notes.append(f"The test file has the column {target!r}, which is left out.")
    return test


def _withhold(train: pd.DataFrame, test: pd.DataFrame, target: str, id_column: str | None, files: Files) -> None:
    """Takes out of the further files those that have the target, also under another name, or may have it."""
    withheld: dict[str, list[str]] = {}
    shown = []
    for path in files.others:
        if why := why_withheld(path, target):
            withheld.setdefault(why, []).append(path.name)
        else:
            shown.append(path)
    files.notes += [f"Scripts do not see {listed(names, 3)}: {why}." for why, names in withheld.items()]
    copies = copies_of_target(shown, train, test, target, id_column)
    files.others = tuple(path for path in shown if path not in copies)
    for path, column in copies.items():
        files.notes.append(f"Scripts do not see {path.name}: its {column!r} tell {target!r} of training rows.")


def _files_of_rows(
    train: pd.DataFrame, test: pd.DataFrame, target: str, id_column: str | None, files: Files, source: Path
) -> RowFiles | None:
    """The further files that belong to rows. Tables that list names which tell the target are taken out."""
    if not files.others:
        return None
    found = row_files(
        [PurePosixPath(path.relative_to(source)) for path in files.others], train, test, target, id_column
    )
    if found is None:
        return None
    files.notes.append(
        f"{len(found.rows)} files belong to training rows, by {listed(found.train)}. Those of held-out rows lie where "
        "files of the test rows do."
    )
    if found.tells:
        files.notes.append(
            f"The names of these files tell {target!r}: in paths of held-out rows, what tells it is left out or "
            "replaced by a number."
        )
        listing = lists_of_names(files.others, found)
        files.others = tuple(path for path in files.others if path not in listing)
        files.notes += [f"Scripts do not see {path.name}: it lists names that tell {target!r}." for path in listing]
    return found


def _check_features(
    train: pd.DataFrame,
    test: pd.DataFrame,
    target: str,
    id_column: str | None,
    said: dict[str, Any],
    of_rows: RowFiles | None,
) -> None:
    """Raises: TaskError for features that only one file has, and where there is nothing to predict from.

    Ids may be in one of the files, groups and times in train.
    """
    alone = {target, id_column, said.get("group"), said.get("time")}
    only_train = [name for name in train.columns if name not in test.columns and name not in alone]
    if len(only_train) == 1 and _is_id(only_train[0], train):
        only_train = []
    only_test = [name for name in test.columns if name not in train.columns and name != id_column]
    differences = (("train", only_train), ("test", only_test))
    if told := [f"only {side} has {listed(names)}" for side, names in differences if names]:
        raise TaskError(f"train and test columns differ: {'; '.join(told)}. Give both the same feature columns.")
    if of_rows is None and not {*train.columns} & {*test.columns} - alone:
        raise TaskError(
            f"there is no column to predict {target!r} from. Add columns that describe the rows; a test file needs "
            "them, too."
        )


def _note_spellings(classes: tuple[str, ...], target: str, files: Files) -> None:
    """Notes classes that differ in case or spaces alone, which may be one class spelt in several ways."""
    alike: dict[str, list[str]] = {}
    for label in classes:
        alike.setdefault("".join(label.split()).casefold(), []).append(label)
    if several := [labels for labels in alike.values() if len(labels) > 1]:
        files.notes.append(
            f"{target!r} has {len(classes)} classes, {len(alike)} but for case and spaces: {listed(several[0], 3)} are "
            "different ones. If they are not meant so, make them the same."
        )


def _id_column(
    train: pd.DataFrame, test: pd.DataFrame, sample: pd.DataFrame | None, said: str | None, files: Files
) -> str | None:
    if said is not None and said not in test.columns:
        raise TaskError(
            f"the test data have no column {said!r}.{nearest(said, test.columns)} They have: {listed(test.columns)}."
        )
    if said is not None and sample is not None and said not in sample.columns:
        raise TaskError(f"the sample submission has no id column {said!r}; it has {listed(sample.columns)}.")
    if sample is None and said is None:
        return _likely_id(train, test, files)
    given = () if sample is None else sample.columns
    found = said or next((name for name in given if name in test.columns), None)
    if found is None:
        return None
    if not test[found].is_unique:
        twice = test[found][test[found].duplicated()].iloc[0]
        raise TaskError(f"the test data have duplicate ids: {found!r} is {twice!r} in more than one row. Repair them.")
    return found


def _likely_id(train: pd.DataFrame, test: pd.DataFrame, files: Files) -> str | None:
    """The first column named as an id that has no value twice; what is named so and has them is noted."""
    named = [name for name in test.columns if _is_named_id(name)]
    found = next((n for n in named if _is_id(n, test) and (n not in train or _is_id(n, train))), None)
    if found is None and named:
        files.notes.append(
            f"The column {named[0]!r} has a value in more than one row, so it is a feature and no id. "
            "Name the column of ids with --id."
        )
    elif found is None:
        files.notes.append(
            "No column is named as an id, so the submission holds predictions alone, in the order of the rows to "
            "predict. Name a column of ids with --id."
        )
    return found


def _is_id(name: str, table: pd.DataFrame) -> bool:
    """Whether a column is named as an id and has no value twice."""
    return _is_named_id(name) and table[name].is_unique


def _is_named_id(name: str) -> bool:
    return name.lower() == "id" or name.lower().endswith(("_id", " id")) or name.endswith(("Id", "ID"))


def _check_column(train: pd.DataFrame, name: str | None, role: str) -> None:
    if name is not None and name not in train.columns:
        near = nearest(name, train.columns)
        raise TaskError(f"the training data have no {role} column {name!r}.{near} They have: {listed(train.columns)}.")


def _submission_columns(
    classes: tuple[str, ...],
    target: str,
    id_column: str | None,
    metric: Metric,
    sample: pd.DataFrame | None,
    files: Files,
) -> tuple[str, ...]:
    """The id column, if any, then those to predict: one, or for probabilities one a class in the order of `classes`.

    Raises: TaskError for a sample submission with other columns.
    """
    head = (id_column,) if id_column else ()
    many = metric.predicts == "probability" and len(classes) > 2
    if sample is None or files.sample is None:
        return (*head, *(classes if many else (target,)))
    values = tuple(name for name in sample.columns if name != id_column)
    if many:
        return (*head, *_class_columns(values, classes, files.sample.name))
    if len(values) != 1:
        raise TaskError(
            f"{files.sample.name} has {len(values)} columns to predict ({listed(values)}), but {metric.title} of "
            f"{target!r} takes one. Leave one."
        )
    return (*head, *values)


def _class_columns(columns: tuple[str, ...], classes: tuple[str, ...], file: str) -> list[str]:
    """The column of each class: named as the class is, or ending with its label after a sign such as `_`."""
    found = [
        [name for name in columns if name == label]
        or [name for name in columns if re.search(rf"\W{end}$|_{end}$", name)]
        for label, end in ((label, re.escape(label)) for label in classes)
    ]
    if len(columns) != len(classes) or sorted(columns) != sorted(name for names in found for name in names):
        raise TaskError(
            f"{file} needs one column of probabilities for each class ({listed(classes)}), named after it; "
            f"it has {listed(columns)}. Rename the columns."
        )
    return [names[0] for names in found]


def _check_sample(sample: pd.DataFrame, test: pd.DataFrame, id_column: str | None, files: Files) -> None:
    """Raises: TaskError for a sample submission that does not fit the test file."""
    assert files.sample is not None
    name = files.sample.name
    if len(sample) != len(test):
        raise TaskError(f"{name} has {len(sample)} rows, the test data have {len(test)}. Give one for each test row.")
    if id_column is None:
        return
    if wrong := sorted(set(sample[id_column]) ^ set(test[id_column])):
        raise TaskError(
            f"the ids of {name} are not those of the test data: {listed(wrong, 3)} are in one of them only. Fix it."
        )


def _task_type(facts: DataProfile, problem: Problem) -> str:
    kinds = [column.kind for column in facts.columns]
    mostly_text = "text" in kinds and kinds.count("text") * 2 >= len(kinds)
    return f"{'Text' if mostly_text else 'Tabular'} {'Regression' if problem == 'regression' else 'Classification'}"


def _digest(files: Files, source: Path, choices: list[Any]) -> str:
    """Of the bytes of all files, the names of those that scripts find by name, and the choices; of no folder."""
    total = hashlib.sha256(json.dumps(choices).encode())
    for path in (files.train, files.test, files.sample):
        total.update(b"-" if path is None else content_digest(path))
    for path in files.others:
        total.update(path.relative_to(source).as_posix().encode() + content_digest(path))
    return total.hexdigest()
