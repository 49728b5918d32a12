"""A whole run over the tiny task with the scripted model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machine_learning_engineering import client
from machine_learning_engineering.shared_libraries.config import RunConfig
from tests.fixtures import tiny

Solve = Callable[..., Any]


@pytest.fixture
def solve(tmp_path: Path) -> Solve:
    """`await solve(replies, out="run", **settings)` runs the tiny task and returns the client's Result."""
    task = tiny.make_task(tmp_path / "task" / "tiny")

    async def go(replies: dict[str, Any] | None = None, out: str = "run", **settings: Any) -> client.Result:
        path = tmp_path / f"{out}.replies.json"
        path.write_text(json.dumps(replies or tiny.replies()))
        given = {
            "agent_model": f"scripted/{path}",
            "use_data_leakage_checker": False,
            "exec_timeout": 20,
            "folds": 1,  # one search run a script, on 80 of the 100 rows
            "select_fraction": 0.2,
            "use_blend": False,
            **settings,
        }
        return await client.solve(client.find_request(task), RunConfig(**given), tmp_path / out)

    return go
