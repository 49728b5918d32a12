"""Pictures of a run as PNG files of their own, for places that show no page: leaderboard and score over time."""

import re
from typing import Any

from machine_learning_engineering.shared_libraries.monitoring.words import figure
from machine_learning_engineering.shared_libraries.report.node import Node
from machine_learning_engineering.shared_libraries.report.painter import PAINTER
from machine_learning_engineering.shared_libraries.report.plots import score_over_time
from machine_learning_engineering.shared_libraries.report.story import Story

_MOST_ROWS = 12
_ROW = 26  # pixels
_WIDTH = 440  # little enough that a chat on a phone shows it at more than half its size
_COLUMNS = (
    ("rank", 4, "left"),
    ("title", 32, "left"),
    ("score", 285, "right"),
    ("seconds", 352, "right"),
    ("what", 366, "left"),
)
# The light colours of the page; a picture has a white ground, so that it can be read on a dark one, too.
_LIGHT = {
    "ink": "#1b1f24", "muted": "#57606a", "line": "#d0d7de", "c1": "#0969da", "c2": "#bc4c00", "c3": "#1a7f37",
    "c4": "#8250df", "c5": "#cf222e", "c6": "#1b7c83", "c7": "#6e7781",
}  # fmt: skip


def leaderboard_png(story: Story) -> bytes | None:
    """The best scripts as a table; None where no script has a score yet."""
    ranks = story.leaderboard[:_MOST_ROWS]
    if not ranks:
        return None
    head = {"row": 0, "rank": "", "title": "script", "score": story.metric.name, "seconds": "seconds", "what": ""}
    rows = [head, *(_row(n, node, story.winner) for n, node in enumerate(ranks, 1))]
    return PAINTER.png(_table(rows))


def score_png(story: Story) -> bytes | None:
    """Score over time; None where no script has a score yet."""
    figure = score_over_time(story)
    if figure is None:
        return None
    svg = re.sub(r"var\(--([a-z0-9]+)\)", lambda match: _LIGHT.get(match[1], _LIGHT["ink"]), str(figure.svg))
    head, body = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).split(">", 1)
    ground = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return PAINTER.png_of_svg(f"{head}>{ground}{body}")


def _row(rank: int, node: Node, winner: Node | None) -> dict[str, Any]:
    return {
        "row": rank,
        "rank": f"{rank}.",
        "title": node.title,
        "score": figure(node.value),
        "seconds": f"{node.execution.execution_time:.1f}",
        "what": _remark(node, winner),
    }


def _remark(node: Node, winner: Node | None) -> str:
    if node.stopped:
        return "first fold"
    return "published" if node.published and winner is not None and node.key == winner.key else ""


def _table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Text marks in columns, a row each; the head stands back and the published script stands out."""
    y = {"field": "row", "type": "ordinal", "axis": None}
    tests = (("datum.row == 0 || datum.what == 'first fold'", "muted"), ("datum.what != ''", "c3"))
    colour = {"condition": [{"test": test, "value": _LIGHT[name]} for test, name in tests], "value": _LIGHT["ink"]}
    return {
        "background": "#ffffff",
        "padding": 12,
        "width": _WIDTH,
        "height": _ROW * len(rows),
        "data": {"values": rows},
        "config": {"view": {"stroke": None}, "font": "Liberation Sans, Arial, Helvetica, sans-serif"},
        "layer": [
            {
                "mark": {"type": "text", "align": align, "fontSize": 14},
                "encoding": {
                    "x": {"value": x},
                    "y": y,
                    "text": {"field": name, "type": "nominal"},
                    "color": colour,
                },
            }
            for name, x, align in _COLUMNS
        ],
    }
