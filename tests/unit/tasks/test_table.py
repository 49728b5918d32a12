"""Tables keep every cell as its text, and are typed as pandas would type them for a script."""

import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.tasks.table import read_table, typed

cells = st.sampled_from(["1", "2.50", "-3", "007", "", "NA", "True", "false", "a b", "1,900", "1e3", "None", " 4", "x"])


@given(column=st.lists(cells, min_size=1, max_size=8))
def test_typed_cells_are_those_that_a_script_reads(column: list[str]) -> None:
    """Numbers, missing cells and text are what pandas.read_csv gives."""
    frame = pd.DataFrame({"x": column, "y": ["t"] * len(column)}, dtype=str)
    read = pd.read_csv(io.StringIO(frame.to_csv(index=False)))["x"]
    ours = typed(frame)["x"]
    assert ours.isna().to_list() == read.isna().to_list()
    assert pd.api.types.is_numeric_dtype(ours) is pd.api.types.is_numeric_dtype(read)
    if pd.api.types.is_numeric_dtype(read):
        assert ours.dropna().to_list() == read.dropna().to_list()


@given(rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=8))
def test_a_table_is_written_back_as_it_was(
    rows: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("table") / "data.csv"
    frame = pd.DataFrame(rows, columns=["a", "b"], dtype=str)
    frame.to_csv(path, index=False)
    before = path.read_bytes()
    read_table(path).to_csv(path, index=False)
    assert path.read_bytes() == before


@pytest.mark.parametrize("header", ["a,b,a", "a,a.1,a", ",x,"])
def test_a_repeated_name_is_refused_not_changed(tmp_path: Path, header: str) -> None:
    (tmp_path / "data.csv").write_text(f"{header}\n1,2,3\n")
    with pytest.raises(TaskError, match="more than once"):
        read_table(tmp_path / "data.csv")


def test_names_that_only_look_repeated_are_kept(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,a.1,\n1,2,3\n")
    assert read_table(tmp_path / "data.csv").columns.to_list() == ["a", "a.1", "Unnamed: 2"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"there is no file .*data\.csv"):
        read_table(tmp_path / "data.csv")


def test_the_byte_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(b"a,b\n1,caf\xe9\n")
    with pytest.raises(TaskError, match="byte 0xe9"):
        read_table(tmp_path / "data.csv")
