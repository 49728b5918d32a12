"""Where the scripts of a run stand when it is drawn as a graph: rows by descent, from top to bottom."""

from collections.abc import Mapping
from dataclasses import dataclass

from machine_learning_engineering.shared_libraries.report.lineage import Edge
from machine_learning_engineering.shared_libraries.report.node import Node
from machine_learning_engineering.shared_libraries.report.story import Story

WIDTH, HEIGHT = 94, 40
_GAP, _LINE = 8, 34
_MARGIN = 6


@dataclass(frozen=True)
class Box:
    """A node at its place; `x` and `y` are its upper left corner."""

    node: Node
    x: float
    y: float


@dataclass(frozen=True)
class Way:
    """An edge as the data of an SVG path; `lit` on the way to the winner."""

    edge: Edge
    path: str
    lit: bool


@dataclass(frozen=True)
class Drawing:
    width: float
    height: float
    boxes: tuple[Box, ...]
    ways: tuple[Way, ...]


def arrange(story: Story) -> Drawing:
    """The graph of a run. A script stands below all that it came from, and near it."""
    nodes = story.by_key
    parents: dict[str, list[str]] = {key: [] for key in nodes}
    bases: dict[str, list[str]] = {key: [] for key in nodes}
    for edge in story.edges:
        parents[edge.target].append(edge.source)
        bases[edge.target] += [edge.source] if edge.kind != "guide" else []
    rows: list[list[str]] = []
    for key, depth in _depths(parents).items():
        rows += [[] for _ in range(depth + 1 - len(rows))]
        rows[depth].append(key)
    middle: dict[str, float] = {}
    for row in rows:
        middle |= _place(row, bases, middle, nodes)
    left = min(middle.values(), default=0.0) - WIDTH / 2 - _MARGIN
    places = {
        key: (middle[key] - WIDTH / 2 - left, depth * (HEIGHT + _LINE) + _MARGIN)
        for depth, row in enumerate(rows)
        for key in row
    }
    lit = story.lineage(story.winner)
    ways = tuple(Way(e, _curve(places[e.source], places[e.target]), {e.source, e.target} <= lit) for e in story.edges)
    width = max((x for x, _ in places.values()), default=0.0) + WIDTH + _MARGIN
    height = len(rows) * (HEIGHT + _LINE) - _LINE + 2 * _MARGIN
    return Drawing(width, max(height, 0.0), tuple(Box(nodes[key], *place) for key, place in places.items()), ways)


def _depths(parents: Mapping[str, list[str]]) -> dict[str, int]:
    """The row of each node; nodes are in the order in which they ended, so parents come first."""
    depths: dict[str, int] = {}
    for key, above in parents.items():
        depths[key] = 1 + max((depths[one] for one in above if one in depths), default=-1)
    return depths


def _place(
    row: list[str], parents: Mapping[str, list[str]], middle: Mapping[str, float], nodes: Mapping[str, Node]
) -> dict[str, float]:
    """The middles of a row's nodes, each as near below its parents as its neighbours allow, the row centred on them."""
    wish = {}
    for key in row:
        above = [middle[one] for one in parents[key] if one in middle]
        wish[key] = sum(above) / len(above) if above else 0.0
        if nodes[key].where.kind == "ablation":  # which only tells of its parent: beside the way that goes on
            wish[key] += WIDTH * 0.75
    order = sorted(row, key=lambda key: (wish[key], nodes[key].where.solution, nodes[key].where.attempt, key))
    placed: dict[str, float] = {}
    last = None
    for key in order:
        placed[key] = wish[key] if last is None else max(wish[key], last + WIDTH + _GAP)
        last = placed[key]
    shift = sum(placed[key] - wish[key] for key in row) / max(len(row), 1)
    return {key: x - shift for key, x in placed.items()}


def _curve(source: tuple[float, float], target: tuple[float, float]) -> str:
    """From the lower edge of one box to the upper edge of another."""
    x1, y1 = source[0] + WIDTH / 2, source[1] + HEIGHT
    x2, y2 = target[0] + WIDTH / 2, target[1]
    bend = (y2 - y1) / 2
    return f"M{x1:.0f},{y1:.0f}C{x1:.0f},{y1 + bend:.0f} {x2:.0f},{y2 - bend:.0f} {x2:.0f},{y2:.0f}"
