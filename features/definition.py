"""What a signal is: a card declares it, a `Signal` describes one of its columns."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, field, fields
from typing import Any, Literal

Dimension = Literal[
    "usage",
    "engagement",
    "outcomes",
    "relationship",
    "financial",
    "support",
    "adoption",
    "contract",
]
Direction = Literal["up", "down"]
Nature = Literal["leading", "lagging", "clock", "calendar", "standing"]
"""What kind of fact a signal is: `leading` moves before an account makes up its mind, `lagging`
after; `clock` is an age; `calendar` is where the account stands in its term or the year; `standing`
is who the account is (industry, segment, country, length of the term).
"""
ReasonCode = Literal[
    "",
    "low_use",
    "losing_users",
    "bug_trouble",
    "slow_support",
    "unhappy",
    "poor_fit",
    "slow_start",
    "sponsor_lost",
    "low_engagement",
    "payment",
    "price",
    "spends_less",
    "renewal_near",
    "renewal_off",
    "notice",
]
"""Reasons of the short list; empty: the measure describes an account and is nothing to act on."""

ONE_HOT_UP_TO = 8
"""A category of at most this many values becomes a column for each; of more, one column holds the
rank of its frequency.
"""


@dataclass(frozen=True)
class Signal:
    """One column of the feature table, with what people and methods need to know of it.

    `driver` groups the windows of one measure; `worse` is the direction that means trouble (None:
    no opinion). `phrase` is said with {value}, {days} (28) and
    {window} (four weeks). `when_empty` None: null.
    """

    column: str
    driver: str
    dimension: Dimension
    source: str
    meaning: str
    unit: str
    phrase: str
    window_days: int | None = None
    when_empty: float | None = None
    worse: Direction | None = None
    nature: Nature = "leading"
    reason: ReasonCode = ""
    """What it stands for where it pulls a score down."""
    reason_worse: Direction | None = None
    """Direction that bears the reason out where `worse` has no opinion: the model is not held to
    it.
    """
    reason_until: float | None = None
    """The reason is borne out from 0 to this value, whatever others have."""
    missing: str = ""
    """Said where there is no value; where up is worse, a missing value then means "never"."""
    said_at: Mapping[str, str] = field(default_factory=dict)
    """Said instead of `phrase` at these values (`"0"`, `"1"`, `"-1"`)."""
    below: str = ""
    """Said below 0, with the value as if it were above."""
    inverse: str = ""
    """Of a ratio: said below 1, with {value} as 1 over the value."""
    definition: dict[str, Any] = field(default_factory=dict)
    """Everything its value depends on: measure, filter, window, frozen codes."""

    @property
    def is_leading(self) -> bool:
        """Whether it may move before an account makes up its mind."""
        return self.nature != "lagging"

    @property
    def is_clock(self) -> bool:
        """Whether it moves by itself as time passes (age, days to renewal)."""
        return self.nature in ("clock", "calendar")

    @property
    def is_calendar(self) -> bool:
        """Whether it follows from the date and the contract's clock alone: it tells when an account
        decides, not how it stands.
        """
        return self.nature == "calendar"

    @property
    def is_behaviour(self) -> bool:
        """Whether it measures dated facts: without a value there were none to measure."""
        return "stream" in self.definition and self.definition.get("measure") != "latest"

    @property
    def bad_direction(self) -> Direction | None:
        """Direction that is trouble to people, whether or not the model is held to it."""
        return self.worse or self.reason_worse

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change when the value of the column could."""
        facts = {
            "column": self.column,
            "when_empty": self.when_empty,
            "definition": self.definition,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[
            :16
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON.

        A saved model is named by the hash of its files, so a card of an earlier version, read and
        written again, gives what was read: fields it did not have are left out while empty, and of
        the natures only those that its two flags do not tell apart are written.
        """
        facts = asdict(self)
        for name in _ADDED_SINCE:
            if not facts[name]:
                del facts[name]
        if self.nature in _NATURE_OF_FLAGS.values():
            del facts["nature"]
        return {**facts, "is_leading": self.is_leading, "is_clock": self.is_clock}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> "Signal":
        """Read `to_dict`."""
        values = dict(facts)
        flags = values.pop("is_leading", True), values.pop("is_clock", False)
        return cls(**{"nature": _NATURE_OF_FLAGS[flags], **values})


_ADDED_SINCE = (
    "reason",
    "reason_worse",
    "reason_until",
    "missing",
    "said_at",
    "below",
    "inverse",
)
# Leading or not, moving by itself or not.
_NATURE_OF_FLAGS: dict[tuple[bool, bool], Nature] = {
    (True, False): "leading",
    (False, False): "lagging",
    (True, True): "clock",
}


MeasureKind = Literal[
    "count",
    "total",
    "mean",
    "largest",
    "smallest",
    "distinct",
    "distinct_days",
    "days_since",
    "age_days",
    "mean_gap_days",
    "silence_ratio",
    "share",
    "change",
    "latest",
]


@dataclass(frozen=True)
class Measure:
    """What is computed over the facts of one stream; `kinds` keeps only facts of those kinds."""

    kind: MeasureKind
    column: str | None = None
    kinds: tuple[str, ...] = ()


def count(*kinds: str) -> Measure:
    """Number of facts."""
    return Measure("count", None, kinds)


def total(column: str, *kinds: str) -> Measure:
    """Sum of a number."""
    return Measure("total", column, kinds)


def mean(column: str, *kinds: str) -> Measure:
    """Mean of a number over the facts that have it."""
    return Measure("mean", column, kinds)


def largest(column: str, *kinds: str) -> Measure:
    """Largest value of a number."""
    return Measure("largest", column, kinds)


def distinct(column: str, *kinds: str) -> Measure:
    """Exact number of different values (users, sessions, kinds)."""
    return Measure("distinct", column, kinds)


def distinct_days(*kinds: str) -> Measure:
    """Number of days with at least one fact."""
    return Measure("distinct_days", None, kinds)


def days_since(*kinds: str) -> Measure:
    """Days from the last fact to as_of, over all history."""
    return Measure("days_since", None, kinds)


def age_days(*kinds: str) -> Measure:
    """Days from the first fact to as_of, over all history."""
    return Measure("age_days", None, kinds)


def mean_gap_days(*kinds: str) -> Measure:
    """Days between one active day and the next, on average over all history; null under two active
    days.
    """
    return Measure("mean_gap_days", None, kinds)


def silence_ratio(*kinds: str) -> Measure:
    """Days since the last fact over the usual gap: 3 means three times longer silent than usual."""
    return Measure("silence_ratio", None, kinds)


def share(*kinds: str) -> Measure:
    """Facts of these kinds over all facts, 0-1."""
    return Measure("share", None, kinds)


def change(column: str | None = None, *kinds: str) -> Measure:
    """(now - before) / (now + before), -1 to 1, of a window against the one before; null when both
    are empty.
    """
    return Measure("change", column, kinds)


def latest(column: str, *kinds: str) -> Measure:
    """The newest value within the window; ties go to the row known last, then the larger value."""
    return Measure("latest", column, kinds)


@dataclass(frozen=True)
class Card:
    """One windowed signal of one stream.

    `days` empty: over all history. `when_empty` is the value where the feed covered the window and
    nothing happened; where the feed did not cover it the signal is null.
    """

    name: str
    _: KW_ONLY
    dimension: Dimension
    contract: str
    stream: str = ""
    measure: Measure
    days: tuple[int, ...] = ()
    when_empty: float | None
    unit: str
    phrase: str
    meaning: str
    worse: Direction | None = None
    nature: Nature = "leading"
    reason: ReasonCode = ""
    reason_worse: Direction | None = None
    missing: str = ""
    said_at: Mapping[str, str] = field(default_factory=dict)
    below: str = ""
    inverse: str = ""


@dataclass(frozen=True)
class StateCard:
    """A signal read off the rows of a table as they were known at as_of.

    `expression` is an aggregate, in the portable SQL subset, over `t` (the rows known at as_of,
    each column blank until its clock struck; times as `t.x` and `t.x_day`; the date itself as
    `t.as_of_day`). Date conditions come from `features.windows`. `scale_of` names the column whose
    declared decimals divide the result.
    """

    name: str
    dimension: Dimension
    contract: str
    expression: str
    when_empty: float | None
    unit: str
    worse: Direction | None
    phrase: str
    meaning: str
    needs: tuple[str, ...] = ()
    """Columns that must be mapped, else the signal is left out."""
    scale_of: str | None = None
    nature: Nature = "leading"
    reason: ReasonCode = ""
    reason_worse: Direction | None = None
    reason_until: float | None = None
    missing: str = ""
    said_at: Mapping[str, str] = field(default_factory=dict)
    below: str = ""
    driver: str | None = None
    """Cards that are one reason to people (days into the term, days to renewal) share a driver."""
    rows: str = "as_known"
    window_days: int | None = None
    """Named in the column and spoken in the phrase; the expression looks back that far."""
    beside: str = ""
    """Windowed card of the same source: where its feed did not cover the window, this one is null
    too; without it, absent.
    """
    words_of: tuple[str | None, tuple[str, ...]] = (None, ())
    """Column and words of its closed list that are counted: null until one of them occurs."""


@dataclass(frozen=True)
class DeclaredRatio:
    """A ratio of two signals that a project declares, by their columns; `build` makes a `RatioCard`
    of it.
    """

    name: str
    numerator: str
    divisor: str
    worse: Direction | None = None
    phrase: str | None = None


@dataclass(frozen=True)
class RatioCard:
    """One signal over another of the same row; null when the divisor is null or zero."""

    name: str
    dimension: Dimension
    numerator: str
    divisor: str
    unit: str
    worse: Direction | None
    phrase: str
    meaning: str
    nature: Nature = "leading"
    reason: ReasonCode = ""
    reason_worse: Direction | None = None
    said_at: Mapping[str, str] = field(default_factory=dict)
    inverse: str = ""


def signal_of(
    card: Card | StateCard | RatioCard,
    *,
    column: str,
    driver: str,
    source: str,
    definition: dict[str, Any],
    window_days: int | None = None,
) -> Signal:
    """Return the column a card becomes; all that people are told of it is the card's."""
    built = {"column", "driver", "source", "definition", "window_days"}
    declared = {each.name for each in fields(card)} & {each.name for each in fields(Signal)}
    return Signal(
        column=column,
        driver=driver,
        source=source,
        definition=definition,
        window_days=window_days,
        **{name: getattr(card, name) for name in declared - built},
    )
