"""One running command: read from, measured, waited for and ended without ever blocking the event loop."""

import asyncio
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from machine_learning_engineering.shared_libraries.errors import SandboxError, WorkerBroken
from machine_learning_engineering.shared_libraries.execution import supervisor
from machine_learning_engineering.shared_libraries.execution.environment import TOKEN
from machine_learning_engineering.shared_libraries.execution.output import HeadTail
from machine_learning_engineering.shared_libraries.execution.tree import end_tree, members

P = ParamSpec("P")
T = TypeVar("T")

_READ_BYTES = 65_536
_SHORT_BYTES = 2**20  # of standard input, written faster than a thread takes over
_DRAIN_BYTES = 2**20  # the most a pipe can hold by default limits


async def uninterrupted(work: Awaitable[T]) -> T:
    """The result of `work`; a caller who is cancelled meanwhile, however often, waits until it has ended."""
    going_on = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not going_on.done():
        try:
            await asyncio.wait({going_on})
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled
    return going_on.result()


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The function's result, from a thread; a caller who is cancelled waits until the thread is done."""
    return await uninterrupted(asyncio.get_running_loop().run_in_executor(None, lambda: function(*args, **kwargs)))


@dataclass(frozen=True)
class Rules:
    """What is set for the command and for each of its children, in the kernel's units."""

    file_bytes: int
    cpu_seconds: int
    nice: int


class Process(ABC):
    """A running command and the sandbox's ends of its pipes.

    Whoever started the command tells on the control socket how it ended: `status` is its wait status then, and None
    if nobody told. `streams` and `control` are the command's own ends, to be handed over and closed by `handed_over`.
    """

    def __init__(self, keep: int) -> None:
        self.status: int | None = None
        self.stdout, self.stderr = HeadTail(keep), HeadTail(keep)
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._report = b""
        self._pipes: dict[int, HeadTail] = {}
        self._control, self.control = socket.socketpair()
        self.streams = [_nameless_file(), self._pipe(self.stdout), self._pipe(self.stderr)]
        self._control.setblocking(False)
        self._loop.add_reader(self._control, self._hear)

    async def fill(self, stdin: bytes) -> None:
        """Writes the command's standard input, a long one in a thread."""
        if len(stdin) <= _SHORT_BYTES:
            _write(self.streams[0], stdin)
        else:
            await in_thread(_write, self.streams[0], stdin)

    def handed_over(self) -> None:
        """Closes our copies of the command's ends, so that only the command and its children hold them."""
        for descriptor in self.streams:
            os.close(descriptor)
        self.streams = []
        self.control.close()

    async def ended(self, seconds: float) -> bool:
        """Whether the command and all it started end within this time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # Python 3.11's wait_for may swallow a cancellation
                await self._ended.wait()
        return self._ended.is_set()

    async def finish(self) -> None:
        """Ends whatever still runs and takes the last output; no process is left. May be called more than once.

        Raises: WorkerBroken if the command could not be started at all.
        """
        try:
            await self._end()
        finally:
            self._close()
        if told := self.told("failed"):
            raise WorkerBroken(f"the interpreter of a job cannot be started: {told}")
        status = self.told("status")
        self.status = int(status) if status else None

    def told(self, kind: str) -> str:
        """The rest of the line of this kind on the control socket; empty if there is none."""
        lines = self._report.decode(errors="replace").split("\n")[:-1]
        return next((line.partition(" ")[2] for line in lines if line.partition(" ")[0] == kind), "")

    @abstractmethod
    def members(self) -> list[int]:
        """The living processes of the command."""

    @abstractmethod
    async def _end(self) -> None:
        """Ends every process of the command."""

    def _pipe(self, output: HeadTail) -> int:
        """The writing end of a pipe whose reading end feeds `output`."""
        read, write = os.pipe()
        os.set_blocking(read, False)
        self._pipes[read] = output
        self._loop.add_reader(read, self._read, read)
        return write

    def _read(self, pipe: int) -> int:
        """Takes what the pipe holds, at most one chunk; the number of bytes."""
        try:
            data = os.read(pipe, _READ_BYTES)
        except BlockingIOError:
            return 0
        self._pipes[pipe].feed(data)
        if not data:
            self._loop.remove_reader(pipe)
        return len(data)

    def _hear(self) -> None:
        try:
            data = self._control.recv(4096)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        self._report += data
        if not data:  # nobody is left who could tell more
            self._loop.remove_reader(self._control)
            self._ended.set()

    def _close(self) -> None:
        self.handed_over()
        for pipe in self._pipes:
            drained = 0
            while drained < _DRAIN_BYTES and (got := self._read(pipe)):
                drained += got
            self._loop.remove_reader(pipe)
            os.close(pipe)
        self._pipes = {}
        if self._control.fileno() >= 0:
            self._loop.remove_reader(self._control)
            self._control.close()


class Spawned(Process):
    """A command in a fresh process, below a supervisor of its own."""

    @classmethod
    async def start(
        cls, command: Sequence[str], cwd: Path, environment: dict[str, str], stdin: bytes, rules: Rules, keep: int
    ) -> "Spawned":
        """The running command.

        Raises: SandboxError if it cannot be started there.
        """
        process = cls(keep)
        try:
            await process.fill(stdin)
            process._spawn(command, cwd, environment, rules)
        except BaseException as exc:
            process._close()
            if isinstance(exc, OSError):
                raise SandboxError(f"cannot start {command[0]} in {cwd}: {exc.strerror}") from exc
            raise
        process.handed_over()
        return process

    def _spawn(self, command: Sequence[str], cwd: Path, environment: dict[str, str], rules: Rules) -> None:
        self._token = f"{TOKEN}={environment[TOKEN]}"
        program = [sys.executable, "-I", "-S", supervisor.__file__, str(self.control.fileno())]
        settings = map(str, (rules.file_bytes, rules.cpu_seconds, rules.nice))
        self._popen = subprocess.Popen(
            [*program, *settings, *command],
            cwd=cwd,
            env=environment,
            stdin=self.streams[0],
            stdout=self.streams[1],
            stderr=self.streams[2],
            pass_fds=(self.control.fileno(),),
            start_new_session=True,
        )

    def members(self) -> list[int]:
        return members(self._popen.pid)

    async def _end(self) -> None:
        await in_thread(self._end_tree)

    def _end_tree(self) -> None:
        end_tree(self._popen.pid, self._token, orderly=self._ended.is_set() and b"\n" in self._report)
        self._popen.wait()


def _nameless_file() -> int:
    if sys.platform != "linux":
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    return os.memfd_create("stdin")  # a fence lets scripts open /dev/stdin, since it lies in no file system


def _write(descriptor: int, data: bytes) -> None:
    """Writes a file's content, to be read from its start."""
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)


def new_token() -> str:
    """A mark for the environment of one job's processes."""
    return secrets.token_hex(8)
