"""The one durable record of a run: typed lines appended by one writer and fsynced before their effect counts.

Replies, executions and decisions are looked up here by address and ordinal, so running the same pipeline again on the
same journal repeats none of them. Long texts lie beside it in `blobs/`, named by their SHA-256.
"""

import hashlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from pydantic import ValidationError

from machine_learning_engineering.shared_libraries.entries import (
    JOURNAL_ENTRY,
    Audited,
    Decision,
    Guessed,
    Importance,
    JournalEntry,
    LlmCall,
    Published,
    RunEnded,
    RunStarted,
    Scored,
    ScriptRun,
    StateDelta,
)
from machine_learning_engineering.shared_libraries.errors import JournalError

E = TypeVar("E", LlmCall, ScriptRun, Scored, Audited, Guessed, Importance, Decision, StateDelta)
_LONG = 400  # characters; longer strings of a state delta become blobs
_BLOB = "$blob"


def sha256(text: str | bytes) -> str:
    """The hex digest that names a blob; text is taken as UTF-8."""
    return hashlib.sha256(text.encode(errors="surrogatepass") if isinstance(text, str) else text).hexdigest()


class Journal:
    """The journal of one run folder, open for its single writer.

    Raises: JournalError if another process has it open or a line before the last is not readable.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "journal.jsonl"
        self._blobs = folder / "blobs"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / "journal.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise JournalError(
                f"{folder} is in use by another run. Wait for it, stop it, or choose another --out folder."
            ) from None
        self.entries: list[JournalEntry] = []
        self._found: dict[tuple[str, str, int], JournalEntry] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._listeners: list[Callable[[JournalEntry], None]] = []
        try:
            for entry in _read(self._path, repair=True):
                self._remember(entry)
        except JournalError:
            self._lock.release()
            raise
        self._file = self._path.open("ab")

    def close(self) -> None:
        self._file.close()
        self._lock.release()

    def append(self, entry: JournalEntry) -> None:
        """Writes the entry and returns once it is on the disk."""
        self._file.write(entry.model_dump_json().encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._remember(entry)
        for listener in self._listeners:
            listener(entry)

    def listen(self, listener: Callable[[JournalEntry], None]) -> None:
        """Calls `listener` with the entry that began this session, and then with each new one."""
        started = [entry for entry in self.entries if isinstance(entry, RunStarted)]
        if started:
            listener(started[-1])
        self._listeners.append(listener)

    def next_ordinal(self, kind: type[E], address: str) -> int:
        """How often this process has come to `address` before: 0, 1, 2, ... Each call counts."""
        key = (kind.__name__, address)
        self._counts[key] += 1
        return self._counts[key] - 1

    def find(self, kind: type[E], address: str, ordinal: int = 0) -> E | None:
        """The entry at an address, or None where the run has not been yet."""
        entry = self._found.get((kind.__name__, address, ordinal))
        return entry if isinstance(entry, kind) else None

    def put_blob(self, text: str) -> str:
        """The digest under which `text` now lies on the disk."""
        digest = sha256(text)
        path = self._blobs / digest
        if not path.exists():
            write_atomically(path, text.encode(errors="surrogatepass"))
        return digest

    def get_blob(self, digest: str) -> str:
        """The text of a digest. Raises: JournalError if it is missing or not what its name says."""
        return read_blob(self.folder, digest)

    def pack(self, value: Any) -> Any:
        """`value` with every long string inside it replaced by a reference to its blob."""
        if isinstance(value, str):
            return {_BLOB: self.put_blob(value)} if len(value) > _LONG else value
        if isinstance(value, dict):
            return {key: self.pack(item) for key, item in value.items()}
        return [self.pack(item) for item in value] if isinstance(value, list | tuple) else value

    def _remember(self, entry: JournalEntry) -> None:
        self.entries.append(entry)
        if address := _address(entry):
            self._found.setdefault((type(entry).__name__, *address), entry)


def unpack(folder: Path, value: Any) -> Any:
    """The inverse of `Journal.pack` for the run in `folder`."""
    if isinstance(value, dict):
        if set(value) == {_BLOB}:
            return read_blob(folder, value[_BLOB])
        return {key: unpack(folder, item) for key, item in value.items()}
    return [unpack(folder, item) for item in value] if isinstance(value, list) else value


def read_blob(folder: Path, digest: str) -> str:
    """The text of a blob of the run in `folder`. Raises: JournalError if it is missing or altered."""
    path = folder / "blobs" / digest
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise JournalError(f"{path} cannot be read ({exc.strerror}); the run cannot be replayed past it.") from exc
    if sha256(data) != digest:
        raise JournalError(f"{path} was altered: its bytes do not match its name. Restore it or start a new run.")
    return data.decode(errors="surrogatepass")


def read_journal(folder: Path) -> list[JournalEntry]:
    """Every complete entry of the run in `folder`, for readers; takes no lock, so the run may be going on.

    Raises: JournalError if there is no journal or one of its lines cannot be read.
    """
    path = folder / "journal.jsonl"
    if not path.exists():
        raise JournalError(f"{folder} holds no run: there is no journal.jsonl in it. `mle runs` lists the runs.")
    return list(_read(path, repair=False))


def is_open(folder: Path) -> bool:
    """Whether some process is writing the journal of the run in `folder` now."""
    lock = FileLock(folder / "journal.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def write_atomically(path: Path, data: bytes) -> None:
    """Puts `data` at `path` so that a reader sees the old bytes or the new ones, also after a crash."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def now() -> float:
    """Seconds since the epoch, for the `at` of an entry."""
    return round(time.time(), 3)


def _read(path: Path, repair: bool) -> Iterator[JournalEntry]:
    """The entries of a file; an unfinished last line is what a kill leaves and is skipped, with `repair` cut off."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole, tail = data.rpartition(b"\n")[0], data.rpartition(b"\n")[2]
    if tail and repair:
        with path.open("r+b") as file:
            file.truncate(len(data) - len(tail))
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            yield JOURNAL_ENTRY.validate_json(line)
        except ValidationError as exc:
            raise JournalError(
                f"{path}, line {number} is not a journal entry ({exc.errors()[0]['msg']}). Remove what was written "
                "there by hand, or begin a new run with another --out."
            ) from exc


def _address(entry: JournalEntry) -> tuple[str, int] | None:
    match entry:
        case LlmCall() | StateDelta():
            return entry.agent, entry.ordinal
        case ScriptRun():
            return f"{entry.slot}@{entry.view}", entry.ordinal
        case Scored() | Audited() | Guessed() | Importance():
            return entry.slot, entry.ordinal
        case Decision():
            return entry.what, 0
        case RunStarted() | Published() | RunEnded():
            return None
