"""On which days terms end, if each is followed by one as long.

Contracts are written in months. Terms of a month that began on 31 January end on 28 February, 31
March and 30 April; a year that began on 29 February 2024 ends on 28 February 2025. Adding days
instead drifts: twelve times 31 days are a week more than a year, and the end of a term falls into
another month. Terms that are no whole number of months are repeated in days.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.methods.base import Floats

MONTHS_OF_YEAR = 12
DAYS_OF_YEAR = 365.25
LONGEST_MONTHS = 120
"""A term of more months than this is repeated in days: no contract is written so."""


@dataclass(frozen=True, eq=False)
class TermMonths:
    """Terms as a number of months; arrays of shape (n_rows,).

    Attributes
    ----------
    origin_day
        Day number of day 0, from which ends are counted.
    months
        Length of the term; NaN where it is no whole number of months.
    month_day
        Day of the month on which terms end, or the last of a month that has no such day.
    """

    origin_day: Floats
    months: Floats
    month_day: Floats

    def rows(self, picked: NDArray[np.intp] | slice) -> "TermMonths":
        """Return some of the rows."""
        return TermMonths(self.origin_day[picked], self.months[picked], self.month_day[picked])


def whole_months(begin_day: Floats, end_day: Floats) -> tuple[Floats, Floats]:
    """Return months and day of the month of terms that are a whole number of months, NaN for
    others.

    Parameters
    ----------
    begin_day, end_day
        Day numbers, arrays of shape (n_rows,); NaN where not known.

    Examples
    --------
    From 31 January to 28 February 2025, and a day less.

    >>> whole_months(np.array([20119.0, 20119.0]), np.array([20147.0, 20146.0]))
    (array([ 1., nan]), array([31., nan]))
    """
    known = ~(np.isnan(begin_day) | np.isnan(end_day))
    begins, ends = (_month_and_day(np.where(known, each, 0.0)) for each in (begin_day, end_day))
    month_day = np.maximum(begins[1], ends[1])
    months = ends[0] - begins[0]
    is_whole = known & (months >= 1) & (months <= LONGEST_MONTHS)
    for month, day in (begins, ends):
        is_whole &= day == np.minimum(month_day, _days_in(month))
    return np.where(is_whole, months, np.nan), np.where(is_whole, month_day, np.nan)


def ends_before(
    day: float, first_end: Floats, term_days: Floats, terms: TermMonths | None
) -> Floats:
    """Return how many ends lie before a day, shape (n_rows,); NaN where no end is known.

    Parameters
    ----------
    first_end
        Days until the first end.
    """
    with np.errstate(invalid="ignore"):
        counted = np.where(day > first_end, np.ceil((day - first_end) / term_days), 0.0)
        counted = np.where(np.isnan(first_end), np.nan, counted)
    if terms is None:
        return counted
    by_month = ~np.isnan(terms.months) & ~np.isnan(first_end)
    if not by_month.any():
        return counted
    some = terms.rows(np.flatnonzero(by_month))
    first = some.origin_day + first_end[by_month]
    # Ends keep their time of day, so dates are compared less that time.
    until = some.origin_day + day - (first - np.floor(first))
    month, _ = _month_and_day(np.floor(until))
    first_month, _ = _month_and_day(np.floor(first))
    last = np.floor((month - first_month) / some.months)
    is_past = _end_in(first_month + last * some.months, some.month_day) < until
    counted[by_month] = np.where(last < 0, 0.0, last + is_past)
    return counted


def nth_end(number: int, first_end: Floats, term_days: Floats, terms: TermMonths | None) -> Floats:
    """Return the day of the end that comes so many terms after the first, shape (n_rows,)."""
    ends = first_end + number * term_days
    if terms is None:
        return ends
    by_month = ~np.isnan(terms.months) & ~np.isnan(first_end)
    some = terms.rows(np.flatnonzero(by_month))
    first = some.origin_day + first_end[by_month]
    month, _ = _month_and_day(np.floor(first))
    day = _end_in(month + number * some.months, some.month_day) + (first - np.floor(first))
    ends[by_month] = day - some.origin_day
    return ends


def share_of_year(term_days: Floats, terms: TermMonths | None) -> Floats:
    """Return what one term pays of a year's money, at most all of it; NaN where no term is
    known.
    """
    years = term_days / DAYS_OF_YEAR
    if terms is not None:
        years = np.where(np.isnan(terms.months), years, terms.months / MONTHS_OF_YEAR)
    return np.asarray(np.minimum(years, 1.0), dtype=np.float64)


def _month_and_day(day: Floats) -> tuple[Floats, Floats]:
    """Months since 1970 and day of the month (from 1) of day numbers."""
    dates = day.astype("int64").astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    within = (dates - months.astype("datetime64[D]")).astype("int64") + 1
    return months.astype("int64").astype(np.float64), within.astype(np.float64)


def _first_of(month: Floats) -> NDArray[np.int64]:
    days = month.astype("int64").astype("datetime64[M]").astype("datetime64[D]")
    return np.asarray(days.astype("int64"))


def _days_in(month: Floats) -> Floats:
    return (_first_of(month + 1) - _first_of(month)).astype(np.float64)


def _end_in(month: Floats, month_day: Floats) -> Floats:
    """Day number of the end of a term in a month."""
    day = _first_of(month) + np.minimum(month_day, _days_in(month)) - 1.0
    return np.asarray(day, dtype=np.float64)
