"""Terms end on calendar days: months of every length, leap days, ends of months."""

import numpy as np
import pandas as pd
import pytest

from models.term_dates import TermMonths, ends_before, nth_end, share_of_year, whole_months


def day(text: str) -> float:
    return float((pd.Timestamp(text) - pd.Timestamp(0)).days)


def terms(begin: str, end: str, as_of: str) -> tuple[np.ndarray, np.ndarray, TermMonths]:
    """One contract: days to its end, its length in days, and in months."""
    months, month_day = whole_months(np.array([day(begin)]), np.array([day(end)]))
    origin = np.array([day(as_of)])
    length = np.array([day(end) - day(begin)])
    return np.array([day(end)]) - origin, length, TermMonths(origin, months, month_day)


@pytest.mark.parametrize(
    ("begin", "end", "following"),
    [
        # The day of the month returns after a short one.
        ("2025-01-31", "2025-02-28", ["2025-03-31", "2025-04-30", "2025-05-31"]),
        ("2025-02-28", "2025-03-28", ["2025-04-28", "2025-05-28"]),
        ("2024-02-29", "2025-02-28", ["2026-02-28", "2027-02-28", "2028-02-29"]),
        ("2024-11-30", "2025-02-28", ["2025-05-30", "2025-08-30", "2025-11-30"]),
        ("2024-06-01", "2025-06-01", ["2026-06-01", "2027-06-01"]),
        # 30 days are no month: repeated in days.
        ("2025-01-01", "2025-01-31", ["2025-03-02", "2025-04-01"]),
    ],
)
def test_terms_follow_each_other_by_the_calendar(
    begin: str, end: str, following: list[str]
) -> None:
    first, length, months = terms(begin, end, "2024-01-10")
    ends = [nth_end(n, first, length, months)[0] for n in range(len(following) + 1)]
    assert ends == [day(each) - day("2024-01-10") for each in (end, *following)]
    for number, each in enumerate(ends):
        # An end on a day is not before that day.
        assert ends_before(each, first, length, months)[0] == number
        assert ends_before(each + 0.5, first, length, months)[0] == number + 1


def test_a_monthly_contract_ends_twelve_times_a_year_on_every_day_of_the_month() -> None:
    for start in pd.date_range("2023-01-01", "2024-12-31"):
        # The day after the calendar's own sum: both count from the first day, not from each other.
        begin, end = f"{start:%Y-%m-%d}", f"{start + pd.DateOffset(months=1):%Y-%m-%d}"
        first, length, months = terms(begin, end, begin)
        if np.isnan(months.months[0]):
            pytest.fail(f"{begin} to {end} is a month")
        in_a_year = day(f"{start + pd.DateOffset(years=1):%Y-%m-%d}") - day(begin)
        assert ends_before(in_a_year + 1, first, length, months)[0] == 12


def test_the_time_of_day_of_an_end_is_kept() -> None:
    origin = np.array([day("2025-01-01")])
    months = TermMonths(origin, np.array([1.0]), np.array([31.0]))
    first, length = np.array([30.25]), np.array([31.0])  # 31 January, six o'clock
    assert nth_end(1, first, length, months)[0] == day("2025-02-28") - origin[0] + 0.25
    assert ends_before(58.25, first, length, months)[0] == 1
    assert ends_before(58.26, first, length, months)[0] == 2


def test_a_term_pays_its_months_of_a_year_and_at_most_all_of_it() -> None:
    months = TermMonths(np.zeros(4), np.array([1.0, 3.0, 24.0, np.nan]), np.ones(4))
    days = np.array([31.0, 91.0, 731.0, 73.05])
    assert share_of_year(days, months).tolist() == pytest.approx([1 / 12, 0.25, 1.0, 0.2])
    assert share_of_year(np.array([np.nan]), None).tolist() != [0.0]


def test_where_no_end_is_known_none_is_counted() -> None:
    nothing = np.array([np.nan])
    months = TermMonths(np.zeros(1), nothing, nothing)
    assert np.isnan(ends_before(400.0, nothing, nothing, months)).all()
    assert np.isnan(nth_end(3, nothing, nothing, months)).all()
