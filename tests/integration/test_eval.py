"""The evaluation sets that come with the project pass without a key."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_chat_cases_pass(tmp_path: Path) -> None:
    adk = Path(sys.executable).with_name("adk")
    command = [adk, "eval", ROOT / "machine_learning_engineering", ROOT / "eval" / "adk" / "chat.evalset.json"]
    command += ["--config_file_path", ROOT / "eval" / "adk" / "test_config.json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=120)
    assert "Tests passed: 3" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
