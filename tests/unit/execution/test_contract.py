"""Every backend passes the contract suite that the package ships."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.errors import ConfigError
from machine_learning_engineering.shared_libraries.execution.sandbox import BACKENDS, Sandbox, make_sandbox
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
