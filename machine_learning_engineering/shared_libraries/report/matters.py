"""What a run knows of what matters: columns of its data, and parts of its scripts."""

from machine_learning_engineering.shared_libraries.common_util import listed
from machine_learning_engineering.shared_libraries.errors import JournalError, MleError
from machine_learning_engineering.shared_libraries.monitoring.words import figure
from machine_learning_engineering.shared_libraries.records import ColumnProfile, Metric, Task
from machine_learning_engineering.shared_libraries.replies import parse_ablation
from machine_learning_engineering.shared_libraries.report.evidence import task_of
from machine_learning_engineering.shared_libraries.report.node import Node
from machine_learning_engineering.shared_libraries.report.story import Story
from machine_learning_engineering.shared_libraries.report.verdict import leans_on
from machine_learning_engineering.shared_libraries.tasks.folder import nearest

_MOST_PARTS = 5  # told of one ablation
_UNMEASURED = "How much single columns matter was not measured."


def contributions(node: Node, metric: Metric) -> tuple[float, list[tuple[float, str]]] | None:
    """An ablation script's score with all parts, and by how much each part betters it, the most helpful first.

    These are the script's own figures; None where it printed none.
    """
    figures = parse_ablation(node.execution.stdout)
    baseline = figures.pop("baseline", None)
    if baseline is None or not figures:
        return None
    return baseline, sorted(
        ((metric.gain(baseline, over=value), name) for name, value in figures.items()), reverse=True
    )


def what_matters(story: Story) -> list[str]:
    """Sentences on which columns matter to the winner, and which parts of scripts by the latest ablation of each."""
    latest = {node.where.solution: node for node in story.nodes if node.where.kind == "ablation"}
    told = [sentence for node in latest.values() if (sentence := _parts(node, story.metric))]
    if not told:
        return [_columns(story), "No ablation of this run has measured parts of a script."]
    how = f"Parts of scripts: by how much {story.metric.title} changes without them, on a script's own rows."
    return [_columns(story), how, *told]


def about_column(story: Story, name: str) -> list[str]:
    """Sentences on what became of a column. Raises: JournalError if the data are gone or have no such column."""
    task = _task(story)
    roles = {task.target: "it is what is predicted", task.id: "it names the rows"}
    if name in roles:
        return [f"The column {name!r} is no feature: {roles[name]}."]
    column = next((one for one in task.profile.columns if one.name.lower() == name.lower()), None)
    if column is None:
        names = [one.name for one in task.profile.columns]
        raise JournalError(
            f"the data of this run have no column {name!r}.{nearest(name, names)} Features: {listed(names)}."
        )
    return [_held(column), *_used(story, column.name), _effect(story, column.name)]


def _columns(story: Story) -> str:
    told = leans_on(story)
    return f"{told[0].upper()}{told[1:]}." if told else _UNMEASURED


def _effect(story: Story, name: str) -> str:
    """How much a column matters to the winner."""
    found = [one for one in (story.importance.columns if story.importance else ()) if one.column == name]
    if not found and story.importance:
        return f"How much it matters is not known. {story.importance.reason}".rstrip()
    if not found:
        return _UNMEASURED
    return f"With its cells shuffled the winner loses {found[0].comparison} ({story.metric.title})."


def _parts(node: Node, metric: Metric) -> str:
    found = contributions(node, metric)
    if found is None:
        return ""
    changes = [f"{figure(abs(gain), 4)} {'worse' if gain > 0 else 'better'} without {name}" for gain, name in found[1]]
    return f"{node.title}: {', '.join(changes[:_MOST_PARTS])}."


def _task(story: Story) -> Task:
    try:
        if story.started is not None:
            with task_of(story.started) as task:
                return task
    except (MleError, OSError, ValueError) as exc:
        raise JournalError(f"the data of run {story.folder.name} cannot be read any more. {exc}") from exc
    raise JournalError(f"run {story.folder.name} had not begun to read its data.")


def _held(column: ColumnProfile) -> str:
    return (
        f"The column {column.name!r} ({column.kind}, {column.unique:,} different values, {column.missing:.0%} missing) "
        "was given to every script; a run itself leaves no feature out."
    )


def _used(story: Story, name: str) -> list[str]:
    """Whether the best script speaks of a column; scripts may also take columns by their kind."""
    best = story.winner
    if best is None:
        return []
    lines = story.blob(best.script).splitlines()
    named = next((n for n, line in enumerate(lines, 1) if f'"{name}"' in line or f"'{name}'" in line), None)
    if named is None:
        return [f"The best script, {best.title}, does not name it; its code tells whether it is used."]
    return [f"The best script, {best.title}, names it in line {named}."]
