"""What a card says at the values where language breaks, for the page of phrases and its test."""

from collections.abc import Iterator
from dataclasses import dataclass

from features.build import plan_features
from features.definition import Signal
from features.facts import SourceFacts
from features.sources import CONTRACTS
from models.drivers.words import comparison, signal_words

_CURRENCY, _BEFORE_DAYS = "EUR", 28
# Unit -> values: nothing, one, many, little and much; the last two are compared with each other.
_VALUES: dict[str, tuple[float, ...]] = {
    "money": (0.0, 1.0, 1250.0, 98000.0),
    "share": (0.0, 0.004, 1.0, 0.18, 0.46),
    "change": (-1.0, 0.0, 1.0, -0.25, 0.2),
    "minutes": (0.0, 1.0, 45.0, 600.0, 8640.0),
    "yes": (0.0, 1.0),
    "rating": (0.0, 1.0, 2.0, 4.5),
    "points": (0.0, 1.0, 34.0, 61.0),
    "tenths": (0.0, 10.0, 30.0, 60.0),
    "times": (0.0, 0.14, 1.0, 1.9, 12.0),
    "tone": (-0.8, 0.0, -0.2, 0.3),
    "days": (0.0, 1.0, 400.0, 1100.0, 12.0, 45.0),
}
_FEW_DAYS = (0.0, 1.0, 2.0, 5.0)
_COUNTS = (0.0, 1.0, 1234.0, 3.0, 12.0)


_WINDOWS = (7, 28, 91, 182)
_KINDS = {
    "usage_events": ("create_report", "export_error"),
    "touchpoints": ("price_notice", "mail_sent"),
}
_ATTRIBUTES = {"accounts": ("industry", "country", "city", "employees")}
_CATEGORIES = {
    "industry": ("food", "retail"),
    "country": ("DE", "US"),
    "city": tuple(f"city {number}" for number in range(20)),
}


@dataclass(frozen=True)
class Sample:
    """One sentence of a card."""

    at: str
    """The value it is said of, or the case: `missing`, `worse`, `better`."""
    said: str
    compared: str = ""


def every_signal() -> tuple[Signal, ...]:
    """The signals of a project with every source, and with kinds, numbers and attributes as
    examples.
    """
    sources = [
        SourceFacts(
            contract.table,
            contract,
            frozenset(column.name for column in contract.columns),
            extra_numbers=("seats_left",) if contract.table == "usage_events" else (),
            kinds=_KINDS.get(contract.table, ()),
            attributes=_ATTRIBUTES.get(contract.table, ()),
            categories=_CATEGORIES,
        )
        for contract in CONTRACTS.values()
    ]
    return plan_features(sources, window_days=_WINDOWS, season=True).signals


def samples(signal: Signal) -> Iterator[Sample]:
    """Every form of a card's phrase: its values, a missing one, and a value that is worse or better
    than before and than others.
    """
    is_of_a_window = signal.unit == "days" and "{days}" in signal.phrase
    values = _FEW_DAYS if is_of_a_window else _VALUES.get(signal.unit, _COUNTS)
    below = (-values[-1], -1.0) if signal.below else ()
    for value in (*below, *values):
        yield Sample(f"{value:g}", signal_words(signal, value, currency=_CURRENCY))
    yield Sample("missing", signal_words(signal, None, currency=_CURRENCY))
    low, high = values[-2:]
    for case, value, other in (("up", high, low), ("down", low, high)):
        for pulls_down in (True, False):
            compared = comparison(
                signal,
                value,
                other,
                other,
                pulls_down=pulls_down,
                before_days=_BEFORE_DAYS,
                currency=_CURRENCY,
            )
            if compared:
                said = signal_words(signal, value, currency=_CURRENCY)
                effect = "pulls down" if pulls_down else "holds up"
                yield Sample(f"{case}, {effect}", said, compared)
