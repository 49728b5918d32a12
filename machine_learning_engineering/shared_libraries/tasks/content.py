"""The bytes of a task's files, as digests."""

import hashlib
from functools import lru_cache
from pathlib import Path


def content_digest(path: Path) -> bytes:
    """The SHA-256 of a file, read once a process for as long as its name, size and times stay the same.

    For files that people gave: they are many and large, and every view of a task asks for them again.
    """
    status = path.stat()
    return _digest(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=100_000)
def _digest(path: Path, inode: int, size: int, mtime_ns: int) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
