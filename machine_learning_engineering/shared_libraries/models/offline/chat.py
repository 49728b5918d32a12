"""The offline model's twin for the chat: a small grammar of sentences becomes tool calls, their results become text.

It keeps nothing between two messages: what `it`, `the run` or a bare column name mean is read from the conversation.
"""

import re
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from google.adk.models import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types

from machine_learning_engineering.shared_libraries.models.offline.chat_words import answer
from machine_learning_engineering.shared_libraries.models.offline.settings_said import settings_said
from machine_learning_engineering.shared_libraries.tasks.bundled import bundled_names

DROPPED = re.compile(r"\[(?P<names>[^\]]*): kept as (?P<path>[^\]]+)\]")
REFUSED = re.compile(r"\[(?P<why>[^\]]*: not used\.[^\]]*)\]")
_POLITE = (
    r"^(?:(?:please|now|ok(?:ay)?|and|then|could you|can you|would you|let's|i want (?:you )?to|go(?: and)?)[,\s]+)*"
)
_RUN = r"(?:(?:the |that |this )?run\b\s*)?(?P<run>[\w./~-]*)"
_WHY = r"^(?:and |but )?why (?:was|is|were|did|has|does)n?'?t? (?:not )?(?P<script>.+?)(?: in (?P<run>\S+))?$"
_ENDS = "dropped|lost|lose|fail|failed|beaten|rejected|discarded|worse|kept|chosen|used|published|slower|bad"
_FATE = re.compile(rf"\s+(?:been |get |got )?(?:not )?(?:{_ENDS})\b.*", re.I)
_TAKE_UP = "take up|take it up|resume|continue|go on|follow|watch|reconnect"
_LOOKS = (  # sentences about runs, in the order in which they are tried
    ("run_leaderboard", rf"\b(?:leader-?board|ranking|scores|attempts)\b(?:.*?\b(?:of|for|in) {_RUN})?"),
    ("what_matters", rf"\b(?:which|what|how)\b.*\b(?:matter|importan|contribut)\w*(?:.*? in {_RUN})?"),
    ("list_runs", r"\b(?:list|which|what|show)\b.*\bruns\b|^(?:my |the )?runs$"),
    ("list_tasks", r"\b(?:list|which|what|show)\b.*\b(?:tasks|data ?sets)\b|^(?:the )?tasks$"),
    ("stop_run", rf"{_POLITE}(?:stop|cancel|abort|end)(?: it)?\b\s*{_RUN}$"),
    ("follow_run", rf"{_POLITE}(?:{_TAKE_UP})(?: with| to)?(?: it)?\b\s*{_RUN}$"),
    (
        "run_status",
        rf"^(?:what(?:'s| is) )?(?:the )?(?:status|progress)\b(?: (?:of )?{_RUN})?|^how (?:far|is (?:it|the))\b",
    ),
    ("run_result", rf"\b(?:results?|submission|files|download)\b(?: (?:of|for|from)? ?{_RUN})?"),
)
_COMMANDS = tuple((tool, re.compile(pattern, re.I)) for tool, pattern in _LOOKS)
_START = re.compile(rf"{_POLITE}(?:run|solve|execute|start|train(?: on)?|work on|try)\b(?P<rest>.*)$", re.I)
_BY_RUN = rf"(?: (?:with|by|using) {_RUN})?$"
_PREDICT = re.compile(rf"{_POLITE}predict (?P<rows>\S+\.[ct]sv(?:\.gz)?){_BY_RUN}", re.I)
_PREDICT_THAT = re.compile(rf"{_POLITE}predict(?: (?:it|this|that|these|them))?(?: (?:file|rows))?{_BY_RUN}", re.I)
_DESCRIBE = re.compile(
    rf"{_POLITE}(?:describe|explain|show|tell me about|what is|look at)\b(?: me)?(?P<rest>.*)$", re.I
)
_RUN_NAME = re.compile(r"\S+-\d{8}-\d{6}-[0-9a-f]{4}\S*")
_YES = re.compile(r"^(?:yes|yes please|go|go ahead|do it|start|run)$", re.I)
_THAT = re.compile(r"^(?:it|this|that|them|these|the (?:file|data|csv|table|task)s?)?$", re.I)
_FILLER = {
    "the", "a", "task", "dataset", "data", "set", "on", "for", "with", "about", "up", "to", "at", "most", "in", "using",
    "and", "of", "please", "only", "just", "file", "csv", "by",
}  # fmt: skip
_KNOWN_TASK = {"start_run", "describe_task"}
Call = tuple[str, dict[str, Any]]


class OfflineChat(BaseLlm):
    """Answers the front door without a model; `about` is what it says of itself and where it does not understand."""

    about: str

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        content = types.Content(role="model", parts=[self._reply(llm_request.contents)])
        yield LlmResponse(
            content=content,
            model_version=self.model,
            finish_reason=types.FinishReason.STOP,
            usage_metadata=types.GenerateContentResponseUsageMetadata(prompt_token_count=0, candidates_token_count=0),
        )

    def _reply(self, contents: list[types.Content]) -> types.Part:
        parts = list(contents[-1].parts or []) if contents else []
        if responses := [part.function_response for part in parts if part.function_response is not None]:
            return types.Part(text="\n\n".join(answer(str(one.name), one.response or {}) for one in responses))
        text = " ".join(part.text or "" for part in parts)
        if refused := REFUSED.findall(text):
            return types.Part(text="\n\n".join(refused))
        call = _call(" ".join(text.split()), _Past(contents[:-1]))
        if call is None:
            return types.Part(text=self.about)
        return types.Part(function_call=types.FunctionCall(name=call[0], args=call[1]))


class _Past:
    """What a conversation was about, the latest first."""

    def __init__(self, contents: list[types.Content]) -> None:
        self._parts = [part for content in reversed(contents) for part in reversed(content.parts or [])]

    @property
    def task(self) -> dict[str, Any]:
        """The name, target and further data of the task that was spoken of last; empty where none was."""
        for part in self._parts:
            call = part.function_call
            if call is not None and call.name in _KNOWN_TASK and (call.args or {}).get("name"):
                return {
                    key: value
                    for key, value in (call.args or {}).items()
                    if key in ("name", "target", "metric", "test")
                }
            if dropped := DROPPED.search(part.text or ""):
                return {"name": dropped["path"]}
        return {}

    @property
    def open_question(self) -> tuple[Call, list[str]] | None:
        """The call whose last answer asked for a target, and the columns to choose from."""
        for part in self._parts:
            response = part.function_response
            if (
                response is not None
                and "columns" in (response.response or {})
                and "question" in (response.response or {})
            ):
                call = next(self._calls(str(response.name)), None)
                return (call, [str(one) for one in (response.response or {})["columns"]]) if call else None
            if response is not None:
                return None
        return None

    def _calls(self, name: str) -> Iterator[Call]:
        for part in self._parts:
            if part.function_call is not None and part.function_call.name == name:
                yield name, dict(part.function_call.args or {})


def _call(sentence: str, past: _Past) -> Call | None:
    """The tool call that a sentence asks for, or None where it asks for none."""
    dropped = DROPPED.search(sentence)
    sentence = DROPPED.sub("", sentence).strip().rstrip(".!?").strip()
    if dropped:
        return _about_file(sentence, dropped["path"])
    if call := _target_given(sentence, past) or _why(sentence):
        return call
    if rows := _PREDICT.search(sentence):
        return _predicted(rows["rows"], rows)
    if start := _START.search(sentence):
        known = _RUN_NAME.search(start["rest"])
        return ("follow_run", {"run": known[0]}) if known else _start(start["rest"], past)
    for tool, pattern in _COMMANDS:
        if match := pattern.search(sentence):
            run = match.groupdict().get("run") or ""
            return tool, ({"run": run} if run.lower() not in ("", "it", "run", "this", "that", "the") else {})
    if _YES.search(sentence) and past.task:
        return "start_run", past.task
    if describe := _DESCRIBE.search(sentence):
        return _described(describe["rest"], past)
    return None


def _about_file(sentence: str, path: str) -> Call:
    """What to do with a file that was dropped: predict or run it if that is said, else describe it."""
    if rows := _PREDICT_THAT.search(sentence):
        return _predicted(path, rows)
    said, _ = settings_said(sentence)
    if _START.search(sentence):
        return "start_run", {"name": path, **said}
    return "describe_task", {"name": path, **({"target": said["target"]} if "target" in said else {})}


def _predicted(rows: str, said: re.Match[str]) -> Call:
    return "predict_rows", {"rows": rows, **({"run": said["run"]} if said["run"] else {})}


def _target_given(sentence: str, past: _Past) -> Call | None:
    """The call that waited for a target, with the one that a sentence gives: `target is price`, or just `price`."""
    asked = past.open_question
    if asked is None:
        return None
    (tool, arguments), columns = asked
    said, _ = settings_said(sentence)
    bare = next((name for name in columns if name.lower() == sentence.strip("\"'`").lower()), None)
    target = bare or said.get("target")
    if target is None:
        return None
    if _START.search(sentence):
        tool = "start_run"
    more = {} if bare or tool != "start_run" else said
    return tool, {**arguments, **more, "target": target}


def _why(sentence: str) -> Call | None:
    match = re.search(_WHY, sentence, re.I)
    if match is None:
        return None
    script = _FATE.sub("", match["script"]).strip()
    return "why_dropped", {
        "script": script.removeprefix("the ").removesuffix(" model"),
        **({"run": match["run"]} if match["run"] else {}),
    }


def _start(rest: str, past: _Past) -> Call:
    said, rest = settings_said(rest)
    return "start_run", {**_task(rest, past), **said}


def _described(rest: str, past: _Past) -> Call | None:
    said, rest = settings_said(rest)
    task = _task(rest, past)
    return ("describe_task", {**task, **{key: said[key] for key in ("target",) if key in said}}) if task else None


def _task(words: str, past: _Past) -> dict[str, Any]:
    """The task that words name: a path, a bundled task in any spelling, else what was spoken of last."""
    plain = re.sub(r"[\s_-]+", "-", words.strip(" ,;").lower())
    for name in bundled_names():
        if name in plain:
            return {"name": name}
    named = [word.strip(",;\"'`") for word in words.split()]
    path = next((word for word in named if "/" in word or re.search(r"\.[ct]sv(\.gz)?$", word)), None)
    if path:
        return {"name": path}
    left = [word for word in named if word and word.lower() not in _FILLER]
    if not left or _THAT.match(left[0]):
        return past.task
    near = [name for name in bundled_names() if left[0].lower() in name]
    return {"name": near[0] if len(near) == 1 else left[0]}
