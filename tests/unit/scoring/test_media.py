"""Files of rows in views: those of held-out rows lie where test files do, and nothing tells their labels."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.execution.sandbox import make_sandbox
from machine_learning_engineering.shared_libraries.records import (
    AUDIT,
    FINAL,
    SEARCH,
    SHUFFLED,
    Job,
    Task,
    TaskRequest,
    View,
)
from machine_learning_engineering.shared_libraries.scoring.views import held_out, stage
from machine_learning_engineering.shared_libraries.tasks.load import load_task
from machine_learning_engineering.shared_libraries.tasks.table import read_table

CONFIG = RunConfig(audit_fraction=0.2, folds=3)
# Where the picture of a training row lies and what its cell says; the same of a test row.
LAYOUTS = [
    (("train/{i}.png", "{i}"), ("test/{i}.png", "{i}")),  # both count from 0
    (("train_images/a{i}.png", "a{i}.png"), ("test_images/b{i}.png", "b{i}.png")),
    (("data/train/a{i}.png", "data/train/a{i}.png"), ("data/test/b{i}.png", "data/test/b{i}.png")),
    (("images/a{i}.png", "images/a{i}.png"), ("images/b{i}.png", "images/b{i}.png")),
    (("pictures/a{i}.png", "a{i}.png"), ("test/b{i}.png", "b{i}.png")),
    (("train/{label}/{i}.png", "{label}/{i}.png"), ("test/{i}.png", "{i}.png")),
    (("train/{label}/{i}.png", "{i}"), ("test/{i}.png", "{i}")),
    (("train/{label}/{k}.png", "train/{label}/{k}.png"), ("test/{i}.png", "test/{i}.png")),  # one name in each class
    (("train/{label}{k}.png", "train/{label}{k}.png"), ("test/{i}.png", "test/{i}.png")),
    (("train/{label}.{i}.png", "{i}"), ("test/{i}.png", "{i}")),
    (("{label}/a{i}.png", "{label}/a{i}.png"), ("test/b{i}.png", "test/b{i}.png")),
]
layouts = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout[0][0]} by {layout[0][1]}")


def make_task(folder: Path, layout: tuple, seed: int = 0, rows: int = 60) -> Task:
    """A task whose pictures are texts that nobody else has; a training row's begins with its number, a test row's not.

    Every tenth training row has a mask as well, no test row has one.
    """
    rng = random.Random(seed)
    labels = [("lynx", "puma")[i % 2] for i in range(rows)]
    rng.shuffle(labels)
    train, test = layout
    lines, lines_of_test, counted = ["file,y"], ["file"], {"lynx": 0, "puma": 0}
    for i, label in enumerate(labels):
        said = {"i": i, "label": label, "k": counted[label]}
        counted[label] += 1
        write(folder / train[0].format(**said), f"{i} of train")
        lines.append(f"{train[1].format(**said)},{label}")
        if i % 10 == 0:
            write(folder / "train_masks" / f"{train[0].format(**said).rpartition('/')[2]}", f"{i} mask")
    for i in range(10):
        write(folder / test[0].format(i=i), f"test {i}")
        lines_of_test.append(test[1].format(i=i))
    write(folder / "logo.png", "logo")
    write(folder / "train.csv", "\n".join(lines) + "\n")
    write(folder / "test.csv", "\n".join(lines_of_test) + "\n")
    return load_task(TaskRequest(source=folder, target="y", id="file", name=f"t{seed}"))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def contents(view: Path) -> dict[str, str]:
    """What lies where in a view, without its tables."""
    files = (path for path in view.rglob("*.png"))
    return {path.relative_to(view).as_posix(): path.read_text() for path in files}


def found_by(cell: str, files: dict[str, str], part: str) -> str:
    """What a script gets that looks a cell up in the folders that are not `part`'s."""
    name = cell if cell.endswith(".png") else f"{cell}.png"
    pictures = {path: text for path, text in files.items() if part not in path and "mask" not in path}
    ends = [text for path, text in pictures.items() if f"/{path}".endswith((f"/{name}", f".{name}"))]
    assert len(ends) == 1, (cell, ends)
    return ends[0]


def rows_of(view: View, task: Task) -> list[int]:
    held = held_out(task, view, CONFIG)
    assert held is not None
    return held.rows.tolist()


@layouts
@settings(max_examples=3, deadline=None, phases=[Phase.generate])  # each makes a folder: too slow to shrink
@given(seed=st.integers(0, 10**6), view=st.sampled_from([SEARCH, View(kind="search", fold=2)]))
def test_each_row_of_a_view_has_its_picture_and_no_other_row_has(layout: tuple, seed: int, view: View) -> None:
    with tempfile.TemporaryDirectory() as name:
        task = make_task(Path(name, "t"), layout, seed)
        held, staged = rows_of(view, task), stage(task, view, CONFIG, Path(name, "views")).path
        files = contents(staged)
        originals = contents(Path(name, "t"))
        train, test = read_table(staged / "train.csv"), read_table(staged / "test.csv")
        assert [found_by(cell, files, "train") for cell in test["file"]] == [f"{row} of train" for row in held]
        fit = [row for row in range(60) if row not in held]
        assert len(train) == len(fit)  # under 500 rows none are kept back for an audit
        stay = {
            path: text for path, text in originals.items() if text.endswith("of train") and int(text.split()[0]) in fit
        }
        assert stay.items() <= files.items()
        shown = [text for text in files.values() if text.endswith("of train")]
        assert sorted(shown) == sorted(f"{row} of train" for row in range(60))
        assert files["logo.png"] == "logo"


@layouts
def test_no_name_in_a_view_tells_the_label_of_a_held_out_row(layout: tuple, tmp_path: Path) -> None:
    task = make_task(tmp_path / "t", layout)
    held, staged = rows_of(SEARCH, task), stage(task, SEARCH, CONFIG, tmp_path / "views").path
    places = [path for path, text in contents(staged).items() if text.split()[0] in {str(row) for row in held}]
    assert len(places) >= len(held)
    cells = read_table(staged / "test.csv")["file"]
    assert not [name for name in [*places, *cells] if "lynx" in name or "puma" in name]


@layouts
def test_a_view_of_shuffled_labels_has_no_name_that_tells(layout: tuple, tmp_path: Path) -> None:
    """Else an honest script that reads labels from names would look like one that knows them."""
    task = make_task(tmp_path / "t", layout)
    staged = stage(task, SHUFFLED, CONFIG, tmp_path / "views").path
    files = contents(staged)
    assert not [path for path in files if "lynx" in path or "puma" in path]
    train = read_table(staged / "train.csv")
    assert len({found_by(cell, files, "test") for cell in train["file"]}) == len(train)


def test_rows_that_are_neither_shown_nor_held_out_have_no_picture(tmp_path: Path) -> None:
    task = make_task(tmp_path / "t", LAYOUTS[0], rows=600)
    files = contents(stage(task, SEARCH, CONFIG.model_copy(update={"max_search_rows": 100}), tmp_path / "views").path)
    audited = {f"{row} of train" for row in rows_of(AUDIT, task)}
    held = {f"{row} of train" for row in rows_of(SEARCH, task)}
    assert audited
    assert not audited & set(files.values())
    assert sum(path.startswith("train/") for path in files) == 100
    assert {text for path, text in files.items() if path.startswith("test/")} == held


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if "{k}" not in layout[0][0]])
def test_what_only_training_rows_have_is_not_shown_of_held_out_rows(layout: tuple, tmp_path: Path) -> None:
    """A mask of a held-out row is its label."""
    task = make_task(tmp_path / "t", layout)
    held = rows_of(SEARCH, task)
    texts = set(contents(stage(task, SEARCH, CONFIG, tmp_path / "views").path).values())
    masks = {text for text in texts if text.endswith("mask")}
    assert masks == {f"{row} mask" for row in range(0, 60, 10) if row not in held}


@layouts
def test_the_final_view_shows_every_file_where_it_is(layout: tuple, tmp_path: Path) -> None:
    task = make_task(tmp_path / "t", layout)
    assert contents(stage(task, FINAL, CONFIG, tmp_path / "views").path) == contents(tmp_path / "t")


def test_media_are_linked_and_keep_the_persons_own_mode(tmp_path: Path) -> None:
    task = make_task(tmp_path / "t", LAYOUTS[0])
    original = tmp_path / "t" / "logo.png"
    original.chmod(0o640)
    staged = stage(task, SEARCH, CONFIG, tmp_path / "views").path / "logo.png"
    assert staged.samefile(original)
    assert original.stat().st_mode & 0o777 == 0o640
    assert (staged.parent / "train.csv").stat().st_mode & 0o777 == 0o444


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_media_are_copied_where_they_cannot_be_linked(tmp_path: Path) -> None:
    task = make_task(tmp_path / "t", LAYOUTS[0])
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        staged = stage(task, SEARCH, CONFIG, Path(elsewhere)).path / "logo.png"
        assert staged.read_text() == "logo"
        assert not staged.samefile(tmp_path / "t" / "logo.png")
        assert staged.stat().st_mode & 0o777 == 0o444
        assert staged.parent.name == stage(task, SEARCH, CONFIG, tmp_path / "views").digest


@pytest.mark.parametrize("name", ["warm", "subprocess"])
async def test_no_script_can_change_the_file_that_a_picture_is_linked_to(name: str, tmp_path: Path) -> None:
    task = make_task(tmp_path / "t", LAYOUTS[0])
    before = contents(tmp_path / "t")
    view = stage(task, SEARCH, CONFIG, tmp_path / "views")
    write = "open(path, 'r+b').write(b'!')"
    tries = (
        "os.chmod('input', 0o700)",
        "os.chmod(path, 0o666)",
        write,
        "os.truncate(path, 0)",
        "os.link(path, 'mine')",
    )
    vandal = "import os\nfrom contextlib import suppress\npath = 'input/logo.png'\nprint(open(path).read())\n"
    vandal += "".join(f"with suppress(OSError):\n    {one}\n" for one in (*tries, "path = 'mine'", write))
    sandbox = make_sandbox(name)
    try:
        execution = await sandbox.run(Job(vandal, "vandal.py", tmp_path / "run", view))
    finally:
        await sandbox.close()
    assert (execution.outcome, execution.stdout) == ("ok", "logo\n"), execution.stderr
    assert contents(tmp_path / "t") == before
    assert (tmp_path / "t" / "logo.png").stat().st_mode & 0o777 == 0o644


def test_a_view_has_another_digest_where_a_picture_has_another_content(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        task = make_task(tmp_path / name, LAYOUTS[0])
        write(tmp_path / name / "logo.png", name)
        digests.append(stage(task, SEARCH, CONFIG, tmp_path / "views").digest)
    assert digests[0] != digests[1]


def test_a_table_that_lists_telling_names_is_not_shown(tmp_path: Path) -> None:
    task = make_task(tmp_path / "t", LAYOUTS[8])
    names = sorted(path.name for path in (tmp_path / "t" / "train").iterdir())
    write(tmp_path / "t" / "sizes.csv", "\n".join(["name,width", *(f"{name},{n}" for n, name in enumerate(names))]))
    write(tmp_path / "t" / "zoos.csv", "zoo,city\n1,Rome\n2,Bonn\n")
    write(tmp_path / "t" / "train.zip", "PK")
    task = load_task(TaskRequest(source=tmp_path / "t", target="y", id="file"))
    assert [path.name for path in task.others if path.suffix != ".png"] == ["zoos.csv"]
    notes = " ".join(task.notes)
    assert "Scripts do not see sizes.csv: it lists names that tell 'y'." in notes
    assert "Scripts do not see 'train.zip': archives and files of unknown kinds are not shown; unpack them" in notes


def test_times_of_pictures_tell_no_more_than_their_names(tmp_path: Path) -> None:
    """Who unpacks class by class leaves files whose times and inodes are in the order of the classes."""
    task = make_task(tmp_path / "t", LAYOUTS[5])
    staged = stage(task, SEARCH, CONFIG, tmp_path / "views").path
    held = list((staged / "test").iterdir())
    assert len(held) == 20
    assert {path.stat().st_mtime for path in held} == {0.0}
    assert {path.stat().st_nlink for path in held} == {1}
