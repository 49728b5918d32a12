"""A run told in messages for a chat: what a person wants to know of each journal entry, in Markdown."""

import re
from collections.abc import Iterable, Iterator

from machine_learning_engineering.shared_libraries.entries import (
    CHECK,
    Decision,
    JournalEntry,
    Published,
    Scored,
    ScriptRun,
    StateDelta,
)
from machine_learning_engineering.shared_libraries.monitoring.ending import Ending
from machine_learning_engineering.shared_libraries.monitoring.words import counted, duration, figure
from machine_learning_engineering.shared_libraries.report.lineage import address, decided
from machine_learning_engineering.shared_libraries.report.node import Node
from machine_learning_engineering.shared_libraries.report.story import Story
from machine_learning_engineering.shared_libraries.report.verdict import verdict

_MOST_ERROR = 160  # characters
_MOST_PLAN = 100


class Narrator:
    """Turns new entries into lines; knows what was best before, so that it can say what is better now."""

    def __init__(self) -> None:
        self._best: float | None = None

    def tell(self, entries: Iterable[JournalEntry], story: Story) -> list[str]:
        """The lines for new entries of a run, whose story holds at least these."""
        nodes = story.by_key
        return [line for entry in entries for line in self._line(entry, nodes, story)]

    def _line(self, entry: JournalEntry, nodes: dict[str, Node], story: Story) -> Iterator[str]:
        match entry:
            case Scored():
                node = nodes.get(f"{entry.slot}.{entry.ordinal}")
                if node is not None:
                    yield self._scored(node, story) if node.succeeded else _failed(node)
            case ScriptRun() if entry.view != "final" and address(entry.slot).kind == "ablation":
                node = nodes.get(f"{entry.slot}.{entry.ordinal}")
                if node is not None and not node.succeeded:
                    yield _failed(node)
            case StateDelta():
                yield from _noted(entry, story)
            case Decision() if entry.what.startswith(CHECK):
                if entry.chosen:
                    yield f"**Warning:** {entry.chosen}"
            case Decision():
                if words := decided(entry):
                    yield f"Decided: {words}"
            case Published():
                node = nodes.get(f"{entry.slot}.{entry.ordinal}")
                yield f"**Published** the submission of {node.title if node else entry.slot}"

    def _scored(self, node: Node, story: Story) -> str:
        better = not node.stopped and story.metric.better(node.value, than=self._best)
        if better:
            self._best = node.value
        plan = _short(story.text(node.plan), _MOST_PLAN)
        named = f"{node.title} ({plan})" if plan else node.title
        if node.stopped and node.score is not None:
            return f"{named}: {figure(node.value)}, first fold only, {node.score.stopped}"
        return f"{named}: {figure(node.value)}" + (", **the best so far**" if better else "")


def opening(story: Story) -> str:
    """What is said when a run begins to be followed."""
    judged = f"judged by {story.metric.title}; {'higher' if story.metric.maximize else 'lower'} is better"
    if story.status != "going on":
        return f"Run `{story.folder.name}` is {story.status}, {judged}. This is what happened:"
    return (
        f"Run `{story.folder.name}` is going on, {judged}. {_settings(story)}It does not end with this chat: `follow`, "
        "`status`, `stop` and `result` are about it, here and in any other chat."
    )


def _settings(story: Story) -> str:
    """What was asked for, as it was understood."""
    if story.started is None:
        return ""
    asked = story.started.config
    parts = (
        "no time limit" if asked["minutes"] is None else f"at most {figure(asked['minutes'])} min",
        f"{counted(asked['num_solutions'], 'solution')} of {counted(asked['num_model_candidates'], 'candidate')} each",
        counted(asked["outer_loop_round"], "round"),
        f"model {asked['agent_model']}",
    )
    return f"Settings: {', '.join(parts)}. "


def closing(story: Story) -> str:
    """What is said when a run has ended, or whoever ran it is gone."""
    name, took = story.folder.name, duration(story.seconds)
    headline = _headline(story)
    match story.status:
        case "finished":
            return f"Run `{name}` is **done** after {took}, {counted(len(story.nodes), 'script')}. {headline}"
        case "failed":
            return f"Run `{name}` **failed** after {took}: {story.reason} {headline}".rstrip()
        case _:
            return f"Run `{name}` was {story.status} after {took}. Say `take up {name}` to go on. {headline}".rstrip()


def _headline(story: Story) -> str:
    winner = story.winner
    if winner is None:
        return ""
    if winner.score is None or winner.value is None:
        return f"{winner.title} won; it was repaired for the full data and has no score of its own."
    ending = Ending(story)
    told = [f"**{ending.headline[:1].upper()}{ending.headline[1:]}**", *verdict(story), ending.audit]
    return f"{'; '.join(filter(None, told))}."


def _failed(node: Node) -> str:
    return f"{node.title} failed: {_short(node.execution.last_error or node.problem, _MOST_ERROR)}"


def _noted(entry: StateDelta, story: Story) -> Iterator[str]:
    """What agents found out, among the state keys that they wrote."""
    for key, value in entry.delta.items():
        if (match := re.fullmatch(r"init_(\d+)_model_(\d+)", key)) and isinstance(value, dict):
            name = _short(story.text(value.get("model_name")), _MOST_PLAN)
            yield f"Solution {match[1]} tries model {match[2]}: {name}"
        elif match := re.fullmatch(r"ablation_summary_\d+_(\d+)", key):
            yield f"What matters in solution {match[1]}: {_short(story.text(value), 2 * _MOST_ERROR)}"


def _short(text: str, most: int) -> str:
    """One line of text without what Markdown would take for its own."""
    plain = re.sub(r"[*_`<>\[\]]", " ", " ".join(text.split()))
    plain = " ".join(plain.split())
    return plain if len(plain) <= most else f"{plain[: most - 3]}..."
