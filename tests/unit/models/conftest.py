"""Requests as ADK makes them, and a model's one reply."""

from google.adk.models import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types


def request_of(prompt: str = "hi", agent: str = "an_agent", **labels: str) -> LlmRequest:
    content = types.Content(role="user", parts=[types.Part(text=prompt)])
    config = types.GenerateContentConfig(labels={"adk_agent_name": agent, **labels})
    return LlmRequest(contents=[content], config=config)


async def reply_of(model: BaseLlm, request: LlmRequest, stream: bool = False) -> LlmResponse:
    """The reply, and a proof that there is exactly one."""
    [reply] = [reply async for reply in model.generate_content_async(request, stream)]
    return reply
