"""Runs a script in a process that was forked ready-made, as if it were `python script.py`.

The process has its standard streams, folder, and fence already. What is left: the modules, arguments, paths and random
states of a fresh interpreter, the report of an uncaught exception without our own frames, and the interpreter's
shutdown (threads, exit handlers, the globals' finalisers) without the costly teardown of every imported module.
"""

import atexit
import gc
import io
import itertools
import os
import random
import signal
import sys
import threading
import time
import types
import warnings
import weakref
from importlib.machinery import SourceFileLoader
from typing import NoReturn

_PACKAGE = __name__.partition(".")[0]
_ANY_SCRIPT = """\
from a import b as c
def f(x=1, *y): return [z for z in x if z] or {"a": x}
class D: e = f"{c}"
with f() as g: print(g.h(i=1)[0] + 2)
"""


class _Noted:
    """The modules that were there before the script's own; to look through all of them after a fork would copy the
    memory of all their names.
    """

    ours: tuple[str, ...] = ()
    ready_made: frozenset[str] = frozenset()
    newest = ""


def note_modules() -> None:
    """Notes which modules are ready-made; called once, before the first fork."""
    _Noted.ours = tuple(name for name in sys.modules if name.partition(".")[0] == _PACKAGE)
    _Noted.ready_made = frozenset(sys.modules)
    _Noted.newest = next(name for name in reversed(sys.modules) if name not in _Noted.ours)


class Script:
    """A script in a process that was made for it: `names` are the globals to run `code()` with."""

    def __init__(self, script: str, argv: list[str], environment: dict[str, str], seed: int | None) -> None:
        _begin(environment, seed)
        self._path = os.path.abspath(script)  # noqa: PTH100 - pathlib would cost the fork server its import
        sys.argv = [script, *argv]
        sys.orig_argv = [sys.executable, script, *argv]
        sys.path[0] = os.path.dirname(os.path.realpath(self._path))  # noqa: PTH120
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        if "__mp_main__" in sys.modules:  # multiprocessing has taken note of the main module when it was imported
            sys.modules["__mp_main__"] = main
        self.names = main.__dict__
        self.names["__loader__"] = SourceFileLoader("__main__", self._path)
        self.names["__builtins__"] = sys.modules["builtins"]
        self.names |= {"__file__": self._path, "__cached__": None, "__annotations__": {}}

    def code(self) -> types.CodeType:
        """The compiled script.

        Raises: SyntaxError, OSError.
        """
        with io.open_code(self._path) as file:
            return compile(file.read(), self._path, "exec", dont_inherit=True)

    def end(self, exc: BaseException | None) -> NoReturn:
        """Ends the process as the interpreter would after the script's own code, which raised `exc`."""
        code = self._code_of(exc)
        try:
            threading._shutdown()  # type: ignore[attr-defined]
        except BaseException as late:
            self._report(late)
        atexit._run_exitfuncs()
        _flush()
        if exc is not None:  # its frames hold what is to be finalised
            exc.__traceback__ = exc.__context__ = exc.__cause__ = None
        self._finalise()
        code = 120 if not _flush() and code == 0 else code
        if type(exc) is KeyboardInterrupt:  # a class of its own ends a script like any other exception
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        os._exit(code & 0xFF)

    def _code_of(self, exc: BaseException | None) -> int:
        """The exit code of a script whose own code raised this; what the interpreter prints about it is printed."""
        if exc is None:
            return 0
        if not isinstance(exc, SystemExit):
            return self._report(exc)
        try:
            code = exc.code
        except BaseException:  # a property of the script's own
            code = exc  # type: ignore[assignment]
        if code is None:
            return 0
        if isinstance(code, int):
            return code if -(2**63) <= code < 2**63 else -1
        _flush()
        try:
            text = str(code)
        except BaseException:  # the interpreter then prints an empty line
            text = ""
        sys.stderr.write(f"{text}\n")
        return 1

    def _report(self, exc: BaseException) -> int:
        """Prints an uncaught exception as the interpreter does, through the hook that the script may have set.

        Returns the exit code, which that hook may ask for.
        """
        self._strip(exc)
        sys.last_type, sys.last_value, sys.last_traceback = type(exc), exc, exc.__traceback__
        _flush_one(sys.stdout)
        hook = getattr(sys, "excepthook", None)
        if hook is None:
            sys.stderr.write("sys.excepthook is missing\n")
            hook = sys.__excepthook__
        try:
            hook(type(exc), exc, exc.__traceback__)
        except SystemExit as asked:
            return self._code_of(asked)
        except BaseException as second:
            self._strip(second)
            sys.stderr.write("Error in sys.excepthook:\n")
            sys.__excepthook__(type(second), second, second.__traceback__)
            sys.stderr.write("\nOriginal exception was:\n")
            sys.__excepthook__(type(exc), exc, exc.__traceback__)
        return 1

    def _strip(self, exc: BaseException) -> None:
        """Takes our own frames, which come first, out of an exception's traceback."""
        trace = exc.__traceback__
        while trace and trace.tb_frame.f_globals is not self.names:
            trace = trace.tb_next
        exc.__traceback__ = trace

    def _finalise(self) -> None:
        """Lets go of the modules of the script, so that finalisers run while their globals are there; what is still
        held then, for instance by a library, loses its globals, the private ones first.
        """
        sys.last_type = sys.last_value = sys.last_traceback = None
        gc.collect()  # as the interpreter: it puts holders before what they hold, so that a text file is flushed first
        self.names = {}
        held = _let_go()
        gc.collect()
        for module in filter(None, (reference() for reference in held)):
            names = vars(module)
            for private in (True, False):
                for name in list(names):
                    if name != "__builtins__" and (name.startswith("_") and not name.startswith("__")) is private:
                        names[name] = None
        gc.collect()


def _let_go() -> list["weakref.ref[types.ModuleType]"]:
    """Forgets the script and the modules that it has imported; in the order in which they may lose their globals."""
    own = [sys.modules.pop(name, None) for name in _own_names()]  # a script may have removed some itself
    sys.modules.pop("__mp_main__", None)  # the script once more
    return [weakref.ref(module) for module in own if isinstance(module, types.ModuleType)]


def _own_names() -> list[str]:
    """The script and the modules that it has imported, the last one first; they stand behind the ready-made ones."""
    newer = itertools.takewhile(lambda name: name != _Noted.newest, reversed(sys.modules))
    return ["__main__", *(name for name in newer if name not in _Noted.ready_made)]


def be_fresh() -> None:
    """Undoes what the fork server did that a fresh interpreter would not have done; called once in each child.

    It may be called long before the script is known. So it also does, for once, what makes a child copy memory.
    """
    compile(_ANY_SCRIPT, "<any>", "exec")
    for name in _Noted.ours:
        del sys.modules[name]
    _reseed(None)
    if process := sys.modules.get("multiprocessing.process"):
        process.current_process()._config["authkey"] = process.AuthenticationString(os.urandom(32))


def _begin(environment: dict[str, str], seed: int | None) -> None:
    """Gives the process what a fresh interpreter would find at its start."""
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    for name, value in environment.items():  # most are the server's own, in the same order
        if os.environ.get(name) != value:
            os.environ[name] = value
    if seed is not None:
        _reseed(seed)
    if logging := sys.modules.get("logging"):  # its relative times count from there, in 3.13 in nanoseconds
        started = vars(logging)["_startTime"]
        vars(logging)["_startTime"] = time.time_ns() if isinstance(started, int) else time.time()
    if process := sys.modules.get("multiprocessing.process"):
        vars(process)["ORIGINAL_DIR"] = os.getcwd()  # noqa: PTH109 - pathlib would cost the fork server its import


def _reseed(seed: int | None) -> None:
    """Gives the process its own random states; all children of one fork server would draw the same numbers."""
    random.seed(seed)
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed(seed)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed) if seed is not None else torch.seed()


def _flush() -> bool:
    return _flush_one(sys.stdout) & _flush_one(sys.stderr)


def _flush_one(stream: object) -> bool:
    """Whether a stream, if there still is one, could be flushed."""
    if stream is None or getattr(stream, "closed", False):
        return True
    try:
        stream.flush()  # type: ignore[attr-defined]
    except BaseException as exc:
        sys.unraisablehook(
            types.SimpleNamespace(
                exc_type=type(exc), exc_value=exc, exc_traceback=exc.__traceback__, err_msg=None, object=stream
            )
        )
        return False
    return True


def quiet_fork() -> int:
    """`os.fork()` without Python's warning about threads: numerical libraries keep some, and know how to fork."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
