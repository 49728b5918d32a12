"""Every other provider and every OpenAI-compatible server, by LiteLLM.

LiteLLM takes seconds to import, so nothing here imports it before the first request.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from typing import Any

from google.adk.models.lite_llm import LiteLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import ConfigError

# Any one of a provider's variables is enough; providers without a row are LiteLLM's to judge.
KEYS: dict[str, tuple[str, ...]] = {
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    "cerebras": ("CEREBRAS_API_KEY",),
    "deepinfra": ("DEEPINFRA_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "groq": ("GROQ_API_KEY",),
    "mistral": ("MISTRAL_API_KEY",),
    "openai": ("OPENAI_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY", "OR_API_KEY"),
    "xai": ("XAI_API_KEY",),
}
KEYLESS = (
    "azure",
    "bedrock",
    "hosted_vllm",
    "litellm_proxy",
    "llamafile",
    "lm_studio",
    "ollama",
    "ollama_chat",
    "vertex_ai",
)
BASES = {"hosted_vllm": "HOSTED_VLLM_API_BASE", "lm_studio": "LM_STUDIO_API_BASE"}
# These speak protocols of their own: a base URL meant for another role's server would send them, and their key, astray.
OWN_PROTOCOL = frozenset({"anthropic", "bedrock", "vertex_ai"})


class Lite(LiteLlm):
    """ADK's LiteLlm, with the slow import off the event loop."""

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        await asyncio.to_thread(load)
        async for reply in super().generate_content_async(llm_request, stream):
            yield reply


def build(name: str, config: RunConfig) -> Lite:
    """The model behind `<provider>/<model>`, which makes one request a question.

    Raises: ConfigError for a provider that LiteLLM does not know, or one whose key or base URL is missing.
    """
    provider = name.partition("/")[0]
    base = "" if provider in OWN_PROTOCOL else config.api_base
    key = _key(name, provider, base)
    settings: dict[str, Any] = {
        "timeout": config.llm_seconds,
        "num_retries": 0,
        "max_retries": 0,
        "drop_params": True,
        "api_base": base or None,
        "api_key": key,
    }
    return Lite(model=name, **{name: value for name, value in settings.items() if value is not None})


def _key(name: str, provider: str, base: str) -> str | None:
    """The key to hand over: None leaves it to LiteLLM, which reads the environment."""
    keys = KEYS.get(provider, ())
    if any(os.environ.get(key) for key in keys):
        return None
    if provider in BASES and not base and not os.environ.get(BASES[provider]):
        raise ConfigError(f"{name} needs the URL of its server: give api_base or set {BASES[provider]}.")
    if keys and not base:
        own_server = "" if provider in OWN_PROTOCOL else ", or give api_base for a server of your own"
        raise ConfigError(f"{name} needs an API key: set {keys[0]}{own_server}.")
    # LiteLLM refuses to ask a server without any key, though most local servers want none.
    return "none" if keys or base else None


def known(provider: str) -> bool:
    """Whether LiteLLM has this provider; imports LiteLLM only for those it is not asked for every day."""
    return provider in KEYS or provider in KEYLESS or provider in load().provider_list


def load() -> Any:
    """The litellm module, quiet: no price-map download, no hints on stdout, no logging."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # else it reads a .env file it happens to find
    import litellm

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    for name in ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm
