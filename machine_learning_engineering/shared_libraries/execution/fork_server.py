"""A process that has imported the heavy libraries and forks one child for each job.

It is started by exec as `python -c BOOT ROOT SOCKET LEDGER PROFILE`, keeps one thread, never uses an accelerator, and
holds no secret: its environment is a script's.
Over one socket come requests, each a JSON object with its descriptors: stdin, stdout, stderr, the job's control socket,
and the lists of the control groups that it is to join. A message without descriptors is the fence for the requests
after it. A request goes on to a spare: a child that was forked and half closed the fence around itself while
there was time, since that takes longer than all else. It closes the fence for good and becomes the script.
The server is the parent of all its jobs and adopts what they leave behind. It ends a job's whole tree when the job's
process ends or its control socket is closed from outside, and then writes the wait status there. When its own socket
closes it ends every job and itself.

Standard library alone, apart from what a profile preloads.
"""

import array
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import time
from typing import Any, NoReturn

from machine_learning_engineering.shared_libraries.execution import kernel, supervisor
from machine_learning_engineering.shared_libraries.execution.fence import Fence, HalfClosed, Needs, probe
from machine_learning_engineering.shared_libraries.execution.main_script import (
    Script,
    be_fresh,
    note_modules,
    quiet_fork,
)

# What the server's interpreter runs. A job's code runs at this top level, so that one frame of ours lies below it.
BOOT = f"""\
import sys
sys.path.insert(0, sys.argv[1])
from {__name__} import main
sys.path.pop(0)
script, raised = main(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]), None
try:
    exec(script.code(), script.names)
except BaseException as exc:
    raised = exc
script.end(raised)
"""
REQUEST_BYTES = 2**17
_DESCRIPTORS = 6

_CORE = (
    "numpy", "pandas", "pandas.io.formats.csvs", "scipy.optimize", "scipy.sparse", "scipy.special", "scipy.stats",
    "scipy.spatial", "joblib",
    *(f"sklearn.{name}" for name in (
        "calibration", "cluster", "compose", "decomposition", "discriminant_analysis", "dummy", "ensemble",
        "feature_extraction.text", "feature_selection", "gaussian_process", "impute", "isotonic",
        "kernel_approximation", "kernel_ridge", "linear_model", "metrics", "mixture", "model_selection",
        "multiclass", "naive_bayes", "neighbors", "neural_network", "pipeline", "preprocessing", "svm", "tree",
    )),
)  # fmt: skip
_BOOST = (*_CORE, "lightgbm", "xgboost", "catboost")
PROFILES = {"bare": (), "core": _CORE, "boost": _BOOST, "torch": (*_CORE, "torch")}


class _Server:
    """Accepts requests, starts jobs, and tells how they ended. `_jobs` maps processes to control sockets.

    `_spare` is the process of the next job and the socket that its request goes to; `_fence` is around it.
    """

    def __init__(self, requests: socket.socket, ledger: int) -> None:
        self._requests, self._ledger = requests, ledger
        self._spare: tuple[int, socket.socket] | None = None
        self._fence: Fence | None = None
        self._jobs: dict[int, socket.socket] = {}
        self._ended: list[tuple[socket.socket, int]] = []
        self._adopted = False  # since the last job ended, somebody whom a job had left behind has ended
        self._wakeup = _wake_on_child_signals()
        self._mounts = os.open("/proc/self/mountinfo", os.O_RDONLY)
        self._poll = select.poll()
        self._poll.register(self._mounts, select.POLLPRI)  # whenever something is mounted or unmounted
        for descriptor in (requests.fileno(), self._wakeup):
            self._poll.register(descriptor, select.POLLIN)

    def serve(self) -> Script | None:
        """Works until the other side of the request socket is gone; in a forked child, the script to run there."""
        while True:
            with contextlib.suppress(OSError):  # the next request tells, if it still cannot be done
                if script := self._have_spare():
                    return script
            ready = {descriptor for descriptor, _ in self._poll.poll()}
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
                self._reap()
            if self._mounts in ready:
                self._give_up_spare()
            for pid, control in self._jobs.items():
                if control.fileno() in ready:
                    self._poll.unregister(control)
                    supervisor.send(pid, signal.SIGKILL)
            while self._ended:
                self._conclude(*self._ended.pop(0))
            if self._requests.fileno() not in ready:
                continue
            data, descriptors, _, _ = socket.recv_fds(self._requests, REQUEST_BYTES, _DESCRIPTORS)
            if not data:
                if supervisor.end_descendants(os.getpid()):
                    _collect_all()
                return None
            if not descriptors:
                self._fence = Fence(**json.loads(data))
                self._give_up_spare()
            elif script := self._start(data, descriptors):
                return script

    def _have_spare(self) -> Script | None:
        """Forks a spare unless there is one; in that child, the script of the request that it was handed.

        Raises: OSError where there are too many processes, or no memory.
        """
        if self._spare is not None or self._fence is None:
            return None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            if (pid := quiet_fork()) == 0:
                return _wait_for_request(theirs, self._fence)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._spare = pid, ours
        return None

    def _give_up_spare(self) -> None:
        """Ends the spare, whose fence or mounts are not what the next job needs."""
        if self._spare is not None:
            pid, spare = self._spare
            spare.close()
            supervisor.send(pid, signal.SIGKILL)
            self._spare = None

    def _start(self, request: bytes, descriptors: list[int]) -> Script | None:
        """Hands a request to the spare; a script only in the child that was forked for want of one."""
        control, pid = socket.socket(fileno=descriptors[3]), 0
        try:
            if script := self._have_spare():
                return script
            assert self._spare is not None
            pid, spare = self._spare
            self._spare = None
            self._jobs[pid] = control
            self._publish()  # before it can do anything
            with spare:
                socket.send_fds(spare, [request], descriptors)
            self._poll.register(control, select.POLLIN)
        except OSError as exc:
            self._jobs.pop(pid, None)
            # Of a spare that was killed nobody tells, and the sandbox asks again.
            if not isinstance(exc, BrokenPipeError):
                control.send(f"failed {exc}\n".encode())
            control.close()
        for descriptor in (*descriptors[:3], *descriptors[4:]):
            os.close(descriptor)
        return None

    def _publish(self) -> None:
        """Lets the sandbox know the first processes of all jobs."""
        os.pwrite(self._ledger, array.array("i", [len(self._jobs), *self._jobs]).tobytes(), 0)

    def _reap(self) -> None:
        """Collects all children that have ended, jobs and adopted ones."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._jobs:
                self._ended.append((self._jobs.pop(pid), status))
                self._publish()
            elif self._spare is not None and pid == self._spare[0]:
                self._spare[1].close()
                self._spare = None
            else:
                self._adopted = True

    def _conclude(self, control: socket.socket, status: int) -> None:
        """Ends what a job left behind, then tells how it ended."""
        clean = self._end_strays()
        with contextlib.suppress(KeyError):
            self._poll.unregister(control)
        with contextlib.suppress(OSError):  # nobody may be listening any more
            control.send(f"status {status}\n".encode() if clean else b"strays\n")
        control.close()

    def _end_strays(self, seconds: float = 5.0) -> bool:
        """Kills the adopted processes that belong to no running job, and their descendants; False if some survive."""
        deadline, rounds = time.monotonic() + seconds, supervisor.IN_VAIN if self._adopted else 1
        while rounds and time.monotonic() < deadline:
            strays, rounds = self._strays(), rounds - 1
            for pid in strays:
                for doomed in (pid, *supervisor.descendants(pid)):
                    supervisor.send(doomed, signal.SIGKILL)
            if strays:
                rounds = supervisor.IN_VAIN
            if rounds:
                time.sleep(0.0005)
                self._reap()
        self._adopted = False
        return rounds == 0

    def _strays(self) -> list[int]:
        """Adopted processes, told from those of running jobs by their user namespace, else by their session."""
        known = {*self._jobs, *(self._spare or ())[:1]}
        adopted = [pid for pid in supervisor.children(os.getpid()) if pid not in known]
        if not adopted:
            return []
        namespace_of = supervisor.user_namespace
        taken = {namespace_of(pid) for pid in self._jobs} - {namespace_of(os.getpid()), 0}  # 0: it hides its own
        return [pid for pid in adopted if namespace_of(pid) not in taken and supervisor.session(pid) not in self._jobs]


def _collect_all() -> None:
    """Waits for children that have been killed, so that none is left to whoever collects orphans, if anybody does."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _wake_on_child_signals() -> int:
    """A descriptor that becomes readable whenever a child ends."""
    wakeup, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return wakeup


# --- in the child -----------------------------------------------------------------------------------------------------


def _wait_for_request(requests: socket.socket, fence: Fence) -> Script:
    """The script of the one request that this child gets. It keeps nothing open but its socket: not the pipes of the
    jobs that run meanwhile, whose ends would not be seen.
    """
    kernel.die_with_parent(signal.SIGKILL)
    kept = requests.fileno()
    os.closerange(3, kept)
    os.closerange(kept + 1, 2**20)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    half_closed = _prepared(fence)
    request, descriptors, _, _ = socket.recv_fds(requests, REQUEST_BYTES, _DESCRIPTORS)
    if not request:  # the server is gone
        os._exit(0)
    requests.close()
    return _become(json.loads(request), half_closed, descriptors)


def _prepared(fence: Fence) -> HalfClosed | Exception:
    """What can be done before the script is known; an error is kept for whoever asks for a job."""
    kernel.set_dumpable(True)  # else an ordinary user could not tell the kernel who this is in its namespace
    try:
        half_closed = HalfClosed(fence)
        be_fresh()
    except Exception as exc:
        return exc
    finally:
        kernel.set_dumpable(False)  # no script may look into what waits for another one
    return half_closed


def _become(request: dict[str, Any], half_closed: HalfClosed | Exception, descriptors: list[int]) -> Script:
    """The script that the forked child is to run, inside its fence; a failure is told on the control socket."""
    control = descriptors[3]
    try:
        if isinstance(half_closed, Exception):
            raise half_closed
        for number, descriptor in enumerate(descriptors[:3]):
            os.dup2(descriptor, number)
        for tasks in descriptors[4:]:
            os.write(tasks, b"0")  # the writer
        kernel.set_dumpable(True)  # else a script could not look into its own /proc/self
        os.setsid()  # only now: in the server's session it counts for no job
        half_closed.close(Needs(**request["needs"]))
        os.chdir(request["cwd"])
        os.write(control, f"started {os.getpid()} {supervisor.user_namespace(os.getpid())}\n".encode())
    except Exception as exc:
        with contextlib.suppress(OSError):  # nobody may be listening any more
            os.write(control, f"failed {type(exc).__name__}: {exc}\n".encode())
        os._exit(127)
    os.closerange(3, 2**20)
    environment = request["environment"]
    if command := request["command"]:
        _execute(command, environment)
    return Script(request["script"], request["argv"], environment, request["seed"])


def _execute(command: list[str], environment: dict[str, str]) -> NoReturn:
    """Replaces the process by another program, with the signals that Python ignores as they were."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(command[0], command, environment)
    except OSError as exc:
        os.write(2, f"cannot start {command[0]}: {exc.strerror}\n".encode())
        os._exit(127)


# --- starting ---------------------------------------------------------------------------------------------------------


def preload(profile: str) -> list[str]:
    """Imports a profile's modules, and those of its modules that are installed and work; their names."""
    done = []
    for name in PROFILES[profile]:
        try:
            importlib.import_module(name)
        except Exception:  # a package that cannot load is the script's own matter
            continue
        done.append(name)
    if "sklearn.preprocessing" in done:
        _look_around()
    return done


def _look_around() -> None:
    """Lets scikit-learn see its first tables: it then reads what all installed packages say of themselves, since one
    may bring a kind of table, and loads how pandas is spoken to. That would take every script a tenth of its time.
    """
    with contextlib.suppress(Exception):
        import pandas as pd
        from sklearn.preprocessing import StandardScaler

        frame = pd.DataFrame({"a": [0.0, 1.0]})
        for table in (frame, frame.to_numpy()):
            StandardScaler().fit(table)


def main(descriptor: int, ledger: int, profile: str) -> Script:
    """Serves the requests that come over the socket of this number; comes back only in a job's process."""
    requests = socket.socket(fileno=descriptor)
    requests.set_inheritable(False)
    os.set_inheritable(ledger, False)
    kernel.adopt_orphans()
    missing = probe()
    gc.disable()  # looking for garbage again and again makes imports a tenth longer
    loaded = preload(profile)
    gc.enable()
    kernel.join_pages()
    gc.freeze()  # children then never copy pages just because the collector looked at them
    kernel.set_dumpable(False)
    note_modules()
    server = _Server(requests, ledger)
    requests.send(json.dumps({"missing": missing, "loaded": loaded, "pid": os.getpid()}).encode())
    script = server.serve()
    return script or os._exit(0)  # to tear down all that was imported would take a quarter of a second
