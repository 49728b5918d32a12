"""Every backend passes the contract suite that the package ships."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.errors import ConfigError
from machine_learning_engineering.shared_libraries.execution.cache import CachedSandbox
from machine_learning_engineering.shared_libraries.execution.sandbox import BACKENDS, Sandbox, make_sandbox
from machine_learning_engineering.shared_libraries.execution.scheduler import Capacity, ScheduledSandbox
from machine_learning_engineering.shared_libraries.execution.self_check import CHECKS, Check


@pytest.fixture(params=BACKENDS)
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    made = make_sandbox(request.param)
    yield made
    await made.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_contract(check: Check, sandbox: Sandbox, tmp_path: Path) -> None:
    await check(sandbox, tmp_path)


def test_a_backend_has_the_name_of_its_row() -> None:
    assert [make_sandbox(name).name for name in BACKENDS] == list(BACKENDS)


def test_an_unknown_backend_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="choose one of: subprocess"):
        make_sandbox("submarine")


@pytest.fixture
async def layered(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """What runs use: the cache around the scheduler around a backend."""
    capacity = Capacity(cpus=8, spare_cpus=2)
    made = CachedSandbox(ScheduledSandbox(make_sandbox("subprocess"), capacity), tmp_path / "cache", 2**30)
    yield made
    await made.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_contract_through_cache_and_scheduler(check: Check, layered: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    await check(layered, tmp_path / "job")
