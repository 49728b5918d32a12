"""A lone CSV: which of its rows become the test rows."""

from pathlib import Path

import pandas as pd

from machine_learning_engineering.shared_libraries.common_util import listed
from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.tasks.folder import Files
from machine_learning_engineering.shared_libraries.tasks.table import is_missing, write_table
from machine_learning_engineering.shared_libraries.tasks.times import last, times_of

SHARE = 0.2  # of the rows, set aside where every row has a target
LEAST_GROUPS = 4  # one is set aside, one held out, and a script has two to train and to check itself on


def split_off_test(
    table: pd.DataFrame, target: str, group: str | None, time: str | None, files: Files, work: Path | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows of a lone CSV: those without a target are the test rows, or else a fifth is set aside.

    Raises: TaskError if that leaves no rows, or too few groups.
    """
    is_test = set_aside(table, target, group, time)
    if is_test is None:
        is_test = without(table[target], files.train.name)
        rows = f"the {int(is_test.sum())} rows without {target!r}{spelt_missing(table[target][is_test])}"
        files.notes.append(f"There is no test file: {rows} are predicted.")
    else:
        which = f", the last by {time!r}," if time else ""
        if group and not time:
            which = f", {table[group][is_test].nunique()} whole groups of {group!r},"
        files.notes.append(
            f"There is no test file: {int(is_test.sum())} rows{which} are set aside, to predict {target!r} of; their "
            "labels judge the submission in the end. Give rows of your own to predict with --test."
        )
    kept, test = table[~is_test], table[is_test].drop(columns=target)
    if not len(kept) or not len(test):
        raise _too_few(table, files.train)
    files.train, files.test = cut(kept, work, "train.csv"), cut(test, work, "test.csv")
    return kept, test


def set_aside(table: pd.DataFrame, target: str, group: str | None, time: str | None) -> "pd.Series[bool] | None":
    """Which rows of a lone CSV become its test rows though they have a target; None where some rows have none.

    The last rows in time, whole groups, or else rows at random: as they are held out for scoring, too. Raises:
    TaskError where there are too few groups.
    """
    if is_missing(table[target].str.strip()).any():
        return None
    if time is not None and len(table) > 1:
        rows = last(times_of(table[time], "the table"), max(round(SHARE * len(table)), 1))
    elif group is not None:
        return table[group].isin(_groups(table[group]))
    else:
        rows = table.sample(frac=SHARE, random_state=0).index.to_numpy()
    return pd.Series(table.index.isin(rows), index=table.index)


def _groups(column: "pd.Series[str]") -> list[str]:
    """Groups, drawn at random, of about the share of the rows that is set aside; at least one."""
    sizes = column.value_counts().sort_index().sample(frac=1, random_state=0)
    if len(sizes) < LEAST_GROUPS:
        raise TaskError(
            f"the group column {column.name!r} has too few groups ({len(sizes)}) to set some aside: {LEAST_GROUPS} are "
            "needed. Name another with --group, or give the rows to predict with --test."
        )
    before = sizes.cumsum() - sizes / 2
    return list(sizes.index[before <= max(SHARE * len(column), before.iloc[0])][: len(sizes) - LEAST_GROUPS + 1])


def without(labels: "pd.Series[str]", file: str) -> "pd.Series[bool]":
    """Which rows have no label. Raises: TaskError if none has one."""
    missing = is_missing(labels.str.strip())
    if missing.all():
        raise TaskError(f"the target {labels.name!r} is missing in every row of {file}. Choose another.")
    return missing


def spelt_missing(missing: "pd.Series[str]") -> str:
    """The words among cells that are taken for no value, in brackets; empty where the cells are just empty."""
    words = sorted({cell.strip() for cell in missing} - {""})
    return f" ({listed(words)} stands for no value; write a class of that name another way)" if words else ""


def cut(frame: pd.DataFrame, work: Path | None, name: str) -> Path:
    """The rows in a file of their own. Raises: TaskError without a folder for it."""
    if work is None:
        raise TaskError("these data need a working folder for the files cut from them.")
    work.mkdir(parents=True, exist_ok=True)
    write_table(frame, work / name)
    return work / name


def _too_few(table: pd.DataFrame, file: Path) -> TaskError:
    count = "only one row" if len(table) == 1 else f"only {len(table)} rows"
    return TaskError(
        f"{file} has {count}, too few to train on some and predict others. Add rows, or give those to predict with "
        "--test."
    )
