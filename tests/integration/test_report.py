"""The report of whole runs, as a browser shows it: no errors, no network, nothing hostile at work, fit for a phone."""

import asyncio
import json
import shutil
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
from tests.browser import Browser, needs_chromium
from tests.fixtures import tiny

HOSTILE = "</script><script>window.owned=1</script><img src=x onerror=window.owned=1>\"'{{7*7}}"


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
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_told_from_its_ground(finished: Path, browser: Browser, scheme: str) -> None:
    browser.open(build_report(finished), scheme=scheme)
    browser.value("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.faint_texts("body") == []
    browser.value("document.querySelector('h2').style.color = 'rgb(128, 128, 128, 0.5)'")
    assert browser.faint_texts("body") == ["Result"]


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
