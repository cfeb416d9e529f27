"""Season: the time of year, where training saw every part of a year before it is asked about
again.
"""

from features.definition import Signal

DRIVER = "season"
"""Driver of both signals: what it does to a score it does to all accounts of a date."""
# Hundredths of days, so that the position in the year is whole-number arithmetic on every engine.
_YEAR = 36_525
# Days of 1970: the turn of the year, and a quarter of a year after it. Two waves a quarter apart
# tell spring from autumn.
_NEW_YEAR, _APRIL = 0, 90


def _days_from(day: int) -> str:
    """Days to the nearest return of a day of the year, 0 to 182.625; leap days shift it by under a
    day.
    """
    passed = f"((((s.as_of_day - {day}) * 100) % {_YEAR} + {_YEAR}) % {_YEAR})"
    return f"cast(least({passed}, {_YEAR} - {passed}) as double) / 100e0"


def _signal(column: str, meaning: str, phrase: str) -> Signal:
    return Signal(
        column=column,
        driver=DRIVER,
        dimension="contract",
        source="calendar",
        meaning=meaning,
        unit="days",
        phrase=phrase,
        nature="calendar",
        definition={"calendar": column},
    )


SIGNALS: tuple[tuple[Signal, str], ...] = (
    (
        _signal(
            "days_from_new_year",
            "days to the nearest 1 January: winter against summer",
            "Time of year",
        ),
        _days_from(_NEW_YEAR),
    ),
    (
        _signal(
            "days_from_april",
            "days to the nearest 1 April: spring against autumn",
            "Time of year",
        ),
        _days_from(_APRIL),
    ),
)
"""Each signal with its expression over a snapshot `s`."""
