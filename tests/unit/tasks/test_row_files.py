"""Which files belong to which rows, and what their names give away."""

from pathlib import PurePosixPath

import pandas as pd
import pytest

from machine_learning_engineering.shared_libraries.tasks.row_files import row_files, side

ROWS = 40
LABELS = ["cat", "dog"] * (ROWS // 2)
# How a training row's file is called, what its cell says of it, and whether folders and names tell the label.
NAMES = {
    "by id": ("train/{i}.png", "{i}", (), False),
    "by file name": ("images/a{i}.jpg", "a{i}.jpg", (), False),
    "by path": ("train/p{i}.png", "train/p{i}.png", (), False),
    "by path from here": ("train/p{i}.png", "./train/p{i}.png", (), False),
    "by a path of another machine": ("train/p{i}.png", "/kaggle/input/pets/train/p{i}.png", (), False),
    "by the end of a path": ("train/x/p{i}.png", "x/p{i}", (), False),
    "by label folder": ("train/{label}/p{i}.png", "{label}/p{i}.png", (1,), False),
    "by id in label folder": ("train/{label}/{i}.png", "{i}", (1,), False),
    "by a folder that stands for the label": ("train/n{h}0/p{i}.png", "p{i}", (1,), False),
    "by label in the name": ("train/{label}_{i}.png", "{label}_{i}.png", (), True),
    "by label glued to a number": ("train/{label}{i}.png", "{label}{i}", (), True),
    "by the last word": ("train/{label}.{i}.jpg", "{i}", (), True),
}


@pytest.mark.parametrize("name", NAMES)
def test_files_are_found_and_their_names_read(name: str) -> None:
    pattern, cell, telling, telling_names = NAMES[name]
    rows = [{"i": i, "label": label, "h": hash_of(label)} for i, label in enumerate(LABELS)]
    paths = [PurePosixPath(pattern.format(**row)) for row in rows]
    cells = [cell.format(**row) for row in rows]
    train = pd.DataFrame({"file": cells, "size": ["3"] * ROWS, "y": LABELS})
    found = row_files([*paths, PurePosixPath("readme.md")], train, train[["file"]].head(0), "y", "file")
    assert found is not None
    assert found.train == {"file": {row: (path,) for row, path in enumerate(paths)}}
    assert (found.telling, found.telling_names) == (frozenset(telling), telling_names)


def hash_of(label: str) -> str:
    return {"cat": "0217", "dog": "0342"}[label]


def test_rows_of_both_files_may_have_the_same_names() -> None:
    paths = [PurePosixPath(f"{part}/{i}.png") for part in ("train", "test") for i in range(10)]
    train = pd.DataFrame({"id": [str(i) for i in range(10)], "y": [str(i / 7) for i in range(10)]})
    found = row_files(paths, train, train[["id"]], "y", "id")
    assert found is not None
    assert set(found.rows) == {path for path in paths if side(path) == "train"}
    assert found.test == {path for path in paths if side(path) == "test"}


def test_numbers_that_count_something_name_no_files() -> None:
    """A count equals the name of some picture by accident; the id is what names them."""
    paths = [PurePosixPath(f"train/{i}.png") for i in range(20)]
    train = pd.DataFrame({"rooms": ["1", "2"] * 10, "id": [str(i) for i in range(20)], "y": ["0", "1"] * 10})
    found = row_files(paths, train, train, "y", "id")
    assert found is not None
    assert list(found.train) == ["id"]
    assert row_files(paths, train[["rooms", "y"]], train, "y", None) is None


@pytest.mark.parametrize("labels", [[str(i % 90) for i in range(40)], [f"{i / 8}" for i in range(40)]])
def test_a_number_to_predict_is_found_in_a_name(labels: list[str]) -> None:
    """Ages in file names, as UTKFace has them."""
    paths = [PurePosixPath(f"train/{label.replace('.', 'p')}_{i}x.png") for i, label in enumerate(labels)]
    train = pd.DataFrame({"file": [path.name for path in paths], "y": labels})
    found = row_files(paths, train, train, "y", None)
    assert found is not None
    assert found.telling_names is all(label.isdigit() for label in labels)  # 1p5 for 1.5 is not seen: it is no number


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("train/1.png", "train"),
        ("data/stage_1_train_images/1.png", "train"),
        ("Testing/1.png", "test"),
        ("constraint/1.png", None),
        ("train.png", None),
    ],
)
def test_a_folder_is_named_for_its_part(path: str, found: str | None) -> None:
    assert side(PurePosixPath(path)) == found
