"""What feature SQL is told of a source, and its rows as they were known at a date."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from features.naming import facts_table
from features.sources import Contract
from features.windows import known, known_value


@dataclass(frozen=True)
class SourceFacts:
    """What the builder knows of one staged source.

    `clocks` overrides the contract's (None: known with its row). `kinds` are the event kinds with
    cards of their own, `categories` the frozen values of each text attribute, commonest first;
    `attributes` the columns that may be read as attributes (they have history, or never change).
    """

    name: str
    contract: Contract
    mapped: frozenset[str]
    decimals: Mapping[str, int] = field(default_factory=dict)
    extra_numbers: tuple[str, ...] = ()
    clocks: Mapping[str, str | None] = field(default_factory=dict)
    is_versioned: bool = False
    kinds: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def table(self) -> str:
        """Name of the prepared table: times as microseconds and `_day` numbers."""
        return facts_table(self.name)

    def unit(self, column: str) -> int:
        """Stored whole numbers in one unit of the column: 100 where cents are stored."""
        return int(10 ** self.decimals.get(column, 0))

    def clock(self, column: str) -> str | None:
        """The time column that makes `column` known; None: its row does."""
        if column in self.clocks:
            return self.clocks[column]
        declared = self.contract.column(column)
        return declared.clock if declared else None


@dataclass(frozen=True)
class SqlStep:
    """One intermediate table: its name and the SELECT that makes it."""

    name: str
    select: str


def as_known(source: SourceFacts, snapshots: str = "snapshots") -> str:
    """The rows of a table per snapshot as they stood then: versions chosen, columns blank until
    known.
    """
    columns = []
    for column in source.contract.columns:
        clock = source.clock(column.name)
        names = [column.name, f"{column.name}_day"] if column.type == "time" else [column.name]
        for name in names:
            columns.append(
                f"{known_value('r', name, clock, 's')} as {name}" if clock else f"r.{name}"
            )
    return f"""
  select s.account_id, s.as_of_day, {", ".join(columns)}
  from {snapshots} s
  join {source.table} r on r.account_id = s.account_id and {known("r", "s")}
"""


def finish(value: str, *, scale: float, when_empty: float | None, guard: str | None) -> str:
    """Scale, fill and blank: the expression of one finished column."""
    number = f"cast({value} as double)"
    if scale != 1.0:
        number = f"{number} / {scale!r}"
    if when_empty is not None:
        number = f"coalesce({number}, {float(when_empty)!r})"
    return f"case when {guard} is null then null else {number} end" if guard else number
