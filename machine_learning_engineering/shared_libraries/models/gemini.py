"""Gemini, by ADK's own client."""

import os

from google.adk.models import Gemini
from google.genai import types

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import ConfigError

KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
VERTEX = ("GOOGLE_GENAI_USE_ENTERPRISE", "GOOGLE_GENAI_USE_VERTEXAI")


def build(name: str, config: RunConfig) -> Gemini:
    """ADK's Gemini that makes one request a question.

    Raises: ConfigError when neither an API key nor Vertex AI is set up.
    """
    on_vertex = name.startswith("projects/") or any(os.environ.get(v, "").lower() in ("1", "true") for v in VERTEX)
    if not on_vertex and not any(os.environ.get(key) for key in KEYS):
        raise ConfigError(
            f"{name} needs an API key: set GOOGLE_API_KEY (https://aistudio.google.com/apikey), "
            "or GOOGLE_GENAI_USE_VERTEXAI=1 with a Google Cloud project."
        )
    return Gemini(model=name.removeprefix("gemini/"), retry_options=types.HttpRetryOptions(attempts=1))
