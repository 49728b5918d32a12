"""What the layers around a model share: one question, one whole answer."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from google.adk.models import BaseLlm, LlmCapabilities
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types
from pydantic import model_validator

AGENT_LABEL = "adk_agent_name"
ORDINAL_LABEL = "mle_call_ordinal"


class Layer(BaseLlm):
    """A model that passes its requests on to `provider` and works on what comes back; subclasses override `answer`."""

    model: str = ""  # always the provider's
    provider: BaseLlm

    @model_validator(mode="before")
    @classmethod
    def _named_as_provider(cls, fields: Any) -> Any:
        return {"model": fields["provider"].model, **fields} if "provider" in fields else fields

    @property
    def capabilities(self) -> LlmCapabilities:
        return self.provider.capabilities

    async def answer(self, request: LlmRequest) -> LlmResponse:
        """The whole reply to a request."""
        return await ask(self.provider, request)

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        """One whole reply, also when asked to stream: a callback must never see half a script."""
        yield await self.answer(llm_request)


async def ask(model: BaseLlm, request: LlmRequest) -> LlmResponse:
    """The model's whole reply; `request` stays as it is, though providers write into the requests they are given."""
    own = request.model_copy(
        update={
            "model": model.model,
            "contents": [content.model_copy() for content in request.contents],
            "config": request.config.model_copy(),
        }
    )
    async with aclosing(model.generate_content_async(own, stream=False)) as replies:
        whole = [reply async for reply in replies if not reply.partial]
    return whole[-1] if whole else LlmResponse()


def agent_of(request: LlmRequest) -> str:
    """The name of the agent that asks, as ADK labels it; empty outside an agent."""
    return (request.config.labels or {}).get(AGENT_LABEL, "")


def prompt_of(request: LlmRequest) -> str:
    """Everything the model is told, as text: the system instruction, then each message, a blank line between."""
    system = request.config.system_instruction
    parts = [part for content in request.contents for part in content.parts or []]
    texts = [system if isinstance(system, str) else "", *(part.text or "" for part in parts)]
    return "\n\n".join(text for text in texts if text)


def text_of(reply: LlmResponse) -> str:
    """What the model said, without what it thought."""
    parts = (reply.content.parts if reply.content else None) or []
    return "".join(part.text or "" for part in parts if not part.thought)


def says_something(reply: LlmResponse) -> bool:
    return bool(text_of(reply).strip() or reply.get_function_calls())


def was_cut(reply: LlmResponse) -> bool:
    """Whether the token limit ended the reply."""
    return reply.finish_reason == types.FinishReason.MAX_TOKENS
