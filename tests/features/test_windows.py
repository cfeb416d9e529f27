"""What "the last 28 days, as known then" is: both edges, bins, visibility, coverage."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.windows import (
    DAYS_PER_BIN,
    NEVER,
    US_PER_DAY,
    calendar,
    covers,
    day_expression,
    day_number,
    day_of,
    days_since,
    days_until,
    edge_column,
    ended_within,
    happened,
    known,
    known_value,
    window_edges,
)
from pipeline.engine.duckdb import Connection, rows

# The example of the module: as_of 2024-03-29, window 28 days.
AS_OF = 19_811


def test_worked_example_has_these_day_numbers() -> None:
    assert day_number(date(2024, 3, 29)) == AS_OF
    assert day_of(AS_OF - 28) == date(2024, 3, 1)


def _in_window(event_day: int, known_day: int, as_of: int = AS_OF, window: int = 28) -> bool:
    days = calendar([as_of], [window], event_day, max(event_day, known_day)).set_index("day")
    seen = days["visible_day"].get(max(event_day, known_day), NEVER)
    return bool(days["bin_day"].get(event_day, NEVER) >= as_of - window and seen <= as_of)


@pytest.mark.parametrize(
    ("event", "arrived", "counts"),
    [
        ("2024-03-01", "2024-03-01", True),  # the first instant of the window is in
        ("2024-02-29", "2024-02-29", False),
        ("2024-03-28", "2024-03-28", True),
        ("2024-03-29", "2024-03-29", False),  # as_of itself is not
        ("2024-03-28", "2024-03-30", False),  # happened before, known after
        ("2024-03-02", "2024-03-28", True),  # late, but in time
    ],
)
def test_event_at_the_edges_of_the_window(event: str, arrived: str, counts: bool) -> None:
    assert (
        _in_window(day_number(date.fromisoformat(event)), day_number(date.fromisoformat(arrived)))
        is counts
    )


as_ofs = st.lists(st.integers(-500, 1_000), min_size=1, max_size=8)
window_lengths = st.lists(st.integers(1, 400), min_size=1, max_size=5)


@settings(max_examples=200, deadline=None)
@given(
    as_of_days=as_ofs,
    windows=window_lengths,
    first=st.integers(-900, 900),
    length=st.integers(0, 1_000),
)
def test_every_window_is_a_union_of_whole_bins(
    as_of_days: list[int], windows: list[int], first: int, length: int
) -> None:
    days = calendar(as_of_days, windows, first, first + length)
    for as_of in as_of_days:
        for window in windows:
            inside = (days["day"] >= as_of - window) & (days["day"] < as_of)
            by_bins = (days["bin_day"] >= as_of - window) & (days["visible_day"] <= as_of)
            assert (inside == by_bins).all()


@settings(max_examples=100, deadline=None)
@given(as_of_days=as_ofs, first=st.integers(-900, 900), length=st.integers(0, 400))
def test_a_day_is_visible_from_the_first_later_as_of(
    as_of_days: list[int], first: int, length: int
) -> None:
    days = calendar(as_of_days, [7], first, first + length)
    expected = [min((a for a in as_of_days if a > day), default=NEVER) for day in days["day"]]
    assert days["visible_day"].tolist() == expected
    assert days["day"].is_unique and set(range(first, max(as_of_days))) <= set(days["day"])


def test_few_edges_make_few_bins_and_many_edges_make_days() -> None:
    few = calendar([1000], [7, 28], 0, 999)
    assert {972, 993} <= set(few["bin_day"]) and np.diff(
        np.unique(few["bin_day"])
    ).max() == DAYS_PER_BIN
    many = calendar(range(0, 1000, 2), [7], 0, 999)
    assert (many["bin_day"] == many["day"]).all()


def test_window_is_null_where_the_feed_did_not_cover_it() -> None:
    edges = window_edges([100, 120], [7, 28], 90, [110]).set_index("as_of_day")
    assert edges.loc[100, edge_column(7)] == 93
    assert edges[edge_column(28)].isna().all()  # began on 90: too young; later dead on 110
    assert edges.loc[120, edge_column(7)] == 113
    assert edges.loc[[100, 120], "alive"].eq(1).all()


def test_feed_that_began_exactly_at_the_window_start_covers_it() -> None:
    assert window_edges([100], [10], 90, [])[edge_column(10)].tolist() == [90]
    assert window_edges([100], [11], 90, [])[edge_column(11)].isna().all()


def test_silent_day_at_the_edges() -> None:
    """Day 89 lies before the window [90, 100), 90 and 99 in it, 100 after it."""
    covered = [
        not window_edges([100], [10], 0, [day])[edge_column(10)].isna().any()
        for day in (89, 90, 99, 100)
    ]
    assert covered == [True, False, False, True]


def test_absent_or_later_feed_has_not_begun() -> None:
    assert (
        window_edges([100], [7], None, [])[["begun", "alive", edge_column(7)]].isna().all(axis=None)
    )
    assert window_edges([100], [7], 100, [])[["begun", "alive"]].isna().all(axis=None)


def test_dead_feed_has_begun_but_is_not_alive() -> None:
    edges = window_edges([100], [], 0, range(80, 100))
    assert edges["begun"].tolist() == [1] and edges["alive"].isna().all()


@pytest.mark.parametrize(
    "expression",
    [
        happened("t", "x"),
        happened("t", "x", within_days=28),
        covers("t", "x", "y"),
        ended_within("t", "x", 28),
        known("t", "t"),
        known_value("t", "x", "y", "t"),
        days_since("t", "x"),
        days_until("t", "x"),
    ],
)
def test_date_conditions_hold_no_quotes(expression: str) -> None:
    assert '"' not in expression


def test_date_conditions_at_their_edges(duck: Connection) -> None:
    """An end exactly at as_of still lies ahead; a moment exactly 28 days ago is within 28 days."""

    def holds(expression: str, us: int) -> bool:
        day = us // US_PER_DAY
        found = rows(
            duck,
            f"select {expression} from (select {us} as x, {day} as x_day, 0 as s, 0 as s_day,"
            f" {AS_OF} as as_of_day) t",
        )
        return bool(found[0][0])

    midnight = AS_OF * US_PER_DAY
    cases = [(midnight - 1, True, False), (midnight, False, True), (midnight + 1, False, True)]
    for us, is_past, is_covered in cases:
        assert holds(happened("t", "x"), us) is is_past
        assert holds(covers("t", "s", "x"), us) is is_covered
        assert holds(ended_within("t", "x", 28), us) is is_past
    first = (AS_OF - 28) * US_PER_DAY
    assert [holds(ended_within("t", "x", 28), us) for us in (first - 1, first)] == [False, True]
    assert [holds(happened("t", "x", within_days=28), us) for us in (first - 1, first)] == [
        False,
        True,
    ]


@settings(max_examples=100, deadline=None)
@given(
    day=st.integers(-100_000, 104_248),
    rest=st.sampled_from([0, 1, US_PER_DAY // 2, US_PER_DAY - 1]),
)
def test_day_expression_is_exact_until_2255(day: int, rest: int) -> None:
    assert int(np.floor((day * US_PER_DAY + rest) / 8.64e10)) == day
    assert "8.64e10" in day_expression("us")


def test_edges_of_irregular_dates_are_each_their_own(duck: Connection) -> None:
    dates = pd.concat([window_edges([day], [7], 0, []) for day in (10, 11, 50)], ignore_index=True)
    assert dates[edge_column(7)].tolist() == [3, 4, 43]
