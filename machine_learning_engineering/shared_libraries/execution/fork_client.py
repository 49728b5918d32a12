"""The sandbox's side of the fork servers: starting one, asking it for jobs, and clearing up after one that died."""

import array
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import machine_learning_engineering
from machine_learning_engineering.shared_libraries.errors import SandboxError, SandboxUnavailable
from machine_learning_engineering.shared_libraries.execution import fork_server, supervisor
from machine_learning_engineering.shared_libraries.execution.environment import common_environment
from machine_learning_engineering.shared_libraries.execution.fence import Fence, Needs
from machine_learning_engineering.shared_libraries.execution.local_sandbox import WorkerLost
from machine_learning_engineering.shared_libraries.execution.process import Process, in_thread
from machine_learning_engineering.shared_libraries.execution.tree import all_processes, end_all

_START_SECONDS = 120.0
_END_SECONDS = 10.0  # that a server has to end a job's tree


@dataclass(frozen=True)
class Request:
    """What a fork server needs to know of a job; `command`, if there is one, is executed in place of the script.

    `fence` is not sent with it: the server knows it from before.
    """

    script: str
    argv: tuple[str, ...]
    command: tuple[str, ...]
    cwd: str
    environment: dict[str, str]
    seed: int | None
    fence: Fence
    needs: Needs

    @property
    def message(self) -> bytes:
        told = {name: value for name, value in vars(self).items() if name != "fence"}
        return json.dumps({**told, "needs": vars(self.needs)}).encode()


class ForkServer:
    """A running fork server. `missing` tells for each layer of the fence that this machine lacks, why."""

    def __init__(self, profile: str, threads: int) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        root = str(Path(machine_learning_engineering.__file__).resolve().parent.parent)
        self._said, write = os.pipe()
        self._ledger = os.memfd_create("jobs")
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-c", fork_server.BOOT, root, str(theirs.fileno()), str(self._ledger), profile],
                cwd="/",
                env=common_environment(threads, os.environ),
                stdin=subprocess.DEVNULL,  # as a job's: no terminal, and one may seek in it
                stdout=write,
                stderr=write,
                pass_fds=(theirs.fileno(), self._ledger),
                start_new_session=True,
            )
        finally:
            os.close(write)
            theirs.close()
        self.missing: dict[str, str] = {}
        self._fence: Fence | None = None  # that the next request will meet
        self._asking = asyncio.Lock()
        self._is_ready = False

    async def ready(self) -> "ForkServer":
        """This server, once it has imported its profile.

        Raises: SandboxUnavailable with what the server printed if it does not start.
        """
        try:
            told = await self._first_message()
        except BaseException:
            await self.close()
            raise
        self._is_ready = True
        self.missing = {layer: why for layer, why in told["missing"].items() if why}
        return self

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    async def ask(self, request: Request, descriptors: list[int]) -> None:
        """Sends a request.

        Raises: WorkerLost if the server is gone; SandboxError if the request is larger than a server takes.
        """
        message = request.message
        if len(message) > fork_server.REQUEST_BYTES:
            raise SandboxError(
                f"a job's arguments are {len(message):,} bytes long; pass long ones in a file or on stdin"
            )
        async with self._asking:
            if self._fence != request.fence:
                self._fence = None  # whoever is cancelled meanwhile leaves it open which one the server has
                await self._send(json.dumps(vars(request.fence)).encode(), [])
                self._fence = request.fence
            await self._send(message, descriptors)

    async def _send(self, message: bytes, descriptors: list[int]) -> None:
        if self._socket.fileno() < 0:  # it died, and another job has replaced it since
            raise WorkerLost
        try:
            try:
                self._send_now(message, descriptors, socket.MSG_DONTWAIT)
            except BlockingIOError:  # many requests at once
                await in_thread(self._send_now, message, descriptors)
        except (BrokenPipeError, ConnectionResetError) as exc:
            raise WorkerLost from exc

    def _send_now(self, message: bytes, descriptors: list[int], flags: int = 0) -> None:
        """As `socket.send_fds`, which takes flags and does not pass them on in Python 3.11."""
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        self._socket.sendmsg([message], [rights], flags)

    def jobs(self) -> set[int]:
        """The first processes of all jobs that were begun and have not ended."""
        if self._ledger < 0:
            return set()
        data = os.pread(self._ledger, 2**20, 0)
        count = int.from_bytes(data[:4], sys.byteorder)
        return set(array.array("i", data[4 : 4 + 4 * count]))

    async def close(self) -> None:
        """Ends the server and all its jobs."""
        if not self._is_ready:  # it would notice only once all is imported
            self.kill()
        self._socket.close()
        if self._said >= 0:
            os.close(self._said)
            os.close(self._ledger)
            self._said = self._ledger = -1
        await in_thread(self._wait)

    def kill(self) -> None:
        supervisor.send(self.pid, signal.SIGKILL)

    async def _first_message(self) -> dict[str, dict[str, str]]:
        data = b""
        self._socket.setblocking(False)
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            async with asyncio.timeout(_START_SECONDS):
                data = await asyncio.get_running_loop().sock_recv(self._socket, fork_server.REQUEST_BYTES)
        self._socket.setblocking(True)
        if not data and await in_thread(self._killed):
            raise WorkerLost
        if not data:
            os.set_blocking(self._said, False)
            said = os.read(self._said, 65_536).decode(errors="replace").strip()
            raise SandboxUnavailable(f"the fork server does not start: {said.rpartition(chr(10))[2] or 'no message'}")
        told: dict[str, dict[str, str]] = json.loads(data)
        return told

    def _killed(self) -> bool:
        try:
            return self._popen.wait(1) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            return False

    def _wait(self) -> None:
        try:
            self._popen.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


class Forked(Process):
    """A job in a fork of a server."""

    def __init__(self, server: ForkServer, keep: int) -> None:
        super().__init__(keep)
        self._server = server

    @classmethod
    async def start(cls, server: ForkServer, request: Request, tasks: list[Path], stdin: bytes, keep: int) -> "Forked":
        """A job that a server was asked for; it joins the control groups that `tasks` are the lists of.

        Raises: WorkerLost.
        """
        process = cls(server, keep)
        groups: list[int] = []
        try:
            for file in tasks:
                groups.append(os.open(file, os.O_WRONLY))
            await process.fill(stdin)
            await server.ask(request, [*process.streams, process.control.fileno(), *groups])
        except BaseException:
            process._close()
            raise
        finally:
            for descriptor in groups:
                os.close(descriptor)
        process.handed_over()
        return process

    def members(self) -> list[int]:
        pid, namespace = self._place()
        if not pid:
            return []
        sessions = {child: supervisor.session(child) for child in supervisor.children(self._server.pid)}
        jobs = self._server.jobs()  # in this order: one that begins meanwhile is among them
        others = {self._server.pid, *jobs} - {pid}  # the server's session is that of what waits for a job
        adopted = [child for child, session in sessions.items() if child not in jobs and session not in others]
        unknown = (namespace, 0)  # what hides its namespace may be anybody's, and counts for all
        strays = [child for child in adopted if namespace and supervisor.user_namespace(child) in unknown]
        below = [found for root in (pid, *strays) for found in supervisor.descendants(root)]
        return [pid, *strays, *below]

    async def _end(self) -> None:
        ended_itself = self._ended.is_set()
        if not ended_itself:
            self._control.shutdown(socket.SHUT_WR)  # asks the server to end the job's tree
            if not await self.ended(_END_SECONDS):
                self._server.kill()
                await self.ended(_END_SECONDS)
        told = self.told("failed") or (self.told("status") and (self.told("started") or not ended_itself))
        if not told:  # or it died before it was the script
            await in_thread(self._end_lost)
            raise WorkerLost

    def _end_lost(self) -> None:
        """Ends what a dead server's job left; its own process died with the server."""
        pid, namespace = self._place()
        own = supervisor.user_namespace(os.getpid())
        if pid:
            end_all(lambda: [found for found in all_processes() if _belongs(found, pid, namespace, own)])

    def _place(self) -> tuple[int, int]:
        """The job's process and its user namespace; zeros before it has started."""
        words = self.told("started").split()
        return (int(words[0]), int(words[1])) if words else (0, 0)


def _belongs(process: int, session: int, namespace: int, own: int) -> bool:
    """Whether a process is of the job with this session and user namespace; `own` is the sandbox's namespace."""
    try:
        if namespace in (0, own):
            belongs = os.getsid(process) == session
        else:
            belongs = supervisor.user_namespace(process) == namespace
    except OSError:
        return False
    return belongs and supervisor.lives(process)  # where nobody collects orphans, their zombies stay
