"""One supervised command: started, read from, waited for and ended without ever blocking the event loop."""

import asyncio
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from machine_learning_engineering.shared_libraries.errors import SandboxError, WorkerBroken
from machine_learning_engineering.shared_libraries.execution import supervisor
from machine_learning_engineering.shared_libraries.execution.environment import TOKEN
from machine_learning_engineering.shared_libraries.execution.output import HeadTail
from machine_learning_engineering.shared_libraries.execution.tree import end_tree, memory_bytes

P = ParamSpec("P")
T = TypeVar("T")

_READ_BYTES = 65_536
_DRAIN_BYTES = 2**20  # the most a pipe can hold by default limits


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The function's result, from a thread; a caller who is cancelled waits until the thread is done."""
    work = asyncio.get_running_loop().run_in_executor(None, lambda: function(*args, **kwargs))
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled
    return work.result()


@dataclass(frozen=True)
class Rules:
    """What the supervisor sets for the command and for each of its children, in the kernel's units."""

    file_bytes: int
    cpu_seconds: int
    nice: int


class Process:
    """A running command. `status` is its wait status once the supervisor has told it, None if it never did."""

    def __init__(
        self, command: Sequence[str], cwd: Path, environment: dict[str, str], stdin: bytes, rules: Rules, keep: int
    ) -> None:
        self.status: int | None = None
        self.stdout, self.stderr = HeadTail(keep), HeadTail(keep)
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._report = b""
        self._token = f"{TOKEN}={environment[TOKEN]}"
        self._pipes: dict[int, HeadTail] = {}
        self._popen = self._start(command, cwd, environment, stdin, rules)

    def _start(
        self, command: Sequence[str], cwd: Path, environment: dict[str, str], stdin: bytes, rules: Rules
    ) -> subprocess.Popen[bytes]:
        self._control, theirs = socket.socketpair()
        out, err = os.pipe(), os.pipe()
        program = [sys.executable, "-I", "-S", supervisor.__file__, str(theirs.fileno())]
        settings = map(str, (rules.file_bytes, rules.cpu_seconds, rules.nice))
        try:
            with tempfile.TemporaryFile() as source:
                source.write(stdin)
                source.seek(0)
                popen = subprocess.Popen(
                    [*program, *settings, *command],
                    cwd=cwd,
                    env=environment,
                    stdin=source,
                    stdout=out[1],
                    stderr=err[1],
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except OSError as exc:
            for end in (out[0], err[0]):
                os.close(end)
            self._control.close()
            raise SandboxError(f"cannot start {command[0]} in {cwd}: {exc.strerror}") from exc
        finally:
            theirs.close()
            for end in (out[1], err[1]):
                os.close(end)
        self._listen(out[0], self.stdout)
        self._listen(err[0], self.stderr)
        self._control.setblocking(False)
        self._loop.add_reader(self._control, self._hear)
        return popen

    def _listen(self, pipe: int, output: HeadTail) -> None:
        os.set_blocking(pipe, False)
        self._pipes[pipe] = output
        self._loop.add_reader(pipe, self._read, pipe)

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
        if not data:  # the supervisor is gone
            self._loop.remove_reader(self._control)
            self._ended.set()

    async def ended(self, seconds: float) -> bool:
        """Whether the command and all it started end within this time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)
        return self._ended.is_set()

    def memory_bytes(self, ceiling: int | None) -> int:
        """What all processes of the command hold now."""
        return memory_bytes(self._popen.pid, ceiling)

    async def finish(self) -> None:
        """Ends whatever still runs and takes the last output; no process is left. May be called more than once.

        Raises: WorkerBroken if the command could not be started at all.
        """
        try:
            await in_thread(self._end)
        finally:
            self._close()
        kind, _, rest = self._report.decode(errors="replace").partition("\n")[0].partition(" ")
        if kind == "failed":
            raise WorkerBroken(f"the interpreter of a job cannot be started: {rest}")
        self.status = int(rest) if kind == "status" else None

    def _end(self) -> None:
        end_tree(self._popen.pid, self._token, orderly=self._ended.is_set() and b"\n" in self._report)
        self._popen.wait()

    def _close(self) -> None:
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


def new_token() -> str:
    """A mark for the environment of one job's processes."""
    return secrets.token_hex(8)
