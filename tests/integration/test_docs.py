"""Every command of README and docs, run as a reader would, and their options and links.

A fenced block marked `bash` or `console` (there the lines after `$ `) is run, in order with the others of its page, in
a folder like a clone of the repository beside the files that examples are about. A block that must not run has a
comment right above its fence that says why: `<!-- not tested: needs a key -->`. A block of Python that begins with the
name of a file in a comment is that file.
"""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main

import machine_learning_engineering
from machine_learning_engineering.cli import app

ROOT = Path(machine_learning_engineering.__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"(?:<!-- not tested: (?P<why>[^>]+) -->\n)?^```(?:bash|console)\n(?P<text>.*?)^```$", re.M | re.S)
CALL = re.compile(r"^(?:[A-Z_]+=\S+ )*(?:\S+/)?mle (.*)$", re.M)
FILE = re.compile(r"^```python\n# (?P<name>\w+\.py)\n(?P<text>.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
ROWS = 120


@dataclass(frozen=True)
class Block:
    """A block of commands, and why it is not run; empty for one that is."""

    page: Path
    line: int
    commands: str
    why_not: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        lines = match["text"].splitlines()
        if match[0].rpartition("```console\n")[1]:
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        yield Block(page, text.count("\n", 0, match.start("text")), "\n".join(lines), match["why"] or "")


BLOCKS = [block for page in PAGES for block in blocks(page)]
RUN = [page for page in PAGES if any(not block.why_not for block in blocks(page))]


def test_there_is_something_to_test() -> None:
    names = {page.name for page in RUN}
    assert {"README.md", "tutorial.md", "how-to-own-data.md", "cli.md"} <= names


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_every_option_in_a_block_exists(block: Block) -> None:
    """Also in the blocks that are not run."""
    for called in CALL.findall(block.commands):
        command, *words = shlex.split(called, comments=True)
        known = {"--help", "--version"}
        if not command.startswith("-"):
            assert command in COMMANDS
            known |= {flag for one in COMMANDS[command].params for flag in one.opts}
        assert {word for word in (command, *words) if word.startswith("-")} <= known, called


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    linked = [*LINK.findall(text), *re.findall(r'(?:src|srcset)="([^"]+)"', text)]
    assert [link for link in linked if not (page.parent / link).exists()] == []


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder like a clone, by links, with the data that examples are about."""
    for entry in ROOT.iterdir():
        if entry.name not in (".git", "mle-runs"):
            (tmp_path / entry.name).symlink_to(entry)
    rows = [f"{n},{n % 6 + 1},{n * 7 % 90 + 20},d{n % 8}" for n in range(ROWS + 20)]
    prices = [(n * 7 % 90 + 20) * 3 + n % 6 * 9 + n % 5 for n in range(ROWS)]
    known = [f"{row},{price}" for row, price in zip(rows, prices, strict=False)]
    train, test = "flat_id,rooms,area,district,price\n", "flat_id,rooms,area,district\n"
    for folder, names in (
        (tmp_path, ("flats.csv", "new_flats.csv")),
        (tmp_path / "my-task", ("train.csv", "test.csv")),
    ):
        folder.mkdir(exist_ok=True)
        (folder / names[0]).write_text(train + "\n".join(known) + "\n")
        (folder / names[1]).write_text(test + "\n".join(rows[ROWS:]) + "\n")
    sales = [f"{n},{n % 7},{n * 5 % 40 + 10},{(n * 5 % 40) * 2 + n % 7 * 3}" for n in range(ROWS)]
    (tmp_path / "sales.csv").write_text("day,weekday,visitors,pieces\n" + "\n".join(sales) + "\n")
    return tmp_path


def is_set_up() -> bool:
    """Whether run.py has installed these versions here, so that `make` needs no network."""
    spec = importlib.util.spec_from_file_location("run", ROOT / "run.py")
    assert spec is not None
    assert spec.loader is not None
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    stamp = run.STAMP.read_text() if run.STAMP.exists() else ""
    return stamp in (run.wanted(True), run.wanted(False))


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_works(page: Path, clone: Path) -> None:
    """With as little search as the settings allow, where a command itself does not ask for more."""
    small = {"MLE_NUM_SOLUTIONS": "1", "MLE_NUM_MODEL_CANDIDATES": "1", "MLE_OUTER_LOOP_ROUND": "0"}
    small |= {"MLE_ENSEMBLE_LOOP_ROUND": "0", "MLE_INNER_LOOP_ROUND": "0"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for match in FILE.finditer(page.read_text(encoding="utf-8")):
        (clone / match["name"]).write_text(match["text"])
    env = {**os.environ, **small, "HOME": str(clone), "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    for block in blocks(page):
        if block.why_not or ("make " in block.commands and not is_set_up()):
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.commands],
            capture_output=True, text=True, cwd=clone, env=env, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"{block.name}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
