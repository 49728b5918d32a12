"""Replies that are whole: no reasoning in the text, no end missing."""

from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types

from machine_learning_engineering.shared_libraries.errors import NoReply
from machine_learning_engineering.shared_libraries.models.layer import Layer, ask, says_something, was_cut

SHORTER = (
    "Your reply was cut off by the token limit. Give the complete reply again from its start, shorter: "
    "no explanations, no repetition, and code without comments."
)
_THINKING = ("think", "thinking")  # tags around reasoning


class Whole(Layer):
    """Takes reasoning out of replies, and asks once more, for a shorter one, when the token limit cut a reply.

    `max_output_tokens` bounds replies whose request sets no limit; None leaves it to the model. The second time a limit
    is doubled. Raises: NoReply when the second reply is cut, too, or says nothing: another question may do better.
    """

    max_output_tokens: int | None = None

    async def answer(self, request: LlmRequest) -> LlmResponse:
        request = _limited(request, request.config.max_output_tokens or self.max_output_tokens)
        reply = await ask(self.provider, request)
        if was_cut(reply):
            first, reply = reply, await ask(self.provider, _shorter(request))
            reply = reply.model_copy(update={"usage_metadata": _sum(first, reply)})
        if was_cut(reply) or not says_something(reply):
            raise NoReply(
                f"{self.model} was cut off by its token limit twice; raise max_output_tokens or try another model."
            )
        return _without_thoughts(reply)


def _limited(request: LlmRequest, tokens: int | None) -> LlmRequest:
    return request.model_copy(
        update={"config": request.config.model_copy(update={"max_output_tokens": tokens})},
    )


def _shorter(request: LlmRequest) -> LlmRequest:
    limit = request.config.max_output_tokens
    demand = types.Content(role="user", parts=[types.Part(text=SHORTER)])
    return _limited(request.model_copy(update={"contents": [*request.contents, demand]}), limit and 2 * limit)


def _without_thoughts(reply: LlmResponse) -> LlmResponse:
    if not reply.content:
        return reply
    parts = [part for part in reply.content.parts or [] if not part.thought]
    if parts and parts[0].text:
        parts[0] = parts[0].model_copy(update={"text": without_reasoning(parts[0].text)})
    return reply.model_copy(update={"content": reply.content.model_copy(update={"parts": parts})})


def without_reasoning(text: str) -> str:
    """A reply without the reasoning before it, also where the opening tag was part of the prompt.

    A closing tag inside a code block is the program's own.
    """
    for tag in _THINKING:
        before, closing, after = text.partition(f"</{tag}>")
        if closing and after.strip() and before.count("```") % 2 == 0:
            return after.lstrip()
    return text


def _sum(*replies: LlmResponse) -> types.GenerateContentResponseUsageMetadata:
    """What several requests for one reply have cost together, in tokens."""
    usages = [reply.usage_metadata for reply in replies if reply.usage_metadata]
    return types.GenerateContentResponseUsageMetadata(
        prompt_token_count=sum(usage.prompt_token_count or 0 for usage in usages),
        candidates_token_count=sum(usage.candidates_token_count or 0 for usage in usages),
        thoughts_token_count=sum(usage.thoughts_token_count or 0 for usage in usages),
        total_token_count=sum(usage.total_token_count or 0 for usage in usages),
    )
