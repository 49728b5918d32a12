"""Files that are dropped into the chat: tables are kept on disk as a task, and the message says where they lie."""

import asyncio
import re
from hashlib import sha256
from pathlib import Path

from google.adk.agents.invocation_context import InvocationContext
from google.adk.plugins.base_plugin import BasePlugin
from google.genai import types

from machine_learning_engineering.shared_libraries.config import data_home
from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.tasks.table import read_table

_TABLE = re.compile(r"\.(csv|tsv)(\.gz)?$", re.IGNORECASE)
_TABLE_KINDS = {"text/csv": ".csv", "application/csv": ".csv", "text/tab-separated-values": ".tsv"}
_DESCRIPTION = re.compile(r"\.(md|txt)$", re.IGNORECASE)
_ROLES = ("train", "test", "sample")


class DroppedFiles(BasePlugin):
    """Replaces each file of a message by a note in words, so that neither session nor model holds its bytes."""

    def __init__(self) -> None:
        super().__init__(name="dropped_files")

    async def on_user_message_callback(
        self, *, invocation_context: InvocationContext, user_message: types.Content
    ) -> types.Content | None:
        """The message with notes in place of files; None where it has no file."""
        parts = user_message.parts or []
        blobs = [part.inline_data for part in parts if part.inline_data is not None]
        if not blobs:
            return None
        rest = [part for part in parts if part.inline_data is None]
        given = [(_name(blob), blob.data or b"") for blob in blobs]
        note = await asyncio.to_thread(keep, given)
        return types.Content(role=user_message.role, parts=[*rest, types.Part(text=note)])


def keep(given: list[tuple[str, bytes]]) -> str:
    """A note of where files, as pairs of name and bytes, were kept, or in a sentence why not."""
    refused = [f"[{name}: not used. {_why_not(name)}]" for name, _ in given if _why_not(name)]
    tables = [(name, data) for name, data in given if _TABLE.search(name)]
    if not tables:
        return " ".join(refused)
    try:
        path = _keep_tables(tables, [(name, data) for name, data in given if _DESCRIPTION.search(name)])
    except (TaskError, OSError) as exc:
        refused.append(f"[{' and '.join(name for name, _ in tables)}: not used. {_plain(str(exc))}]")
        return " ".join(refused)
    return " ".join([f"[{' and '.join(name for name, _ in tables)}: kept as {path}]", *refused])


def _keep_tables(tables: list[tuple[str, bytes]], texts: list[tuple[str, bytes]]) -> Path:
    """The file of a lone table, or the folder of several, in a place that their bytes name: dropped twice, kept once.

    Raises: TaskError for a table that cannot be read, or several of which it is not clear which is which.
    """
    digest = sha256(b"".join(sha256(name.encode() + data).digest() for name, data in sorted(tables + texts)))
    home = data_home().absolute() / "dropped" / digest.hexdigest()[:10]
    home.mkdir(parents=True, exist_ok=True)
    for name, data in tables:
        (home / name).write_bytes(data)
    try:
        frames = {name: list(read_table(home / name).columns) for name, _ in tables}
    except TaskError as exc:
        raise TaskError(str(exc).replace(f"{home}/", "")) from exc
    if len(tables) == 1 and not texts:
        return home / tables[0][0]
    folder = home / (_TABLE.sub("", tables[0][0]) if len(tables) == 1 else "task")
    folder.mkdir(exist_ok=True)
    for role, name in _roles(frames).items():
        ending = "".join(Path(name).suffixes[-2:]) if name.endswith(".gz") else Path(name).suffix
        (home / name).replace(folder / f"{role}{ending.lower()}")
    for _, data in texts[:1]:
        (folder / "task_description.md").write_bytes(data)
    return folder


def _roles(columns: dict[str, list[str]]) -> dict[str, str]:
    """Which table is which: by its name, else the one with more columns is for training. Raises: TaskError."""
    found = {role: name for role in _ROLES for name in columns if role in name.lower()}
    rest = [name for name in columns if name not in found.values()]
    if len(rest) == len(columns) == 2:
        train, test = sorted(columns, key=lambda name: -len(columns[name]))
        if len(columns[train]) > len(columns[test]):
            return {"train": train, "test": test}
    if "train" not in found and len(rest) == 1:
        return {"train": rest[0], **found}
    if rest or "train" not in found or len(found) != len(columns):
        raise TaskError("it is not clear which table is which. Name them train.csv and test.csv, and drop them again.")
    return found


def _why_not(name: str) -> str:
    """Why a file is of no use, empty where it is of use."""
    if _TABLE.search(name) or _DESCRIPTION.search(name):
        return ""
    return "I read tables as CSV or TSV files, with a .md or .txt file beside them that describes the task."


def _name(blob: types.Blob) -> str:
    """A file's name in letters, digits and the signs that a path may have, with the ending of its kind."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(blob.display_name or "").name).lstrip(".-")[-80:] or "data"
    kind = (blob.mime_type or "").partition(";")[0]
    return plain if "." in plain else plain + _TABLE_KINDS.get(kind, "")


def _plain(text: str) -> str:
    """A sentence that can stand in brackets."""
    return text.replace("[", "(").replace("]", ")")
