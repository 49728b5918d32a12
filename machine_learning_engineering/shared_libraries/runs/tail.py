"""A journal read while it grows: each look gives the entries that came since the last one."""

from pathlib import Path

from pydantic import ValidationError

from machine_learning_engineering.shared_libraries.entries import JOURNAL_ENTRY, JournalEntry
from machine_learning_engineering.shared_libraries.errors import JournalError


class Tail:
    """Follows the journal of the run in `folder` from its beginning; takes no lock."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "journal.jsonl"
        self._read = 0  # bytes

    def new_entries(self) -> list[JournalEntry]:
        """The complete entries that were not given before. Raises: JournalError if a line cannot be read."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                whole, end, _ = file.read().rpartition(b"\n")
        except OSError as exc:
            raise JournalError(f"{self._path} cannot be read ({exc.strerror}).") from exc
        self._read += len(whole) + len(end)
        try:
            return [JOURNAL_ENTRY.validate_json(line) for line in whole.splitlines()]
        except ValidationError as exc:
            raise JournalError(f"{self._path} has a line that is not a journal entry.") from exc
