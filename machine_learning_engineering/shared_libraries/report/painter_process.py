"""What the painter's process runs: a request a line on stdin, a JSON array of what to make and of what; an answer a
line on stdout, `{"made": TEXT}`, pictures in base64, or `{"error": SENTENCE}`.

It ends with its stdin, and when it has been asked nothing, or is busy with one picture, for `sys.argv[1]` seconds.
"""

import base64
import json
import signal
import sys
from collections.abc import Callable
from typing import Any

import vl_convert

_SETTINGS: Any = {"vl_version": "5.20", "allowed_base_urls": []}


def _svg(spec: dict[str, Any]) -> str:
    return vl_convert.vegalite_to_svg(spec, **_SETTINGS)


def _png(spec: dict[str, Any]) -> str:
    return base64.b64encode(vl_convert.vegalite_to_png(spec, scale=2, **_SETTINGS)).decode()


def _png_of_svg(svg: str) -> str:
    return base64.b64encode(vl_convert.svg_to_png(svg, scale=2)).decode()


def main() -> None:
    makers: dict[str, Callable[[Any], str]] = {"svg": _svg, "png": _png, "png_of_svg": _png_of_svg}
    _svg({"data": {"values": [{}]}, "mark": "point"})  # the first picture takes half a second, whatever it shows
    while True:
        signal.alarm(int(sys.argv[1]))
        line = sys.stdin.readline()
        if not line:
            return
        what, of = json.loads(line)
        try:
            answer = {"made": makers[what](of)}
        except ValueError as exc:
            answer = {"error": str(exc)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
