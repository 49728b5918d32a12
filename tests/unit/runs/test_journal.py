"""The journal: durable, single-writer, and readable after any kill."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine_learning_engineering.shared_libraries.entries import Decision, LlmCall, StateDelta
from machine_learning_engineering.shared_libraries.errors import JournalError
from machine_learning_engineering.shared_libraries.runs.journal import Journal, is_open, read_journal, unpack


def decision(what: str, chosen: object = 1) -> Decision:
    return Decision(at=1.0, what=what, chosen=chosen, why="because")


def test_what_was_appended_is_found_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(decision("a", {"x": [1, None]}))
    journal.close()
    again = Journal(tmp_path)
    found = again.find(Decision, "a")
    assert found is not None
    assert found.chosen == {"x": [1, None]}
    assert again.find(Decision, "b") is None
    again.close()


def test_an_unfinished_last_line_is_cut_off(tmp_path: Path) -> None:
    """What a kill in the middle of a write leaves does not count, and writing goes on behind the last whole line."""
    journal = Journal(tmp_path)
    journal.append(decision("a"))
    journal.close()
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"at": 2.0, "kind": "deci')
    assert len(read_journal(tmp_path)) == 1
    journal = Journal(tmp_path)
    journal.append(decision("b"))
    journal.close()
    assert [entry.what for entry in read_journal(tmp_path)] == ["a", "b"]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(decision("a"))
    journal.close()
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"rubbish\n" + path.read_bytes())
    with pytest.raises(JournalError, match="line 1"):
        Journal(tmp_path)
    assert not is_open(tmp_path)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert is_open(tmp_path)
    code = (
        "import sys; from pathlib import Path; "
        "from machine_learning_engineering.shared_libraries.runs.journal import Journal; Journal(Path(sys.argv[1]))"
    )
    other = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "is in use by another run" in other.stderr
    journal.close()
    assert not is_open(tmp_path)


def test_an_altered_blob_is_noticed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    digest = journal.put_blob("the truth")
    (tmp_path / "blobs" / digest).write_text("a lie")
    with pytest.raises(JournalError, match="altered"):
        journal.get_blob(digest)
    journal.close()


def test_ordinals_count_the_calls_of_this_process(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert [journal.next_ordinal(LlmCall, "a") for _ in range(3)] == [0, 1, 2]
    assert journal.next_ordinal(LlmCall, "b") == 0
    assert journal.next_ordinal(StateDelta, "a") == 0
    journal.close()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=900),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(value=json_values)
def test_packing_loses_nothing(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder)
    assert unpack(folder, journal.pack(value)) == value
    journal.close()
