"""Cards nobody wrote: for every kind of event and every number of an activity source."""

from features.definition import Card, change, count, days_since, largest, mean, share, total, windowed
from features.naming import slug
from features.sources import Contract

# Contracts whose rows are activity of the account's people; others have written cards.
ACTIVITY = ("usage_events", "touchpoints")


def automatic_cards(
    contract: Contract, kinds: tuple[str, ...], numbers: tuple[str, ...], window_days: tuple[int, ...]
) -> tuple[Card, ...]:
    """Cards for the chosen kinds and the mapped numbers of one activity source.

    `kinds` were chosen on training data and are frozen in the model; a kind met later has no card.
    """
    dimension = "usage" if contract.table == "usage_events" else "engagement"
    cards: list[Card] = []
    for kind in kinds:
        name, spoken = slug(kind), kind.replace("_", " ")
        common = {"dimension": dimension, "contract": contract.table}
        cards += [
            windowed(f"{name}_count", **common, measure=count(kind), days=window_days, when_empty=0, unit="events",
                     phrase=f"{spoken}: {{value}} times in the last {{days}} days", meaning=f"events {kind}"),
            windowed(f"{name}_share", **common, measure=share(kind), days=window_days[1:4], when_empty=None,
                     unit="share", phrase=f"{spoken} is {{value}} of all in the last {{days}} days",
                     meaning=f"events {kind} over all events"),
            windowed(f"{name}_change", **common, measure=change(None, kind), days=window_days[1:3], when_empty=None,
                     unit="change", phrase=f"{spoken} {{value}} against the {{days}} days before",
                     meaning=f"events {kind} against the window before"),
            windowed(f"days_since_{name}", **common, measure=days_since(kind), when_empty=None, unit="days",
                     phrase=f"last {spoken} {{value}} days ago", meaning=f"days since the last event {kind}"),
        ]
    for number in numbers:
        cards += _number_cards(contract, dimension, number, window_days)
    return tuple(cards)


def _number_cards(contract: Contract, dimension: str, number: str, window_days: tuple[int, ...]) -> list[Card]:
    """Total, mean, largest and change of one number."""
    name, spoken = slug(number), number.replace("_", " ")
    common = {"dimension": dimension, "contract": contract.table}
    return [
        windowed(f"{name}_total", **common, measure=total(number), days=window_days, when_empty=0, unit="number",
                 phrase=f"{spoken} {{value}} in the last {{days}} days", meaning=f"sum of {number}"),
        windowed(f"{name}_mean", **common, measure=mean(number), days=window_days[1:], when_empty=None, unit="number",
                 phrase=f"{spoken} {{value}} on average in {{days}} days", meaning=f"mean of {number}"),
        windowed(f"{name}_largest", **common, measure=largest(number), days=window_days[-2:], when_empty=None,
                 unit="number", phrase=f"largest {spoken} {{value}} in {{days}} days", meaning=f"largest {number}"),
        windowed(f"{name}_change", **common, measure=change(number), days=window_days[1:4], when_empty=None,
                 unit="change", phrase=f"{spoken} {{value}} against the {{days}} days before",
                 meaning=f"sum of {number} against the window before"),
        windowed(f"{name}_ever", **common, measure=total(number), when_empty=0, unit="number",
                 phrase=f"{spoken} {{value}} so far", meaning=f"sum of {number} since the first"),
    ]
