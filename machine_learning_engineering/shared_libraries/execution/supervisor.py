"""Runs one command, and sees to it that none of its processes outlives it: `supervisor.py CONTROL FILE CPU NICE ...`.

Each job has a supervisor as its parent: a small interpreter without site-packages that imports the standard library
alone. It sets the limits, starts the command in a session of its own, and adopts every process that the command leaves
behind (on Linux), so that double forks and new sessions do not hide one. It ends what is left when the command ends, or
when the sandbox's process is gone, which the end of the control socket tells. Its one message on that socket is the
command's wait status, or why it could not start.
"""

# Every job pays for these imports: pathlib and contextlib would cost it milliseconds.
# ruff: noqa: PTH116, PTH123, PTH208, SIM105
import os
import select
import signal
import sys
import time

IN_VAIN = 5  # looks that find nothing: a list of children that is read while siblings fork and exit may miss one
_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36


def descendants(root: int) -> list[int]:
    """The living processes below `root`, zombies left out; empty where the kernel does not list children."""
    found: list[int] = []
    waiting = [root]
    while waiting:
        waiting = [child for pid in waiting for child in children(pid)]
        found += waiting
    return [pid for pid in found if lives(pid)]


def end_descendants(root: int, seconds: float = 5.0, suspicious: bool = False) -> bool:
    """Kills all that is below `root`, also what is being forked meanwhile; False if some survive `seconds`.

    Where nothing was found below `root` yet, one look is enough, unless it is `suspicious`.
    """
    deadline = time.monotonic() + seconds
    empty_rounds, wanted = 0, IN_VAIN if suspicious else 1
    while empty_rounds < wanted:
        alive = descendants(root)
        empty_rounds = 0 if alive else empty_rounds + 1
        for pid in alive:
            send(pid, signal.SIGKILL)
        if alive:
            wanted = IN_VAIN
        if wanted > 1:
            time.sleep(0.001)
        if time.monotonic() > deadline:
            return False
    return True


def send(pid: int, number: int) -> None:
    """Sends a signal to a process, or to a group if `pid` is negative, that may have ended already."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def children(pid: int) -> list[int]:
    """The processes that a process is the parent of, zombies included."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    except OSError:  # it ended meanwhile
        pass
    return found


def user_namespace(pid: int) -> int:
    """A number for the user namespace of a process; 0 if it cannot be seen."""
    try:
        return os.stat(f"/proc/{pid}/ns/user").st_ino
    except OSError:
        return 0


def session(pid: int) -> int:
    """The session of a process; 0 if it has ended."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def lives(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _become(command: list[str], file_bytes: int, cpu_seconds: int, nice: int) -> None:
    """Turns the forked child into the command; comes back only by raising."""
    import resource

    os.setsid()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and exec would pass that on
        signal.signal(number, signal.SIG_DFL)
    wanted = ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, file_bytes), (resource.RLIMIT_CPU, cpu_seconds))
    for limit, value in wanted:
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # Past the soft limit the kernel sends a signal that names it, at the hard limit of CPU time SIGKILL.
        resource.setrlimit(limit, (value, value + 1 if hard == resource.RLIM_INFINITY else hard))
    os.nice(nice)
    os.execv(command[0], command)


def _reap(child: int, ended: dict[int, int]) -> None:
    """Collects all ended children: the wait status of `child`, and that of one other as of process 0."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        ended[pid if pid == child else 0] = status


def _watch(child: int, control: int, wakeup: int) -> dict[int, int]:
    """What `_reap` collected until the command ended, or until the sandbox is gone."""
    ended: dict[int, int] = {}
    while child not in ended:
        ready = select.select([control, wakeup], [], [])[0]
        if control in ready:
            break
        os.read(wakeup, 4096)
        _reap(child, ended)
    return ended


def main(control: int, file_bytes: int, cpu_seconds: int, nice: int, command: list[str]) -> None:
    os.set_inheritable(control, False)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_DUMPABLE, 0)  # the command runs as the same user and may not look into its supervisor
    wakeup, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = os.fork()
    if child == 0:
        try:
            _become(command, file_bytes, cpu_seconds, nice)
        except (OSError, ValueError) as exc:
            os.write(control, f"failed {command[0]}: {exc}\n".encode())
        finally:
            os._exit(127)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):  # only the command and its children hold the pipes
        os.dup2(nothing, number)
    ended = _watch(child, control, wakeup)
    send(-child, signal.SIGKILL)
    end_descendants(os.getpid(), suspicious=0 in ended)  # it left others behind, which have ended
    if child in ended:
        os.write(control, f"status {ended[child]}\n".encode())


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:5]]
    main(numbers[0], numbers[1], numbers[2], numbers[3], sys.argv[5:])
