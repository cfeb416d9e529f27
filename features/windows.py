"""What "the last 28 days, as known then" is; the only module that writes date conditions.

Inside feature SQL time is a whole number, so every engine compares it alike: `<column>` is
microseconds since 1970-01-01 UTC, `<column>_day` is days since then. `as_of` is 00:00 UTC, so a
thing is before it exactly when its day is smaller.

One example runs through the module: as_of 2024-03-29 (day 19811), window 28 days. The window is
[2024-03-01, 2024-03-29): an event on 2024-03-01 00:00 is in, one on 2024-03-29 00:00 is not. An
event of 2024-03-28 that reached us on 2024-03-30 is not in it either: it was not known.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date

import numpy as np
import pandas as pd

EPOCH = date(1970, 1, 1)
US_PER_DAY = 86_400_000_000
# Days far outside any data; they stand for "always" and "never" without nulls.
LONG_AGO, NEVER = -1_000_000, 1_000_000
# An end that never comes, in microseconds; far above any real time.
OPEN_END = 9_000_000_000_000_000_000
# Bits of a signed 64-bit number that do not touch its sign, less one.
DAYS_PER_BIN = 62


def day_number(day: date) -> int:
    """Days since 1970-01-01; 2024-03-29 is 19811."""
    return (day - EPOCH).days


def day_of(number: int) -> date:
    """The date of a day number; 19811 is 2024-03-29."""
    return date.fromordinal(EPOCH.toordinal() + int(number))


def calendar(
    as_of_days: Collection[int], window_days: Iterable[int], first_day: int, last_day: int
) -> pd.DataFrame:
    """Which bin and which as_of each day belongs to.

    Bins are the stretches between all window edges, so that every window is a sum of whole bins
    and the cost of the event pass does not grow with dates x windows; long stretches are cut, so
    that the days of a bin fit into the bits of one number. Where edges are nearly as many as days
    (every account its own dates) each day is its own bin.

    Returns
    -------
    DataFrame
        day: day number. bin_day: first day of its bin. day_bit: the day's bit among those of its
        bin. visible_day: the first as_of that sees what happened or became known on that day
        (2024-03-28 is seen by 2024-03-29; NEVER when no as_of comes after).
    """
    as_of = np.unique(np.fromiter(as_of_days, dtype=np.int64))
    days = np.arange(
        min(first_day, int(as_of[0])) - 1, max(last_day, int(as_of[-1])) + 1, dtype=np.int64
    )
    edges = np.unique(np.concatenate([days[:1], as_of, *(as_of - w for w in window_days)]))
    if len(edges) * 2 > len(days):
        bin_day = days
    else:
        begins = edges[np.searchsorted(edges, days, side="right") - 1]
        bin_day = begins + (days - begins) // DAYS_PER_BIN * DAYS_PER_BIN
    next_as_of = np.searchsorted(as_of, days, side="right")
    visible = np.where(
        next_as_of < len(as_of), as_of[np.minimum(next_as_of, len(as_of) - 1)], NEVER
    )
    return pd.DataFrame(
        {
            "day": days,
            "bin_day": bin_day,
            "day_bit": np.int64(1) << (days - bin_day),
            "visible_day": visible,
        }
    )


def edge_column(window: int) -> str:
    """Column of the dates table that holds the first day of a window; null where the feed did not
    cover it.
    """
    return f"from_{window}d"


def flag_column(window: int, *, before: bool = False) -> str:
    """Column of `cells` that is 1 where the bin lies in a window, or in the window of equal length
    before it.
    """
    return f"before_{window}d" if before else f"in_{window}d"


def cells(windows: Iterable[int], windows_before: Iterable[int]) -> str:
    """SELECT of one row per as_of of `asked` and bin of `calendar` within reach: 1 or 0 for each
    window.

    The upper edge of a window is kept by visibility.
    """
    inside = {flag_column(w): f"b.bin_day >= s.as_of_day - {w}" for w in sorted(set(windows))}
    earlier = {
        flag_column(
            w, before=True
        ): f"b.bin_day >= s.as_of_day - {2 * w} and b.bin_day < s.as_of_day - {w}"
        for w in sorted(set(windows_before))
    }
    flags = "".join(
        f",\n  cast(case when {condition} then 1 else 0 end as bigint) as {name}"
        for name, condition in (inside | earlier).items()
    )
    reach = max([0, *windows, *(2 * w for w in windows_before)])
    return f"""
select s.as_of_day, b.bin_day{flags}
from (select distinct as_of_day from asked) s
join (select distinct bin_day from calendar) b
  on b.bin_day < s.as_of_day and b.bin_day >= s.as_of_day - {reach}"""


def within_reach(cell: str, reach: int) -> str:
    """Cells of the longest window that a query reads."""
    return f"{cell}.bin_day >= {cell}.as_of_day - {reach}"


def seen_by(row: str, snapshot: str, *, versioned: bool) -> str:
    """Facts that had happened, were known and were not yet superseded before as_of."""
    seen = f"{row}.visible_day <= {snapshot}.as_of_day"
    return f"{seen} and {snapshot}.as_of_day < {row}.until_day" if versioned else seen


def seen_while(row: str, snapshot: str) -> str:
    """The row is the newest of its value that as_of sees."""
    return seen_by(row, snapshot, versioned=True)


def last_seen_in(row: str, snapshot: str, window: int) -> str:
    """The day on which a value was last seen lies in the window."""
    return f"{row}.last_day >= {snapshot}.as_of_day - {window}"


def since_first_of(row: str, snapshot: str, window: int) -> str:
    """Facts (unbinned) on or after the first day of the window."""
    return f"{row}.event_day >= {snapshot}.as_of_day - {window}"


def is_latest(row: str) -> str:
    """The newest version of every row: what is known today."""
    return f"{row}.known_until_day is null"


def not_superseded(row: str, day: str | int) -> str:
    """No later version of the row was known before the day; `day` is a number or its column."""
    return f"({is_latest(row)} or {row}.known_until_day >= {day})"


def known_by(row: str, day: str | int) -> str:
    """Rows (unbinned) that were known and not superseded before the day."""
    return f"{row}.known_from_day < {day} and {not_superseded(row, day)}"


def known(row: str, snapshot: str) -> str:
    """Rows (unbinned) that were known and not superseded before as_of."""
    return known_by(row, f"{snapshot}.as_of_day")


def known_value(row: str, column: str, clock: str, snapshot: str) -> str:
    """The column's value if its clock had struck before as_of, else null."""
    return f"case when {row}.{clock}_day < {snapshot}.as_of_day then {row}.{column} end"


# The functions below serve state cards: their rows already carry the as_of they are read at.
def happened(row: str, column: str, *, within_days: int | None = None) -> str:
    """The time lies before as_of, and not longer ago than `within_days`."""
    before = f"{row}.{column}_day < {row}.as_of_day"
    return (
        before
        if within_days is None
        else f"{before} and {row}.{column}_day >= {row}.as_of_day - {within_days}"
    )


def covers(row: str, starts: str, ends: str) -> str:
    """The period covers the last instant before as_of; an end exactly at as_of still lies ahead."""
    return (
        f"{row}.{starts}_day < {row}.as_of_day "
        f"and ({row}.{ends} is null or {row}.{ends} >= {row}.as_of_day * {US_PER_DAY})"
    )


def ended_within(row: str, ends: str, days: int) -> str:
    """The end lies in `[as_of - days, as_of)`."""
    return (
        f"{row}.{ends} < {row}.as_of_day * {US_PER_DAY} "
        f"and {row}.{ends} >= ({row}.as_of_day - {days}) * {US_PER_DAY}"
    )


def days_since(row: str, column: str) -> str:
    """Whole days from the time's day to as_of; yesterday is 1."""
    return f"({row}.as_of_day - {row}.{column}_day)"


def days_until(row: str, column: str) -> str:
    """Whole days from as_of to the time's day; negative when past."""
    return f"({row}.{column}_day - {row}.as_of_day)"


def is_covered(
    as_of_day: int, window: int, feed_first_day: int | None, silent_days: Sequence[int]
) -> bool:
    """Whether the feed was there on all days of one window; see `window_edges`."""
    edges = window_edges([as_of_day], [window], feed_first_day, silent_days)
    return bool(edges[edge_column(window)].notna().iloc[0])


def day_expression(microseconds: str) -> str:
    """The day number of a microseconds column: exact until June 2255, where microseconds pass
    2**53.
    """
    return f"cast(floor({microseconds} / 8.64e10) as bigint)"


def window_edges(
    as_of_days: Sequence[int],
    windows: Iterable[int],
    feed_first_day: int | None,
    silent_days: Sequence[int],
) -> pd.DataFrame:
    """The first day of each window per as_of, null where the feed did not cover the window.

    A window is covered when the feed had begun by its first day and none of `silent_days` (days
    on which the feed was dead, as seen then) lies in it. Beside the edges, `begun` is 1 where the
    feed had a row before as_of and `alive` where it was not dead on the day before either, else
    null: what has no window (things done so far, days since the last) holds only there.
    """
    as_of = np.asarray(as_of_days, dtype=np.int64)
    silent = np.sort(np.asarray(silent_days, dtype=np.int64))
    begun = np.full(len(as_of), feed_first_day is not None) & (as_of > (feed_first_day or LONG_AGO))
    alive = begun & ~np.isin(as_of - 1, silent)
    edges: dict[str, object] = {"as_of_day": as_of}
    for name, flag in (("begun", begun), ("alive", alive)):
        edges[name] = pd.Series(np.ones(len(as_of)), dtype="Int64").mask(~flag)
    for window in windows:
        start = as_of - window
        covered = np.full(len(as_of), feed_first_day is not None)
        if feed_first_day is not None:
            covered &= start >= feed_first_day
        covered &= np.searchsorted(silent, as_of, side="left") == np.searchsorted(
            silent, start, side="left"
        )
        edges[edge_column(window)] = pd.array(np.where(covered, start, 0), dtype="Int64")
        edges[edge_column(window)] = pd.Series(edges[edge_column(window)]).mask(~covered)
    return pd.DataFrame(edges)
