"""Hostile scripts: what a layer contains while it is on gets through when it is off, as root and as another user."""

import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.fixtures.hostile.case import DESIGN, NOTHING, Case
from tests.fixtures.hostile.cases import CASES
from tests.fixtures.hostile.client import Answer, Driver, user_driver, user_folder
from tests.fixtures.hostile.table import markdown
from tests.fixtures.hostile.world import REPOSITORY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the canaries need /proc")
WARM = (REPOSITORY / "machine_learning_engineering/shared_libraries/execution/warm_sandbox.py").exists()
# What a warm sandbox can do without; all else is proven by running the script with no sandbox at all.
SWITCHES = frozenset({"user-namespace", "network", "mounts", "landlock", "seccomp", "memory-cgroup", "pids-cgroup"})
SUBPROCESS = frozenset({"session", "environment", "private-folder", "rlimits", "tree-kill", "output-cap"})
ALWAYS = frozenset({DESIGN, NOTHING, "memory-watch", "process-watch"})  # the watches need not be named as layers


def rows(cases: Iterable[Case]) -> pytest.MarkDecorator:
    found = [pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.slow else []) for case in cases]
    return pytest.mark.parametrize("case", found)


warm = pytest.mark.skipif(not WARM, reason="there is no warm sandbox yet")


@pytest.fixture(scope="module", params=["own_user", pytest.param("user_1000", marks=pytest.mark.slow)])
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    folder = user_folder()
    found = Driver(Path(sys.executable)) if request.param == "own_user" else user_driver(folder)
    if isinstance(found, str):
        shutil.rmtree(folder)
        pytest.skip(found)
    yield found
    found.close()
    shutil.rmtree(folder)


def skip_unless_in_force(case: Case, answer: Answer) -> None:
    if not case.layers & (ALWAYS | answer.layers):
        pytest.skip(f"this machine lacks {case.layer} for this user")


@warm
@rows(CASES)
def test_a_hostile_script_touches_nothing(driver: Driver, case: Case) -> None:
    answer = driver.run(case, "warm")
    skip_unless_in_force(case, answer)
    if case.gap and answer.touched:
        pytest.xfail(case.gap)
    assert not answer.touched, answer


@warm
@pytest.mark.slow
@rows(case for case in CASES if case.also)
def test_the_named_layer_contains_it_alone(driver: Driver, case: Case) -> None:
    others = frozenset(case.also) - {case.layer}
    answer = driver.run(case, "warm", others & SWITCHES)
    skip_unless_in_force(case, answer)
    assert case.canary not in answer.touched, answer


@warm
@pytest.mark.slow
@rows(case for case in CASES if case.layer != NOTHING)
def test_without_its_layers_it_touches_its_canary(driver: Driver, case: Case) -> None:
    can_be_off = case.layers <= SWITCHES
    answer = driver.run(case, "warm", case.layers) if can_be_off else driver.run(case, "bare")
    if case.canary not in answer.touched and case.needs and case.canary not in driver.run(case, "bare").touched:
        pytest.skip(f"needs {case.needs}; the kernel itself refuses it here")
    assert case.canary in answer.touched, answer


@pytest.mark.slow
@rows(case for case in CASES if case.layers & (ALWAYS | SUBPROCESS))
def test_a_subprocess_contains_what_it_promises(driver: Driver, case: Case) -> None:
    answer = driver.run(case, "subprocess")
    if case.gap and answer.touched:
        pytest.xfail(case.gap)
    assert not answer.touched, answer


def test_the_documented_table_is_the_one_of_the_cases() -> None:
    page = Path(__file__).parents[2] / "docs" / "security.md"
    assert page.read_text().endswith(markdown().rstrip() + "\n"), "run python -m tests.fixtures.hostile.table"
