"""Sets the project up and runs it, with nothing but Python: `python3 run.py [run|test|check|pin|clean] [arguments]`.

run    a whole task with the offline model, from data to submission (the default)
test   the tests, offline once everything is installed
check  ruff, the formatter and mypy
pin    write constraints.txt anew, with the newest versions that pyproject.toml allows
clean  remove .venv, caches and build products; runs and their submissions stay

Everything goes to .venv beside this file. `make <target>` does the same.
"""

# This file must parse on any Python 3, so that an old one gets a sentence instead of a SyntaxError.
from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

BUNDLED_TASK = "glucose-progression"
OLDEST = (3, 11)

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
STAMP = VENV / "installed"
CONSTRAINTS = ROOT / "constraints.txt"
PYTEST = ["pytest", "-n", "2", "--dist", "loadfile"]


def run(arguments):
    """Runs `mle run` where the caller stands, so that mle-runs/ appears there."""
    install(dev=False)
    return call([BIN / "mle", "run", *(arguments or [BUNDLED_TASK])])


def test(arguments):
    install(dev=True)
    return call([BIN / "python", "-m", *PYTEST, *arguments], cwd=ROOT)


def check(arguments):
    install(dev=True)
    commands = (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"])
    return max(call([BIN / "python", "-m", *command], cwd=ROOT) for command in commands)


def pin(arguments):
    make_venv(anew=True)
    pip("-e", f"{ROOT}[dev]")
    found = subprocess.run(
        [BIN / "python", "-m", "pip", "freeze", "--exclude-editable"], check=True, capture_output=True, text=True
    )
    comment = [line for line in CONSTRAINTS.read_text().splitlines() if line.startswith("#")]
    pins = sorted((line for line in found.stdout.splitlines() if "==" in line), key=str.lower)
    CONSTRAINTS.write_text("\n".join(comment + pins) + "\n")
    STAMP.write_text(wanted(dev=True))
    return 0


def clean(arguments):
    names = (".venv", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", "build", "dist")
    caches = [cache for top in ("machine_learning_engineering", "tests") for cache in (ROOT / top).rglob("__pycache__")]
    for folder in [*(ROOT / name for name in names), *caches]:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def install(dev):
    """Leaves .venv with the package and what it needs; does nothing when a stamp says that this was done."""
    stamp = STAMP.read_text() if STAMP.exists() else ""
    if (BIN / "python").exists() and stamp in (wanted(dev), wanted(dev=True)):
        return
    make_venv()
    print("Installing into .venv, which takes a few minutes the first time ...", flush=True)
    pip("-c", str(CONSTRAINTS), "-e", f"{ROOT}[dev]" if dev else str(ROOT))
    STAMP.write_text(wanted(dev))


def make_venv(anew=False):
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(
            f"Python's {missing[0]} module is missing; install the package python3-venv "
            "(Debian and Ubuntu: sudo apt-get install python3-venv) and run this again."
        )
    # An interrupted set-up leaves an environment without pip.
    usable = list(BIN.glob("pip*")) and not anew
    if not usable and call([sys.executable, "-m", "venv", "--clear", VENV]):
        sys.exit(f"Python could not make {VENV}; is the folder writable?")


def pip(*arguments):
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--use-pep517"]
    if call([BIN / "python", "-m", "pip", "install", *quiet, *arguments]):
        sys.exit("The installation failed, as pip says above; with a connection to PyPI, run this again.")


def wanted(dev):
    """What the stamp says after an installation of the files as they are now."""
    digest = hashlib.sha256(sys.version.encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest() + (" dev" if dev else "")


def call(command, cwd=None):
    """The exit code of a command that shares this terminal."""
    try:
        return subprocess.run([str(part) for part in command], cwd=cwd).returncode
    except KeyboardInterrupt:
        return 130


TARGETS = {"run": run, "test": test, "check": check, "pin": pin, "clean": clean}


def main(arguments):
    if sys.version_info < OLDEST:
        wants, has = ".".join(map(str, OLDEST)), ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"Python {wants} or newer is needed and this is {has}; run it as python{wants} run.py.")
    name, rest = (arguments[0], arguments[1:]) if arguments else ("run", [])
    if name in ("-h", "--help"):
        print(__doc__)
        return 0
    if name not in TARGETS:
        sys.exit(f"There is no target {name!r}; there are {', '.join(TARGETS)}.")
    return TARGETS[name](rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
