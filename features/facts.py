"""What feature SQL is told of a source, and its rows as they were known at a date."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from features.naming import facts_table, slug
from features.sources import Contract
from features.sql import literal
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


def as_known(source: SourceFacts, snapshots: str = "snapshots", also: Iterable[str] = ()) -> str:
    """The rows of a table per snapshot as they stood then: versions chosen, columns blank until
    known; `also` are columns of the project's own, known with their row.
    """
    columns = [f"r.{name}" for name in also if source.contract.column(name) is None]
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


def words_guard(source: SourceFacts, column: str | None, words: tuple[str, ...]) -> str | None:
    """SQL that is null until the source held one of the words, at any account.

    A measure of a word that never occurs says nothing of anybody: the column may write another for
    it. None where the column has no closed list, or the words are the project's own.
    """
    name = _words_column(source, column, words)
    table = words_table(source)
    return f"case when {table}.{name} < s.as_of_day then 1 end" if name else None


def words_step(
    source: SourceFacts, groups: Iterable[tuple[str | None, tuple[str, ...]]]
) -> SqlStep | None:
    """One row with the day from which each group of words was known to occur in the source."""
    firsts = {
        name: f"min(case when f.{column} in ({', '.join(map(literal, words))})"
        f" then f.known_from_day end) as {name}"
        for column, words in groups
        if (name := _words_column(source, column, words)) is not None
    }
    if not firsts:
        return None
    chosen = ",\n  ".join(firsts.values())
    return SqlStep(words_table(source), f"select {chosen}\nfrom {source.table} f")


def words_table(source: SourceFacts) -> str:
    """Name of the step that `words_step` makes."""
    return f"words_{slug(source.name)}"


def _words_column(source: SourceFacts, column: str | None, words: tuple[str, ...]) -> str | None:
    declared = source.contract.column(column) if column in source.mapped else None
    if declared is None or not words or not set(words) <= set(declared.words):
        return None
    return "_".join((declared.name, *words))


def both(first: str | None, second: str | None) -> str | None:
    """SQL that is null where one of two guards is."""
    return (
        f"case when {first} is not null then {second} end"
        if first and second
        else (first or second)
    )


def finish(value: str, *, scale: float, when_empty: float | None, guard: str | None) -> str:
    """Scale, fill and blank: the expression of one finished column."""
    number = f"cast({value} as double)"
    if scale != 1.0:
        number = f"{number} / {scale!r}"
    if when_empty is not None:
        number = f"coalesce({number}, {float(when_empty)!r})"
    return f"case when {guard} is null then null else {number} end" if guard else number
