"""The layers around a script's process, each applied by the process to itself before it runs a line of the script.

All of it works without root. What a layer holds back is told in `docs/security.md`; `probe` tells which of them this
machine has. Runs in the fork server's children, so it imports the standard library alone.
"""

import fcntl
import os
import resource
import signal
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from machine_learning_engineering.shared_libraries.execution import kernel, syscall_filter

# Landlock's kinds of access to files, and the ABI version that brought each group.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 0x1, 0x2, 0x4, 0x8
_FILES_1, _REFER_2, _TRUNCATE_3, _DEVICES_5 = 0x1FFF, 0x2000, 0x4000, 0x8000
_TCP_4, _SCOPES_6 = 0x3, 0x3  # bind and connect; abstract sockets and signals
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE_3 | _DEVICES_5

_IFF_UP, _SIOCSIFFLAGS = 0x1, 0x8914
_PRIVATE = kernel.MS_NOSUID | kernel.MS_NODEV
_TEMP = "/tmp"


@dataclass(frozen=True)
class Fence:
    """What is closed around every script of a kind, in so far as it can be before the script is known.

    Paths are absolute. `reads` may be read and run. With `mounts`, no file can be written to but those that a job
    needs, whatever its mode, and of `hidden` folders and of /tmp only `kept` is seen: paths outside, without symbolic
    links, and their places inside.
    The flags say which layers to apply; a layer that then fails stops the job. `mounts` needs `user_namespace`.
    """

    reads: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    user_namespace: bool = False
    network_namespace: bool = False
    refuse_tcp: bool = False
    mounts: bool = False
    landlock: bool = False
    seccomp: bool = False


@dataclass(frozen=True)
class Needs:
    """What one job needs inside a fence, and its limits.

    `binds` maps paths outside, without symbolic links, to places inside; `writable_binds` are those of the places that
    can be written to.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    binds: tuple[tuple[str, str], ...] = ()
    writable_binds: tuple[str, ...] = ()
    shared_memory_bytes: int = 2**30
    file_bytes: int = resource.RLIM_INFINITY
    cpu_seconds: int = resource.RLIM_INFINITY
    processes: int = resource.RLIM_INFINITY
    nice: int = 0


class HalfClosed:
    """A fence around this process that waits for a job: most of the work is done, and there is no way back.

    It has its own copy of the mounts: of those that come and go outside later it knows nothing.

    Raises: OSError naming the layer that failed.
    """

    def __init__(self, fence: Fence) -> None:
        self._fence = fence
        self._outside: dict[str, int] = {}
        if fence.user_namespace:
            _enter_namespaces(fence)
        if fence.mounts:
            self._hide()
        if fence.landlock:
            self._files, self._ruleset = _ruleset(fence)
            self._allow_reading(fence.reads)
        self._filter = syscall_filter.program(os.getpid()) if fence.seccomp else b""

    def close(self, needs: Needs) -> None:
        """Applies what is left of the layers, to this process and to all that it will start.

        Raises: OSError naming the layer that failed.
        """
        if self._fence.mounts:
            self._mount(needs)
        _limit(needs)
        kernel.forbid_new_privileges()
        if self._fence.landlock:
            self._allow_reading(needs.reads)
            for path in needs.writes:
                _allow(self._ruleset, path, self._files)
            kernel.landlock_restrict(self._ruleset)
            os.close(self._ruleset)
        if self._fence.user_namespace or os.geteuid() == 0:
            kernel.drop_capabilities()
        if self._filter:
            kernel.filter_syscalls(self._filter)

    def _hide(self) -> None:
        """Covers folders with empty ones, and keeps a way to what is below them."""
        kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.make_read_only("/")
        for folder in self._fence.hidden:
            self._outside[folder] = os.open(folder, os.O_PATH)
            kernel.mount("tmpfs", folder, "tmpfs", _PRIVATE, "size=64k,mode=755")
        for path, place in self._fence.kept:
            if not place.startswith(f"{_TEMP}/"):  # that is covered as soon as the job is known
                _bind(self._open(path), place)

    def _mount(self, needs: Needs) -> None:
        """Covers shared places with the job's own; what it needs of them is opened before and bound back in.

        So is what is kept and lies below: else a job that may write to a folder could do so to the interpreter in it.
        """
        covers = tuple(f"{target}/" for _, target in needs.binds)
        again = [(path, place) for path, place in self._fence.kept if place.startswith(covers)]
        wanted = [(self._open(path), place) for path, place in (*needs.binds, *again)]
        for descriptor in self._outside.values():
            os.close(descriptor)
        if os.path.isdir("/dev/shm"):  # noqa: PTH112 - pathlib would cost every job its import
            kernel.mount("tmpfs", "/dev/shm", "tmpfs", _PRIVATE, f"size={needs.shared_memory_bytes},mode=1777")
        for descriptor, target in sorted(wanted, key=lambda one: one[1]):  # a folder before what lies in it
            _bind(descriptor, target)
            if target in needs.writable_binds:
                kernel.make_writable(target)

    def _allow_reading(self, paths: Iterable[str]) -> None:
        for path in paths:
            _allow(self._ruleset, path, self._files & (_READ | _DEVICES_5))

    def _open(self, path: str) -> int:
        """Opens a path as it is outside."""
        for folder, descriptor in self._outside.items():
            if path.startswith(f"{folder}/"):
                return os.open(path[len(folder) + 1 :], os.O_PATH, dir_fd=descriptor)
        return os.open(path, os.O_PATH)


# --- namespaces and mounts --------------------------------------------------------------------------------------------


def _enter_namespaces(fence: Fence) -> None:
    uid, gid = os.getuid(), os.getgid()
    wanted = kernel.CLONE_NEWUSER | kernel.CLONE_NEWIPC
    wanted |= kernel.CLONE_NEWNET if fence.network_namespace else 0
    kernel.unshare(wanted | (kernel.CLONE_NEWNS if fence.mounts else 0))
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {uid} 1")
    _write("/proc/self/gid_map", f"{gid} {gid} 1")
    if fence.network_namespace:
        _raise_loopback()


def _raise_loopback() -> None:
    """Brings up the namespace's own loopback interface, over which a script may talk to itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def _bind(descriptor: int, target: str) -> None:
    """Mounts an open file or folder, which is closed, on a place."""
    _make_place(descriptor, target)
    kernel.mount(f"/proc/self/fd/{descriptor}", target, None, kernel.MS_BIND | kernel.MS_REC)
    os.close(descriptor)


def _make_place(descriptor: int, target: str) -> None:
    """Makes the empty folder or file that a bind mount needs to lie on."""
    if os.path.exists(target):  # noqa: PTH110
        return
    parent = os.path.dirname(target)  # noqa: PTH120
    if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
        os.makedirs(target, exist_ok=True)  # noqa: PTH103
    else:
        os.makedirs(parent, exist_ok=True)  # noqa: PTH103
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))


# --- limits -----------------------------------------------------------------------------------------------------------


def _limit(needs: Needs) -> None:
    wanted = (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, needs.file_bytes),
        (resource.RLIMIT_CPU, needs.cpu_seconds),
        (resource.RLIMIT_NPROC, needs.processes),
    )
    for limit, value in wanted:
        hard = resource.getrlimit(limit)[1]
        if value == resource.RLIM_INFINITY:
            continue
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # Past the soft limit the kernel sends a signal that names it, at the hard limit of CPU time SIGKILL.
        resource.setrlimit(limit, (value, value + 1 if limit == resource.RLIMIT_CPU else value))
    if needs.nice:
        os.nice(needs.nice)


# --- files ------------------------------------------------------------------------------------------------------------


def _ruleset(fence: Fence) -> tuple[int, int]:
    """The kinds of access to files that this kernel can deny, and a ruleset that denies all of them."""
    version = kernel.landlock_version()
    files = _FILES_1 | (_REFER_2 if version >= 2 else 0) | (_TRUNCATE_3 if version >= 3 else 0)
    files |= _DEVICES_5 if version >= 5 else 0
    network = _TCP_4 if version >= 4 and fence.refuse_tcp else 0
    return files, kernel.landlock_ruleset(files, network, _SCOPES_6 if version >= 6 else 0)


def _allow(ruleset: int, path: str, access: int) -> None:
    """Allows access beneath a path; one that does not exist is left out."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        is_folder = os.path.isdir(f"/proc/self/fd/{descriptor}")  # noqa: PTH112
        kernel.landlock_allow(ruleset, descriptor, access if is_folder else access & _OF_A_FILE)
    finally:
        os.close(descriptor)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


# --- what this machine has --------------------------------------------------------------------------------------------


def probe() -> dict[str, str]:
    """For each layer that can be missing, why this machine lacks it; an empty text where it works."""
    trials = {
        "user-namespace": Fence(user_namespace=True),
        "network": Fence(user_namespace=True, network_namespace=True),
        "mounts": Fence(user_namespace=True, mounts=True),
        "landlock": Fence(landlock=True, reads=("/",)),
        "seccomp": Fence(seccomp=True),
    }
    needs = Needs(binds=(("/", "/"),), writable_binds=("/",))
    return {layer: _failure(trial, needs) for layer, trial in trials.items()}


def _failure(trial: Fence, needs: Needs) -> str:
    """The error that closing a fence meets in a child process; empty if there is none."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            HalfClosed(trial).close(needs)
        except Exception as exc:
            os.write(write, str(exc)[:1000].encode())
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(write)
    with os.fdopen(read, "rb") as said:
        message = said.read().decode(errors="replace")
    os.waitpid(child, 0)
    return message


def existing(paths: Iterable[str]) -> tuple[str, ...]:
    """Those of the paths that exist, each once."""
    return tuple(dict.fromkeys(path for path in paths if os.path.exists(path)))  # noqa: PTH110
