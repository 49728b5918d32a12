"""What static rules find in a script: planted leaks by line and name, and nothing in honest code."""

import re
from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.models.offline import design
from machine_learning_engineering.shared_libraries.records import Metric, Task
from machine_learning_engineering.shared_libraries.scoring.leaks import Leak, find_leaks
from tests.fixtures.leaks.honest import HONEST
from tests.fixtures.leaks.planted import PLANTED
from tests.unit.models.offline.conftest import AUC, LOG_LOSS, RMSE, TARGETS, card
from tests.unit.scoring.conftest import build_task

FIDELITY = Path(__file__).parents[2] / "fixtures" / "fidelity"


def leaks_of(source: str, folder: Path, target: str = "price", id: str = "id") -> tuple[Leak, ...]:
    task: Task = build_task(folder / "task").model_copy(update={"target": target, "id": id})
    return find_leaks(source, task)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_leak_is_named_with_its_line(name: str, tmp_path: Path) -> None:
    lines = enumerate(PLANTED[name].splitlines(), 1)
    planted = [(number, match[1]) for number, line in lines if (match := re.search(r"# leak: (\w+)", line))]
    assert [(one.line, one.rule) for one in leaks_of(PLANTED[name], tmp_path)] == planted


@pytest.mark.parametrize("name", HONEST)
def test_honest_code_that_looks_like_a_leak_passes(name: str, tmp_path: Path) -> None:
    assert leaks_of(HONEST[name], tmp_path) == ()


@pytest.mark.parametrize("metric", [RMSE, AUC, LOG_LOSS], ids=lambda one: one.name)
def test_the_recipe_library_writes_nothing_that_leaks(metric: Metric, tmp_path: Path) -> None:
    base = card("candidate", metric)
    for names in ([one] for one in design.ranking(base)):
        script = design.script(base, names).render()
        assert leaks_of(script, tmp_path, TARGETS[metric.name], "key") == (), names


@pytest.mark.parametrize("path", sorted(FIDELITY.glob("*sklearn*.py")) + sorted(FIDELITY.glob("openmp_*.py")))
def test_scripts_that_only_prove_the_sandbox_pass(path: Path, tmp_path: Path) -> None:
    assert leaks_of(path.read_text(), tmp_path) == ()


def test_a_text_that_is_no_program_has_no_leaks(tmp_path: Path) -> None:
    assert leaks_of("def (", tmp_path) == ()
