"""A headless Chromium for tests, spoken to over a pipe, so that it needs no port and no driver."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Chromium reads its commands at descriptor 3 and answers at 4.
AT_3_AND_4 = """
import os, sys
for at, given in (3, sys.argv[1]), (4, sys.argv[2]):
    os.dup2(int(given), at)
os.execv(sys.argv[3], sys.argv[3:])
"""
# Texts below WCAG AA: 4.5 to 1 against what is painted below them, 3 to 1 where they are large. Icons are pictures.
FAINT = """(() => {
  const brush = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const light = (colours) => {
    for (const colour of ["white", ...colours]) { brush.fillStyle = colour; brush.fillRect(0, 0, 1, 1); }
    const parts = [...brush.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => part / 255);
    const linear = parts.map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05;
  };
  const ground = (one) => one ? [...ground(one.parentElement), getComputedStyle(one).backgroundColor] : [];
  const faint = (one) => {
    const style = getComputedStyle(one), below = ground(one), size = parseFloat(style.fontSize);
    const ink = light([...below, one instanceof SVGElement ? style.fill : style.color]), paper = light(below);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    return Math.max(ink, paper) / Math.min(ink, paper) < (large ? 3 : 4.5);
  };
  const holds = (one) => [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  const seen = (one) => one.getClientRects().length && !one.closest("mat-icon, :disabled, .skip");
  const all = [...document.querySelectorAll(SELECTOR)].flatMap((one) => [one, ...one.querySelectorAll("*")]);
  return all.filter((one) => holds(one) && seen(one) && faint(one)).map((one) => one.textContent.trim().slice(0, 60));
})()"""
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (apt-get install chromium)")


class Browser:
    """A headless Chromium, spoken to over a pipe; `events` are all that the page made it tell."""

    def __init__(self, profile: Path) -> None:
        asked, answers = os.pipe(), os.pipe()
        theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (asked[0], answers[1])]
        flags = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-extensions"
        self._process = subprocess.Popen(
            [sys.executable, "-c", AT_3_AND_4, *map(str, theirs), str(CHROMIUM), *flags.split(),
             "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"],
            pass_fds=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(profile)},
        )  # fmt: skip
        for fd in (*theirs, asked[0], answers[1]):
            os.close(fd)
        self._write, self._read = asked[1], answers[0]
        self._text, self._id = b"", 0
        self.events: list[dict[str, Any]] = []
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._id += 1
        session = {"sessionId": self._session} if self._session else {}
        os.write(
            self._write, json.dumps({"id": self._id, "method": method, "params": params, **session}).encode() + b"\0"
        )
        while (answer := self._next()).get("id") != self._id:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, page: Path | str, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Shows a page, a file or an address, and waits until it is loaded; forgets earlier events."""
        self.resize(width, height, scheme)
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri() if isinstance(page, Path) else page)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def resize(self, width: int, height: int, scheme: str = "light") -> None:
        """Shows the page at another size and in a colour scheme."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript is in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression: str, seconds: float = 30.0) -> Any:
        """The first value of an expression that is true. Raises: AssertionError if none is in time."""
        end = time.monotonic() + seconds
        while not (value := self.value(expression)):
            assert time.monotonic() < end, f"{expression} stays {value!r}"
            time.sleep(0.1)
        return value

    def faint_texts(self, selector: str) -> list[str]:
        """The texts within such elements that cannot be told well enough from their ground."""
        found: list[str] = self.value(FAINT.replace("SELECTOR", json.dumps(selector)))
        return found

    def type(self, text: str) -> None:
        """Types into what has the focus."""
        self.call("Input.insertText", text=text)

    def press(self, key: str, code: int) -> None:
        """Presses and lets go of a key, such as `Enter`, 13."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def give_files(self, selector: str, *paths: Path) -> None:
        """Chooses files in a file input, as a person would who drops them on it."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path.absolute()) for path in paths])

    def picture(self, path: Path, full: bool = True) -> None:
        data = self.call("Page.captureScreenshot", captureBeyondViewport=full)["data"]
        path.write_bytes(base64.b64decode(data))

    def complaints(self) -> list[str]:
        """Everything that a console would show."""
        self.value("1")  # whatever the page has told by now has arrived
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(event["params"]) for event in self.events if event.get("method") in kinds]

    def requests(self) -> list[str]:
        """The addresses that the page asked for."""
        sent = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def close(self) -> None:
        self._session = ""
        self.call("Browser.close")
        self._process.wait(20)
        os.close(self._write)
        os.close(self._read)

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + 30
        while b"\0" not in self._text:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self._read, 2**20) if ready else b""
            assert chunk, "chromium does not answer"
            self._text += chunk
        message, _, self._text = self._text.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer
