"""Cards nobody wrote: for every kind of event and every number of an activity source."""

from dataclasses import dataclass
from functools import partial

from features.definition import (
    Card,
    Dimension,
    Direction,
    ReasonCode,
    change,
    count,
    days_since,
    largest,
    mean,
    share,
    total,
)
from features.naming import capital, distinct_slugs, slug
from features.sources import Contract

# What a kind of event is called says more than where it was counted: word in its name, reason, and
# the direction that bears it out.
_REASONS_OF_KINDS: dict[str, tuple[tuple[str, ReasonCode, Direction], ...]] = {
    "usage": (
        ("error", "bug_trouble", "up"),
        ("seats", "losing_users", "down"),
        # Inviting or removing users may be growth or the end of it.
        ("users", "", "down"),
        ("", "low_use", "down"),
    ),
    "engagement": (
        ("price", "price", "up"),
        # What we send says nothing of the account.
        ("sent", "", "down"),
        ("", "low_engagement", "down"),
    ),
}
# Contracts whose rows are activity of the account's people; others have written cards.
ACTIVITY = ("usage_events", "touchpoints")


def automatic_cards(
    contract: Contract,
    kinds: tuple[str, ...],
    numbers: tuple[str, ...],
    window_days: tuple[int, ...],
) -> tuple[Card, ...]:
    """Cards for the chosen kinds and the mapped numbers of one activity source.

    `kinds` were chosen on training data and are frozen in the model; a kind met later has no card.
    """
    dimension: Dimension = "usage" if contract.table == "usage_events" else "engagement"
    cards: list[Card] = []
    names = distinct_slugs(kinds)
    for kind in kinds:
        name, plain, words = names[kind], kind.replace("_", " "), _kind_words(dimension, kind)
        reason, worse = _reason_of_kind(dimension, name)
        card = partial(
            Card,
            dimension=dimension,
            contract=contract.table,
            reason=reason,
            reason_worse=worse if reason else None,
        )
        cards += [
            card(
                f"{name}_count",
                measure=count(kind),
                days=window_days,
                when_empty=0,
                unit="events",
                phrase=f"{words.times} {{value}} times in the last {{window}}",
                said_at={
                    "0": f"{words.none} in the last {{window}}",
                    "1": f"{words.times} once in the last {{window}}",
                },
                meaning=f'events "{plain}"',
            ),
            card(
                f"{name}_share",
                measure=share(kind),
                days=window_days[1:4],
                when_empty=None,
                unit="share",
                phrase=f"{words.share} in the last {{window}}",
                said_at={
                    "0": f"{words.none} in the last {{window}}",
                    "1": f"{words.only} in the last {{window}}",
                },
                meaning=f'events "{plain}" over all events',
            ),
            card(
                f"{name}_change",
                measure=change(None, kind),
                days=window_days[1:3],
                when_empty=None,
                unit="change",
                phrase=f"{words.change} on the {{window}} before",
                said_at={
                    "-1": f"{words.none} in the last {{window}}",
                    "0": f"{words.times} as often as in the {{window}} before",
                    "1": f"{words.times} in the last {{window}} but not in the {{window}} before",
                },
                meaning=f'events "{plain}" against the window before',
            ),
            card(
                f"days_since_{name}",
                measure=days_since(kind),
                when_empty=None,
                unit="days",
                phrase=f"{words.last} {{value}} days ago",
                said_at={"0": f"{words.last} within the last day"},
                meaning=f'days since the last event "{plain}"',
                missing=words.never,
                reason_worse=_other_way(worse) if reason else None,
            ),
        ]
    for number in numbers:
        cards += _number_cards(contract, dimension, number, window_days)
    # Where few windows are declared, a slice of them may be empty; such a card would silently mean
    # "over all history".
    return tuple(card for card in cards if card.days or "{window}" not in card.phrase)


@dataclass(frozen=True)
class _KindWords:
    """How a kind of event is spoken of: beginnings of sentences, or whole ones."""

    times: str
    none: str
    only: str
    share: str
    change: str
    last: str
    never: str


def _kind_words(dimension: Dimension, kind: str) -> _KindWords:
    """`"Create report" used 3 times` in the product, `Price notice 3 times` among contacts."""
    plain = kind.replace("_", " ")
    if dimension == "engagement":
        name = capital(plain)
        return _KindWords(
            times=name,
            none=f"No {plain}",
            only=f"No contact but {plain}",
            share=f"{name} is {{value}} of all contacts",
            change=f"{name}: {{value}}",
            last=f"Last {plain}",
            never=f"No {plain} on record",
        )
    name = f'"{capital(plain)}"'
    is_error = "error" in plain.lower()
    return _KindWords(
        times=f"{name} happened" if is_error else f"{name} used",
        none=f"No {name}" if is_error else f"{name} not used",
        only=f"Nothing but {name}",
        share=f"{name} is {{value}} of their activity",
        change=f"{name}: {{value}}" if is_error else f"Use of {name} is {{value}}",
        last=f"Last {name}" if is_error else f"{name} last used",
        never=f"No {name} on record" if is_error else f"No use of {name} on record",
    )


@dataclass(frozen=True)
class _NumberWords:
    """How a number of events is spoken of, as beginnings of sentences."""

    total: str
    mean: str
    largest: str
    change: str
    none: str
    some: str


def _number_words(number: str) -> _NumberWords:
    """`64 units recorded` for the contract's own number, which is no word of the business; others
    by their name.
    """
    if number == "quantity":
        return _NumberWords(
            total="{value} units recorded",
            mean="{value} units recorded at a time on average",
            largest="Up to {value} units recorded at a time",
            change="Units recorded are",
            none="No units recorded",
            some="Units recorded",
        )
    name = f'"{capital(number.replace("_", " "))}"'
    return _NumberWords(
        total=f"Total {name} is {{value}}",
        mean=f"Average {name} is {{value}}",
        largest=f"Largest {name} is {{value}}",
        change=f"Total {name} is",
        none=f"No {name}",
        some=f"Some {name}",
    )


def _reason_of_kind(dimension: Dimension, name: str) -> tuple[ReasonCode, Direction]:
    """Reason of a kind of event or of a number, and the direction of a count that bears it out."""
    return next(
        (reason, worse) for word, reason, worse in _REASONS_OF_KINDS[dimension] if word in name
    )


def _other_way(direction: Direction) -> Direction:
    """Days since an event are many where the events are few."""
    return "down" if direction == "up" else "up"


def _number_cards(
    contract: Contract, dimension: Dimension, number: str, window_days: tuple[int, ...]
) -> list[Card]:
    """Total, mean, largest and change of one number."""
    name = slug(number)
    words = _number_words(number)
    reason, worse = _reason_of_kind(dimension, name)
    card = partial(
        Card,
        dimension=dimension,
        contract=contract.table,
        reason=reason,
        reason_worse=worse if reason else None,
    )
    return [
        card(
            f"{name}_total",
            measure=total(number),
            days=window_days,
            when_empty=0,
            unit="number",
            phrase=f"{words.total} in the last {{window}}",
            meaning=f"sum of {number}",
        ),
        card(
            f"{name}_mean",
            measure=mean(number),
            days=window_days[1:],
            when_empty=None,
            unit="number",
            phrase=f"{words.mean} in the last {{window}}",
            meaning=f"mean of {number}",
            # How much at a time is depth, not frequency: whether it does what they bought it for.
            reason="poor_fit" if reason == "low_use" else reason,
        ),
        card(
            f"{name}_largest",
            measure=largest(number),
            days=window_days[-2:],
            when_empty=None,
            unit="number",
            phrase=f"{words.largest} in the last {{window}}",
            meaning=f"largest {number}",
        ),
        card(
            f"{name}_change",
            measure=change(number),
            days=window_days[1:4],
            when_empty=None,
            unit="change",
            phrase=f"{words.change} {{value}} on the {{window}} before",
            said_at={
                "-1": f"{words.none} in the last {{window}}, after some in the {{window}} before",
                "0": f"{words.change} the same as in the {{window}} before",
                "1": f"{words.some} in the last {{window}}, none in the {{window}} before",
            },
            meaning=f"sum of {number} against the window before",
        ),
        card(
            f"{name}_ever",
            measure=total(number),
            when_empty=0,
            unit="number",
            phrase=f"{words.total} so far",
            meaning=f"sum of {number} since the first",
        ),
    ]
