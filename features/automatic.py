"""Cards nobody wrote: for every kind of event and every number of an activity source."""

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
    windowed,
)
from features.naming import distinct_slugs, slug
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
        name, spoken = names[kind], kind.replace("_", " ")
        reason, worse = _reason_of_kind(dimension, name)
        card = partial(
            windowed,
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
                phrase=f"{spoken}: {{value}} times in the last {{days}} days",
                meaning=f"events {kind}",
            ),
            card(
                f"{name}_share",
                measure=share(kind),
                days=window_days[1:4],
                when_empty=None,
                unit="share",
                phrase=f"{spoken} is {{value}} of all in the last {{days}} days",
                meaning=f"events {kind} over all events",
            ),
            card(
                f"{name}_change",
                measure=change(None, kind),
                days=window_days[1:3],
                when_empty=None,
                unit="change",
                phrase=f"{spoken} {{value}} against the {{days}} days before",
                meaning=f"events {kind} against the window before",
            ),
            card(
                f"days_since_{name}",
                measure=days_since(kind),
                when_empty=None,
                unit="days",
                phrase=f"last {spoken} {{value}} days ago",
                meaning=f"days since the last event {kind}",
                missing=f'No "{spoken}" on record',
                reason_worse=_other_way(worse) if reason else None,
            ),
        ]
    for number in numbers:
        cards += _number_cards(contract, dimension, number, window_days)
    # Where few windows are declared, a slice of them may be empty; such a card would silently mean
    # "over all history".
    return tuple(card for card in cards if card.days or "{days}" not in card.phrase)


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
    name, spoken = slug(number), number.replace("_", " ")
    reason, worse = _reason_of_kind(dimension, name)
    card = partial(
        windowed,
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
            phrase=f"{spoken} {{value}} in the last {{days}} days",
            meaning=f"sum of {number}",
        ),
        card(
            f"{name}_mean",
            measure=mean(number),
            days=window_days[1:],
            when_empty=None,
            unit="number",
            phrase=f"{spoken} {{value}} on average in {{days}} days",
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
            phrase=f"largest {spoken} {{value}} in {{days}} days",
            meaning=f"largest {number}",
        ),
        card(
            f"{name}_change",
            measure=change(number),
            days=window_days[1:4],
            when_empty=None,
            unit="change",
            phrase=f"{spoken} {{value}} against the {{days}} days before",
            meaning=f"sum of {number} against the window before",
        ),
        card(
            f"{name}_ever",
            measure=total(number),
            when_empty=0,
            unit="number",
            phrase=f"{spoken} {{value}} so far",
            meaning=f"sum of {number} since the first",
        ),
    ]
