"""When a feed counts as dead, and when as quiet."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.feeds import coverage, daily_counts, silent_days
from pipeline.engine.duckdb import Connection


def _silent(
    days: list[int], n: int = 10, until: int | None = None, silent_after_days: int = 15
) -> list[int]:
    end = max(days, default=0) + 1 if until is None else until
    return silent_days(
        np.array(days, dtype=np.int64), np.full(len(days), n), end, silent_after_days
    ).tolist()


def test_daily_feed_with_a_long_gap_was_dead_inside_it() -> None:
    assert _silent([*range(0, 30), *range(50, 60)]) == list(range(30, 50))


def test_gap_of_exactly_the_declared_length_is_silence() -> None:
    assert len(_silent([*range(0, 30), *range(45, 60)])) == 15
    assert _silent([*range(0, 30), *range(44, 60)]) == []


def test_silence_that_goes_on_reaches_until_today() -> None:
    assert _silent(list(range(0, 30)), until=50) == list(range(30, 50))


def test_quiet_feed_tells_nothing() -> None:
    assert _silent([0, 1, 2, 3, 40], n=4) == []


def test_batches_on_the_first_of_the_month_are_not_silence() -> None:
    """300 invoices on the first of each month once made every window null."""
    firsts = [0, 31, 59, 90, 120, 151, 181]
    assert _silent(firsts, n=300, until=200) == []
    assert _silent(firsts, n=300, until=181 + 93) == list(range(182, 274))


@pytest.mark.parametrize("days", [[], [7]])
def test_empty_feed_and_single_day_are_never_silent(days: list[int]) -> None:
    assert _silent(days, until=500) == []


def _counts(*rows: tuple[int, int, int]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["event_day", "seen_day", "n"])


def test_coverage_knows_only_what_had_arrived() -> None:
    """Days 30 to 49 were loaded on day 60: at 55 the feed looks dead, at 61 it does not."""
    rows = [(d, d, 10) for d in (*range(0, 30), *range(50, 60))] + [
        (d, 60, 10) for d in range(30, 50)
    ]
    assert coverage(_counts(*rows), 55, 15)[1].tolist() == list(range(30, 50))
    assert coverage(_counts(*rows), 61, 15)[1].tolist() == []


def test_feed_begins_with_its_first_known_day() -> None:
    assert coverage(_counts((5, 5, 1), (3, 20, 1)), 10, 15)[0] == 5
    assert coverage(_counts((5, 5, 1), (3, 20, 1)), 21, 15)[0] == 3
    assert coverage(_counts((5, 5, 1)), 5, 15)[0] is None


def _daily(duck: Connection, rows: str) -> list[tuple[Any, ...]]:
    duck.execute(
        f"create temp table f as select * from (values {rows}) v(partition_name, set_at_day,"
        " known_from_day)"
    )
    return sorted(duck.execute(daily_counts("f", "set_at")).fetchall())


def test_row_becomes_visible_with_the_later_of_event_and_arrival(duck: Connection) -> None:
    assert _daily(duck, "('', 5, 9), ('', 5, 2), ('', 5, 2)") == [("", 5, 5, 2), ("", 5, 9, 1)]


def test_rows_without_event_time_count_from_when_they_were_known(duck: Connection) -> None:
    """Goals that nobody dated once made every window of goals null."""
    assert _daily(duck, "('', null::bigint, 0), ('', null, 0)") == [("", 0, 0, 2)]
