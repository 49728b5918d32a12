"""The outermost layer around every model: a finished call is answered from the journal and never paid twice."""

import difflib
import json
import time

from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from pydantic import ConfigDict

from machine_learning_engineering.shared_libraries.common_util import clean
from machine_learning_engineering.shared_libraries.entries import LlmCall
from machine_learning_engineering.shared_libraries.errors import JournalError, NoReply
from machine_learning_engineering.shared_libraries.models.layer import ORDINAL_LABEL, Layer, ask
from machine_learning_engineering.shared_libraries.runs.journal import Journal, now, sha256

_NO_REPLY = "NO_REPLY"


class Recorded(Layer):
    """`provider`, with each of its replies kept in the journal under the agent's name and the ordinal of its call.

    That a question got no reply is kept as well, so that taking the run up goes the same way.

    Raises, when asked: NoReply as the provider did; JournalError if the journal holds another request at that place,
    showing where they part.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    agent: str
    journal: Journal

    async def answer(self, request: LlmRequest) -> LlmResponse:
        text = _request_text(request)
        ordinal = self.journal.next_ordinal(LlmCall, self.agent)
        call = self.journal.find(LlmCall, self.agent, ordinal)
        if call is None:
            return await self._ask(request, text, ordinal)
        self._check(call, text)
        return _said(LlmResponse.model_validate_json(self.journal.get_blob(call.reply)))

    async def _ask(self, request: LlmRequest, text: str, ordinal: int) -> LlmResponse:
        started = time.monotonic()
        request.config.labels = {**(request.config.labels or {}), ORDINAL_LABEL: str(ordinal)}
        try:
            reply = _storable(await ask(self.provider, request))
        except NoReply as exc:
            reply = LlmResponse(error_code=_NO_REPLY, error_message=clean(str(exc)))
        usage = reply.usage_metadata
        call = LlmCall(
            at=now(),
            agent=self.agent,
            ordinal=ordinal,
            digest=sha256(text),
            request=self.journal.put_blob(text),
            reply=self.journal.put_blob(reply.model_dump_json(exclude_none=True)),
            model=reply.model_version or self.model,
            prompt_tokens=(usage.prompt_token_count or 0) if usage else 0,
            completion_tokens=(usage.candidates_token_count or 0) if usage else 0,
            seconds=round(time.monotonic() - started, 3),
        )
        self.journal.append(call)
        return _said(reply)

    def _check(self, call: LlmCall, text: str) -> None:
        if call.digest == sha256(text):
            return
        before, asked = (part.replace("\\n", "\n").splitlines() for part in (self.journal.get_blob(call.request), text))
        changes = list(difflib.unified_diff(before, asked, lineterm="", n=0))[2:8]
        raise JournalError(
            f"call {call.ordinal} of {self.agent} asks something else than the journal holds, so this run cannot be "
            "taken up with this version, data or settings. Use a new --out folder. The requests part here:\n"
            + "\n".join(changes)
        )


def _said(reply: LlmResponse) -> LlmResponse:
    if reply.error_code == _NO_REPLY:
        raise NoReply(reply.error_message or "")
    return reply


def _storable(reply: LlmResponse) -> LlmResponse:
    """The reply without lone surrogates, which JSON cannot hold."""
    for part in (reply.content.parts if reply.content else None) or []:
        if part.text:
            part.text = part.text.encode("utf-8", errors="replace").decode("utf-8")
    return reply


def _request_text(request: LlmRequest) -> str:
    """The part of a request that determines its reply, as JSON: settings, system instruction, contents."""
    config = request.config.model_dump(mode="json", exclude_none=True, exclude={"labels", "http_options"})
    contents = [content.model_dump(mode="json", exclude_none=True) for content in request.contents]
    body = {"instruction": config.pop("system_instruction", ""), "config": config, "contents": contents}
    return json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False)
