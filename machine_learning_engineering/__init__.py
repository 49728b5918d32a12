"""A multi-agent machine-learning engineer on Google's ADK: from a dataset and a sentence to a scored submission."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The module `agent` for ADK's tools, which look for it here; loaded when asked for, since it takes a second."""
    if name == "agent":
        from importlib import import_module

        return import_module("machine_learning_engineering.agent")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
