"""`report.html`: one run as one file that needs nothing else, from its journal and the files that the journal names.

Every text of a script, a model or a data file is hostile until it is escaped: templates escape whatever is not markup
made here, and the page's own policy lets no script run but ours, by its digest.
"""

import base64
import hashlib
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from machine_learning_engineering.shared_libraries.monitoring.ending import asides
from machine_learning_engineering.shared_libraries.monitoring.words import figure
from machine_learning_engineering.shared_libraries.records import Task
from machine_learning_engineering.shared_libraries.report import plots
from machine_learning_engineering.shared_libraries.report.evidence import MOST_COLUMNS, Evidence, gather
from machine_learning_engineering.shared_libraries.report.graph import HEIGHT, WIDTH, arrange
from machine_learning_engineering.shared_libraries.report.lineage import Edge, decided
from machine_learning_engineering.shared_libraries.report.listing import Line, code, cut, difference, prose, visible
from machine_learning_engineering.shared_libraries.report.node import Node
from machine_learning_engineering.shared_libraries.report.plots import Figure
from machine_learning_engineering.shared_libraries.report.prediction_plots import prediction_figures
from machine_learning_engineering.shared_libraries.report.reproduce import command, files, prediction
from machine_learning_engineering.shared_libraries.report.story import Story, read_story
from machine_learning_engineering.shared_libraries.report.verdict import verdict
from machine_learning_engineering.shared_libraries.runs.journal import write_atomically
from machine_learning_engineering.shared_libraries.scoring.leaks import Leak, find_leaks

MAX_BYTES = 5_000_000
_BUDGETS = (2_500_000, 800_000, 200_000, 0)  # characters for the texts of all scripts; the first that fits is taken
_MOST_RANKS = 200  # rows of the leaderboard
_MOST_ABLATIONS = 12
_MOST_LEAKS = 20  # shown of one script
_EVERY = 5  # seconds between two looks at a run that goes on
_writing = threading.Lock()  # one report after the other, so that the last one that is asked for tells the most
_MEASURED = {
    "sealed": "on {rows} held-out rows whose labels no script could reach",
    "sealed_unenforced": (
        "on {rows} held-out rows whose labels were kept out of every script's files; "
        "this sandbox could not fence off the rest of the machine"
    ),
    "reported": "as the script itself printed it; nobody checked it",
}
_RELATIONS = {
    "base": "made from",
    "reference": "merged with",
    "member": "blends",
    "guide": "guided by",
    "fix": "mends",
    "rewrite": "written anew after",
}


@dataclass(frozen=True)
class Link:
    """A relative of a script: how it is related, its title, and where it stands on the page."""

    relation: str
    title: str
    anchor: str


@dataclass(frozen=True)
class Card:
    """Everything that the page tells of one script."""

    node: Node
    anchor: str
    rank: int | None
    links: tuple[Link, ...]
    plan: str
    bug: str
    code: Markup
    base: str
    changes: tuple[Line, ...]
    stdout: str
    stderr: str
    leaks: tuple[Leak, ...] = ()


def build_report(folder: Path, live: bool = False) -> Path:
    """Writes `report.html` into the folder of a run, going on or ended, and returns its path.

    With `live`, the page of a run that goes on loads itself again every few seconds; call this as often, to renew it.
    Raises: JournalError if there is no run or its journal cannot be read.
    """
    with _writing:
        story = read_story(folder.absolute())
        evidence = gather(story)
        figures = _figures(story, evidence)
        html = b""
        for budget in _BUDGETS:
            html = render(story, evidence, figures, live and story.status == "going on", budget).encode(
                errors="replace"
            )
            if len(html) <= MAX_BYTES:
                break
        path = story.folder / "report.html"
        write_atomically(path, html)
        return path


def keep_report(folder: Path) -> Path:
    """The path of a run's report, after renewing it every few seconds until the run has ended."""
    while True:
        story = read_story(folder.absolute())
        path = build_report(folder, live=True)
        if story.status != "going on":
            return path
        time.sleep(_EVERY)


def render(story: Story, evidence: Evidence, figures: dict[str, Any], live: bool, budget: int) -> str:
    """The page, with about `budget` characters for the code and the output of all scripts together."""
    environment = _environment()
    style, script = (_package_text(name) for name in ("report.css", "report.js"))
    cards = _cards(story, budget, evidence.task)
    return environment.get_template("report.html.j2").render(
        story=story,
        task=evidence.task,
        name=_name(story, evidence),
        description=_description(story, evidence),
        evidence=evidence,
        more_columns=max(0, len(evidence.task.profile.columns) - MOST_COLUMNS) if evidence.task else 0,
        winner=story.winner,
        measured=_measured(story.winner),
        cards=cards,
        chosen=next((card for card in cards if card.node == story.winner), None),
        board=[card for card in sorted(cards, key=_by_rank) if card.node.where.kind != "ablation"][:_MOST_RANKS],
        drawing=arrange(story),
        box=(WIDTH, HEIGHT),
        anchors={card.node.key: card.anchor for card in cards},
        calls=[span for span in story.spans if span.kind == "model"],
        decisions=[words for one in story.decisions if (words := decided(one))],
        asides=asides(story),
        verdict=verdict(story),
        command=command(story.started) if story.started else "",
        prediction=prediction(story),
        containment=_containment(story),
        files=files(story),
        live=_EVERY if live else 0,
        style=Markup(style),
        script=Markup(script),
        style_digest=_digest(style),
        script_digest=_digest(script),
        **figures,
    )


@cache
def _environment() -> Environment:
    """Kept, with its compiled templates, for the next page of this process."""
    environment = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters |= {"figure": figure, "duration": _duration, "size": _size, "share": "{:.0%}".format}
    return environment


def _figures(story: Story, evidence: Evidence) -> dict[str, Any]:
    """Every picture of the page, drawn once."""
    name = evidence.task.target if evidence.task else ""
    ablations = [plots.ablation(node, story.metric) for node in story.nodes if node.where.kind == "ablation"]
    drawn = (column for column in evidence.columns if column.spread is not None)
    return {
        "target_figure": plots.target(evidence.target, name) if evidence.target else None,
        "small_figures": {one.profile.name: plots.small(one.spread, one.profile.name) for one in drawn if one.spread},
        "progress_figure": plots.score_over_time(story),
        "importance_figure": plots.importance(story),
        "ablation_figures": [one for one in ablations if one is not None][-_MOST_ABLATIONS:],
        "prediction_figures": prediction_figures(evidence.predictions, name) if evidence.predictions else [],
        "time_figures": [plots.time_split(story), plots.timeline(story)] if story.spans else list[Figure](),
    }


def _cards(story: Story, budget: int, task: Task | None) -> list[Card]:
    each = min(budget // max(len(story.nodes), 1), 120_000)
    anchors = {node.key: f"script-{number}" for number, node in enumerate(story.nodes, 1)}
    ranks = {node.key: rank for rank, node in enumerate(story.leaderboard, 1)}
    above: dict[str, list[Edge]] = {}
    for edge in story.edges:
        above.setdefault(edge.target, []).append(edge)
    nodes = story.by_key
    return [
        _card(
            story,
            node,
            anchors[node.key],
            ranks.get(node.key),
            tuple(
                Link(_RELATIONS[edge.kind], nodes[edge.source].title, anchors[edge.source])
                for edge in above.get(node.key, ())
            ),
            each,
            task,
        )
        for node in story.nodes
    ]


def _card(
    story: Story, node: Node, anchor: str, rank: int | None, links: Sequence[Link], budget: int, task: Task | None
) -> Card:
    script, base = story.blob(node.script), story.base_of(node)
    return Card(
        node=node,
        anchor=anchor,
        rank=rank,
        links=tuple(links),
        plan=cut(story.text(node.plan), budget // 10),
        bug=cut(story.text(node.bug), budget // 10),
        code=code(script, budget * 6 // 10),
        base=base.title if base else "",
        changes=tuple(difference(story.blob(base.script), script, budget * 2 // 10)) if base else (),
        stdout=cut(node.execution.stdout, min(budget // 10, 6_000)),
        stderr=cut(node.execution.stderr, min(budget // 10, 6_000)),
        leaks=find_leaks(script, task)[:_MOST_LEAKS] if task else (),
    )


def _by_rank(card: Card) -> tuple[float, float]:
    """Best first; scripts without a score follow in the order in which they ran."""
    return (math.inf if card.rank is None else card.rank, card.node.started)


def _name(story: Story, evidence: Evidence) -> str:
    return evidence.task.name if evidence.task else story.task


def _description(story: Story, evidence: Evidence) -> Markup:
    text = evidence.task.description if evidence.task else story.text(story.state.get("task_description", ""))
    return prose(cut(text.strip(), 6_000))


def _measured(node: Node | None) -> str:
    """How the score of a script was measured, to follow its value."""
    if node is None or node.score is None or node.value is None:
        return ""
    return _MEASURED[node.score.source].format(rows=f"{node.score.rows:,}")


def _containment(story: Story) -> str:
    """What was around the scripts, as the last of them met it; empty where none ran."""
    if not story.nodes:
        return ""
    ran = story.nodes[-1].execution
    network = "closed" if "network" in ran.layers else "open"
    return f"Scripts ran in the {ran.backend} sandbox, with the network {network} to them: {', '.join(ran.layers)}."


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"


def _size(count: int) -> str:
    return f"{count:,} bytes" if count < 10_000 else f"{count / 1000:,.0f} kB"


def _package_text(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """What a content security policy calls a text by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
