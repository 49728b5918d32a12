"""What a run leaves to whoever watched it, however it ended: its score, its files, what to know, and how to go on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from machine_learning_engineering.shared_libraries.entries import RunEnded, RunStarted
from machine_learning_engineering.shared_libraries.errors import MleError
from machine_learning_engineering.shared_libraries.monitoring.budget import kept
from machine_learning_engineering.shared_libraries.monitoring.words import counted, figure
from machine_learning_engineering.shared_libraries.records import Task, TaskRequest
from machine_learning_engineering.shared_libraries.report.story import Story, read_story
from machine_learning_engineering.shared_libraries.report.timing import from_cache
from machine_learning_engineering.shared_libraries.report.verdict import verdict
from machine_learning_engineering.shared_libraries.runs.journal import read_journal

_SEAL = {
    "sealed": "no script saw their labels",
    "sealed_unenforced": "their labels were in no script's files, but this sandbox could not fence off the rest",
    "reported": "the script's own figure, which nobody checked",
}


_FINISHED_BEFORE = (
    "This run had finished before, so nothing was run. For a new run, name a new folder with --out, or none."
)


@dataclass(frozen=True)
class Ending:
    """The end of a session of a run.

    `checked` is a sentence on rows that were set aside for a last check; `again` is the command that goes on. Each is
    empty where there is none.
    """

    story: Story
    checked: str = ""
    notes: tuple[str, ...] = ()
    again: str = ""

    @property
    def files(self) -> dict[str, Path]:
        """What was made, by what it is; those that exist."""
        folder = self.story.folder
        made = {"submission": folder / "final" / "submission.csv", "solution": folder / "final" / "solution.py"}
        made |= {"report": folder / "report.html", "run": folder}
        return {what: path for what, path in made.items() if path.exists()}

    @property
    def headline(self) -> str:
        """The score of what is published, in a sentence."""
        story, winner = self.story, self.story.winner
        if winner is None:
            return f"no submission and no score yet; {counted(len(story.nodes), 'script')} ended"
        if story.published is None:
            return f"no submission yet; best {story.metric.title} {figure(winner.value)}, by {winner.title}"
        if winner.value is None or winner.score is None:
            return "the winner was repaired for the full data and has no score of its own"
        score, audit = winner.score, story.audit
        if audit is not None and audit.score.value is not None:
            return (
                f"{story.metric.title} {figure(audit.score.value)} on {audit.score.rows:,} rows that chose nothing "
                f"({_SEAL[score.source]}), by {winner.title}"
            )
        return (
            f"{story.metric.title} {figure(winner.value)} on {score.rows:,} held-out rows ({_SEAL[score.source]}), "
            f"by {winner.title}"
        )

    @property
    def audit(self) -> str:
        """What the score at the end says of the real test rows and of the search; empty where there is none."""
        audit, winner = self.story.audit, self.story.winner
        if audit is None or winner is None or winner.value is None:
            return ""
        if audit.score.value is None:
            return f"The winner could not be audited: {audit.score.reason}"
        gap = self.story.metric.gain(winner.value, over=audit.score.value)
        word = "better" if gap > 0 else "worse"
        expected = f"expect {figure(audit.low)} to {figure(audit.high)} on the test rows (95 %)"
        if audit.low is None:
            expected = f"the audit says {figure(audit.score.value)}, but of one group, which does not tell of others"
        return f"{expected}; the search measured {figure(winner.value)}, {figure(abs(gap))} {word}"

    def sentences(self) -> Iterator[str]:
        """What a person is told: the score first, then what else there is to know."""
        done = self.story.status == "finished"
        yield self.headline if done else f"so far: {self.headline}"
        yield from filter(None, (*verdict(self.story), self.audit, self.checked))
        yield from (f"warning: {warning}" for warning in self.story.warnings)
        yield from (f"note: {note}" for note in self.notes)

    def places(self) -> Iterator[str]:
        """Where each file is."""
        yield from (f"{what:11} {path}" for what, path in self.files.items())
        if "report" not in self.files:
            yield f"report      not written; this writes it: mle report {self.story.folder}"


def asides(story: Story) -> tuple[str, ...]:
    """What to know of how a run went: what its time limit left out or left over, and what came from the cache."""
    return (*kept(story), *filter(None, [from_cache(story)]))


def result_of(folder: Path, task: Task) -> Ending:
    """The end of a finished run. Raises: JournalError if its journal cannot be read."""
    story = read_story(folder)
    notes = (_FINISHED_BEFORE,) if had_ended(folder) else asides(story)
    return Ending(story, _true_score(folder, task, is_audited=story.audit is not None), (*task.notes, *notes))


def halt_of(folder: Path, again: str = "") -> Ending:
    """The end of a session that was stopped or failed, told from the journal alone; see `result_of`."""
    story = read_story(folder)
    return Ending(story, notes=asides(story), again=again)


def _true_score(folder: Path, task: Task, is_audited: bool) -> str:
    """How the submission does on rows that were set aside, whose labels chose nothing; empty where there are none."""
    from machine_learning_engineering.shared_libraries.scoring.set_aside import score_set_aside

    started = next((entry for entry in read_journal(folder) if isinstance(entry, RunStarted)), None)
    request = TaskRequest.model_validate(started.request) if started else None
    try:
        found = score_set_aside(request, task, folder / "final" / "submission.csv") if request else None
    except MleError as exc:
        return f"The rows set aside could not be scored: {exc}"
    if found is None:
        return ""
    score = f"{task.metric.title} {figure(found.value)}"
    told = f"{score} on the {found.rows:,} rows set aside"
    if is_audited:
        return f"{told} as test rows"
    expect = "so few rows tell little about new data"
    if not found.are_few:
        expect = "expect this on new data"
        if found.low is not None:
            expect = f"expect {figure(found.low)} to {figure(found.high)} on as many new rows (95 %)"
    return f"{told}, whose labels chose nothing: {expect}"


def had_ended(folder: Path) -> bool:
    """Whether the session that goes on in `folder` took up a run that had finished, so that nothing is left to run."""
    entries = read_journal(folder)
    begun = [number for number, entry in enumerate(entries) if isinstance(entry, RunStarted)]
    earlier = entries[: begun[-1]] if begun else []
    return bool(earlier) and isinstance(earlier[-1], RunEnded) and earlier[-1].status == "finished"
