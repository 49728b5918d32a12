"""The pictures of a report, each a title, a sentence that says the same in words, and inline SVG."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from machine_learning_engineering.shared_libraries.monitoring.words import figure, name_of
from machine_learning_engineering.shared_libraries.records import Metric
from machine_learning_engineering.shared_libraries.report.evidence import Spread
from machine_learning_engineering.shared_libraries.report.lineage import titled
from machine_learning_engineering.shared_libraries.report.matters import contributions
from machine_learning_engineering.shared_libraries.report.node import Node
from machine_learning_engineering.shared_libraries.report.story import Story
from machine_learning_engineering.shared_libraries.report.svg import draw
from machine_learning_engineering.shared_libraries.report.timing import bars, wall
from machine_learning_engineering.shared_libraries.report.verdict import leans_on

KINDS = ("candidate", "merge", "data use", "refinement", "ensemble", "blend", "submission", "script", "baseline")
_COLOURS = [f"var(--c{n})" for n in (1, 2, 6, 3, 4, 4, 5, 7, 7)]
NARROW, _WIDE = 330, 1040
_MOST_PARTS = 15  # bars of one ablation


@dataclass(frozen=True)
class Figure:
    """A picture, and a wider version of it for wide screens where it has one."""

    title: str
    caption: str
    svg: Markup
    wide: Markup | None = None


def small(spread: Spread, name: str) -> Markup:
    """A picture of a column that fits into a table cell."""
    values = [{"n": n, "count": count, "tip": tip} for n, (count, tip) in enumerate(_counted(spread))]
    spec = {
        "width": 110,
        "height": 30,
        "data": {"values": values},
        "mark": {"type": "bar", "color": "var(--c1)"},
        "encoding": {
            "x": {"field": "n", "type": "ordinal", "axis": None, "scale": {"paddingInner": 0.1}},
            "y": {"field": "count", "type": "quantitative", "axis": None},
            "description": {"field": "tip"},
        },
    }
    return draw(spec, f"How the values of {name} are spread")


def target(spread: Spread, name: str) -> Figure:
    """How the target is spread."""
    counted = _counted(spread)[:30]
    values = [
        {"label": tip.split(": ")[0], "n": n, "count": count, "tip": tip} for n, (count, tip) in enumerate(counted)
    ]
    if spread.labels:
        spec = bar_chart(values, "rows", "var(--c1)")
    else:
        edges = pairwise(spread.edges)
        values = [one | {"from": low, "to": high} for one, (low, high) in zip(values, edges, strict=False)]
        spec = {
            "width": NARROW,
            "height": 180,
            "data": {"values": values},
            "mark": {"type": "bar", "color": "var(--c1)"},
            "encoding": {
                "x": {"field": "from", "type": "quantitative", "title": name, "bin": {"binned": True}},
                "x2": {"field": "to"},
                "y": {"field": "count", "type": "quantitative", "title": "rows"},
                "description": {"field": "tip"},
            },
        }
    most = max(counted, key=lambda pair: pair[0])[1]
    caption = f"The most frequent: {most} rows."
    return Figure(f"Target: {name}", caption, draw(spec, f"How the target {name} is spread. {caption}"))


def score_over_time(story: Story) -> Figure | None:
    """Each script's score when it ended, and the best so far; None without a score."""
    scored = sorted((node for node in story.nodes if node.value is not None), key=lambda node: node.ended)
    if not scored:
        return None
    values = [node.value for node in scored if node.value is not None]
    line, best = [], values[0]
    for node, value in zip(scored, values, strict=True):
        best = value if not node.stopped and story.metric.better(value, than=best) else best
        line.append({"t": node.ended, "v": best})
    line.append({"t": max(story.seconds, scored[-1].ended), "v": best})
    low, high = frame = _frame(values, best)
    line = [{**one, "v": min(max(one["v"], low), high)} for one in line]
    points = [_point(node, value, frame) for node, value in zip(scored, values, strict=True)]
    first, last = figure(values[0]), figure(best)
    way = f"From {first} to {last}" if best != values[0] else f"{last} from the first script on"
    caption = f"{way}; {_direction(story.metric)}. The line is the best so far."
    if off := [value for value in values if not frame[0] <= value <= frame[1]]:
        worst = min(off) if story.metric.maximize else max(off)
        caption += f" Triangles lie beyond the axis, the farthest at {figure(worst)}."
    if any(node.stopped for node in scored):
        caption += " Hollow points stand on their first fold alone and do not compete."
    label = f"Score over time. {caption}"
    pictures = [draw(_progress(points, line, story.metric, frame, width), label) for width in (NARROW, _WIDE)]
    return Figure("Score over time", caption, pictures[0], pictures[1])


def _point(node: Node, value: float, frame: tuple[float, float]) -> dict[str, Any]:
    """A script in the picture of scores; one beyond the frame stands at its edge as a triangle that points outwards."""
    low, high = frame
    shape = "triangle-up" if value > high else "triangle-down" if value < low else "circle"
    tip = f"{node.title}: {figure(value)}" + (", on the first fold alone" if node.stopped else "")
    tip += ", beyond the axis" if shape != "circle" else ""
    place = {"t": node.ended, "v": min(max(value, low), high)}
    return {**place, "kind": node.where.kind, "shape": shape, "tip": tip, "fill": float(not node.stopped)}


def _progress(points: list[Any], line: list[Any], metric: Metric, frame: tuple[float, float], width: int) -> Any:
    x = {"field": "t", "type": "quantitative", "title": "seconds", "scale": {"zero": True}}
    y = {"field": "v", "type": "quantitative", "title": metric.title, "scale": {"domain": list(frame), "nice": False}}
    kinds = [kind for kind in KINDS if any(point["kind"] == kind for point in points)]
    colours = {"domain": kinds, "range": [_COLOURS[KINDS.index(kind)] for kind in kinds]}
    return {
        "width": width,
        "height": 220,
        "layer": [
            {
                "data": {"values": line},
                "mark": {"type": "line", "interpolate": "step-after", "color": "var(--muted)", "aria": False},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": {"values": points},
                "mark": {"type": "point", "filled": True, "size": 70, "opacity": 0.9, "strokeWidth": 1.5},
                "encoding": {
                    "x": x,
                    "y": y,
                    "color": {"field": "kind", "type": "nominal", "scale": colours},
                    "stroke": {"field": "kind", "type": "nominal", "scale": colours, "legend": None},
                    "fillOpacity": {"field": "fill", "type": "quantitative", "scale": None, "legend": None},
                    "shape": {"field": "shape", "type": "nominal", "scale": None, "legend": None},
                    "description": {"field": "tip"},
                },
            },
        ],
    }


def _frame(values: list[float], best: float) -> tuple[float, float]:
    """The axis of scores: the better three quarters decide, so that a hopeless script does not flatten the rest."""
    near = sorted(values, key=lambda value: abs(value - best))
    reach = 2 * abs(near[len(near) * 3 // 4] - best)
    shown = [value for value in values if abs(value - best) <= reach] or values
    margin = 0.06 * (max(shown) - min(shown)) or abs(best) * 0.01 or 1.0
    return min(shown) - margin, max(shown) + margin


def ablation(node: Node, metric: Metric) -> Figure | None:
    """What each part contributes by an ablation script's own figures; None where it printed none."""
    found = contributions(node, metric)
    if found is None:
        return None
    baseline, gains = found
    gain, name = gains[0]
    most = f"Most: {name_of(name)}, {figure(gain, 4, signed=True)}." if gain > 0 else "No part helps here."
    return _helpers(node.title, f"{most} With all parts: {figure(baseline)}.", gains, metric)


def importance(story: Story) -> Figure | None:
    """How much each column matters to the winner; None where that was not measured."""
    if story.importance is None or not story.importance.columns:
        return None
    gains = [(one.comparison.gain, one.column) for one in story.importance.columns]
    told = leans_on(story)
    hidden = f" The {_MOST_PARTS} that matter most of {len(gains)} columns." if len(gains) > _MOST_PARTS else ""
    return _helpers("Columns", f"{told[0].upper()}{told[1:]}.{hidden}", gains, story.metric)


def _helpers(title: str, caption: str, gains: Sequence[tuple[float, str]], metric: Metric) -> Figure:
    """By how much the score is worse without each of these, in their order."""
    values = [
        {
            "label": label,
            "n": n,
            "count": gain,
            "tip": f"{label}: {figure(gain, 5, signed=True)}",
            "helps": "helps" if gain > 0 else "hurts",
        }
        for n, (gain, label) in enumerate(_labelled(gains[:_MOST_PARTS]))
    ]
    spec = bar_chart(values, f"loss of {metric.title} without it", None)
    return Figure(title, caption, draw(spec, f"{title}. {caption}"))


def _labelled(gains: Sequence[tuple[float, str]]) -> Iterator[tuple[float, str]]:
    """With names that can be shown, each a name of its own, since bars of one name would lie on one another."""
    seen: set[str] = set()
    for gain, name in gains:
        label = name_of(name)
        label = f"{label} ({len(seen) + 1})" if label in seen else label
        seen.add(label)
        yield gain, label


def bar_chart(values: list[Any], title: str, colour: str | None) -> Any:
    """Horizontal bars in the order of their `n`."""
    two = {"scale": {"domain": ["helps", "hurts"], "range": ["var(--c3)", "var(--c5)"]}, "legend": None}
    return {
        "width": NARROW - 110,
        "height": {"step": 22},
        "data": {"values": values},
        "mark": {"type": "bar", **({"color": colour} if colour else {})},
        "encoding": {
            "y": {"field": "label", "type": "nominal", "sort": {"field": "n"}, "title": None},
            "x": {"field": "count", "type": "quantitative", "title": title, "axis": {"tickCount": 4}},
            **({} if colour else {"color": {"field": "helps", "type": "nominal", **two}}),
            "description": {"field": "tip"},
        },
    }


# --- time -------------------------------------------------------------------------------------------------------------


def time_split(story: Story) -> Figure:
    """The wall clock by who was at work."""
    split = wall(story)
    rows = (("scripts", split.scripts), ("models", split.models), ("both", split.both), ("neither", split.neither))
    total = max(story.seconds, 1e-9)
    values = [
        {"label": name, "n": n, "count": seconds, "tip": f"{name}: {seconds:.1f} s, {seconds / total:.0%}"}
        for n, (name, seconds) in enumerate(rows)
    ]
    caption = "; ".join(str(one["tip"]) for one in values) + "."
    return Figure(
        "Who was at work",
        caption,
        draw(bar_chart(values, "seconds", "var(--c1)"), f"Seconds by who was at work. {caption}"),
    )


def timeline(story: Story) -> Figure | None:
    """What ran when."""
    placed = bars(story.spans)
    if not placed:
        return None
    values = [
        {
            "lane": bar.lane,
            "row": bar.row,
            "from": bar.span.start,
            "to": max(bar.span.end, bar.span.start + story.seconds / 500),
            "kind": bar.span.kind,
            "tip": f"{titled(bar.span.name)}: {bar.span.end - bar.span.start:.1f} s",
        }
        for bar in placed
    ]
    lanes = sorted({bar.lane for bar in placed}, key=lambda lane: min(b.span.start for b in placed if b.lane == lane))
    caption = f"{len(story.spans)} model calls and script runs, side by side where they overlap."
    pictures = [draw(_gantt(values, lanes, width), f"Timeline. {caption}") for width in (NARROW - 70, _WIDE - 80)]
    return Figure("Timeline", caption, pictures[0], pictures[1])


def _gantt(values: list[Any], lanes: list[str], width: int) -> Any:
    domain, colours = ["model", "script", "final run"], ["var(--c2)", "var(--c1)", "var(--c3)"]
    return {
        "width": width,
        "height": {"step": 12, "for": "offset"},
        "data": {"values": values},
        "mark": {"type": "bar", "opacity": 0.9},
        "encoding": {
            "y": {"field": "lane", "type": "nominal", "sort": lanes, "title": None},
            "yOffset": {"field": "row", "type": "ordinal"},
            "x": {"field": "from", "type": "quantitative", "title": "seconds"},
            "x2": {"field": "to"},
            "color": {"field": "kind", "type": "nominal", "scale": {"domain": domain, "range": colours}},
            "description": {"field": "tip"},
        },
    }


def _counted(spread: Spread) -> list[tuple[int, str]]:
    """Each bar's height and what it is, as `what: rows`."""
    if spread.labels:
        return [(count, f"{label}: {count}") for label, count in zip(spread.labels, spread.counts, strict=True)]
    edges = pairwise(spread.edges)
    bins = (f"{figure(low, 4)} to {figure(high, 4)}" for low, high in edges)
    return [(count, f"{one}: {count}") for count, one in zip(spread.counts, bins, strict=True)]


def _direction(metric: Metric) -> str:
    return "higher is better" if metric.maximize else "lower is better"
