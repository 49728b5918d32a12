"""The offline model behind ADK's interface."""

import asyncio
from collections.abc import AsyncGenerator

from google.adk.models import BaseLlm, LlmCapabilities
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types

from machine_learning_engineering.shared_libraries.models.layer import prompt_of
from machine_learning_engineering.shared_libraries.models.offline import reply


class OfflineLlm(BaseLlm):
    """A model that needs no key: it answers a prompt from its task card and its fenced code, always the same way.

    Raises, when asked: ReplyFormatError if the prompt does not hold exactly one task card.
    """

    model: str = "offline"

    @property
    def capabilities(self) -> LlmCapabilities:
        return LlmCapabilities()

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        prompt = prompt_of(llm_request)
        text = await asyncio.to_thread(reply, prompt)
        yield LlmResponse(
            model_version=self.model,
            content=types.Content(role="model", parts=[types.Part(text=text)]),
            finish_reason=types.FinishReason.STOP,
            usage_metadata=_usage(prompt, text),
        )


def _usage(prompt: str, text: str) -> types.GenerateContentResponseUsageMetadata:
    """Tokens by the rule of thumb of four characters each; they cost nothing."""
    asked, answered = len(prompt) // 4, len(text) // 4
    return types.GenerateContentResponseUsageMetadata(
        prompt_token_count=asked, candidates_token_count=answered, total_token_count=asked + answered
    )
