"""What lies in a run's folder when a command that does not fit is refused."""

from pathlib import Path

import pytest

from machine_learning_engineering.client import find_request
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import JournalError
from machine_learning_engineering.shared_libraries.runs.opening import open_run
from machine_learning_engineering.shared_libraries.runs.sandboxes import sandbox_of


def table(path: Path, name: str) -> Path:
    path.write_text(f"{name},y\n" + "".join(f"{n},{n * n % 17}\n" for n in range(40)))
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_command_with_other_data_is_refused_and_changes_nothing_of_the_run(tmp_path: Path) -> None:
    first, other = table(tmp_path / "first.csv", "a"), table(tmp_path / "other.csv", "b")
    open_run(find_request(first, target="y"), RunConfig(), sandbox_of(RunConfig()), tmp_path / "run").journal.close()
    before = files(tmp_path / "run")
    with pytest.raises(JournalError, match=r"other data, .*first\.csv\. Choose a new folder"):
        open_run(find_request(other, target="y"), RunConfig(), sandbox_of(RunConfig()), tmp_path / "run")
    table(first, "c")  # the same command, but the file has changed since
    with pytest.raises(JournalError, match="changed since its run began"):
        open_run(find_request(first, target="y"), RunConfig(), sandbox_of(RunConfig()), tmp_path / "run")
    assert "data/test.csv" in before
    assert files(tmp_path / "run") == before
