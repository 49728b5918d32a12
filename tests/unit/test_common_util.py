"""What the desk may write into the session state."""

import json
from typing import Any

import pytest

from machine_learning_engineering.shared_libraries.common_util import storable


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (float("nan"), None),
        (float("inf"), None),
        (1.5, 1.5),
        (True, True),
        ("a\0b\ud83dc", "ab?c"),
        ((1, "\0", [float("-inf")]), [1, "", [None]]),
        ({"a": {"b": ("\ud83d", float("nan"))}, 2: None}, {"a": {"b": ["?", None]}, "2": None}),
    ],
    ids=["nan", "inf", "number", "bool", "text", "nested", "mapping"],
)
def test_the_state_gets_what_every_session_service_can_store(value: Any, stored: Any) -> None:
    assert storable(value) == stored
    json.dumps(storable(value), allow_nan=False).encode("utf-8")
