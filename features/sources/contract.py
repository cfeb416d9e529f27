"""What a contract of a raw table says: columns, types, and when each value became known."""

import re
from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["text", "time", "money", "number", "flag"]


@dataclass(frozen=True)
class Column:
    """One column of a contract.

    `clock` names the time column whose value is the moment this column became known (a ticket's
    rating is known at `rated_at`); None means together with its row (`known_from`).
    """

    name: str
    type: ColumnType
    meaning: str
    required: bool = False
    clock: str | None = None
    unit: str = ""
    is_personal: bool = False
    words: tuple[str, ...] = ()
    """The words that measures read; see `word_among`."""
    has_own_words: bool = False
    """Besides `words`, others mean something too: they become kinds of their own, or say nothing
    worse than "not severe".
    """


@dataclass(frozen=True)
class Stream:
    """One kind of dated facts that a table yields: each fact happened once, at `event_time`.

    A ticket yields three: it was opened, closed and rated, each at its own time. `numbers` are
    columns, or `name = minutes(from_column, to_column)` written as a `MinutesBetween`.
    """

    name: str
    event_time: str
    kind: str | None = None
    user: str | None = None
    numbers: tuple["str | MinutesBetween", ...] = ()
    words: str = ""


@dataclass(frozen=True)
class MinutesBetween:
    """A whole number of minutes between two time columns of one row, known at the later one."""

    name: str
    start: str
    end: str


@dataclass(frozen=True)
class Contract:
    """A raw table as tenure wants it.

    `event_time` is the column that says when the row happened; where `known_at` is not mapped it
    is also when the row became known, plus the declared delay. `row_key` identifies a row:
    several rows of one key are versions (with `known_at`) or an error (without).
    """

    table: str
    meaning: str
    event_time: str | None
    columns: tuple[Column, ...]
    row_key: tuple[str, ...] = ()
    streams: tuple[Stream, ...] = ()

    def column(self, name: str) -> Column | None:
        """The column of that name, or None."""
        return next((c for c in (*self.columns, *COMMON) if c.name == name), None)


WORD_GAPS = r"[\s_-]+"
"""What parts a word of two: it may be written with blanks, hyphens or underscores."""


def word_key(text: str) -> str:
    """The text as closed lists compare it: small letters, its parts joined by underscores.

    >>> word_key(" Business Review "), word_key("half-yearly")
    ('business_review', 'half_yearly')
    """
    return re.sub(WORD_GAPS, "_", text.strip().lower())


def word_among(text: str, words: tuple[str, ...]) -> str:
    """The word of a closed list that a text is, however it is written; else the text itself.

    >>> word_among("Champion", ("sponsor", "champion")), word_among("Buyer", ("sponsor",))
    ('champion', 'Buyer')
    """
    return next((word for word in words if word_key(word) == word_key(text)), text)


# Every contract has these besides its own.
COMMON = (
    Column(
        "account_id", "text", "the account; text, may be joined from several columns", required=True
    ),
    Column("known_at", "time", "when this row or this version of it reached your systems"),
    Column("row_key", "text", "identifies the row across corrections"),
    Column("is_deleted", "flag", "true on a version that takes the row back"),
    Column(
        "partition", "text", "which feed the row came through, where feeds end at different dates"
    ),
)
