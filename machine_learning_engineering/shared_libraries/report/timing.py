"""Where the time of a run went: how long models, scripts, both or neither were at work, and what ran when."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from machine_learning_engineering.shared_libraries.report.lineage import address
from machine_learning_engineering.shared_libraries.report.node import Span
from machine_learning_engineering.shared_libraries.report.story import Story


@dataclass(frozen=True)
class Wall:
    """Seconds of the wall clock by who was at work; they add up to the run's seconds."""

    models: float
    scripts: float
    both: float
    neither: float


@dataclass(frozen=True)
class Bar:
    """A span in its lane; `row` keeps those that overlap apart."""

    span: Span
    lane: str
    row: int


def wall(story: Story) -> Wall:
    """How the wall clock of a run divides."""
    times = sorted({0.0, story.seconds, *(t for span in story.spans for t in (span.start, span.end))})
    changes: dict[float, list[tuple[bool, int]]] = {}
    for span in story.spans:
        changes.setdefault(span.start, []).append((span.kind == "model", 1))
        changes.setdefault(span.end, []).append((span.kind == "model", -1))
    totals = {(model, script): 0.0 for model in (True, False) for script in (True, False)}
    at_work = {True: 0, False: 0}  # models, scripts
    for start, end in pairwise(times):
        for is_model, change in changes.get(start, ()):
            at_work[is_model] += change
        totals[at_work[True] > 0, at_work[False] > 0] += end - start
    return Wall(totals[True, False], totals[False, True], totals[True, True], totals[False, False])


def from_cache(story: Story) -> str:
    """How many results of scripts were not computed when the run asked, as a sentence; empty where all were."""
    runs = [span for span in story.spans if span.kind != "model"]
    cached = sum(span.cached for span in runs)
    told = (
        f"{cached} of {len(runs)} script results came from the cache: these scripts had run on the same data before. "
        "With MLE_CACHE_GB=0 everything runs anew."
    )
    return told if cached else ""


def bars(spans: Iterable[Span], most: int = 400) -> list[Bar]:
    """The longest spans, in order of time, each in its lane and clear of the others there."""
    chosen = sorted(sorted(spans, key=lambda span: span.start - span.end)[:most], key=lambda span: span.start)
    busy: dict[str, list[float]] = {}
    placed = []
    for span in chosen:
        ends = busy.setdefault(_lane(span), [])
        row = next((n for n, end in enumerate(ends) if end <= span.start), len(ends))
        ends[row:] = [span.end, *ends[row + 1 :]]
        placed.append(Bar(span, _lane(span), row))
    return placed


def _lane(span: Span) -> str:
    if span.kind == "final run":
        return "on all data"
    if span.kind == "script":
        where = address(span.name)
        return f"solution {where.solution}" if where.solution else where.kind
    solution = re.search(r"_agent_(\d+)", span.name)
    if solution:
        return f"solution {solution[1]}"
    return "ensemble" if "ensemble" in span.name else "run"
