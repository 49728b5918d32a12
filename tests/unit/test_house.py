"""The shape of the house: imports go down, services know no framework, modules stay short, starting costs little."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import machine_learning_engineering

PACKAGE = "machine_learning_engineering"
ROOT = Path(machine_learning_engineering.__file__).parent
LIBRARIES = f"{PACKAGE}.shared_libraries"
# Highest first; the first prefix that fits a module gives its floor.
FLOORS = (
    (4, tuple(f"{PACKAGE}.{name}" for name in ("agent", "cli", "_cli_looks", "_cli_options", "_cli_watch", "client"))),
    (4, (f"{PACKAGE}.prompt", f"{PACKAGE}.front_door")),
    (3, (f"{PACKAGE}.sub_agents",)),
    (2, tuple(f"{LIBRARIES}.{name}" for name in ("code_util", "debug_util", "check_leakage_util"))),
    (0, tuple(f"{LIBRARIES}.{name}" for name in ("config", "errors", "records"))),
    (1, (LIBRARIES,)),
)
SERVICES = tuple(f"{LIBRARIES}.{name}" for name in ("tasks", "scoring", "execution", "runs", "monitoring", "report"))
MODULES = sorted(path for path in ROOT.rglob("*.py") if "/." not in path.as_posix())  # chats lie in .adk


def name_of(path: Path) -> str:
    parts = (PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor(module: str) -> int | None:
    fits = (f for f, names in FLOORS if any(module == name or module.startswith(f"{name}.") for name in names))
    return next(fits, None)


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("path", [p for p in MODULES if floor(name_of(p)) is not None], ids=name_of)
def test_imports_go_down(path: Path) -> None:
    here = floor(name_of(path)) or 0
    assert not {used for used in imports(path) if (floor(used) or 0) > here}


@pytest.mark.parametrize("path", [p for p in MODULES if name_of(p).startswith(SERVICES)], ids=name_of)
def test_services_know_no_framework(path: Path) -> None:
    assert not {used for used in imports(path) if used.startswith("google.adk")}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_the_command_line_starts_without_heavy_libraries() -> None:
    code = f"import sys, {PACKAGE}.cli; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["pandas", "numpy", "sklearn", "google.adk", "google.genai", "litellm", "pydantic", "rich.live"]
    run = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
