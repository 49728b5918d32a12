"""What a reader of a script knows of its values: where rows came from, whether they hold targets, what was learned."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce

TRAIN, TEST = "train", "test"  # rows of the two files
PART = "part"  # rows after a split, or some of the rows
INDEX = "index"  # positions of rows, or a mask
COLUMNS = "columns"  # the names of a table's columns, not its rows
TARGET, ID = "target", "id"  # the values of one column
STATISTIC = "statistic"  # one number a column, or a group
GROUPED = "grouped"
ESTIMATOR = "estimator"  # what has a `fit` that learns
SELECTS = "selects"  # an estimator that chooses its columns itself
CODES = "codes"  # an estimator that only numbers the values of a column
PREDICTED = "predicted"
_HOLDS, _LEARNED = "holds:", "learned:"  # a table's columns made of the target; lines where all rows were learned from
_ROWS = frozenset({TRAIN, TEST, PART, PREDICTED})


@dataclass(frozen=True)
class Value:
    """What an expression may be: tags, the texts that it holds, and its parts where they are known one by one."""

    tags: frozenset[str] = frozenset()
    texts: tuple[str, ...] = ()
    parts: "tuple[Value, ...] | None" = None

    def __or__(self, other: "Value") -> "Value":
        return Value(self.tags | other.tags, tuple(dict.fromkeys(self.texts + other.texts)))

    def has(self, *tags: str) -> bool:
        return all(tag in self.tags for tag in tags)

    def plus(self, *tags: str) -> "Value":
        return replace(self, tags=self.tags | set(tags), parts=None)

    def minus(self, *tags: str) -> "Value":
        return replace(self, tags=self.tags - set(tags), parts=None)

    @property
    def rows(self) -> frozenset[str]:
        """Whose rows these are."""
        return self.tags & _ROWS

    @property
    def held(self) -> frozenset[str]:
        """The columns of a table that hold the target, or were made of it."""
        return frozenset(tag.removeprefix(_HOLDS) for tag in self.tags if tag.startswith(_HOLDS))

    @property
    def learned(self) -> frozenset[str]:
        """Tags that name lines where something was learned from all training rows."""
        return frozenset(tag for tag in self.tags if tag.startswith(_LEARNED))

    @property
    def is_undivided(self) -> bool:
        """Whether these are all training rows."""
        return TRAIN in self.tags and not self.tags & {PART, PREDICTED}

    def holding(self, columns: Iterable[str]) -> "Value":
        """The same with exactly these columns made of the target."""
        kept = frozenset(tag for tag in self.tags if not tag.startswith(_HOLDS))
        return replace(self, tags=kept | {_HOLDS + name for name in columns}, parts=None)

    def one_of(self) -> "Value":
        """One of several values that are not known one by one: of which file its rows are is open then."""
        return self.minus(TEST) if self.has(TRAIN, TEST) else replace(self, parts=None)


NOTHING = Value()


def union(values: Iterable[Value]) -> Value:
    return reduce(lambda one, other: one | other, values, NOTHING)


def learned_at(line: int) -> str:
    return f"{_LEARNED}{line}"


def line_of(learned: str) -> int:
    return int(learned.removeprefix(_LEARNED))
