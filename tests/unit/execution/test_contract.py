"""Every backend passes the contract suite that the package ships."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.errors import ConfigError
from machine_learning_engineering.shared_libraries.execution import process
from machine_learning_engineering.shared_libraries.execution.cache import CachedSandbox
from machine_learning_engineering.shared_libraries.execution.sandbox import BACKENDS, Sandbox, make_sandbox
from machine_learning_engineering.shared_libraries.execution.scheduler import Capacity, ScheduledSandbox
from machine_learning_engineering.shared_libraries.execution.self_check import CHECKS, Check, run
from machine_learning_engineering.shared_libraries.execution.supervisor import children


@pytest.fixture(params=BACKENDS)
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    made = make_sandbox(request.param)
    yield made
    await made.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_contract(check: Check, sandbox: Sandbox, tmp_path: Path) -> None:
    await check(sandbox, tmp_path)


async def test_a_long_input_is_written_beside_the_event_loop(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers = []

    def written(descriptor: int, data: bytes) -> None:
        writers.append(threading.current_thread())
        write(descriptor, data)

    write = process._write
    monkeypatch.setattr(process, "_write", written)
    data = b"x" * (2 * process._SHORT_BYTES)
    execution = await run(sandbox, tmp_path, "import sys\nprint(len(sys.stdin.read()))", stdin=data)
    assert execution.stdout == f"{len(data)}\n"
    assert threading.main_thread() not in writers
    assert len(writers) == 1


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


@pytest.fixture
async def warm() -> AsyncIterator[Sandbox]:
    made = make_sandbox("warm")
    yield made
    await made.close()


async def test_one_server_that_was_started_ahead_runs_every_kind_of_script(warm: Sandbox, tmp_path: Path) -> None:
    await warm.warm_up(threads=2)
    servers = set()
    for name in ("os", "numpy", "lightgbm"):
        execution = await run(warm, tmp_path / name, f"import os, {name}\nprint(os.getppid())")
        servers.add(int(execution.stdout))
    assert servers == set(children(os.getpid()))


async def test_a_sandbox_that_is_closed_while_it_warms_up_leaves_no_server(warm: Sandbox) -> None:
    await warm.warm_up(threads=1)
    assert children(os.getpid())
    await warm.close()
    await asyncio.wait({one for one in asyncio.all_tasks() if one is not asyncio.current_task()})
    assert not children(os.getpid())
