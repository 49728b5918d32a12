"""How `mle run` shows its run and lets a person stop it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from machine_learning_engineering.client import Result
    from machine_learning_engineering.shared_libraries.monitoring.console import View
    from machine_learning_engineering.shared_libraries.records import JournalEntry, RunStarted

T = TypeVar("T")


class Stopped(Exception):
    """The user asked a run to stop, and it has; the text says how to go on."""


class Watch:
    """A run in this process as a person follows it: its journal entries go to a view, and Ctrl-C comes from there.

    `out` is the run's folder; without one the run names itself when it begins.
    """

    def __init__(self, out: Path | None, quiet: bool, as_json: bool) -> None:
        self._out = out
        self._run_id = ""
        self._shown = True
        self.view = self._choose(quiet, as_json)

    def take(self, entry: "JournalEntry") -> None:
        """Shows an entry. A closed pipe or a broken display must not cost anybody a run: it is left alone then."""
        if entry.kind == "run_started":
            self._run_id = entry.run_id
        if not self._shown:
            return
        try:
            self.view.show(entry)
        except BrokenPipeError:
            self._hush()
        except (Exception, SystemExit):  # rich raises the latter where a pipe is closed
            self._shown = False

    def finish(self, result: "Result") -> None:
        """Shows the result, unless nobody looks any more."""
        if not self._shown:
            return
        try:
            self.view.finish(result.task, result.winner, result.files)
            sys.stdout.flush()
        except BrokenPipeError:
            self._hush()

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
            raise Stopped(
                f"stopped. Everything finished so far is kept; {self._again} takes the run up again."
            ) from None

    def _hush(self) -> None:
        """Sends what is still printed, and the buffers at the end of the process, to nowhere."""
        self._shown = False
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    @property
    def _again(self) -> str:
        """The command that goes on, in words."""
        named = self._out or not self._run_id
        return "the same command" if named else f"the same command with --out {Path('mle-runs', self._run_id)}"

    def _stop_at_once(self) -> None:
        """Ends this process without waiting for anything; what runs scripts sees that, and ends too."""
        self.view.abandon()
        sys.stderr.write(f"mle: stopped at once. What was finished is kept; {self._again} takes the run up again.\n")
        sys.stderr.flush()
        os._exit(130)

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


def code_key(agent: str, state: Mapping[str, Any]) -> str | None:
    """The code key of the script that an agent writes, given the counters in the state; None for other agents."""
    from machine_learning_engineering.shared_libraries.code_util import parse

    try:
        slot, role = parse(agent, state)
    except ValueError:
        return None
    return None if role == "bug_summary_agent" else slot.code_key
