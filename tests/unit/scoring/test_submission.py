"""A submission is repaired where nothing is lost, and else refused with a sentence that says what to do."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.scoring import submission
from machine_learning_engineering.shared_libraries.scoring.submission import Expected, accept, check_submission

VALUES = Expected(rows=3, values=("y",), predicts="value", id="id", ids=("07", "8", "9"))
LABELS = Expected(rows=3, values=("y",), predicts="label", id="id", ids=("7", "8", "9"), classes=("0", "1"))
FLAGS = Expected(rows=2, values=("y",), predicts="label", classes=("False", "True"))
COUNTS = Expected(rows=2, values=("y",), predicts="value", least=0.0)
RANKS = Expected(rows=2, values=("y",), predicts="ranking", classes=("a", "b", "c"), most=2)
MASKS = Expected(rows=2, values=("y",), predicts="mask")
TEXTS = Expected(rows=2, values=("y",), predicts="text")
APART = Expected(rows=2, values=("a", "b"), predicts="probability", apart=True)
CHANCES = Expected(rows=2, values=("a", "b"), predicts="probability", id="id", ids=("1", "2"), classes=("a", "b"))


def check(folder: Path, text: str, expected: Expected) -> list[list[object]]:
    path = folder / "submission.csv"
    path.write_text(text)
    table = check_submission(path, expected)
    return table.to_numpy().tolist()


ORDERED = "The rows were put in the order of ./input/test.csv."


@pytest.mark.parametrize(
    ("text", "expected", "rows", "notes"),
    [
        ("id,y\n07,1\n8,2\n9,3\n", VALUES, [[1.0], [2.0], [3.0]], []),
        ("id,y\n9,3\n07,1\n8,2\n", VALUES, [[1.0], [2.0], [3.0]], [ORDERED]),
        (
            "y, id\n3,9.0\n1,7\n2,8\n",
            VALUES,
            [[1.0], [2.0], [3.0]],
            [
                "Spaces around the names of columns were removed.",
                "The columns were put in the order 'id', 'y'.",
                "The ids were spelt as in ./input/test.csv, such as '9' for '9.0'.",
                ORDERED,
            ],
        ),
        (
            "id,y\n7,1.0\n8,0\n9,1\n",
            LABELS,
            [["1"], ["0"], ["1"]],
            ["The labels of 'y' were spelt as in the training data, such as '1' for '1.0'."],
        ),
        (
            "y\n0\n1\n",
            FLAGS,
            [["False"], ["True"]],
            ["The labels of 'y' were spelt as in the training data, such as 'False' for '0'."],
        ),
        (
            "id,b,a\n2,0.25,0.75\n1,1,0\n",
            CHANCES,
            [[0.0, 1.0], [0.75, 0.25]],
            ["The columns were put in the order 'id', 'a', 'b'.", ORDERED],
        ),
        (
            "id,a,b\n1,0.5,0.5000005\n2,1,0\n",
            CHANCES,
            [[0.5 / 1.0000005, 0.5000005 / 1.0000005], [1.0, 0.0]],
            ["The probabilities of each row were divided by their sum, which was off by up to 5e-07."],
        ),
        ("id,a,b\n1,0.33333333,0.66666667\n2,1,0\n", CHANCES, [[0.33333333, 0.66666667], [1.0, 0.0]], []),
        (
            "a,b\n1.0000001,0.7\n1,-1e-9\n",
            APART,
            [[1.0, 0.7], [1.0, 0.0]],
            ["Probabilities that missed 0 or 1 by less than 1e-06 were set to it."],
        ),
        ("y\nb a\n c  a\n", RANKS, [["b a"], ["c a"]], []),
        ('y\n""\n1 3 10 2\n', MASKS, [[""], ["1 3 10 2"]], []),
        ("y\nnone\nthree p.m.\n", TEXTS, [["none"], ["three p.m."]], []),
    ],
)
def test_lossless_repairs_are_made_and_noted(
    text: str, expected: Expected, rows: list[list[object]], notes: list[str], tmp_path: Path
) -> None:
    (tmp_path / "submission.csv").write_text(text)
    found = accept(tmp_path / "submission.csv", expected)
    assert found.predictions.to_numpy().tolist() == rows
    assert list(found.notes) == notes


def test_the_repaired_file_needs_no_repair(tmp_path: Path) -> None:
    """And says the same."""
    path = tmp_path / "submission.csv"
    for text, expected in (
        ("y, id\n3,9.0\n1,7\n2,8\n", VALUES),
        ("y,id\n1.0,9\n0,7\n1,8\n", LABELS),
        ("id,b,a\n2,0.2500005,0.75\n1,1,0\n", CHANCES),
    ):
        path.write_text(text)
        repaired = accept(path, expected)
        repaired.table.to_csv(path, index=False)
        again = accept(path, expected)
        assert again.notes == ()
        assert again.predictions.equals(repaired.predictions)


@pytest.mark.parametrize(
    ("text", "expected", "sentence"),
    [
        ("", VALUES, "cannot be read as CSV"),
        ("id,z\n07,1\n", VALUES, "lacks the column 'y'; it has 'id', 'z'"),
        (",id,y\n0,07,1\n1,8,2\n2,9,3\n", VALUES, "extra column.*index=False"),
        ("id,y\n07,1,5\n8,2,5\n9,3,5\n", VALUES, "more cells than its header"),
        ("id,y\n07,1\n8,2\n", VALUES, "has 2 rows, but ./input/test.csv has 3"),
        ("id,y\n07,1\n8,2\n5,3\n", VALUES, "1 unknown ids, the first is '5'.*Copy the column 'id'"),
        ("id,y\n07,1\n8,2\n8,3\n", VALUES, "repeats 1 ids, the first is '8'"),
        ("id,y\n07,1\n8,\n9,nan\n", VALUES, "2 cells that are NaN or infinite, the first in row 1"),
        ("id,y\n07,1\n8,-inf\n9,1\n", VALUES, "1 cells that are NaN or infinite"),
        ("id,y\n07,1\n8,1e999\n9,1\n", VALUES, "must hold numbers|NaN or infinite"),
        ("id,y\n07,1\n8,two\n9,3\n", VALUES, "must hold numbers, but row 1 of the data holds 'two'"),
        (
            "id,y\n7,1\n8,0.5\n9,1\n",
            LABELS,
            "labels that the training data do not have: '0.5'. The classes are '0', '1'",
        ),
        ("id,y\n7,1\n8,\n9,1\n", LABELS, "NaN or infinite"),
        ("id,a,b\n1,1.5,-0.5\n2,1,0\n", CHANCES, "between 0 and 1, but 1 rows"),
        ("id,a,b\n1,0.5,0.5\n2,1,0.5\n", CHANCES, "must sum to 1.*row 1 of the data with the sum 1.5"),
        ("id,a,b\n1,0.3333,0.6666\n2,1,0\n", CHANCES, r"sum 0.9999. Divide each row by its sum, and write at least 8"),
        ("a,b\n1.1,0\n0,0\n", APART, "between 0 and 1, but 1 rows"),
        ("y\n-0.1\n1\n", COUNTS, r"no value below 0, but 1 rows do.*row 0 .* Clip the predictions at 0\."),
        ("y\na b c\na\n", RANKS, "Row 0 .* 3 labels, but only the first 2 count"),
        ("y\na\nb b\n", RANKS, "Row 1 .* the label 'b' more than once"),
        ('y\n"a,b"\na\n', RANKS, "Row 0 .* 'a,b', which is no label.* separate labels by single spaces"),
        ('y\na\n" "\n', RANKS, "NaN or infinite, the first in row 1"),
        ("y\n1 2 3\n1 1\n", MASKS, "Row 0 .* holds '1 2 3', which is no mask"),
        ("y\n1 1\n5 2 6 1\n", MASKS, "Row 1 .* no pixel twice"),
        ("y\n0 2\n1 1\n", MASKS, "whole numbers from 1 on"),
        ('y\na\n""\n', TEXTS, "NaN or infinite, the first in row 1"),
    ],
)
def test_what_is_refused_is_explained(text: str, expected: Expected, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match=sentence):
        check(tmp_path, text, expected)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match=r"did not write ./final/submission.csv"):
        check_submission(tmp_path / "submission.csv", VALUES)


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("id,y\n07,1\n8,2\n9,3\n")
    (tmp_path / "submission.csv").symlink_to(tmp_path / "other.csv")
    with pytest.raises(SubmissionError, match="not a regular file"):
        check_submission(tmp_path / "submission.csv", VALUES)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    path.touch()
    os.truncate(path, submission.MAX_BYTES + 1)
    with pytest.raises(SubmissionError, match="more than"):
        check_submission(path, VALUES)


def test_binary_rubbish_is_refused(tmp_path: Path) -> None:
    (tmp_path / "submission.csv").write_bytes(bytes(range(256)) * 10)
    with pytest.raises(SubmissionError):
        check_submission(tmp_path / "submission.csv", VALUES)


def test_repeated_test_ids_are_matched_by_order(tmp_path: Path) -> None:
    repeated = Expected(rows=3, values=("y",), predicts="value", id="id", ids=("1", "1", "2"))
    assert check(tmp_path, "id,y\n1,5\n1,6\n2,7\n", repeated) == [[5.0], [6.0], [7.0]]
    with pytest.raises(SubmissionError, match="same order"):
        check(tmp_path, "id,y\n2,7\n1,5\n1,6\n", repeated)


@settings(deadline=None)
@given(st.lists(st.text("ab01 ,;\"'.", min_size=1).map(str), min_size=1, unique=True), st.randoms())
def test_any_order_of_rows_gives_the_same_predictions(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], rng: random.Random
) -> None:
    import pandas as pd

    expected = Expected(rows=len(ids), values=("y",), predicts="value", id="id", ids=tuple(ids))
    rows = [(one, float(number)) for number, one in enumerate(ids)]
    shuffled = rng.sample(rows, len(rows))
    path = tmp_path_factory.mktemp("s") / "submission.csv"
    pd.DataFrame(shuffled, columns=["id", "y"]).to_csv(path, index=False)
    assert check_submission(path, expected)["y"].tolist() == [value for _, value in rows]


@pytest.mark.parametrize("expected", [VALUES, LABELS, CHANCES, COUNTS, RANKS, MASKS, TEXTS, APART])
def test_a_neutral_submission_is_valid(expected: Expected, tmp_path: Path) -> None:
    import pandas as pd

    ids = {} if expected.id is None else {expected.id: expected.ids}
    cell = expected.neutral(expected.classes[0] if expected.classes else "0")
    path = tmp_path / "submission.csv"
    pd.DataFrame({**ids, **{name: [cell] * expected.rows for name in expected.values}}).to_csv(path, index=False)
    assert accept(path, expected).notes == ()
