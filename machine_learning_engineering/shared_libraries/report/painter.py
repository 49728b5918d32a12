"""Pictures, drawn in a process of its own: for half a second after its start, the library that draws lets no other
thread of its process run."""

import atexit
import base64
import json
import os
import subprocess
import sys
import threading
import time
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from machine_learning_engineering.shared_libraries.errors import PictureError
from machine_learning_engineering.shared_libraries.execution.environment import common_environment

_SCRIPT = Path(__file__).with_name("painter_process.py")
_IDLE = 60.0  # seconds after which another process is asked
_PATIENCE = 90  # seconds after which the process ends by itself


class Painter:
    """A process that draws. It starts when it is needed, or ahead, and ends when it has been idle, is closed, or with
    this process. Every picture raises PictureError where it cannot be drawn.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._asked = 0.0
        self._svg = lru_cache(maxsize=256)(partial(self._ask, "svg"))  # a report is written more than once

    def start(self) -> None:
        """Starts the process unless there is one; returns at once."""
        with self._lock:
            self._running()

    def svg(self, spec: dict[str, Any]) -> str:
        """The SVG of a Vega-Lite specification."""
        return self._svg(json.dumps(spec, default=float))

    def png(self, spec: dict[str, Any]) -> bytes:
        """The PNG of a Vega-Lite specification, two pixels to a point."""
        return base64.b64decode(self._ask("png", json.dumps(spec, default=float)))

    def png_of_svg(self, svg: str) -> bytes:
        """The PNG of an SVG, two pixels to a point."""
        return base64.b64decode(self._ask("png_of_svg", json.dumps(svg)))

    def close(self) -> None:
        """Ends the process, if there is one; the next picture starts another."""
        with self._lock:
            self._end()

    def _ask(self, what: str, of: str) -> str:
        """What the process makes of a JSON text."""
        request = f'["{what}", {of}]\n'
        with self._lock:
            try:
                process = self._running()
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(request)
                process.stdin.flush()
                line = process.stdout.readline()
                if not line:
                    raise BrokenPipeError("its process has ended")
                answer: dict[str, str] = json.loads(line)
            except (OSError, json.JSONDecodeError) as exc:
                self._end()
                raise PictureError(f"a picture could not be drawn ({exc}). Try again.") from exc
            except BaseException:  # an answer that nobody has read would be taken for the next one's
                self._end()
                raise
            self._asked = time.monotonic()
        if "error" in answer:
            raise PictureError(f"a picture could not be drawn ({answer['error']}). Try again.")
        return answer["made"]

    def _running(self) -> subprocess.Popen[str]:
        """A process that will not end just now."""
        now = time.monotonic()
        if self._process and (self._process.poll() is not None or now - self._asked > _IDLE):
            self._end()
        if self._process is None:
            found = os.pathsep.join(filter(None, sys.path))  # packages lie where this process finds them
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_SCRIPT), str(_PATIENCE)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                # No secret is for a library that reads strangers' texts.
                env={**common_environment(1, os.environ), "PYTHONPATH": found},
                start_new_session=True,  # Ctrl-C is for the run, which may still want its report
            )
            self._asked = now
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            process.kill()
            process.communicate()


PAINTER = Painter()
atexit.register(PAINTER.close)
