"""Another try when a provider is busy, and one sentence when it stays so."""

import asyncio
import random
import re
import time
from email.utils import parsedate_to_datetime
from typing import Any

from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse

from machine_learning_engineering.shared_libraries.errors import (
    MleError,
    ModelError,
    NoReply,
    RateLimited,
)
from machine_learning_engineering.shared_libraries.models.layer import Layer, ask, says_something, was_cut

TRANSIENT = frozenset({408, 409, 425, 429, *range(500, 600)})
TRANSPORTS = frozenset({"aiohttp", "httpcore", "httpx", "httpx2"})
# What a provider says of a prompt that is too long, or that it refuses for what it says.
_OF_THIS_PROMPT = re.compile(
    r"context.?(length|window)|too (long|large|many tokens)|maximum.*tokens|policy|safety", re.I
)
NEXT_STEP = {
    400: "the request does not suit this model; try another one",
    401: "check the API key",
    403: "check what the API key may use",
    404: "check the model's name and api_base",
    413: "the prompt is too long for this model; try another one",
    429: "wait a while, or raise llm_retries",
}
UNREACHABLE = "check the connection and api_base, or try again later"


class Retry(Layer):
    """Asks again, with growing pauses, when a provider is rate limited, broken, silent or says nothing.

    Raises: RateLimited when the last answer is still 429 or asks for a longer pause than `longest_pause` seconds;
    NoReply when this prompt alone got no answer (nothing said, too long, refused); else ModelError; at once for answers
    that another try cannot change. At most `retries + 1` requests are made, each of at most `seconds`.
    """

    retries: int = 4
    seconds: float = 300
    first_pause: float = 1
    longest_pause: float = 120

    async def answer(self, request: LlmRequest) -> LlmResponse:
        for tried in range(self.retries + 1):
            try:
                return await self._once(request)
            except MleError:
                raise
            except Exception as exc:  # each provider's library has an error tree of its own
                pause = self._pause(exc, tried)
                if pause is None:
                    raise _explain(self.model, exc, tries=tried + 1, seconds=self.seconds) from exc
            await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def _once(self, request: LlmRequest) -> LlmResponse:
        async with asyncio.timeout(self.seconds):
            reply = await ask(self.provider, request)
        if not says_something(reply) and not was_cut(reply):
            why = reply.error_message or (reply.finish_reason and reply.finish_reason.name)
            raise EmptyReply(f"nothing ({why or 'no reason given'})")
        return reply

    def _pause(self, exc: Exception, tried: int) -> float | None:
        """Seconds until the next try, None when there must be none."""
        asked = _retry_after(exc)
        if tried == self.retries or not _passes(exc) or (asked or 0) > self.longest_pause:
            return None
        if asked is not None:
            return asked * random.uniform(1.0, 1.1)
        return min(self.longest_pause, self.first_pause * 2.0**tried) * random.uniform(0.5, 1.0)


class EmptyReply(Exception):
    """A reply arrived without a word in it."""


def _status(exc: Exception) -> int | None:
    for name in ("status_code", "code"):
        if isinstance(value := getattr(exc, name, None), int):
            return value
    return None


def _passes(exc: Exception) -> bool:
    """Whether the same request may well succeed a little later."""
    status = _status(exc)
    if status is None:
        return isinstance(exc, (EmptyReply, OSError)) or type(exc).__module__.partition(".")[0] in TRANSPORTS
    return status in TRANSIENT and "insufficient_quota" not in str(exc)


def _retry_after(exc: Exception) -> float | None:
    """Seconds that the provider asks to wait: the Retry-After header, or the retryDelay of a Google error body."""
    answered: Any = getattr(getattr(exc, "response", None), "headers", None)
    # LiteLLM makes a response of its own up and keeps the provider's headers beside it.
    headers: Any = getattr(exc, "litellm_response_headers", None) or answered or {}
    value = headers.get("retry-after")
    if value:
        return _seconds(str(value))
    delay = re.search(r"retryDelay\W+(\d+(?:\.\d+)?)s", str(exc))
    return float(delay[1]) if delay else None


def _seconds(value: str) -> float | None:
    """From a number of seconds or an HTTP date; None for anything else."""
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _explain(model: str, exc: Exception, tries: int, seconds: float) -> MleError:
    """The error to end with: one of this question alone where another question may be answered, else the model's."""
    status, times = _status(exc), "" if tries == 1 else f", {tries} times"
    if isinstance(exc, EmptyReply):
        return NoReply(f"{model} replied with {exc}{times}; try another model.")
    if isinstance(exc, TimeoutError) or status == 408:
        return ModelError(
            f"{model} gave no answer within {seconds:g} s{times}; raise llm_seconds or try another model."
        )
    if status is None:
        return ModelError(f"{model} could not be asked{times}: {_message(exc)}; {UNREACHABLE}.")
    own = status == 413 or (status in (400, 422) and _OF_THIS_PROMPT.search(str(exc)) is not None)
    kind = RateLimited if status == 429 else NoReply if own else ModelError
    step = NEXT_STEP.get(status, UNREACHABLE)
    return kind(f"{model} answered with status {status}{times}: {_message(exc)}; {step}.")


def _message(exc: Exception) -> str:
    """The provider's own words, without the names of classes that its library puts before them."""
    text = re.sub(r"^litellm\.\w+: (\w+: )?(\w+ - )?", "", str(exc).strip()) or type(exc).__name__
    return text.splitlines()[0][:300].rstrip(".")
