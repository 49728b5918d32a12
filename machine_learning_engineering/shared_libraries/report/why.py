"""Why a script of a run was dropped: it failed, it was beaten, or chance decided; told from the journal alone."""

import re
from difflib import get_close_matches

from machine_learning_engineering.shared_libraries.errors import JournalError
from machine_learning_engineering.shared_libraries.monitoring.words import figure
from machine_learning_engineering.shared_libraries.report.evidence import comparison
from machine_learning_engineering.shared_libraries.report.node import Node
from machine_learning_engineering.shared_libraries.report.story import Story

_MOST_ERROR = 300  # characters of an error's last line


def find_script(story: Story, name: str) -> list[Node]:
    """The versions of a script, by its title (`Candidate 1.2`), its code key, or the model that a candidate tries.

    Raises: JournalError that lists the scripts if none is called so.
    """
    if not story.nodes:
        raise JournalError(f"run {story.folder.name} has run no script yet.")
    asked = _plain(name)
    found = [node for node in story.nodes if asked in (_plain(node.where.title), _plain(node.slot))]
    found = found or [node for node in story.nodes if node.where.kind == "candidate" and asked == _model(story, node)]
    if found:
        return [node for node in found if node.slot == found[0].slot]
    titles = list(dict.fromkeys(node.where.title for node in story.nodes))
    near = get_close_matches(name, titles, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    raise JournalError(f"run {story.folder.name} has no script {name!r}.{hint} It has: {', '.join(titles)}.")


def why_dropped(story: Story, name: str) -> list[str]:
    """Sentences that tell what became of a script and why. Raises: JournalError if there is no such script."""
    versions = find_script(story, name)
    told = [_failed(node) for node in versions if not node.succeeded]
    last = versions[-1]
    if not last.succeeded:
        return [*told, f"No version of {last.where.title} worked, so there was nothing to keep."]
    return [*told, *_judged(story, last), *_decided(story, last)]


def _model(story: Story, node: Node) -> str:
    return _plain(story.text(node.plan))


def _failed(node: Node) -> str:
    """What went wrong with a script that failed, with the last line of its error."""
    last = node.execution.last_error
    error = f" Its error: {last[:_MOST_ERROR]}" if last else ""
    return f"{node.title} failed ({node.execution.outcome}). {node.problem}{error}"


def _judged(story: Story, node: Node) -> list[str]:
    """How a script that worked fared against those that were kept."""
    if node.value is None:
        return [f"{node.title} has no score: it is not made to compete."]
    winner = story.winner
    if winner is None or winner.key == node.key:
        return [f"{node.title} was not dropped: it is the winner, with {_score(story, node)}."]
    told = [_against(story, winner, node)]
    if node.key in story.lineage(winner):
        told.append(f"It lives on: {winner.title} was made from it.")
    elif node.adopted:
        told.append(f"It is the best of solution {node.where.solution}, but that is not the solution handed in.")
    elif (rival := _rival(story, node)) is not None and rival.key != winner.key:
        told.append(_against(story, rival, node))
    return told


def _rival(story: Story, node: Node) -> Node | None:
    """The script that was chosen where this one competed: the best of its solution by then, of its kind or later."""
    same = [one for one in story.leaderboard if one.where.solution == node.where.solution and one.adopted]
    return next((one for one in same if one.key != node.key), None)


def _against(story: Story, better: Node, node: Node) -> str:
    """By how much a script was beaten, and whether that is more than chance."""
    assert better.value is not None
    assert node.value is not None
    gain = story.metric.gain(better.value, over=node.value)
    scores = f"{better.title} scored {figure(better.value)}, {node.title} {figure(node.value)}"
    if node.stopped and node.score is not None:
        return f"{scores} on the {node.score.rows:,} rows of its first fold, where it ended: {node.score.stopped}."
    if gain == 0:
        return f"{scores}: equal, and of equals the older one stays."
    if gain < 0:
        return f"{scores}: {node.title} is ahead by {figure(-gain, 4)}, yet {better.title} is what is published."
    found = comparison(story, better, node)
    told = f"{scores}: beaten by {figure(gain, 4)} ({story.metric.title}, {_direction(story)})."
    if found is None:
        return told
    verdict = "more than noise" if found.is_real else "within noise: on other rows either may win"
    low, high = (figure(end, 4, signed=True) for end in found.interval)
    return f"{told} That is {verdict} (95 % interval on {found.rows:,} rows: {low} to {high})."


def _decided(story: Story, node: Node) -> list[str]:
    """The run's own decisions about the kind of script, such as a budget that was spent."""
    about = [one for one in story.decisions if one.what == node.where.kind or one.what.endswith(f":{node.slot}")]
    return [f"Decision {one.what}: {one.why}." for one in about]


def _score(story: Story, node: Node) -> str:
    return f"{figure(node.value)} ({story.metric.title}, {_direction(story)})"


def _direction(story: Story) -> str:
    return "higher is better" if story.metric.maximize else "lower is better"


def _plain(name: str) -> str:
    """A title or key with its signs evened out: `Candidate 1.2` and `candidate-1-2` are the same."""
    return re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()
