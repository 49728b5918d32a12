"""The offline model's twin for the chat: a small grammar of sentences becomes tool calls, their results become text."""

import re
from collections.abc import AsyncGenerator
from typing import Any

from google.adk.models import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types

_SETTING = re.compile(
    r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>minutes?|rounds?|solutions?|candidates?)\b"
    r"|(?P<key>target|metric|seed|timeout|test|model)\s+(?P<value>\S+)",
    re.IGNORECASE,
)
_TASK = r"(?:the )?(?:task )?(?P<name>(?!(?:all|tasks|me)\b)\S+)(?P<rest>.*)$"
_COMMANDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), tool)
    for tool, pattern in (
        ("start_run", rf"^(?:please )?(?:run|solve|execute|start) {_TASK}"),
        ("describe_task", rf"^(?:please )?(?:describe|explain|show) {_TASK}"),
        ("stop_run", r"^(?:please )?stop (?:run )?(?P<run>\S+)$"),
        ("run_status", r"^(?:the )?status(?: (?:of )?(?P<run>\S+))?$"),
        ("run_result", r"^(?:the )?results?(?: (?:of )?(?P<run>\S+))?$"),
        ("list_tasks", r"\b(?:list|which|what|show)\b.*\btasks\b"),
    )
)


class OfflineChat(BaseLlm):
    """Answers the front door without a model; `about` is what it says of itself and where it does not understand."""

    about: str

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        part = self._reply(llm_request.contents)
        content = types.Content(role="model", parts=[part])
        yield LlmResponse(content=content, model_version=self.model, finish_reason=types.FinishReason.STOP)

    def _reply(self, contents: list[types.Content]) -> types.Part:
        last = contents[-1].parts[-1] if contents and contents[-1].parts else types.Part(text="")
        if last.function_response is not None:
            return types.Part(text=_as_text(last.function_response.response or {}))
        return _call(" ".join((last.text or "").split()).rstrip(".!?")) or types.Part(text=self.about)


def _call(sentence: str) -> types.Part | None:
    """The tool call that a sentence asks for, or None where it asks for none."""
    for pattern, tool in _COMMANDS:
        if match := pattern.search(sentence):
            return types.Part(function_call=types.FunctionCall(name=tool, args=_arguments(tool, match.groupdict())))
    return None


def _arguments(tool: str, said: dict[str, str | None]) -> dict[str, Any]:
    arguments: dict[str, Any] = {key: value for key, value in said.items() if value and key != "rest"}
    settings = dict(_setting(match) for match in _SETTING.finditer(said.get("rest") or ""))
    if tool == "start_run" and settings:
        arguments["settings"] = settings
    if tool == "describe_task" and "target" in settings:
        arguments["target"] = settings["target"]
    return arguments


def _setting(match: re.Match[str]) -> tuple[str, str]:
    if match["number"]:
        return match["unit"].lower().rstrip("s") + "s", match["number"]
    return match["key"].lower(), match["value"].rstrip(",")


def _as_text(response: dict[str, Any]) -> str:
    """A tool's answer as a short message: its lines and `key: value` pairs."""
    if "error" in response:
        return f"That did not work: {response['error']}"
    lines = []
    for key, value in response.items():
        if isinstance(value, list):
            lines += [f"{key}:", *(f"- {item}" for item in value)]
        else:
            lines.append(f"{key}: {value}")
    return "\n".join(lines)
