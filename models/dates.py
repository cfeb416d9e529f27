"""On which dates a target is asked, and which of them are the untouched test.

Worked example: data until 2024-10-01, horizon 90 days. The last complete as_of is 2024-07-03; a
28-day grid counts back from it: 2024-07-03, 2024-06-05, 2024-05-08, ...
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from features.errors import IncompleteHorizon

# How much history the first date should have behind it, where nothing is declared.
HISTORY_DAYS = 91
DEFAULT_STEP_DAYS = 28
DEFAULT_TEST_DATES = 3


@dataclass(frozen=True)
class AskedDates:
    """The as_of dates of a grid or list, oldest first, and those of them that are the test."""

    train: tuple[date, ...]
    test: tuple[date, ...]
    incomplete: tuple[date, ...] = ()
    """Dates declared one by one whose outcome the data complete for nobody: left out."""

    @property
    def all(self) -> tuple[date, ...]:
        """Both, oldest first."""
        return tuple(sorted({*self.train, *self.test}))


def grid(
    step_days: int | None, step: Literal["week", "month", "quarter"] | None, first: date, last: date
) -> tuple[date, ...]:
    """Dates from `first` to `last`, both included; a grid of days counts back from `last`."""
    if step in ("month", "quarter"):
        months = 1 if step == "month" else 3
        dates, current = [], first
        while current <= last:
            dates.append(current)
            # Counted from the first date, so that 31 January does not drift to the 28th for good.
            index = first.month - 1 + months * len(dates)
            current = _on_day(first.year + index // 12, index % 12 + 1, first.day)
        return tuple(dates)
    days = 7 if step == "week" else step_days or DEFAULT_STEP_DAYS
    count = (last - first).days // days
    return tuple(last - timedelta(days=days * back) for back in range(count, -1, -1))


def _on_day(year: int, month: int, day: int) -> date:
    while True:
        try:
            return date(year, month, day)
        except ValueError:
            day -= 1


def last_complete(data_until: date, gap_days: int, horizon_days: int, grace_days: int) -> date:
    """The newest as_of whose label window the data complete."""
    return data_until - timedelta(days=gap_days + horizon_days + grace_days)


def asked_dates(
    *,
    step_days: int | None,
    step: Literal["week", "month", "quarter"] | None,
    first: date | None,
    last: date | None,
    listed: tuple[date, ...],
    test_first: date | None,
    test_last: date | None,
    test_listed: tuple[date, ...],
    test_count: int | None,
    data_from: date,
    last_possible: date,
    horizon_words: str,
) -> AskedDates:
    """Resolve a declaration of dates against what the data complete.

    Raises
    ------
    IncompleteHorizon
        When no date, or none but test dates, has a complete label window; or none of the test
        dates that were declared has.
    """
    if listed:
        declared = tuple(sorted(listed))
    else:
        start = first or data_from + timedelta(days=HISTORY_DAYS)
        end = min(last, last_possible) if last else last_possible
        # A declared first date anchors a grid of days too, so that the file's dates are the dates
        # asked.
        declared = grid(step_days, step, start, end) if end >= start else ()
        if first and last is None and declared and step_days:
            declared = tuple(
                first + timedelta(days=step_days * i)
                for i in range((end - first).days // step_days + 1)
            )
    usable = tuple(d for d in sorted({*declared, *test_listed}) if d <= last_possible)
    if not usable:
        raise IncompleteHorizon(
            f"{horizon_words} needs labels beyond the data: the last as_of they complete is"
            f" {last_possible}, the first date asked is"
            f" {min({*declared, *test_listed}, default=first or data_from)}. Choose earlier dates,"
            " a shorter horizon, or newer data."
        )
    incomplete = tuple(d for d in sorted({*listed, *test_listed}) if d > last_possible)
    declared_test = min(test_listed) if test_listed else test_first
    if declared_test is not None and declared_test > last_possible:
        raise IncompleteHorizon(
            f"{horizon_words}: the outcome of the test from {declared_test} is complete for nobody;"
            f" the data complete it up to {last_possible}. Test on an earlier date, choose a"
            " shorter horizon, or bring newer data."
        )
    if test_listed:
        test = tuple(d for d in test_listed if d in usable)
    elif test_first:
        test = tuple(d for d in usable if d >= test_first and (test_last is None or d <= test_last))
    else:
        # At most a third of the dates: two of three have to teach and calibrate.
        test = (
            usable[-min(test_count or DEFAULT_TEST_DATES, max(1, len(usable) // 3)) :]
            if len(usable) > 1
            else ()
        )
    train = tuple(d for d in usable if d not in test and (not test or d < min(test)))
    if not train:
        raise IncompleteHorizon(
            f"no training date is left: {horizon_words}, dates {usable[0]} to {usable[-1]}, test"
            f" from {min(test) if test else 'none'}. Declare earlier dates or a later test."
        )
    return AskedDates(train, test, incomplete)
