"""Follows a run's journal and tells it in the chat: messages, the specified state keys, pictures and files.

It only reads. A run is a process of its own, so whatever ends the following, a closed tab included, ends nothing else.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from google.adk.agents.invocation_context import InvocationContext
from google.adk.events import Event, EventActions
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

from machine_learning_engineering.front_door.files import save_files, save_pictures
from machine_learning_engineering.shared_libraries.common_util import storable
from machine_learning_engineering.shared_libraries.entries import JournalEntry, Published, RunEnded, RunStarted
from machine_learning_engineering.shared_libraries.errors import JournalError
from machine_learning_engineering.shared_libraries.monitoring.narrate import Narrator, closing, opening
from machine_learning_engineering.shared_libraries.monitoring.words import near
from machine_learning_engineering.shared_libraries.report.story import read_story
from machine_learning_engineering.shared_libraries.runs.journal import is_open, read_journal
from machine_learning_engineering.shared_libraries.runs.state import fold_state
from machine_learning_engineering.shared_libraries.runs.tail import Tail

RUN_KEY = "front_door_run"  # state: the folder of the run that this chat is about
SHOWN_KEY = "front_door_shown"  # state: the folder of the run whose keys the State tab shows
_LOOK_SECONDS = 1.0
_MOST_SILENT = 5  # looks after which state keys come without words


async def follow(ctx: InvocationContext, author: str) -> AsyncGenerator[Event, None]:
    """Tells the run that the session's state names, from its beginning to its end, or until the chat moves on."""
    folder = Path(str(ctx.session.state.get(RUN_KEY, "")))
    try:
        async for text, actions in _moments(ctx, folder):
            if await _moved_on(ctx):
                return
            content = types.Content(role="model", parts=[types.Part(text=text)]) if text else None
            yield Event(
                author=author, invocation_id=ctx.invocation_id, branch=ctx.branch, content=content, actions=actions
            )
    except JournalError as exc:
        content = types.Content(role="model", parts=[types.Part(text=str(exc))])
        yield Event(author=author, invocation_id=ctx.invocation_id, branch=ctx.branch, content=content)


async def _moments(ctx: InvocationContext, folder: Path) -> AsyncGenerator[tuple[str, EventActions], None]:
    """What there is to tell, as it happens: a text, and the state keys and artifacts that come with it."""
    told = _Telling(folder)
    keys = await asyncio.to_thread(_new_keys, ctx.session.state.get(SHOWN_KEY), folder)
    yield await asyncio.to_thread(told.opening), EventActions(state_delta=keys)
    while not told.over:
        published, text, delta = await asyncio.to_thread(told.look)
        if text or delta:
            yield text, EventActions(state_delta=delta)
        if not told.over:
            async for name, version in save_pictures(ctx, folder if published else None):
                yield "", EventActions(artifact_delta={name: version})
            await asyncio.sleep(_LOOK_SECONDS)
            if await _moved_on(ctx):
                return
    story = await asyncio.to_thread(read_story, folder)
    yield closing(story), EventActions()
    saved = []
    for save in (save_pictures, save_files):
        async for name, version in save(ctx, folder):  # each alone: ADK's page shows one picture a message
            saved.append(name)
            yield "", EventActions(artifact_delta={name: version})
    yield _whereabouts(folder, saved), EventActions()


class _Telling:
    """What was told of a run so far. `over` once it has ended or nobody runs it any more."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tail = Tail(folder)
        self._narrator = Narrator()
        self._delta: dict[str, Any] = {}
        self._silent = 0  # looks without a message
        self.over = False

    def opening(self) -> str:
        return opening(read_story(self._folder))

    def look(self) -> tuple[bool, str, dict[str, Any]]:
        """Whether a submission was published, what is new in words, and state keys, which wait for words a while."""
        is_running = is_open(self._folder)  # asked first: what it wrote before it ended is then read
        news = self._tail.new_entries()
        self.over = not is_running or _has_ended(news)
        self._delta |= storable(fold_state(self._folder, news))
        lines = self._narrator.tell(news, read_story(self._folder)) if news else []
        self._silent = 0 if lines else self._silent + 1
        delta: dict[str, Any] = {}
        if lines or self.over or self._silent % _MOST_SILENT == 0:
            delta, self._delta = self._delta, delta
        return any(isinstance(entry, Published) for entry in news), "\n".join(f"- {line}" for line in lines), delta


def _has_ended(entries: list[JournalEntry]) -> bool:
    """Whether the last session among these entries has ended."""
    ends = [isinstance(entry, RunEnded) for entry in entries if isinstance(entry, RunEnded | RunStarted)]
    return bool(ends) and ends[-1]


def _whereabouts(folder: Path, saved: list[str]) -> str:
    """Where the files of a run are; the folder stands in a block, as ADK's page breaks no long word on a phone."""
    shown = f"The Artifacts tab has {', '.join(f'`{name}`' for name in saved)}. " if saved else ""
    return f"{shown}Everything lies in\n\n```\n{near(folder)}\n```"


def _new_keys(before: str | None, folder: Path) -> dict[str, Any]:
    """The state keys of the run that was shown before, emptied, and a note of the one that is shown now."""
    old: dict[str, Any] = {}
    if before and before != str(folder):
        with contextlib.suppress(JournalError):
            old = dict.fromkeys(fold_state(Path(before), read_journal(Path(before))))
    return {**old, SHOWN_KEY: str(folder)}


async def _moved_on(ctx: InvocationContext) -> bool:
    """Whether somebody else, such as a second message, has written to this session: then they have the floor."""
    session = ctx.session
    stored = await ctx.session_service.get_session(
        app_name=session.app_name,
        user_id=session.user_id,
        session_id=session.id,
        config=GetSessionConfig(num_recent_events=0),
    )
    return stored is None or stored.last_update_time > session.last_update_time
