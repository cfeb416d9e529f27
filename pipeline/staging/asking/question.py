"""A question that a table leaves open, and the keys of the project file that answer it.

`init` asks it of the tables it proposes: where the rows allow one reading only it writes that, else
every reading as a line of its own, commented out. Staging asks again of every project, and `check`
and `run` stop until a line is there, or the finding is accepted with a reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.errors import GateRefused
from features.sources import Contract
from pipeline.config.schema import Scalar, Source
from pipeline.config.toml_text import toml_key, toml_value
from pipeline.engine.duckdb import Connection, row, rows
from pipeline.staging.casts import time_value, wall_clock
from pipeline.staging.parts import MappedPart

SHOWN = 5
"""Values named in a sentence."""


@dataclass(frozen=True)
class Reading:
    """One answer: a key of `[sources.X]` with its value, and what the rows say for it."""

    key: str
    value: Any
    words: str

    @property
    def line(self) -> str:
        """The line of the project file."""
        key = ".".join(map(toml_key, self.key.split(".")))
        return f"{key} = {toml_value(self.value)}"


@dataclass(frozen=True)
class Question:
    """What is not clear, on how many rows or accounts, and the readings there are.

    Attributes
    ----------
    name
        Name of the finding; what `[checks] accept` names.
    what
        A sentence with the column, its values and their counts.
    ask
        What is not clear about it, and what hangs on it.
    readings
        The likelier first. None: no key mends it, and `todo` says what does.
    is_sure
        The rows allow the first reading only: `init` writes it.
    """

    name: str
    source: str
    what: str
    readings: tuple[Reading, ...] = ()
    ask: str = ""
    is_sure: bool = False
    todo: str = ""
    count: int | None = None
    total: int | None = None
    unit: str = "rows"
    examples: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What was found, and the question about it."""
        return f"{self.what}. {self.ask}" if self.ask else self.what

    @property
    def next_step(self) -> str:
        """What to write, or to do."""
        if not self.readings:
            return self.todo
        lines = "; or ".join(f"{r.line} ({r.words})" for r in self.readings)
        return f"Under [sources.{self.source}] write {lines}. {self.todo}".rstrip()


class Unanswered(GateRefused):
    """A table cannot be read before a question about it is answered."""


def refused(name: str, questions: Sequence[Question]) -> Unanswered:
    """The error that tells every open question of a source."""
    told = "\n".join(f"- {q.name}: {sentence(q.words)} {q.next_step}" for q in questions)
    return Unanswered(
        f"source {name}: {len(questions)} question{'s' if len(questions) > 1 else ''} about its"
        f" rows must be answered first.\n{told}"
    )


def sentence(text: str) -> str:
    """The text with a full stop, unless it ends in a mark of its own."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def questions_from(plain: Sequence[Mapping[str, Any]]) -> tuple[Question, ...]:
    """Back from plain values."""
    return tuple(
        Question(
            **{
                **each,
                "readings": tuple(Reading(**reading) for reading in each["readings"]),
                "examples": tuple(each["examples"]),
            }
        )
        for each in plain
    )


@dataclass(frozen=True)
class Opened:
    """A source with its files open and its columns mapped."""

    name: str
    contract: Contract
    source: Source
    parts: tuple[MappedPart, ...]
    connection: Connection

    def is_mapped(self, column: str) -> bool:
        """Whether some part fills the column."""
        return any(column in part.columns for part in self.parts)

    def relation(self, **wanted: str) -> str:
        """SQL relation over all parts; name -> the contract's column, `shown:` before it for the
        user's value as text, `given:` for whether there is one. Times are what a clock on the wall
        showed.
        """
        selects = []
        for part in self.parts:
            columns = ", ".join(f"{_value(part, of)} AS {name}" for name, of in wanted.items())
            selects.append(
                f"SELECT {columns} FROM {part.raw.relation} AS source_row WHERE {part.kept}"
            )
        # Reading a value takes a long expression: materialized, it is planned and worked out once,
        # not once for each mention of its name.
        return f"(WITH read AS MATERIALIZED ({' UNION ALL '.join(selects)}) SELECT * FROM read)"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return rows(self.connection, query)

    def row(self, query: str) -> tuple[Any, ...]:
        """The one row of an aggregate."""
        return row(self.connection, query)

    def raw_name(self, column: str) -> str:
        """The user's column behind one of ours."""
        part = next(p for p in self.parts if column in p.columns)
        return part.columns[column].from_column

    def with_values(self, key: str, column: str, values: Sequence[Scalar]) -> dict[str, list[Any]]:
        """A table of lists such as `empty` with more values for one column."""
        known: Mapping[str, Sequence[Scalar]] = getattr(self.source, key)
        before = {name: list(found) for name, found in known.items()}
        return {**before, column: [*before.get(column, []), *values]}


def _value(part: MappedPart, of: str) -> str:
    what, _, name = of.rpartition(":")
    column = part.columns.get(name)
    if column is None:
        return "NULL"
    if what == "shown":
        return column.shown
    if what == "given":
        return column.given if column.local is None else time_value(column.local, None)[0]
    if column.local is not None:
        return wall_clock(column.local, column.zone)
    return column.value
