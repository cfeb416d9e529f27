"""All cards, in one place: what is computed, and what it means."""

from collections.abc import Iterable
from dataclasses import dataclass

from features.automatic import ACTIVITY, automatic_cards
from features.definition import Card, RatioCard, Signal, StateCard
from features.dimensions import (
    adoption,
    contract,
    engagement,
    financial,
    outcomes,
    relationship,
    season,
    support,
    usage,
)
from features.metrics import METRICS
from features.sources import CONTRACTS

CARDS: tuple[Card, ...] = (
    *usage.CARDS,
    *engagement.CARDS,
    *support.CARDS,
    *financial.CARDS,
    *relationship.CARDS,
    *outcomes.CARDS,
)
STATES: tuple[StateCard, ...] = (
    *usage.STATES,
    *support.STATES,
    *financial.STATES,
    *relationship.STATES,
    *outcomes.STATES,
    *adoption.STATES,
    *contract.STATES,
)
RATIOS: tuple[RatioCard, ...] = (
    *usage.RATIOS,
    *engagement.RATIOS,
    *support.RATIOS,
    *relationship.RATIOS,
    *contract.RATIOS,
)
SEASON: tuple[tuple[Signal, str], ...] = season.SIGNALS

_WRITTEN: tuple[Card | StateCard | RatioCard, ...] = (*CARDS, *STATES, *RATIOS)
LAGGING = frozenset(card.name for card in _WRITTEN if card.nature == "lagging")
"""Cards that say what has happened already; `[features] leading_only` leaves them out."""

DIMENSIONS = (
    "usage",
    "engagement",
    "outcomes",
    "relationship",
    "financial",
    "support",
    "adoption",
    "contract",
)

DEFAULT_WINDOWS = (7, 28, 91, 182, 364)
"""What `[features] window_days` is where a project declares none."""
# Stand for any event kind and any number; such words occur in no card.
_ANY_KIND, _ANY_NUMBER = "qkindq", "qnumberq"


@dataclass(frozen=True)
class Entry:
    """One card as the catalogue lists it; an automatic card stands for every kind or number."""

    columns: str
    dimension: str
    source: str
    meaning: str
    unit: str
    empty: str
    nature: str
    worse: str
    phrase: str
    is_automatic: bool = False


def entries(window_days: tuple[int, ...] = DEFAULT_WINDOWS) -> tuple[Entry, ...]:
    """Every card: written ones in the order of the dimensions, then the automatic ones.

    Parameters
    ----------
    window_days
        Windows of the automatic cards, as in `[features] window_days`.
    """
    written = [
        *(_card_entry(card) for card in CARDS),
        *(_state_entry(card) for card in STATES),
        *(_ratio_entry(card) for card in RATIOS),
        *(_season_entry(signal) for signal, _ in SEASON),
    ]
    ordered = sorted(written, key=lambda entry: DIMENSIONS.index(entry.dimension))
    return (*ordered, *_automatic_entries(window_days), *_ATTRIBUTES)


def _card_entry(card: Card, *, is_automatic: bool = False) -> Entry:
    columns = _shown(card.name) + _windows(card.days)
    return Entry(
        columns,
        card.dimension,
        card.contract,
        _shown(card.meaning),
        card.unit,
        _empty(card.when_empty),
        card.nature,
        card.worse or "-",
        _shown(card.phrase),
        is_automatic,
    )


def _windows(days: tuple[int, ...]) -> str:
    """`_{7,28}d` for several windows, `_28d` for one, nothing for all history."""
    listed = ",".join(str(d) for d in days)
    return f"_{{{listed}}}d" if len(days) > 1 else f"_{listed}d" if days else ""


def _state_entry(card: StateCard) -> Entry:
    columns = card.name + (_windows((card.window_days,)) if card.window_days else "")
    return Entry(
        columns,
        card.dimension,
        card.contract,
        card.meaning,
        card.unit,
        _empty(card.when_empty),
        card.nature,
        card.worse or "-",
        card.phrase,
    )


def _ratio_entry(card: RatioCard) -> Entry:
    return Entry(
        card.name,
        card.dimension,
        f"{card.numerator} / {card.divisor}",
        card.meaning,
        card.unit,
        _empty(None),
        card.nature,
        card.worse or "-",
        card.phrase,
    )


def _season_entry(signal: Signal) -> Entry:
    return Entry(
        signal.column,
        signal.dimension,
        "the date; [features] season = true",
        signal.meaning,
        signal.unit,
        _empty(None),
        signal.nature,
        "-",
        signal.phrase,
    )


def _automatic_entries(window_days: tuple[int, ...]) -> list[Entry]:
    listed = []
    for table in ACTIVITY:
        numbers = (_ANY_NUMBER,) if table == "usage_events" else ()
        cards = automatic_cards(CONTRACTS[table], (_ANY_KIND,), numbers, window_days)
        listed += [_card_entry(card, is_automatic=True) for card in cards]
    return listed


def _shown(text: str) -> str:
    for word, shown in ((_ANY_KIND, "<kind>"), (_ANY_NUMBER, "<number>")):
        text = text.replace(word, shown).replace(word.capitalize(), shown)
    return text


def _empty(value: float | None) -> str:
    return "null" if value is None else f"{value:g}"


def _attribute(columns: str, meaning: str, unit: str, phrase: str) -> Entry:
    return Entry(
        columns,
        "contract",
        "accounts",
        meaning,
        unit,
        "null",
        "standing",
        "-",
        phrase,
        is_automatic=True,
    )


# Built by `features.build` for attributes with history, or declared immutable.
_ATTRIBUTES = (
    _attribute(
        "<attribute>_is_<value>",
        "1 where a text attribute has that value; up to eight values",
        "yes",
        "<Value> <attribute>",
    ),
    _attribute(
        "<attribute>_rank",
        "frequency rank of a text attribute with more values, 1 is the commonest",
        "rank",
        "<Attribute>: number {value} by frequency among customers",
    ),
    _attribute(
        "<attribute>", "a numeric attribute as it stood at as_of", "number", "<Attribute>: {value}"
    ),
)


def catalogue_text(window_days: tuple[int, ...] = DEFAULT_WINDOWS) -> str:
    """Every card for a terminal, by dimension; `tenure catalogue` prints it."""
    lines = [
        (
            f"{len(CARDS) + len(STATES) + len(RATIOS) + len(SEASON)} written cards, then those made"
            " for every event kind, number and attribute."
        ),
        (
            "A card needs its source and its columns; [features] off leaves cards, dimensions or"
            " sources out."
        ),
    ]
    for title, section in _sections(window_days):
        lines += ["", title.upper()]
        for entry in section:
            lines += [
                f"  {entry.columns}",
                (
                    f"      {entry.meaning}  [{entry.unit}; from {entry.source}; empty:"
                    f" {entry.empty}; {entry.nature}; worse: {entry.worse}]"
                ),
                f'      "{entry.phrase}"',
            ]
    lines += ["", "METRICS OF THE PORTFOLIO (tenure metrics)"]
    for each in METRICS:
        lines += [
            f"  {each.name}",
            f"      {each.meaning}  [{each.unit}; {each.numerator} / {each.denominator}]",
        ]
    return "\n".join(lines)


def catalogue_markdown() -> str:
    """The same as Markdown tables, one per dimension."""
    parts = []
    for title, section in _sections():
        parts += [
            f"## {title[0].upper()}{title[1:]}",
            "",
            "| signal | source | meaning | unit | empty | nature | worse | said as |",
            "|" + "---|" * 8,
        ]
        parts += [
            "| "
            + " | ".join(
                (
                    f"`{entry.columns}`",
                    f"`{entry.source}`",
                    _cell(entry.meaning),
                    entry.unit,
                    entry.empty,
                    entry.nature,
                    entry.worse,
                    _cell(entry.phrase),
                )
            )
            + " |"
            for entry in section
        ]
        parts.append("")
    parts += [
        "## Metrics of the portfolio",
        "",
        "`tenure metrics` prints and keeps them by quarter and segment.",
        "",
        "| metric | meaning | numerator | denominator | unit |",
        "|" + "---|" * 5,
    ]
    parts += [
        f"| `{m.name}` | {_cell(m.meaning)} | {m.numerator} | {m.denominator} | {m.unit} |"
        for m in METRICS
    ]
    return "\n".join([*parts, ""])


def _sections(
    window_days: tuple[int, ...] = DEFAULT_WINDOWS,
) -> Iterable[tuple[str, list[Entry]]]:
    listed = entries(window_days)
    for dimension in DIMENSIONS:
        yield dimension, [e for e in listed if e.dimension == dimension and not e.is_automatic]
    yield "made automatically", [e for e in listed if e.is_automatic]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
