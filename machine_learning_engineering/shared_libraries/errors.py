"""Everything that can go wrong and is not a script's own failure.

MleError                      shown to people as one sentence, exit code 2, no traceback
├── ConfigError               a setting has a wrong value, or two settings contradict each other
├── TaskError                 the task folder or data file cannot be used as it is
│   └── TargetUnclear         nobody said which column is to be predicted, and the data do not tell
├── ModelError                a language model gave no usable answer
│   └── RateLimited           the provider asks to wait
├── ReplyFormatError          a reply arrived but does not hold what its prompt asked for
├── ScoreNotFound             a script printed no figure after the marker
├── BranchFailed              no script of one branch worked; the run goes on without it
├── SubmissionError           a submission file breaks the format that the task asks for
├── SandboxError              our machinery for running scripts failed (never a script's own error)
│   ├── SandboxUnavailable    this machine lacks what the requested sandbox needs
│   └── WorkerBroken          a worker died without a result
├── PictureError              a picture of a report could not be drawn
└── JournalError              a run's journal is unreadable, in use, or does not match the run

A script that fails, times out or is killed is not an error: it is an `Execution` with an `outcome`.
Every message names the thing and says what to do next.
"""

from collections.abc import Iterable


class MleError(Exception):
    """Any failure that a person can act on; `str()` is the sentence to show."""


class ConfigError(MleError):
    """A setting has a wrong value, or two settings contradict each other."""


class TaskError(MleError):
    """The task folder or data file cannot be used as it is."""


class TargetUnclear(TaskError):
    """Nobody said which column is to be predicted, and the data do not tell; `columns` are those to choose from."""

    def __init__(self, message: str, columns: Iterable[str]) -> None:
        super().__init__(message)
        self.columns = tuple(columns)


class ModelError(MleError):
    """A language model gave no usable answer."""


class RateLimited(ModelError):
    """The provider asks to wait before the next call."""


class ReplyFormatError(MleError):
    """A reply arrived but does not hold what its prompt asked for."""


class NoReply(ReplyFormatError):
    """A model that can be reached gave no usable reply to one question: cut, empty, refused, or too long a prompt."""


class ScoreNotFound(MleError):
    """A script's output has no line with a finite figure after the specified marker."""


class BranchFailed(MleError):
    """No script of one branch of a run worked; the run goes on without it."""


class SubmissionError(MleError):
    """A submission file breaks the format that the task asks for."""


class SandboxError(MleError):
    """Our machinery for running scripts failed; never a script's own error."""


class SandboxUnavailable(SandboxError):
    """This machine lacks what the requested sandbox needs."""


class WorkerBroken(SandboxError):
    """A worker died without a result."""


class QueueFull(SandboxError):
    """More jobs wait than the scheduler lets wait."""


class PictureError(MleError):
    """A picture of a report could not be drawn."""


class JournalError(MleError):
    """A run's journal is unreadable, in use by another process, or does not match the run."""
