"""One question, one whole answer, whatever a provider sends on the way to it."""

from collections.abc import AsyncGenerator

from google.adk.models import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types

from machine_learning_engineering.shared_libraries.models.layer import Layer, says_something, text_of

from .conftest import reply_of, request_of


class Chatty(BaseLlm):
    """Sends these texts one after the other; those that end in "..." are partial."""

    model: str = "chatty"
    texts: tuple[str, ...]

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        for text in self.texts:
            content = types.Content(role="model", parts=[types.Part(text=text)])
            yield LlmResponse(content=content, partial=text.endswith("..."))


async def test_partial_chunks_are_ignored() -> None:
    chatty = Chatty(texts=("def f...", "def f(x)...", "def f(x): return x", "usage..."))
    assert text_of(await reply_of(Layer(provider=chatty), request_of())) == "def f(x): return x"


async def test_partial_chunks_alone_are_no_reply() -> None:
    reply = await reply_of(Layer(provider=Chatty(texts=("def f...", "def f(x)..."))), request_of())
    assert not says_something(reply)
