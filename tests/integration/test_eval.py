"""The evaluation sets that come with the project pass without a key, and fail when a tool or a prompt is broken."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "machine_learning_engineering"


def evaluate(root: Path, cases: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`adk eval` of the package that lies in `root`, from a folder that holds the cases."""
    if not (folder / "eval").exists():
        shutil.copytree(ROOT / "eval" / "adk", folder / "eval" / "adk")
    command = [Path(sys.executable).with_name("adk"), "eval", root / PACKAGE, f"eval/adk/{cases}.evalset.json"]
    command += ["--config_file_path", "eval/adk/test_config.json", "--print_detailed_results"]
    world = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=world, check=False, timeout=200)


def copied(folder: Path) -> Path:
    """A place with a copy of the package: ADK leaves a history beside what it evaluates."""
    shutil.copytree(ROOT / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns(".adk", "__pycache__"))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("cases", "count"), [("chat", 8), ("run", 1)])
def test_the_cases_pass(cases: str, count: int, tmp_path: Path) -> None:
    done = evaluate(copied(tmp_path / "copy"), cases, tmp_path)
    assert re.search(rf"Tests passed: {count}\s+Tests failed: 0\s", done.stdout), done.stdout + done.stderr
    assert done.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "good", "bad"),
    [
        ("front_door/tools.py", 'return {"tasks": rows}', 'return {"tasks": []}'),
        ("front_door/tools.py", "except TargetUnclear as exc:", "except ZeroDivisionError as exc:"),
        ("prompt.py", 'ABOUT = """', 'ABOUT = "Ask me anything."\n_OLD = """'),
        ("shared_libraries/models/offline/chat.py", '"describe_task", {', '"list_tasks", {'),
    ],
)
def test_the_cases_fail_for_a_copy_that_is_broken(module: str, good: str, bad: str, tmp_path: Path) -> None:
    copy = copied(tmp_path / "copy")
    text = (copy / PACKAGE / module).read_text()
    assert good in text
    (copy / PACKAGE / module).write_text(text.replace(good, bad))
    done = evaluate(copy, "chat", tmp_path)
    assert done.returncode == 1
    assert "Tests failed: 0" not in done.stdout
    assert "Tests failed: " in done.stdout, done.stdout + done.stderr
