"""The offline model behind ADK's interface."""

from google.adk.models.llm_request import LlmRequest
from google.genai import types

from machine_learning_engineering.shared_libraries.models.offline import reply
from machine_learning_engineering.shared_libraries.models.offline.llm import OfflineLlm

from .conftest import card, prompt


async def test_one_whole_reply_that_counts_its_tokens() -> None:
    asked = prompt(card("summarize"))
    request = LlmRequest(config=types.GenerateContentConfig(system_instruction=asked))
    (response,) = [one async for one in OfflineLlm().generate_content_async(request, stream=True)]
    assert response.content is not None
    assert response.content.parts is not None
    assert response.content.parts[0].text == reply(asked)
    assert response.finish_reason == types.FinishReason.STOP
    assert response.usage_metadata is not None
    assert response.usage_metadata.candidates_token_count
