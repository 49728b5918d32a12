"""The report of whole runs, as a browser shows it: no errors, no network, nothing hostile at work, fit for a phone."""

import asyncio
import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from machine_learning_engineering import client
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import MleError
from machine_learning_engineering.shared_libraries.report.page import MAX_BYTES, build_report, keep_report
from machine_learning_engineering.shared_libraries.report.story import read_story
from machine_learning_engineering.shared_libraries.runs.journal import Journal
from tests.fixtures import tiny

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "</script><script>window.owned=1</script><img src=x onerror=window.owned=1>\"'{{7*7}}"
# Chromium reads its commands at descriptor 3 and answers at 4.
AT_3_AND_4 = """
import os, sys
for at, given in (3, sys.argv[1]), (4, sys.argv[2]):
    os.dup2(int(given), at)
os.execv(sys.argv[3], sys.argv[3:])
"""
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

    def open(self, page: Path, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Shows a page and waits until it is loaded; forgets earlier events."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript is in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

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
        return json.loads(message)


def make_hostile_task(folder: Path) -> Path:
    """The tiny task with a column whose name and values try to break out of a page."""
    task = tiny.make_task(folder)
    cell = '"' + HOSTILE.replace('"', '""') + '"'
    for name in ("train.csv", "test.csv"):
        head, *rows = (task / name).read_text().splitlines()
        values = (cell if n % 2 else "b" for n in range(len(rows)))
        lines = [f"{head},{cell}", *(f"{row},{value}" for row, value in zip(rows, values, strict=True))]
        (task / name).write_text("\n".join(lines) + "\n")
    return task


def hostile_replies() -> dict[str, Any]:
    """A run in which models and scripts do the same, one candidate fails at first, and ablation parts are hostile."""
    replies = tiny.replies()
    loud = f"print({HOSTILE!r})\n# {HOSTILE}\n"
    for agent, texts in replies.items():
        if "_eval_" in agent or agent.startswith(("merger", "ensemble_plan_implement")):
            replies[agent] = [text.replace("import csv\n", f"import csv\n{loud}", 1) for text in texts]
    first = replies["model_eval_agent_1_1"][0]
    replies["model_eval_agent_1_1"] = [first.replace("import csv\n", f"import csv\nraise ValueError({HOSTILE!r})\n", 1)]
    replies["model_eval_debug_agent_1_1"] = [first]
    replies["model_eval_bug_summary_agent_1_1"] = [f"It raised {HOSTILE}."]
    replies["ablation_agent_1"] = [tiny.fenced(tiny.ABLATION.replace("[model]", f"[{HOSTILE[:20]}]")), "..."]
    replies["plan_refine_agent_1"] = [f"Tune the bias more. {HOSTILE}", "..."]
    cards = [{"model_name": f"model {HOSTILE}", "example_code": "fit()"}, {"model_name": "b", "example_code": "fit()"}]
    replies["model_retriever_agent_1"] = [tiny.fenced(json.dumps(cards), "json")]
    return replies


def run(folder: Path, task: Path, replies: dict[str, Any], **settings: Any) -> Path:
    """The folder of a run that has ended, well or not."""
    path = folder.with_suffix(".replies.json")
    path.write_text(json.dumps(replies))
    config = RunConfig(agent_model=f"scripted/{path}", use_data_leakage_checker=False, exec_timeout=20, **settings)
    try:
        asyncio.run(client.solve(client.find_request(task), config, folder))
    except MleError:
        assert (folder / "journal.jsonl").exists()
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in which everything that can be hostile is."""
    root = tmp_path_factory.mktemp("report")
    return run(root / "run", make_hostile_task(root / "task" / "tiny"), hostile_replies())


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    one = Browser(tmp_path_factory.mktemp("chromium"))
    yield one
    one.close()


def shortened(run: Path, folder: Path, lines: int, rest: int = 0) -> Path:
    """The run as a kill would have left it after so many journal lines and bytes of the next one."""
    shutil.copytree(run, folder, symlinks=True)
    whole = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"".join(whole[:lines]) + whole[lines][:rest])
    return folder


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_a_page_complains_of_nothing_and_asks_for_nothing(
    finished: Path, browser: Browser, width: int, scheme: str
) -> None:
    page = build_report(finished)
    browser.open(page, width, scheme=scheme)
    assert browser.complaints() == []
    assert [url for url in browser.requests() if url not in (page.as_uri(), "data:,")] == []


@needs_chromium
@pytest.mark.parametrize("width", [375, 768, 1280])
def test_a_page_never_scrolls_sideways(finished: Path, browser: Browser, width: int) -> None:
    browser.open(build_report(finished), width)
    browser.value("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


@needs_chromium
def test_hostile_text_stays_text(finished: Path, browser: Browser) -> None:
    browser.open(build_report(finished))
    assert browser.value("window.owned === undefined && document.images.length === 0 && document.scripts.length === 1")
    assert browser.value("document.body.textContent").count("<img src=x onerror=window.owned=1>") > 10
    assert "49" not in browser.value("document.querySelector('.plan').textContent")


@needs_chromium
def test_the_policy_alone_stops_a_script_that_got_through(finished: Path, browser: Browser) -> None:
    page = build_report(finished)
    broken = page.with_name("broken.html")
    broken.write_text(page.read_text().replace("<h2>Result</h2>", "<h2>Result</h2><script>window.owned=1</script>"))
    browser.open(broken)
    assert browser.value("window.owned === undefined")
    assert any("Content Security Policy" in one for one in browser.complaints())


@needs_chromium
def test_choosing_a_box_shows_that_script_alone(finished: Path, browser: Browser) -> None:
    browser.open(build_report(finished))
    shown = "[...document.querySelectorAll('.card')].filter((one) => one.offsetParent !== null).map((one) => one.id)"
    assert browser.value(f"{shown}.join()") == browser.value("document.querySelector('.cards').dataset.chosen")
    browser.value("document.querySelector('.box').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    assert browser.value(f"new Promise((done) => setTimeout(() => done({shown}.join()), 200))") == "script-1"


@needs_chromium
def test_the_keyboard_reaches_every_box(finished: Path, browser: Browser) -> None:
    browser.open(build_report(finished))
    boxes = len(read_story(finished).nodes)
    reached = set()
    browser.value("document.querySelector('.graph').focus()")
    for _ in range(boxes):
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.add(browser.value("document.activeElement.getAttribute('href')"))
    assert len(reached) == boxes


@needs_chromium
def test_the_theme_of_the_system_rules_until_a_person_chooses(finished: Path, browser: Browser) -> None:
    page, ground = build_report(finished), "getComputedStyle(document.body).backgroundColor"
    browser.open(page, scheme="dark")
    assert browser.value(ground) == "rgb(13, 17, 23)"
    browser.value("document.getElementById('theme').click()")  # auto -> light
    assert browser.value(ground) == "rgb(255, 255, 255)"
    browser.value("localStorage.clear()")


@needs_chromium
def test_without_javascript_every_script_is_shown(finished: Path, browser: Browser) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(build_report(finished))
        hidden = "[...document.querySelectorAll('.card')].filter((one) => one.offsetParent === null).length"
        assert browser.value(hidden) == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


@needs_chromium
@pytest.mark.parametrize("chosen", ["auto", "dark"])
def test_paper_is_white_whatever_the_theme(finished: Path, browser: Browser, chosen: str) -> None:
    browser.open(build_report(finished), scheme="dark")
    if chosen == "dark":
        browser.value("document.documentElement.dataset.theme = 'dark'")
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.call("Emulation.setEmulatedMedia", media="print", features=dark)
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    browser.call("Emulation.setEmulatedMedia", media="")


@needs_chromium
@pytest.mark.slow
def test_a_live_page_loads_itself_again(finished: Path, tmp_path: Path, browser: Browser) -> None:
    folder = shortened(finished, tmp_path / "run", 40)
    journal = Journal(folder)
    try:
        browser.open(build_report(folder, live=True))
    finally:
        journal.close()
    browser.value("window.before = 1")
    browser.value("new Promise((done) => setTimeout(done, 3000))")
    time.sleep(4)
    assert browser.value("window.before === undefined")


def test_only_a_run_that_goes_on_reloads_and_only_when_asked(finished: Path, tmp_path: Path) -> None:
    folder = shortened(finished, tmp_path / "run", 40)
    assert 'data-live="0"' in build_report(folder, live=True).read_text()
    journal = Journal(folder)
    try:
        assert 'data-live="5"' in build_report(folder, live=True).read_text()
        assert 'data-live="0"' in build_report(folder).read_text()
    finally:
        journal.close()


def test_keeping_the_report_of_an_ended_run_writes_it_once(finished: Path) -> None:
    assert 'data-live="0"' in keep_report(finished).read_text()


@pytest.mark.parametrize("share", [0.02, 0.1, 0.25, 0.5, 0.75, 0.95])
def test_a_run_killed_anywhere_has_a_page(finished: Path, tmp_path: Path, share: float) -> None:
    lines = int(len((finished / "journal.jsonl").read_bytes().splitlines()) * share)
    html = build_report(shortened(finished, tmp_path / "run", lines, rest=30)).read_text()
    assert "interrupted" in html
    assert "The same command takes it up where it stopped" in html


def test_a_run_without_a_working_script_says_why(tmp_path: Path) -> None:
    replies = {agent: [tiny.fenced("import csv\nraise ValueError('no')")] * 20 for agent in tiny.replies()}
    replies |= {"task_summarization_agent": ["A task."]}
    replies |= {f"model_retriever_agent_{t}": [tiny.models(1)] for t in (1, 2)}
    task = tiny.make_task(tmp_path / "task" / "tiny")
    folder = run(tmp_path / "run", task, replies, max_debug_round=0, max_rollback_round=1, max_retry=1)
    html = build_report(folder).read_text()
    assert "no script of this run got a score" in html
    assert "no model candidate made a valid submission" in html


def test_a_page_without_its_data_keeps_the_rest(finished: Path, tmp_path: Path) -> None:
    folder = shortened(finished, tmp_path / "run", 60)
    gone = str(tmp_path / "gone").encode()
    source = str(read_story(finished).started.request["source"]).encode()  # type: ignore[union-attr]
    journal = folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(source, gone))
    html = build_report(folder).read_text()
    assert "cannot be read any more" in html
    assert "Candidate 1.1" in html


def test_a_page_is_small_and_names_what_made_it(finished: Path) -> None:
    page = build_report(finished)
    html = page.read_text()
    assert page.stat().st_size < MAX_BYTES
    for needed in ("held-out rows", "mle run", "google-adk", "Residuals", "Ablation 1.0", "Ensemble 1", "Seed 42"):
        assert needed in html


def test_a_failed_version_and_its_mending_are_both_told(finished: Path) -> None:
    story = read_story(finished)
    versions = [node for node in story.nodes if node.slot == "init_code_1_1"]
    assert [node.succeeded for node in versions] == [False, True]
    assert [(e.source, e.kind) for e in story.edges if e.target == versions[1].key] == [(versions[0].key, "fix")]
    assert HOSTILE in story.text(versions[1].bug)
