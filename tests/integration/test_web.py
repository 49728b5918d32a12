"""The chat in ADK's own web page, by a headless Chromium: what a person sees, and what stays when the tab is closed."""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import machine_learning_engineering
from tests.browser import Browser, needs_chromium
from tests.fixtures import tiny

APP = "machine_learning_engineering"
PACKAGE = Path(machine_learning_engineering.__file__).parent
# What ADK's page complains of by itself, where it has no network: fonts from elsewhere, and a style sheet it lacks.
ADKS_OWN = re.compile(r"fonts\.g|prism-(?:dark|light)\.css")
OURS = ".message-content app-markdown"  # what we say; the rest of the page is ADK's
SAID = "document.querySelector('.chat-messages')?.innerText ?? ''"


class Web:
    """ADK's web server over this package; sessions and artifacts in memory."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        adk = Path(sys.executable).with_name("adk")
        command = [adk, "web", "--port", str(self.port), "--no-reload", "--no_use_local_storage"]
        self.log = folder / "web.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, PACKAGE],
                cwd=folder,
                env={**os.environ, "HOME": str(folder)},  # where ADK remembers the answer to its question
                stdout=log,
                stderr=log,
            )
        self.url = f"http://127.0.0.1:{self.port}"
        end = time.monotonic() + 60
        while "Uvicorn running" not in self.log.read_text():
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:
            return bytes(answer.read())

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)


@pytest.fixture
def web(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    tiny.make_task(in_tmp / "tiny")
    slow = "import csv\nimport time\n\ntime.sleep(1)\n"
    replies = {name: [text.replace("import csv\n", slow, 1) for text in t] for name, t in tiny.replies(1, 2).items()}
    (in_tmp / "replies.json").write_text(json.dumps(replies))
    settings = {"AGENT_MODEL": f"scripted/{in_tmp / 'replies.json'}", "MODELS": '{"chat": "offline"}'}
    for name, value in {**settings, "NUM_SOLUTIONS": "1", "USE_DATA_LEAKAGE_CHECKER": "false"}.items():
        monkeypatch.setenv(f"MLE_{name}", value)
    one = Web(in_tmp)
    yield one
    one.close()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    one = Browser(tmp_path / "chromium")
    yield one
    one.close()


def say(browser: Browser, text: str) -> None:
    browser.until("!!document.querySelector('textarea:not([disabled])')")
    browser.value("document.querySelector('textarea').focus()")
    browser.type(text)
    browser.until(f"document.querySelector('textarea').value.includes({json.dumps(text)})")
    browser.press("Enter", 13)


def wait_for(browser: Browser, text: str, seconds: float = 60) -> None:
    browser.until(f"({SAID}).includes({json.dumps(text)})", seconds)


def decline_telemetry(browser: Browser) -> None:
    """Says no to ADK's own question, which stands before its page on the first visit."""
    button = "[...document.querySelectorAll('button')].find((one) => one.innerText.includes('No Thanks'))"
    browser.until(f"!!({button})")
    browser.value(f"({button}).click()")
    browser.until(f"!({button})")


def test_a_cold_start_warns_of_nothing_of_ours(web: Web) -> None:
    assert json.loads(web.get("/list-apps")) == [APP]
    assert web.get(f"/dev/apps/{APP}/build_graph")
    warned = [line for line in web.log.read_text().splitlines() if "WARN" in line.upper() and APP in line]
    assert [line for line in warned if "site-packages" not in line] == []


@needs_chromium
@pytest.mark.slow
def test_a_run_is_started_seen_left_taken_up_and_downloaded(web: Web, browser: Browser, in_tmp: Path) -> None:
    pictures = Path(os.environ["CHAT_PICTURES"]) if "CHAT_PICTURES" in os.environ else None
    browser.open(f"{web.url}/dev-ui/?app={APP}")
    decline_telemetry(browser)
    say(browser, "run tiny for half an hour, 2 candidates, one round")
    wait_for(browser, "is going on")
    wait_for(browser, "the best so far")
    page = str(browser.value("location.href"))
    if pictures:
        picture_all(browser, pictures, "during")

    browser.call("Page.navigate", url="about:blank")  # the tab is closed
    folder = next((in_tmp / "mle-runs").glob("*/journal.jsonl")).parent
    browser.open(page)
    say(browser, "follow")
    wait_for(browser, "is done after")
    wait_for(browser, "Everything lies in")
    session = page.split("session=")[1].split("&")[0]
    where = f"/apps/{APP}/users/user/sessions/{session}"
    state = json.loads(web.get(where))["state"]
    assert {"init_code_1_1", "init_code_exec_result_1_1", "submission_code", "task_summary"} <= state.keys()
    kept = json.loads(web.get(f"{where}/artifacts/submission.csv"))["inlineData"]
    sent = base64.urlsafe_b64decode(kept["data"] + "==")
    assert sent == (folder / "final" / "submission.csv").read_bytes()
    assert browser.until("document.querySelectorAll('.chat-messages img').length") >= 2  # leaderboard, score over time

    assert download(browser, "submission.csv", in_tmp / "downloads") == sent
    assert [line for line in browser.complaints() if not ADKS_OWN.search(line)] == []
    for _ in range(2):
        assert browser.faint_texts(OURS) == []
        change_theme(browser)
    if pictures:
        picture_all(browser, pictures, "after")
    browser.resize(390, 844)
    assert browser.until("innerWidth == 390 && document.documentElement.scrollWidth") <= 390
    wide = f"[...document.querySelectorAll('{OURS}')].filter((one) => one.getBoundingClientRect().right > 390)"
    browser.until(f"!{wide}.length")  # the panel beside the messages makes room in steps
    assert not list(PACKAGE.glob(f".adk/**/*{session}*"))  # the flag that docs/chat.md names


@needs_chromium
@pytest.mark.slow
def test_two_sessions_follow_a_run_at_once(web: Web, browser: Browser, in_tmp: Path) -> None:
    """The second takes it up by its name while the first is being told; both come to the same end."""
    browser.open(f"{web.url}/dev-ui/?app={APP}")
    decline_telemetry(browser)
    say(browser, "run tiny, 2 candidates, one round")
    wait_for(browser, "is going on")
    folder = next((in_tmp / "mle-runs").glob("*/journal.jsonl")).parent
    other = Browser(in_tmp / "other")
    try:
        other.open(f"{web.url}/dev-ui/?app={APP}")
        say(other, f"take up {folder.name}")
        wait_for(other, "is going on")
        for one in (browser, other):
            wait_for(one, "is done after")
            wait_for(one, "Everything lies in")
        ends = [re.search(r"is done after .*", str(one.value(SAID))) for one in (browser, other)]
        assert ends[0] is not None
        assert ends[1] is not None
        assert ends[0][0] == ends[1][0]
        assert other.value("location.href") != browser.value("location.href")
    finally:
        other.close()
    assert (folder / "journal.jsonl").read_text().count('"kind":"run_started"') == 1


def download(browser: Browser, name: str, folder: Path) -> bytes:
    """What the button beside an artifact puts on the disk."""
    folder.mkdir()
    browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    tab = "[...document.querySelectorAll('[role=tab]')].find((one) => one.innerText.includes('Artifacts'))"
    browser.value(f"({tab}).click()")
    buttons = "[...document.querySelectorAll('button')]"
    after = f"{buttons}.findIndex((one) => one.innerText.startsWith({json.dumps(name)}))"
    button = f"{buttons}.slice({after}).find((one) => one.innerText.trim() == 'file_download')"
    browser.until(f"{after} >= 0 && !!({button})")
    browser.value(f"({button}).click()")
    end = time.monotonic() + 20
    while not (folder / name).exists():
        assert time.monotonic() < end, list(folder.iterdir())
        time.sleep(0.1)
    return (folder / name).read_bytes()


def change_theme(browser: Browser) -> None:
    """From ADK's dark theme to its light one, or back."""
    button = "[...document.querySelectorAll('button')].find((one) => /^(light|dark)_mode$/.test(one.innerText.trim()))"
    before = browser.value(f"({button}).innerText")
    browser.value(f"({button}).click()")
    browser.until(f"({button}).innerText != {json.dumps(before)}")


def picture_all(browser: Browser, folder: Path, when: str) -> None:
    """Desktop and phone, dark and light, for people to look at; the side panel, which hides a phone's chat, is shut."""
    for theme in ("dark", "light"):
        for width, height in ((1280, 900), (390, 844)):
            browser.resize(width, height)
            toggle_panel(browser, width)
            time.sleep(1)
            browser.picture(folder / f"{when}-{width}-{theme}.png", full=False)
            toggle_panel(browser, width)
        browser.resize(1280, 900)
        change_theme(browser)


def toggle_panel(browser: Browser, width: int) -> None:
    if width < 600:
        browser.value("document.querySelector('button[aria-label=\"Toggle side panel\"]').click()")
