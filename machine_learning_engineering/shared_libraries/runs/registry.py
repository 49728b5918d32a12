"""Which runs there are: those in ./mle-runs, and every other run of this user, whichever folder it was given.

A run that begins leaves the path of its folder in the user's own data folder, so a chat or command that starts
somewhere else finds it by its name.
"""

import contextlib
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path

from machine_learning_engineering.shared_libraries.config import data_home
from machine_learning_engineering.shared_libraries.errors import JournalError

RUNS = Path("mle-runs")
_JOURNAL = "journal.jsonl"


def register(folder: Path) -> None:
    """Notes where a run lies. A data folder that cannot be written costs the note, never the run."""
    with contextlib.suppress(OSError):
        notes = _notes()
        notes.mkdir(parents=True, exist_ok=True)
        path = str(folder.absolute())
        (notes / sha256(path.encode(errors="surrogatepass")).hexdigest()[:16]).write_text(path, encoding="utf-8")


def known_runs() -> list[Path]:
    """The folders of all runs that are still there, the one that wrote last at the end."""
    here = (path.parent.absolute() for path in RUNS.glob(f"*/{_JOURNAL}"))
    found = {folder: _written(folder) for folder in {*here, *_registered()}}
    return sorted((folder for folder, at in found.items() if at is not None), key=lambda one: found[one] or 0.0)


def find(run: str = "") -> Path:
    """The folder of a run, by its path, its name or a unique beginning of its name; the latest where none is named.

    Raises: JournalError if there is no such run, or several, or one that may not be read.
    """
    _check_readable(Path(run).expanduser())
    if run and _written(Path(run).expanduser()) is not None:
        return Path(run).expanduser().absolute()
    runs = known_runs()
    if not runs:
        raise JournalError("there are no runs yet. Start one, for example: run glucose-progression.")
    if not run:
        return runs[-1]
    found = [path for path in runs if path.name == run] or [path for path in runs if path.name.startswith(run)]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(_shown(path, found) for path in found[-8:])
        raise JournalError(f"several runs are called {run!r}: {shown}. Say which.")
    near = get_close_matches(run, [path.name for path in runs], n=3, cutoff=0.4) or [path.name for path in runs[-3:]]
    raise JournalError(f"there is no run {run!r}. Nearest: {', '.join(near)}.")


def _check_readable(folder: Path) -> None:
    try:
        (folder / _JOURNAL).stat()
    except PermissionError as exc:
        raise JournalError(f"{folder} cannot be read ({exc.strerror}). Check its permissions.") from exc
    except (OSError, ValueError):
        return  # it need not be a path


def _shown(path: Path, others: list[Path]) -> str:
    """A run's name; its path where another run has the same name."""
    return str(path) if sum(other.name == path.name for other in others) > 1 else path.name


def _notes() -> Path:
    return data_home() / "runs"


def _registered() -> list[Path]:
    found = []
    for note in _notes().glob("*"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found.append(Path(note.read_text(encoding="utf-8")))
    return found


def _written(folder: Path) -> float | None:
    """When a run's journal was written last; None where there is no run, or none that has begun."""
    try:
        found = (folder / _JOURNAL).stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime if found.st_size else None
