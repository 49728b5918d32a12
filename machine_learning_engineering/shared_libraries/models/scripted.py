"""A model that says what it was told to say: for tests, demonstrations and rehearsals without a provider."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from google.adk.models import BaseLlm, LlmCapabilities
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types
from pydantic import PrivateAttr, TypeAdapter, ValidationError

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import ConfigError, ModelError
from machine_learning_engineering.shared_libraries.models.layer import ORDINAL_LABEL, agent_of, prompt_of

REPEAT = "..."
Reply = str | Mapping[str, Any] | Callable[[str], str]

_FILE: TypeAdapter[dict[str, str | list[str | dict[str, Any]]]] = TypeAdapter(
    dict[str, str | list[str | dict[str, Any]]]
)


class ScriptedLlm(BaseLlm):
    """A model whose k-th reply to an agent is the k-th of that agent's list, whatever other agents do meanwhile.

    `replies` maps agent names to replies; where a name has none, the first key that matches it as a glob pattern
    serves, then `default`. A last reply of "..." repeats the one before it for ever. A reply is its text, a function
    of the prompt, or a mapping: `text`, `thought`, `call` with `args` (a tool call), `error` (raised as ModelError).
    A request that carries its ordinal as a label gets the reply of that ordinal, so that a resumed run goes on
    where the journal ends. `calls` lists (agent, prompt) in the order of arrival.

    Raises, when asked: ModelError once an agent's replies are used up, or when it has none.
    """

    latency: float = 0.0
    _replies: dict[str, list[Reply]] = PrivateAttr()
    _counts: Counter[str] = PrivateAttr(default_factory=Counter)
    _calls: list[tuple[str, str]] = PrivateAttr(default_factory=list)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def __init__(
        self,
        replies: Mapping[str, Sequence[Reply]],
        default: str | None = None,
        latency: float = 0.0,
        model: str = "scripted",
    ) -> None:
        super().__init__(model=model, latency=latency)
        self._replies = {agent: list(listed) for agent, listed in replies.items()}
        if default is not None:
            self._replies.setdefault("*", [default, REPEAT])

    @property
    def calls(self) -> list[tuple[str, str]]:
        return self._calls

    @property
    def capabilities(self) -> LlmCapabilities:
        return LlmCapabilities(output_schema_and_tools=True)

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        agent, prompt = agent_of(llm_request), prompt_of(llm_request)
        ordinal = self._count(agent, prompt, (llm_request.config.labels or {}).get(ORDINAL_LABEL))
        reply = self._pick(agent, ordinal)
        await asyncio.sleep(self.latency)
        yield _response(self.model, prompt, reply(prompt) if callable(reply) else reply)

    def _count(self, agent: str, prompt: str, label: str | None) -> int:
        with self._lock:
            self._calls.append((agent, prompt))
            ordinal = int(label) if label is not None else self._counts[agent]
            self._counts[agent] = ordinal + 1
            return ordinal

    def _pick(self, agent: str, ordinal: int) -> Reply:
        listed = self._listed(agent)
        if listed and listed[-1] == REPEAT:
            listed = listed[:-1]
            ordinal = min(ordinal, len(listed) - 1)
        if not 0 <= ordinal < len(listed):
            raise ModelError(
                f"{self.model} has {len(listed)} replies for agent {agent!r}, and this is call {ordinal + 1}; "
                f'add one, or end its list with "{REPEAT}".'
            )
        return listed[ordinal]

    def _listed(self, agent: str) -> list[Reply]:
        if agent in self._replies:
            return self._replies[agent]
        return next((listed for pattern, listed in self._replies.items() if fnmatchcase(agent, pattern)), [])


def build(name: str, config: RunConfig) -> ScriptedLlm:
    """The model of a file of replies, from its name `scripted/<file>`.

    Raises: ConfigError when the file is missing or is no mapping from agents to replies.
    """
    path = Path(name.removeprefix("scripted/")).expanduser()
    replies = {agent: [one] if isinstance(one, str) else one for agent, one in read_replies(path).items()}
    return ScriptedLlm(replies, model=name)


def read_replies(path: Path) -> dict[str, str | list[str | dict[str, Any]]]:
    """What a JSON or YAML file of replies holds, by agent; a lone text stands for a list of one."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        return _FILE.validate_python(content)
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"cannot read the replies in {path}: {exc}; check the path after scripted/.") from exc
    except (ValueError, yaml.YAMLError, ValidationError) as exc:
        raise ConfigError(
            f"{path} is no file of replies: write a mapping from agent names to lists of texts, as JSON or YAML."
        ) from exc


def _response(model: str, prompt: str, reply: str | Mapping[str, Any]) -> LlmResponse:
    fields = {"text": reply} if isinstance(reply, str) else reply
    if "error" in fields:
        raise ModelError(str(fields["error"]))
    parts = [types.Part(text=fields["thought"], thought=True)] if "thought" in fields else []
    if "call" in fields:
        parts.append(types.Part(function_call=types.FunctionCall(name=fields["call"], args=fields.get("args", {}))))
    if "text" in fields:
        parts.append(types.Part(text=fields["text"]))
    return LlmResponse(
        model_version=model,
        content=types.Content(role="model", parts=parts),
        finish_reason=types.FinishReason.STOP,
        usage_metadata=_usage(prompt, str(fields.get("text", ""))),
    )


def _usage(prompt: str, text: str) -> types.GenerateContentResponseUsageMetadata:
    """Tokens by the rule of thumb of four characters each, so that budgets and reports have something to count."""
    asked, answered = len(prompt) // 4, len(text) // 4
    return types.GenerateContentResponseUsageMetadata(
        prompt_token_count=asked, candidates_token_count=answered, total_token_count=asked + answered
    )
