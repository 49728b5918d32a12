"""Vega-Lite specifications become SVG in a process of its own: for half a second after its start, the library that
draws lets no other thread of its process run."""

import atexit
import importlib
import json
import os
import subprocess
import sys
import threading
from typing import Any

from machine_learning_engineering.shared_libraries.execution.environment import common_environment

_LOOP = """\
import json, sys
import vl_convert

def draw(spec):
    return vl_convert.vegalite_to_svg(spec, vl_version="5.20", allowed_base_urls=[])

draw({"data": {"values": [{}]}, "mark": "point"})
for line in sys.stdin:
    try:
        answer = {"svg": draw(json.loads(line))}
    except ValueError as exc:
        answer = {"error": str(exc)}
    print(json.dumps(answer), flush=True)
"""


class Painter:
    """A process that draws. It starts when it is needed, or ahead, and ends when it is closed or this process ends."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Starts the process unless there is one; returns at once."""
        self._running()

    def draw(self, spec: dict[str, Any]) -> str:
        """The SVG of a specification.

        Raises: ValueError for one that cannot be drawn, OSError if the process cannot start or ends.
        """
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(json.dumps(spec) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
                if not line:
                    raise BrokenPipeError("the process that draws pictures has ended")
            except OSError:
                self.close()
                raise
        answer: dict[str, str] = json.loads(line)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["svg"]

    def _running(self) -> subprocess.Popen[str]:
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _LOOP],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    encoding="utf-8",
                    env=common_environment(1, os.environ),  # no secret is for a library that reads strangers' texts
                    start_new_session=True,  # Ctrl-C is for the run, which may still want its report
                )
            return self._process

    def close(self) -> None:
        """Ends the process, if there is one; the next picture starts another."""
        with self._lock:
            process, self._process = self._process, None
            if process:
                process.kill()
                process.communicate()


PAINTER = Painter()
atexit.register(PAINTER.close)


def get_ready() -> None:
    """Begins what the next report of this process will wait for."""
    PAINTER.start()
    importlib.import_module(f"{__package__}.page")
