"""A sandbox that answers a job it has seen from disk, for all runs on this machine.

An entry is one file: a line with the SHA-256 of the rest, then a tar archive with the `Execution`, the `Limits` that it
ran under, and the files of its folder. It appears by renaming and goes by unlinking, so a reader has either a whole
entry or none; one that does not match its digest is removed. There is one entry for each key and outcome.

The key covers what a script is given and can see, its thread count and permissions included, and what is installed
where it runs. What it may use up is no part of the key: `holds` says under which limits a result counts. Results that
may tell of the machine's state are not kept: killed by a signal that others send too, no memory or disk left. What a
script finds in the network is nobody's to repeat, so a job that may use it always runs.

Neither diskcache (no release since 2023, unpickles what it finds in its folder: CVE-2025-69872) nor joblib.Memory
(pickles, results of one function) would keep folders or check digests, and the rule of limits is ours in any case.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import math
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from io import BufferedRandom, BytesIO
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

import machine_learning_engineering
from machine_learning_engineering.shared_libraries.execution.process import in_thread
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox
from machine_learning_engineering.shared_libraries.execution.scratch import remove
from machine_learning_engineering.shared_libraries.records import Execution, Job, Limits, Outcome, Record

_FORMAT = 1
_DIGEST_LINE = 65  # bytes: hexadecimal digits and a newline
_RECORD, _FILES = "record.json", "files"
_ENTRY, _UNFINISHED = ".entry", ".unfinished"
_AFTER_EVICTION = 0.9  # of what it may hold is left in a cache that was over it
_PROCESSES = 4  # may fill the room of a cache at once
_FORGOTTEN_SECONDS = 3600.0  # after which an unfinished entry belongs to a process that has died
# Signals that a script brings upon itself; SIGBUS may mean a full disk, and SIGKILL comes from others too.
_OWN_SIGNALS = (signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS)
_MACHINE_STATE = re.compile(
    r"MemoryError|No space left|Cannot allocate|out of memory|temporarily unavailable|can't start new thread"
    r"|Too many open files|BrokenProcessPool|TerminatedWorkerError",
    re.I,
)
_LIST_INSTALLED = """
import hashlib, importlib.metadata, json, os, site, sys
def status(path):
    found = os.stat(path)
    return f"{path} {found.st_size} {found.st_mtime_ns}"
def below(root):
    for parent, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        yield from (os.path.join(parent, name) for name in files if name.endswith((".py", ".so")))
files = lambda one: hashlib.sha256((one.read_text("RECORD") or "").encode()).hexdigest()  # their digests
names = {f"{one.name}=={one.version} {files(one)}" for one in importlib.metadata.distributions()}
places = {os.path.realpath(path) for path in (*site.getsitepackages(), *sys.path) if os.path.isdir(path)}
for place in places:
    if os.path.basename(place) in ("site-packages", "dist-packages"):  # modules that came without a RECORD
        found = [one for one in os.scandir(place) if one.name != "__pycache__"]
        names |= {one.path if one.is_dir() else status(one.path) for one in found}
    elif not place.startswith(os.path.dirname(os.path.realpath(os.__file__))) and place != sys.argv[1]:  # editable ones
        names |= set(map(status, below(place)))
print(json.dumps([sys.version, sorted(names)]))
"""
_log = logging.getLogger(__name__)


class Stored(Record):
    """An execution and the limits it ran under; `printed_bytes` is the size of its longer output file."""

    execution: Execution
    limits: Limits
    printed_bytes: int


class _Corrupt(Exception):
    """An entry is not what was once stored."""


class CachedSandbox:
    """Runs each job once in another sandbox; the same job again gets the record and the files of the first time.

    Processes may share the folder, which holds at most `max_bytes` if no more than four fill it at once: the least
    recently used goes first. What is installed is looked up once, so a new package is noticed by the next sandbox, not
    by this one.
    """

    def __init__(self, inner: Sandbox, folder: Path, max_bytes: int) -> None:
        self._inner, self._folder, self._max_bytes = inner, folder, max_bytes
        self._installed: dict[Path, str] = {}
        self._room = 0  # bytes that may be stored before the size of the whole is looked at
        self._told = False  # that the cache cannot be used

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def enforces_seal(self) -> bool:
        return self._inner.enforces_seal

    async def warm_up(self, threads: int) -> None:
        await self._inner.warm_up(threads)

    async def run(self, job: Job) -> Execution:
        """The execution of a job, `cached` if it comes from disk.

        A job with a `cwd` or the network always runs: these may change.
        """
        changing = job.cwd is not None or job.limits.network
        if changing or job.folder.exists():  # the inner sandbox tells of a folder that exists
            return await self._inner.run(job)
        try:
            return await self._run(job)
        except asyncio.CancelledError:  # perhaps after the files were there: nobody will hear of them
            await in_thread(remove, job.folder)
            raise

    async def _run(self, job: Job) -> Execution:
        key = await in_thread(self._key, job)
        if key is None:
            return await self._inner.run(job)
        if known := await in_thread(self._restore, key, job):
            return known
        execution = await self._inner.run(job)
        if _tells_of_the_script(execution):
            await in_thread(self._store, key, job, execution)
        return execution

    async def close(self) -> None:
        await self._inner.close()

    def _key(self, job: Job) -> str | None:
        """The digest of all that decides a result but the limits; None if the interpreter or runner is not there."""
        python = (job.python or Path(sys.executable)).absolute()
        try:
            runner = (job.runner.name, _sha256(job.runner.read_bytes())) if job.runner else None
            if python not in self._installed:
                self._installed[python] = _installed(python)
        except (OSError, subprocess.SubprocessError):
            return None
        given = (job.name, job.script, job.argv, _sha256(job.stdin), job.seed, runner)
        view = job.view and job.view.digest
        rights = (job.limits.threads, job.limits.gpus, self.name, self.enforces_seal)
        machine = (str(python), self._installed[python], os.environ.get("CUDA_VISIBLE_DEVICES"))
        return _sha256(json.dumps([_FORMAT, given, view, rights, machine]).encode())

    def _tell(self, exc: OSError) -> None:
        """Warns, once, that the cache cannot be used."""
        if not self._told:
            self._told = True
            _log.warning(
                "results cannot be kept in %s (%s); MLE_HOME names another place, and MLE_CACHE_GB=0 does without",
                self._folder,
                exc.strerror,
            )

    def _path(self, key: str, outcome: Outcome) -> Path:
        return self._folder / f"{key}-{outcome}{_ENTRY}"

    def _restore(self, key: str, job: Job) -> Execution | None:
        for outcome in get_args(Outcome):
            path = self._path(key, outcome)
            try:
                if execution := _unpack(path, job):
                    with contextlib.suppress(OSError):  # put out meanwhile
                        os.utime(path, ns=(time.time_ns(),) * 2)
                    return execution
            except FileNotFoundError:
                continue
            except _Corrupt as exc:
                _log.warning("removing the cache entry %s: %s", path, exc)
                with contextlib.suppress(OSError):
                    path.unlink()
            except OSError as exc:
                self._tell(exc)
        return None

    def _store(self, key: str, job: Job, execution: Execution) -> None:
        unfinished = self._folder / f"{secrets.token_hex(8)}{_UNFINISHED}"
        try:
            if _tar_bytes(job.folder) > self._max_bytes:
                return
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with unfinished.open("x+b") as file:
                _pack(file, job, execution)
            self._room -= unfinished.stat().st_size
            unfinished.replace(self._path(key, execution.outcome))
            if self._room < 0:
                self._room = _evict(self._folder, self._max_bytes)
        except OSError as exc:  # the result is there all the same
            self._tell(exc)
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)


def holds(stored: Stored, limits: Limits) -> bool:
    """Whether a job would end the same way under these limits.

    The limit that ended it must not be larger now, and every other must be one that it kept: no tighter than then, or
    no tighter than what it is known to have used. Output that was cut is right for its own limit alone.
    """
    execution, then = stored.execution, stored.limits
    used_then_now: dict[str, tuple[float | None, float | None, float | None]] = {
        "wall": (execution.execution_time, then.wall_seconds, limits.wall_seconds),
        "cpu": (execution.execution_time * (os.cpu_count() or 1), then.cpu_seconds, limits.cpu_seconds),
        "memory": (execution.memory_bytes, then.memory_bytes, limits.memory_bytes),
        "file": (None, then.file_bytes, limits.file_bytes),  # a file may have been longer before the end
        "processes": (None, then.processes, limits.processes),
    }
    if stored.printed_bytes > min(then.output_bytes, limits.output_bytes) and then.output_bytes != limits.output_bytes:
        return False
    ended_by = _ended_by(execution)
    return all(
        _number(now) <= _number(before) if name in ended_by else _keeps(used, _number(before), _number(now))
        for name, (used, before, now) in used_then_now.items()
    )


def _ended_by(execution: Execution) -> tuple[str, ...]:
    """The limits of which one ended a script; none if it ended by itself."""
    if execution.returncode == -signal.SIGXCPU:
        return ("cpu",)
    return {"timeout": ("wall", "cpu"), "memory": ("memory",), "output_limit": ("file",)}.get(execution.outcome, ())


def _keeps(used: float | None, then: float, now: float) -> bool:
    return then <= now or (used is not None and used <= now)


def _number(limit: float | None) -> float:
    return math.inf if limit is None else limit


def _tells_of_the_script(execution: Execution) -> bool:
    """Whether a result is the script's and would be the same tomorrow, not that of a machine in trouble."""
    if execution.outcome == "killed":
        return -execution.returncode in _OWN_SIGNALS
    return execution.outcome != "error" or not _MACHINE_STATE.search(execution.stderr)


def _installed(python: Path) -> str:
    """The version of an interpreter, and of every package that its scripts can import with what was installed of it."""
    own = str(Path(machine_learning_engineering.__file__).resolve().parent.parent)  # no script may import it
    command = [str(python), "-I", "-c", _LIST_INSTALLED, own]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- entries ----------------------------------------------------------------------------------------------------------


def _tar_bytes(folder: Path) -> int:
    """About the size of an entry with this folder: a header each, and whole blocks."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(1024 + path.stat().st_size for path in files)


def _pack(file: BufferedRandom, job: Job, execution: Execution) -> None:
    printed = max((job.folder / name).stat().st_size for name in ("stdout.txt", "stderr.txt"))
    kept = execution.model_copy(update={"folder": Path()})
    record = Stored(execution=kept, limits=job.limits, printed_bytes=printed).model_dump_json().encode()
    file.seek(_DIGEST_LINE)
    with tarfile.open(fileobj=file, mode="w") as tar:
        about = tarfile.TarInfo(_RECORD)
        about.size = len(record)
        tar.addfile(about, BytesIO(record))
        tar.add(job.folder, _FILES, filter=lambda member: member if member.isfile() or member.isdir() else None)
    file.seek(_DIGEST_LINE)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    file.write(f"{digest}\n".encode())


def _unpack(path: Path, job: Job) -> Execution | None:
    """The execution in an entry, its files in `job.folder`; None if it does not hold under the job's limits."""
    with path.open("rb") as file:
        expected = file.read(_DIGEST_LINE).decode("ascii", errors="replace").strip()
        if hashlib.file_digest(file, "sha256").hexdigest() != expected:
            raise _Corrupt("its digest is wrong")
        file.seek(_DIGEST_LINE)
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                return _unpack_tar(tar, job)
        except (tarfile.TarError, ValidationError, KeyError, ValueError) as exc:
            raise _Corrupt(str(exc)) from exc


def _unpack_tar(tar: tarfile.TarFile, job: Job) -> Execution | None:
    record = tar.extractfile(_RECORD)
    stored = Stored.model_validate_json(record.read() if record else b"")
    if not holds(stored, job.limits):
        return None
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = job.folder.parent / f".{job.folder.name}.{secrets.token_hex(4)}{_UNFINISHED}"
    try:
        for member in tar:
            _unpack_member(tar, member, unfinished)
        unfinished.rename(job.folder)
    finally:
        remove(unfinished)
    return stored.execution.model_copy(update={"folder": job.folder, "cached": True})


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    root, *parts = member.name.split("/")
    if root != _FILES:
        return
    if not {"", ".", ".."}.isdisjoint(parts):
        raise _Corrupt(f"{member.name} leads out of its folder")
    target = folder.joinpath(*parts)
    if member.isdir():
        target.mkdir()
    elif data := tar.extractfile(member):
        with target.open("xb") as file:
            shutil.copyfileobj(data, file, 2**20)


def _evict(folder: Path, max_bytes: int) -> int:
    """Removes the least recently used entries that are over the size, and what a dead process left unfinished.

    Returns how many bytes a process may store until it is time to look again: to look at all entries of a large cache
    after each store would cost more than most scripts.
    """
    found = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            if path.suffix == _ENTRY:
                found.append((status.st_mtime_ns, status.st_size, path))
            elif path.suffix == _UNFINISHED and status.st_mtime < time.time() - _FORGOTTEN_SECONDS:
                path.unlink()
    total = sum(size for _, size, _ in found)
    most = max_bytes if total <= max_bytes else _AFTER_EVICTION * max_bytes
    for _, size, path in sorted(found):
        if total <= most:
            break
        path.unlink(missing_ok=True)
        total -= size
    return max(max_bytes - total, 0) // _PROCESSES
