"""The lines of a run's journal, one frozen record for each kind of thing that happens in a run."""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from machine_learning_engineering.shared_libraries.records import ColumnImportance, Comparison, Execution, Record, Score


class Entry(Record):
    """One line of a run's journal; `at` is seconds since the epoch and serves people, never a decision."""

    at: float


class RunStarted(Entry):
    kind: Literal["run_started"] = "run_started"
    run_id: str
    config: dict[str, Any]
    request: dict[str, Any]
    task_digest: str
    pid: int = Field(description="of the process that writes this session of the run")
    versions: dict[str, str]


class LlmCall(Entry):
    """One finished model call. `request` and `reply` are blob digests; `ordinal` counts that agent's calls from 0."""

    kind: Literal["llm_call"] = "llm_call"
    agent: str
    ordinal: int
    digest: str
    request: str
    reply: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float


class ScriptRun(Entry):
    """One finished execution, its folder relative to the run; `digest` covers script, view and seed."""

    kind: Literal["script_run"] = "script_run"
    slot: str
    ordinal: int
    view: str
    digest: str
    script: str
    execution: Execution


class Scored(Entry):
    kind: Literal["scored"] = "scored"
    slot: str
    ordinal: int
    score: Score


class Audited(Entry):
    """The score of a script on rows that chose nothing, with a 95 % interval for the score on the real test rows."""

    kind: Literal["audited"] = "audited"
    slot: str
    ordinal: int
    score: Score
    low: float | None = None
    high: float | None = None


class Guessed(Entry):
    """What the same answer for every row gets where a script has its score (`value`), and how the script compares."""

    kind: Literal["guessed"] = "guessed"
    slot: str
    ordinal: int
    what: str = Field(description="the answer, in words")
    value: float
    comparison: Comparison


class Importance(Entry):
    """How much each column matters to a script, the most important first; `reason` tells why that is not known."""

    kind: Literal["importance"] = "importance"
    slot: str
    ordinal: int
    columns: tuple[ColumnImportance, ...] = ()
    reason: str = ""


CHECK = "check:"  # begins the address of a decision that is a warning, or '' where there is nothing to warn of


class Decision(Entry):
    """A choice that replay repeats: `what` is its address, `chosen` a JSON value, `why` a sentence for people."""

    kind: Literal["decision"] = "decision"
    what: str
    chosen: Any
    why: str


class StateDelta(Entry):
    """State keys that an agent wrote with its `ordinal`-th event; a blob digest stands for each long string."""

    kind: Literal["state_delta"] = "state_delta"
    agent: str
    ordinal: int
    delta: dict[str, Any]


class Published(Entry):
    """`final/` now holds the submission and script of this slot."""

    kind: Literal["published"] = "published"
    slot: str
    ordinal: int
    value: float | None
    submission: str = Field(description="sha256 of the published submission.csv")


class RunEnded(Entry):
    kind: Literal["run_ended"] = "run_ended"
    status: Literal["finished", "stopped", "failed"]
    reason: str = ""


JournalEntry = Annotated[
    RunStarted
    | LlmCall
    | ScriptRun
    | Scored
    | Audited
    | Guessed
    | Importance
    | Decision
    | StateDelta
    | Published
    | RunEnded,
    Field(discriminator="kind"),
]
JOURNAL_ENTRY: TypeAdapter[JournalEntry] = TypeAdapter(JournalEntry)
