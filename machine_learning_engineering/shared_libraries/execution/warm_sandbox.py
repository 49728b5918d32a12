"""Scripts run in forks of servers that have imported the heavy libraries already, behind a fence. Linux only.

A script behaves as under `python script.py`. What the fence holds back, layer by layer, and what not, is told in
`docs/security.md`. A fork server serves one profile of libraries and one number of threads; it starts with the first
job that needs it or when the sandbox is warmed up, and anew after it died.
"""

import asyncio
import os
import re
from functools import cached_property, lru_cache
from pathlib import Path

from machine_learning_engineering.shared_libraries.errors import SandboxError, SandboxUnavailable
from machine_learning_engineering.shared_libraries.execution import cgroups, kernel
from machine_learning_engineering.shared_libraries.execution.cgroups import ControlGroups
from machine_learning_engineering.shared_libraries.execution.environment import script_environment
from machine_learning_engineering.shared_libraries.execution.fence import Fence, Needs
from machine_learning_engineering.shared_libraries.execution.fork_client import Forked, ForkServer, Request
from machine_learning_engineering.shared_libraries.execution.local_sandbox import (
    LOW_PRIORITY_NICE,
    LocalSandbox,
    Started,
    cpu_ceiling,
)
from machine_learning_engineering.shared_libraries.execution.process import in_thread, new_token
from machine_learning_engineering.shared_libraries.execution.reachable import (
    binds,
    covered,
    further_readable_paths,
    hidden_folders,
    private_folders,
    readable_paths,
    writable_binds,
    writable_paths,
)
from machine_learning_engineering.shared_libraries.execution.scratch import (
    Scratch,
    discard,
    fill,
    is_in_run,
    is_usable,
    make_any_scratch,
    make_scratch,
)
from machine_learning_engineering.shared_libraries.records import Job

# Every layer that may be missing on a machine, or switched off for a proof that it is needed.
LAYERS = ("user-namespace", "network", "mounts", "landlock", "seccomp", "memory-cgroup", "pids-cgroup")
_ALWAYS = (
    "session", "environment", "private-folder", "rlimits", "no-new-privileges", "tree-kill", "memory-watch",
    "process-watch", "output-cap",
)  # fmt: skip
_FENCED = {"landlock", "network"}
_BOOSTING = {"lightgbm", "xgboost", "catboost"}
_SCIENCE = {"numpy", "pandas", "scipy", "sklearn", "joblib"}
_IMPORT = re.compile(r"(?:^|[;:\r])[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import\b|import[ \t]+([^#;\n\r]+))", re.MULTILINE)
_FIRST_NAME = re.compile(r"^\s*(\w+)")  # of a dotted one
_SHARED_MEMORY_BYTES = 2**30
_AHEAD = 2  # folders that wait for a job
_LARGEST = "boost"
_SERVED_BY = {  # a script that imports no library does not find them there; such a server starts at once
    "bare": ("bare",),
    "core": ("core", "boost"),
    "boost": ("boost",),
    "torch": ("torch",),
}


class WarmSandbox(LocalSandbox):
    """Runs each job in a fork of a server that has imported its libraries.

    `require` is the least containment to run at: `process`, or `fenced` (no other files, no network). `off` switches
    layers off.
    """

    name = "warm"

    def __init__(self, require: str = "process", off: frozenset[str] = frozenset()) -> None:
        self._require, self._off = require, off
        self._servers: dict[tuple[str, int], asyncio.Task[ForkServer]] = {}
        self._ahead: list[Scratch] = []  # folders for jobs to come
        self._making: asyncio.Task[None] | None = None
        if require == "fenced" and not self.enforces_seal:
            raise SandboxUnavailable("this kernel has no Landlock, so scripts cannot be fenced; see `mle doctor`")

    @cached_property
    def enforces_seal(self) -> bool:
        return "landlock" not in self._off and kernel.landlock_version() > 0

    async def warm_up(self, threads: int) -> None:
        """Starts the server that has all libraries but torch: it serves most scripts."""
        self._starting(_LARGEST, threads)
        await asyncio.sleep(0)  # so that it is there, also if the caller keeps the loop busy now

    async def start(self, job: Job, scratch: Scratch) -> Started:
        server = await self._server(profile_of(job), job.limits.threads)
        layers = self._layers(server, job)
        if "mounts" in layers:  # nothing to copy; a thread would cost more than a few empty folders
            _check_folder(job)
            fill(scratch, job, copy_view=False)
        else:
            await in_thread(fill, scratch, job)
        groups = ControlGroups(
            job.limits.memory_bytes if "memory-cgroup" in layers else None,
            job.limits.processes if "pids-cgroup" in layers else None,
        )
        try:
            request = _request(job, scratch, layers)
            process = await Forked.start(server, request, groups.tasks, job.stdin, job.limits.output_bytes)
        except BaseException:
            await in_thread(groups.remove)
            raise
        if "mounts" in layers and self._making is None:  # else another script could leave something in them
            self._making = asyncio.create_task(self._make_ahead())
        return Started(process, (*_ALWAYS, *layers), groups)

    def scratch_for(self, job: Job) -> Scratch:
        while self._ahead and not is_in_run(job):
            if is_usable(scratch := self._ahead.pop()):
                return scratch
            discard(scratch)
        return make_scratch(job)

    async def _make_ahead(self) -> None:
        """Makes the folders of the next jobs while there is time: a file system may take long to find room for them."""
        try:
            while len(self._ahead) < _AHEAD:
                self._ahead.append(await in_thread(make_any_scratch))
        except OSError:  # the job that needs one is told
            pass
        finally:
            self._making = None

    async def close(self) -> None:
        """Ends the fork servers, and with them what still runs."""
        if self._making is not None:
            await asyncio.wait({self._making})
        while self._ahead:
            await in_thread(discard, self._ahead.pop())
        servers, self._servers = self._servers, {}
        for starting in servers.values():
            starting.cancel()
            await _close(starting)

    async def _server(self, profile: str, threads: int) -> ForkServer:
        """A living server whose libraries include the profile's, started if there is none."""
        for name in _SERVED_BY[profile]:
            if (name, threads) in self._servers:
                profile = name
                break
        return await asyncio.shield(self._starting(profile, threads))

    def _starting(self, profile: str, threads: int) -> asyncio.Task[ForkServer]:
        """The start of a living server with just this profile, which may be over."""
        known = self._servers.get((profile, threads))
        if known is None or (known.done() and (known.cancelled() or known.exception() or not known.result().alive)):
            known = asyncio.create_task(self._started(profile, threads, known))
            self._servers[profile, threads] = known
        return known

    async def _started(self, profile: str, threads: int, dead: asyncio.Task[ForkServer] | None) -> ForkServer:
        """A new server, once what a dead one before it held is given back."""
        await _close(dead)
        return await ForkServer(profile, threads).ready()

    def _layers(self, server: ForkServer, job: Job) -> tuple[str, ...]:
        """The layers that this job gets: what the machine has, what was not switched off, what the job does not need.

        Raises: SandboxUnavailable if that is less than required.
        """
        missing = set(server.missing) | set(self._off) | ({"network"} if job.limits.network else set())
        if "user-namespace" in missing:
            missing |= {"network", "mounts"}
        for layer, controller in (("memory-cgroup", "memory"), ("pids-cgroup", "pids")):
            if not cgroups.usable(controller):
                missing.add(layer)
        lacking = sorted(_FENCED & missing - ({"network"} if job.limits.network else set()))
        if self._require == "fenced" and lacking:
            why = "; ".join(f"{layer}: {server.missing.get(layer) or 'switched off'}" for layer in lacking)
            raise SandboxUnavailable(f"scripts cannot be fenced here ({why}); see `mle doctor`, or require 'process'")
        return tuple(layer for layer in LAYERS if layer not in missing)


async def _close(starting: "asyncio.Task[ForkServer] | None") -> None:
    """Closes a server that has started."""
    if starting and starting.done() and not starting.cancelled() and starting.exception() is None:
        await starting.result().close()


def _check_folder(job: Job) -> None:
    """Raises: SandboxError for a folder that many share: what lies in it would be seen by all, or by none."""
    for shared in private_folders() if job.cwd else ():
        if Path(shared).is_relative_to(str(job.cwd)):
            raise SandboxError(
                f"{job.name} cannot run in {job.cwd}: a script finds {shared} empty. Give it a folder of its own."
            )


def profile_of(job: Job) -> str:
    """The smallest profile with the libraries that a script imports; none for another interpreter."""
    return "bare" if job.python or job.runner else _profile_of(job.script)


@lru_cache(maxsize=256)
def _profile_of(script: str) -> str:
    """By its lines alone: to parse a long script would stop the event loop, and a wrong guess costs time, no result."""
    modules = (module for line in _IMPORT.finditer(script) for module in (line[1] or line[2]).split(","))
    imported = {word for module in modules for word in _FIRST_NAME.findall(module)}
    if "torch" in imported:
        return "torch"
    return "boost" if imported & _BOOSTING else "core" if imported & _SCIENCE else "bare"


def _request(job: Job, scratch: Scratch, layers: tuple[str, ...]) -> Request:
    script = job.name if job.cwd is None and job.runner is None else str(scratch.work / job.name)
    temp = scratch.named_temp
    if scratch.link is not None and "mounts" in layers:
        temp = Path("/tmp", scratch.link.name)  # the private one
    main, argv = (str(job.runner), (script, *job.argv)) if job.runner else (script, job.argv)
    return Request(
        script=main,
        argv=argv,
        command=(str(job.python), main, *argv) if job.python else (),
        cwd=str(job.cwd or scratch.work),
        environment=script_environment(job, scratch.home, temp, new_token(), os.environ),
        seed=job.seed,
        fence=_fence(layers, job.limits.network),
        needs=_needs(job, scratch, layers),
    )


@lru_cache(maxsize=8)
def _fence(layers: tuple[str, ...], network: bool) -> Fence:
    mounted = "mounts" in layers
    return Fence(
        reads=readable_paths(),
        hidden=hidden_folders() if mounted else (),
        kept=covered(readable_paths()) if mounted else (),
        user_namespace="user-namespace" in layers,
        network_namespace="network" in layers,
        refuse_tcp=not network and "network" not in layers,
        mounts=mounted,
        landlock="landlock" in layers,
        seccomp="seccomp" in layers,
    )


def _needs(job: Job, scratch: Scratch, layers: tuple[str, ...]) -> Needs:
    mounted = "mounts" in layers
    limits = job.limits
    return Needs(
        reads=further_readable_paths(job),
        writes=writable_paths(job, scratch, shared_are_private=mounted),
        binds=binds(job, scratch) if mounted else (),
        writable_binds=writable_binds(job, scratch) if mounted else (),
        shared_memory_bytes=limits.memory_bytes or _SHARED_MEMORY_BYTES,
        file_bytes=limits.file_bytes,
        cpu_seconds=cpu_ceiling(limits),
        processes=limits.processes if "user-namespace" in layers else -1,
        nice=LOW_PRIORITY_NICE if job.low_priority else 0,
    )
