"""How `mle run` shows its run and lets a person stop it."""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import sys
import textwrap
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from machine_learning_engineering.client import Result
    from machine_learning_engineering.shared_libraries.entries import JournalEntry, RunStarted
    from machine_learning_engineering.shared_libraries.monitoring.console import View
    from machine_learning_engineering.shared_libraries.monitoring.ending import Ending

T = TypeVar("T")


class Stopped(Exception):
    """The user asked a run to stop, and it has; the text says how to go on."""


class Watch:
    """A run in this process as a person follows it: its journal entries go to a view, and Ctrl-C comes from there.

    `out` is the run's folder; without one the run names itself when it begins.
    """

    def __init__(self, out: Path | None, quiet: bool, as_json: bool) -> None:
        self._out = out
        self._place: Path | None = None  # the run's folder, once it has begun
        self._shown = True
        self.view = self._choose(quiet, as_json)

    def take(self, entry: "JournalEntry") -> None:
        """Shows an entry. A closed pipe or a broken display must not cost anybody a run: it is left alone then."""
        if entry.kind == "run_started":
            self._place = self._folder(entry)
        if not self._shown:
            return
        try:
            self.view.show(entry)
            if entry.kind == "run_started":
                self._warn(entry)
        except BrokenPipeError:
            self._hush()
        except SystemExit:  # what rich raises where a pipe is closed
            self._shown = False
        except Exception as exc:
            self._shown = False
            sys.stderr.write(f"The display failed ({type(exc).__name__}: {exc}); the run goes on without it.\n")

    def _warn(self, begun: "RunStarted") -> None:
        """Says which variables nothing reads and what the run's time limit has no room for, unless nothing is left."""
        from machine_learning_engineering.shared_libraries.monitoring.budget import warning
        from machine_learning_engineering.shared_libraries.monitoring.ending import had_ended
        from machine_learning_engineering.shared_libraries.monitoring.settings import misspelt

        if self._place is not None and not had_ended(self._place):
            for told in filter(None, [*misspelt(), warning(begun.config)]):
                self.view.warn(told)

    def finish(self, result: "Result") -> None:
        """Shows the result of a finished run."""
        from machine_learning_engineering.shared_libraries.monitoring.ending import result_of

        self._end(result_of(result.folder, result.task))

    def until_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; Ctrl-C or a termination signal cancels it in order, a second one ends it at once.

        Raises: Stopped once the cancelled work has ended.
        """

        async def watched() -> T:
            loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

            def stop() -> None:
                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.remove_signal_handler(number)
                    signal.signal(number, lambda *_: self._stop_at_once())
                task.cancel()
                with contextlib.suppress(Exception):  # as in `take`
                    self.view.stopping()

            if os.name == "posix":  # set here, so that it works too where a parent has told us to ignore Ctrl-C
                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.add_signal_handler(number, stop)
            return await task

        try:
            return asyncio.run(watched())
        except asyncio.CancelledError:
            self._leave()
            raise Stopped(f"stopped. {self._advice}") from None
        except Exception:
            self._leave()
            raise

    def _leave(self) -> None:
        """Shows what there is of a run that has begun and was stopped or failed, its report written too."""
        if self._place is None:
            return
        from machine_learning_engineering.shared_libraries.monitoring.ending import halt_of
        from machine_learning_engineering.shared_libraries.report.page import build_report

        with contextlib.suppress(Exception):  # such as a full disk: what went wrong before is told in any case
            halt = halt_of(self._place, self._again)
            if halt.story.spans:  # something was asked or has run
                with contextlib.suppress(Exception):
                    build_report(self._place)
                self._end(halt)

    def _end(self, ending: "Ending") -> None:
        """Shows the end of a run, unless nobody looks any more."""
        if not self._shown:
            return
        try:
            self.view.end(ending)
            sys.stdout.flush()
        except BrokenPipeError:
            self._hush()

    def _hush(self) -> None:
        """Sends what is still printed, and the buffers at the end of the process, to nowhere."""
        self._shown = False
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    @property
    def _again(self) -> str:
        """The command that goes on, ready to be pasted: this one, its variables before it, its folder named."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in sorted(os.environ.items()) if _is_ours(name)]
        words = [*_program(), *sys.argv[1:]]
        if self._out is None and self._place is not None:
            words += ["--out", os.path.relpath(self._place)]
        return " ".join([*variables, shlex.join(words)])

    @property
    def _advice(self) -> str:
        kept = "" if self._place is None else "What was finished is kept. "
        return f"{kept}This goes on:\n  {self._again}"

    def _stop_at_once(self) -> None:
        """Ends this process without waiting for anything; what runs scripts sees that, and ends too."""
        self.view.abandon()
        told = [*self._left(), f"mle: stopped at once. {self._advice}", ""]
        os.write(sys.stderr.fileno(), "\n".join(told).encode(errors="backslashreplace"))
        os._exit(130)

    def _left(self) -> list[str]:
        """What there is of the run, as lines."""
        from machine_learning_engineering.shared_libraries.monitoring.ending import halt_of

        with contextlib.suppress(Exception):  # nothing may keep a person from stopping
            if self._place is not None:
                ending = halt_of(self._place)
                return [*map(_folded, ending.sentences()), *ending.places()]
        return []

    def _choose(self, quiet: bool, as_json: bool) -> "View":
        """How a run is shown: as asked, else live where the terminal can redraw, else line by line."""
        if as_json:
            from machine_learning_engineering.shared_libraries.monitoring.json_lines import JsonLines

            return JsonLines()
        from machine_learning_engineering.shared_libraries.monitoring.console import Console, Quiet

        if quiet:
            return Quiet()
        if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
            return Console()
        from machine_learning_engineering.shared_libraries.monitoring.live import LiveDisplay

        return LiveDisplay(self._folder, code_key)

    def _folder(self, begun: "RunStarted") -> Path:
        return (self._out or Path("mle-runs", begun.run_id)).expanduser().absolute()


def _folded(sentence: str) -> str:
    """A sentence broken between words where it goes to a terminal, which would break it anywhere."""
    columns = shutil.get_terminal_size().columns
    return textwrap.fill(sentence, columns, break_on_hyphens=False) if sys.stderr.isatty() else sentence


def _is_ours(variable: str) -> bool:
    return variable.startswith("MLE_") or variable == "ROOT_AGENT_MODEL"


def _program() -> list[str]:
    """This program as a person would call it here."""
    called = Path(sys.argv[0])
    if called.suffix == ".py":
        return [sys.executable, "-m", "machine_learning_engineering.cli"]
    found = shutil.which(called.name)
    if found and Path(found) == called.absolute():
        return [called.name]
    near = os.path.relpath(called)
    return [str(called.absolute()) if near.startswith("..") else near]


def code_key(agent: str, state: Mapping[str, Any]) -> str | None:
    """The code key of the script that an agent writes, given the counters in the state; None for other agents."""
    from machine_learning_engineering.shared_libraries.code_util import parse

    try:
        slot, role = parse(agent, state)
    except ValueError:
        return None
    return None if role == "bug_summary_agent" else slot.code_key
