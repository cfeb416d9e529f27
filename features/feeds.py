"""Was the feed there? A window it did not cover has no value, and a silent feed gives no labels."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# A feed this busy on a normal day does not fall silent by chance.
MIN_ROWS_PER_DAY = 5
# A feed that comes in batches (invoices on the first of the month) is quiet between them, not dead.
USUAL_GAPS = 3


def daily_counts(table: str, event_time: str) -> str:
    """SELECT of rows per feed, event day and the day they became visible.

    A row without an event time (a goal nobody dated) counts from the day it became known.
    """
    event = f"coalesce(t.{event_time}_day, t.known_from_day)"
    seen = f"case when t.known_from_day > {event} then t.known_from_day else {event} end"
    return (
        f"select t.partition_name, {event} as event_day, {seen} as seen_day, count(*) as n "
        f"from {table} t group by 1, 2, 3"
    )


def silent_days(
    event_day: NDArray[np.int64], n: NDArray[np.int64], until: int, silent_after_days: int
) -> NDArray[np.int64]:
    """Days before `until` inside a stretch of at least `silent_after_days` without a single row.

    The stretch must also be `USUAL_GAPS` times longer than the median distance between days with
    rows.

    Parameters
    ----------
    event_day, n
        Array of shape (n_days,): day numbers and rows on each, as known at `until`.

    Returns
    -------
    Array of day numbers, empty where the feed is too quiet to tell (under 5 rows on a median day
    with rows, or a single day with rows) or never fell silent.
    """
    days = np.unique(event_day)
    if len(days) < 2 or np.median(n) < MIN_ROWS_PER_DAY:
        return np.empty(0, dtype=np.int64)
    longest = max(silent_after_days, USUAL_GAPS * float(np.median(np.diff(days))))
    before, after = days, np.append(days[1:], until)
    gaps = after - before - 1
    return np.concatenate(
        [
            np.arange(start + 1, end)
            for start, end, gap in zip(before, after, gaps, strict=True)
            if gap >= longest
        ]
        or [np.empty(0, dtype=np.int64)]
    )


def stretches(days: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First and last day of each run of consecutive days.

    >>> stretches(np.array([3, 4, 5, 9]))
    [(3, 5), (9, 9)]
    """
    if not len(days):
        return []
    breaks = np.flatnonzero(np.diff(days) > 1)
    starts, stops = np.append(0, breaks + 1), np.append(breaks, len(days) - 1)
    return [(int(days[a]), int(days[b])) for a, b in zip(starts, stops, strict=True)]


def coverage(
    counts: pd.DataFrame, as_of_day: int, silent_after_days: int
) -> tuple[int | None, NDArray[np.int64]]:
    """First day of one feed and its silent days, as they were known at as_of.

    `counts` has the columns event_day, seen_day, n of one feed.
    """
    known = counts[counts["seen_day"] < as_of_day]
    if known.empty:
        return None, np.empty(0, dtype=np.int64)
    per_day = known.groupby("event_day", sort=True)["n"].sum()
    days = per_day.index.to_numpy(dtype=np.int64)
    return int(days[0]), silent_days(
        days, per_day.to_numpy(dtype=np.int64), as_of_day, silent_after_days
    )
