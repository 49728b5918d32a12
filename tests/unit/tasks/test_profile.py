"""The profile says what columns are, on whatever people's files hold."""

import pandas as pd
import pytest

from machine_learning_engineering.shared_libraries.tasks.profile import profile
from machine_learning_engineering.shared_libraries.tasks.table import typed

N = 60
COLUMNS = {
    "numeric": [f"{i / 7:.3f}" for i in range(N)],
    "integer": [str(i % 30) for i in range(N)],
    "boolean": ["True" if i % 2 else "False" for i in range(N)],
    "flags": [str(i % 2) for i in range(N)],
    "categorical": [["red", "green", "blue"][i % 3] for i in range(N)],
    "thousands": [f"1,{i % 9}00" for i in range(N)],
    "text": [f"the quick brown fox number {i} jumps over it" for i in range(N)],
    "datetime": [f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(N)],
    "slashes": [f"{1 + i % 12}/{1 + i % 28}/2023" for i in range(N)],
    "named": [f"{1 + i % 28} January 20{10 + i % 9}" for i in range(N)],
    "zoned": [f"2024-01-{1 + i % 28:02d}T10:00:00+0{i % 3}:00" for i in range(N)],
    "mixed": [["", "NA", "red", "N/A", "blue", "null"][i % 6] for i in range(N)],
    "huge": [str(10**25 + i % 9 * 10**20) for i in range(N)],
    "constant": ["x"] * N,
    "empty": [""] * N,
    "identifier": [f"user-{i}" for i in range(N)],
    "gaps": ["NA" if i % 3 else str(i) for i in range(N)],
}
KINDS = {
    "flags": "boolean",
    "thousands": "categorical",
    "slashes": "datetime",
    "named": "datetime",
    "zoned": "datetime",
    "mixed": "categorical",
    "huge": "integer",
    "empty": "constant",
    "gaps": "integer",
}


@pytest.mark.filterwarnings("error")
def test_kinds_of_columns() -> None:
    frame = typed(pd.DataFrame({**COLUMNS, "y": [str(i) for i in range(N)]}, dtype=str))
    facts = profile(frame, 5, "y", None, None)
    assert {c.name: c.kind for c in facts.columns} == {name: KINDS.get(name, name) for name in COLUMNS}


def test_missing_cells_and_figures_are_counted() -> None:
    frame = typed(pd.DataFrame({"x": ["1", "", "3", "NA"], "y": ["1", "2", "3", "4"]}, dtype=str))
    column = profile(frame, 1, "y", None, None).columns[0]
    assert (column.missing, column.unique, column.minimum, column.maximum, column.mean) == (0.5, 2, 1.0, 3.0, 2.0)


def test_figures_are_those_of_finite_numbers() -> None:
    frame = typed(pd.DataFrame({"x": ["1", "inf", "3", "-inf"], "y": ["1", "2", "3", "4"]}, dtype=str))
    column = profile(frame, 1, "y", None, None).columns[0]
    assert (column.minimum, column.maximum, column.mean) == (1.0, 3.0, 2.0)


def test_cells_are_shown_cut_and_few() -> None:
    frame = pd.DataFrame({"x": [f"{i} " + "word " * 500 for i in range(N)], "y": range(N)})
    column = profile(frame, 1, "y", None, None).columns[0]
    assert len(column.examples) == 3
    assert all(len(example) <= 40 for example in column.examples)


def test_classes_come_from_the_labels_as_they_are_spelt() -> None:
    labels = pd.Series(["1", "0", "1", "1"])
    frame = typed(pd.DataFrame({"x": list("abcd"), "y": labels}, dtype=str))
    facts = profile(frame, 1, "y", None, labels)
    assert (facts.classes, facts.class_counts) == (("0", "1"), (1, 3))


def test_a_long_table_is_looked_at_in_bounded_work() -> None:
    """Columns are judged on at most 50,000 rows, the same ones each time."""
    frame = pd.DataFrame({"x": range(200_000), "y": range(200_000)})
    first, second = (profile(frame, 1, "y", None, None) for _ in range(2))
    assert first == second
    assert first.train_rows == 200_000
    assert first.columns[0].unique <= 50_000
