"""From a model's name to the model: the table of providers.

A provider is one file with `build(name, config) -> BaseLlm`, and one row here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import ConfigError

if TYPE_CHECKING:
    from google.adk.models import BaseLlm


def make_model(name: str, config: RunConfig) -> "BaseLlm":
    """The model of this name, ready to ask; the model names itself `name` wherever ADK shows it.

    Raises: ConfigError for a name that no provider takes, and for a key or URL that can be seen to be missing.
    """
    for provider in PROVIDERS:
        if re.fullmatch(provider.pattern, name):
            return provider.build(name, config)
    raise _unknown(name)


def model_for(role: str, config: RunConfig) -> str:
    """The name of the model that plays a role."""
    return {str(key): name for key, name in config.models.items()}.get(role, config.agent_model)


def is_gemini(name: str) -> bool:
    """Whether ADK talks to this model as a Gemini, which can search the web by itself."""
    return "gemini-" in name and next(p for p in PROVIDERS if re.fullmatch(p.pattern, name)).build is _gemini


@dataclass(frozen=True)
class Provider:
    """A row of the table: which names it takes, and how it is shown to people."""

    pattern: str
    shown: str
    build: Callable[[str, RunConfig], "BaseLlm"]


def _offline(name: str, config: RunConfig) -> "BaseLlm":
    from machine_learning_engineering.shared_libraries.models.offline.llm import OfflineLlm

    return OfflineLlm(model=name)


def _scripted(name: str, config: RunConfig) -> "BaseLlm":
    from machine_learning_engineering.shared_libraries.models import scripted

    return scripted.build(name, config)


def _gemini(name: str, config: RunConfig) -> "BaseLlm":
    from machine_learning_engineering.shared_libraries.models import gemini

    return _layered(gemini.build(name, config), config)


def _lite(name: str, config: RunConfig) -> "BaseLlm":
    from machine_learning_engineering.shared_libraries.models import lite

    if not lite.known(name.partition("/")[0]):
        raise _unknown(name)
    return _layered(lite.build(name, config), config)


def _layered(provider: "BaseLlm", config: RunConfig) -> "BaseLlm":
    from machine_learning_engineering.shared_libraries.models.retry import Retry
    from machine_learning_engineering.shared_libraries.models.whole import Whole

    patient = Retry(provider=provider, retries=config.llm_retries, seconds=config.llm_seconds)
    return Whole(provider=patient, max_output_tokens=config.max_output_tokens)


# The first row whose pattern takes the whole name wins.
PROVIDERS = (
    Provider(r"offline", "offline (no key, no network)", _offline),
    Provider(r"scripted/.+", "scripted/<file.yaml>", _scripted),
    Provider(
        r"(models/|gemini/)?(gemini-|gemma-4).+|model-optimizer-.+|tunedModels/.+|projects/.+/locations/.+",
        "gemini-<version>",
        _gemini,
    ),
    Provider(r"[^/\s]+/\S+", "<provider>/<model>, for example openai/..., openrouter/..., ollama_chat/...", _lite),
)

_FAMILIES = {r"gpt-|o\d": "openai", r"claude": "anthropic", r"deepseek": "deepseek", r"grok": "xai", r"": "ollama_chat"}
_COMMON = ("offline", "scripted", "gemini", "openai", "openrouter", "anthropic", "ollama_chat", "hosted_vllm", "groq")


def _unknown(name: str) -> ConfigError:
    possible = "; ".join(provider.shown for provider in PROVIDERS)
    near = _nearest(name)
    return ConfigError(f"no model is called {name!r}.{f' Did you mean {near}?' if near else ''} Possible: {possible}.")


def _nearest(name: str) -> str | None:
    provider, slash, model = name.partition("/")
    close = get_close_matches(provider.lower(), _COMMON, n=1, cutoff=0.6)
    if close:
        return close[0] + slash + model
    family = next(family for pattern, family in _FAMILIES.items() if re.match(pattern, name.lower()))
    return None if slash or not name else f"{family}/{name}"
