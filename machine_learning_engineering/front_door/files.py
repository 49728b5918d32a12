"""A run's files and pictures as artifacts of the chat, where its web page shows them and lets people download them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from google.adk.agents.invocation_context import InvocationContext
from google.adk.tools.tool_context import ToolContext
from google.genai import types

from machine_learning_engineering.shared_libraries.errors import JournalError, PictureError
from machine_learning_engineering.shared_libraries.report.page import build_report
from machine_learning_engineering.shared_libraries.report.pictures import leaderboard_png, score_png
from machine_learning_engineering.shared_libraries.report.story import Story, read_story

_FILES = (
    ("submission.csv", "final/submission.csv", "text/csv"),
    ("solution.py", "final/solution.py", "text/x-python"),
    ("report.html", "report.html", "text/html"),
)
_PICTURES = (("leaderboard.png", leaderboard_png), ("score_over_time.png", score_png))
_MOST_BYTES = 50 * 2**20  # of a file; a larger one stays on the disk alone


async def save_pictures(ctx: InvocationContext, folder: Path | None) -> AsyncIterator[tuple[str, int]]:
    """Keeps leaderboard and score over time, those that can be drawn; name and version of each. None: does nothing."""
    if folder is not None:
        async for saved in _save(ctx, await asyncio.to_thread(_pictures, folder)):
            yield saved


async def save_files(ctx: InvocationContext, folder: Path) -> AsyncIterator[tuple[str, int]]:
    """Keeps submission, script and report, those that there are; name and version of each."""
    async for saved in _save(ctx, await asyncio.to_thread(_files, folder)):
        yield saved


async def keep_file(ctx: ToolContext, path: Path, kind: str) -> None:
    """Keeps a file that a tool has made, unless it is too large."""
    if path.stat().st_size <= _MOST_BYTES:
        await ctx.save_artifact(path.name, _part(path.name, path.read_bytes(), kind))


def _pictures(folder: Path) -> list[tuple[str, types.Part]]:
    story = read_story(folder)
    drawn = [(name, _drawn(draw, story)) for name, draw in _PICTURES]
    return [(name, _part(name, data, "image/png")) for name, data in drawn if data]


def _drawn(draw: Callable[[Story], bytes | None], story: Story) -> bytes | None:
    """A picture; None where the library that draws fails, since nobody's run is to be hidden for that."""
    try:
        return draw(story)
    except PictureError as exc:
        logging.getLogger(__name__).warning("%s: %s", story.folder, exc)
        return None


def _files(folder: Path) -> list[tuple[str, types.Part]]:
    """The files of a run; the report is written anew, since the run itself writes it after its journal's end."""
    with contextlib.suppress(JournalError, OSError):  # the other files are worth having without it
        build_report(folder)
    found = []
    for name, where, kind in _FILES:
        path = folder / where
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            found.append((name, _part(name, path.read_bytes(), kind)))
    return found


def _part(name: str, data: bytes, kind: str) -> types.Part:
    return types.Part(inline_data=types.Blob(data=data, mime_type=kind, display_name=name))


async def _save(ctx: InvocationContext, parts: list[tuple[str, types.Part]]) -> AsyncIterator[tuple[str, int]]:
    service, session = ctx.artifact_service, ctx.session
    for name, part in parts if service is not None else ():
        assert service is not None
        yield (
            name,
            await service.save_artifact(
                app_name=session.app_name, user_id=session.user_id, session_id=session.id, filename=name, artifact=part
            ),
        )
