"""What of the file system a fenced script may reach: the interpreter, libraries, and its own folders."""

import os
import site
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from machine_learning_engineering.shared_libraries.execution.fence import existing
from machine_learning_engineering.shared_libraries.execution.scratch import Scratch
from machine_learning_engineering.shared_libraries.records import Job

_SYSTEM = (
    "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/proc", "/sys/devices/system", "/sys/fs/cgroup",
    # Never /usr as a whole: images have people's applications, data and runs in /usr/src/app.
    *(f"/usr/{name}" for name in ("bin", "sbin", "lib", "lib32", "lib64", "libexec", "include", "share")),
    *(f"/usr/local/{name}" for name in ("bin", "sbin", "lib", "lib64", "include")),
)  # fmt: skip
_CUDA = "cuda*"  # in /usr/local
_SETTINGS = (
    "alternatives", "ca-certificates", "fonts", "group", "host.conf", "hosts", "ld.so.cache", "ld.so.conf",
    "ld.so.conf.d", "localtime", "mime.types", "nsswitch.conf", "os-release", "passwd", "protocols", "resolv.conf",
    "services", "ssl/cert.pem", "ssl/certs", "ssl/openssl.cnf", "timezone",
)  # fmt: skip
_NAME_SERVERS = Path("/etc/resolv.conf")  # with systemd a link to a file in /run, which is hidden
_OF_A_PREFIX = ("bin", "lib", "lib32", "lib64", "include", "pyvenv.cfg")  # beside them may lie anything, such as runs
# Not all of `share`: beside an interpreter in ~/.local it holds people's keys, and the labels of bundled tasks.
_OF_OURS = (*_OF_A_PREFIX, "share/terminfo", "share/zoneinfo", "ssl/cacert.pem", "ssl/cert.pem", "ssl/certs")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_HIDDEN = ("/run", "/var/tmp", "/home", "/root", "/mnt", "/media", "/srv")
_SHARED_MEMORY = "/dev/shm"


@cache
def readable_paths() -> tuple[str, ...]:
    """What every script may read and run: the system, this interpreter, and its libraries."""
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    own = [f"{prefix}/{name}" for prefix in sorted(prefixes) for name in _OF_OURS]
    libraries = {*site.getsitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    settings = [f"/etc/{name}" for name in _SETTINGS]
    cuda = map(str, sorted(Path("/usr/local").glob(_CUDA)))
    return existing([*_SYSTEM, *cuda, *settings, *_interpreter(Path(sys.executable)), *own, *sorted(libraries)])


def _interpreter(python: Path) -> list[str]:
    """What belongs to an interpreter, and to the one that it links to, in the folders that they are installed in."""
    prefixes = dict.fromkeys(path.absolute().parent.parent for path in (python, python.resolve()))
    return [str(prefix / name) for prefix in prefixes for name in _OF_A_PREFIX]


def further_readable_paths(job: Job) -> tuple[str, ...]:
    """What the job's script may read and run besides, and may not write."""
    runner = [str(job.runner)] if job.runner else []
    names = [str(_NAME_SERVERS.resolve())] if job.limits.network else []
    return existing([*runner, *names, *(_interpreter(job.python) if job.python else [])])


def writable_paths(job: Job, scratch: Scratch, shared_are_private: bool) -> tuple[str, ...]:
    """Where the job's script may write. Pools of processes need shared memory, also where it is everybody's."""
    own = [scratch.work, scratch.home, scratch.temp, *([job.cwd] if job.cwd else [])]
    shared = ("/tmp", _SHARED_MEMORY) if shared_are_private else (_SHARED_MEMORY,)
    gpus = sorted(map(str, Path("/dev").glob("nvidia*"))) if job.limits.gpus else []
    return existing([*map(str, own), *shared, *(f"/dev/{name}" for name in _DEVICES), *gpus])


@cache
def hidden_folders() -> tuple[str, ...]:
    """Shared places and homes, which a script finds empty but for what it needs of them."""
    return tuple(folder for folder in _HIDDEN if Path(folder).is_dir() and not Path(folder).is_symlink())


def private_folders() -> tuple[str, ...]:
    """Where a fenced script finds its own or nothing, whatever lies there outside."""
    return "/tmp", *hidden_folders()


def covered(paths: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Those of the paths that lie in private folders: without symbolic links, and as they are called."""
    private = tuple(f"{folder}/" for folder in private_folders())
    return tuple((os.path.realpath(path), path) for path in paths if path.startswith(private))


def binds(job: Job, scratch: Scratch) -> tuple[tuple[str, str], ...]:
    """Paths without symbolic links and their places inside: a private /tmp, the job's own, and the view as `input`.

    The job's own paths have no links already. An interpreter that lies in the job's folder is bound once more, to stay
    closed to it.
    """
    own = [scratch.root, *([job.cwd] if job.cwd else [])]
    outside = [(scratch.system_temp, Path("/tmp")), *zip(own, own, strict=True)]
    outside += [(job.view.path, view_place(scratch))] if job.view else []
    further = further_readable_paths(job)
    closed = _inside(job.cwd, (*readable_paths(), *further)) if job.cwd else ()
    return *((str(path), str(place)) for path, place in outside), *covered(further), *closed


def _inside(folder: Path, paths: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Those of the paths that lead into a folder, as they are without symbolic links."""
    found = dict.fromkeys(os.path.realpath(path) for path in paths)
    return tuple((path, path) for path in found if path.startswith(f"{folder}/"))


def writable_binds(job: Job, scratch: Scratch) -> tuple[str, ...]:
    """The places of `binds` that the script may write to."""
    return ("/tmp", str(scratch.root), *([str(job.cwd)] if job.cwd else []))


def view_place(scratch: Scratch) -> Path:
    return scratch.work / "input"
