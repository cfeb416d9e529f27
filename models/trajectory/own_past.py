"""An account's score against its own past: sudden drops and slow declines, whatever the level.

Both look at the *own path*: the score of each past date with what the calendar did since taken out.
Backwards from today, `path(t) = path(t + 1) - (health(t + 1) - carried(t))`, where `carried` is the
score that the signals of t give at the calendar of t + 1. A renewal that comes near moves the
score, and not the path.

============  =================================================================  ==============
movement      rule                                                               minimum evidence
============  =================================================================  ==============
sudden_drop   now lies `MIN_FALL` points and 3 own deviations below the median   4 past dates
              of the own past
slow_decline  Mann-Kendall test at 1%, and `MIN_DECLINE` points along the        5 dates in a row
              Theil-Sen line
rising        the same upwards                                                   5 dates in a row
steady        none of these                                                      4 past dates
unknown       too little past                                                    -
============  =================================================================  ==============

A fall of which one step made the larger part is sudden, also where the test of the slope would see
it.

References
----------
[Montgomery2013] Introduction to Statistical Quality Control, chapter 6: 3 deviations on individual
values. [Mann1945] Nonparametric tests against trend. [Kendall1975] Rank Correlation Methods, table
of S. [Sen1968] Estimates of the regression coefficient based on Kendall's tau.
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.methods.base import Floats

SUDDEN, SLOW, RISING, STEADY, UNKNOWN = "sudden_drop", "slow_decline", "rising", "steady", "unknown"
MOVEMENTS = (SUDDEN, SLOW, RISING, STEADY, UNKNOWN)
FALLEN = (SUDDEN, SLOW)
"""Movements that are alerts."""
LOOK_BACK = 6
"""Past dates that an account is compared with."""
MIN_PAST = 4
MIN_DATES = 5
MIN_FALL = 12.0
"""Points; a smaller drop is not worth a call, however steady the account was."""
MIN_DECLINE = 8.0
DEVIATIONS = 3.0
SIGNIFICANCE = 0.01
# An own deviation from a handful of dates is uncertain: it counts with as many dates of a typical
# account's.
_BORROWED_DATES = 4.0
_TO_DEVIATION = 1.4826
"""Median absolute deviation to standard deviation of a normal distribution."""


@dataclass(frozen=True, eq=False)
class OwnPast:
    """Where accounts stand against their own past; arrays of shape (n_accounts,), NaN where there
    is too little of it.

    `usual` is the median of the own path before now, `wobble` its deviation, `fall` usual less now;
    `slope` are points per date along the Theil-Sen line; `since` is the place of the date on which
    the largest step down had been taken, -1 without a fall; `dates` counts the known past dates.
    """

    movement: NDArray[np.str_]
    usual: Floats
    wobble: Floats
    fall: Floats
    slope: Floats
    since: NDArray[np.intp]
    dates: NDArray[np.intp]


def own_path(health: Floats, carried: Floats) -> Floats:
    """Return each account's score of every date at the calendar of the last one; NaN before a date
    without a score.

    Parameters
    ----------
    health
        Exact scores, shape (n_accounts, n_dates), oldest first; NaN where an account had none.
    carried
        Score of each date's signals at the calendar of the date after it, same shape; the last
        column is not read.
    """
    steps = own_steps(health, carried)
    path = np.full(health.shape, np.nan)
    path[:, -1] = health[:, -1]
    for date in range(health.shape[1] - 2, -1, -1):
        path[:, date] = path[:, date + 1] - steps[:, date + 1]
    return path


def own_steps(health: Floats, carried: Floats) -> Floats:
    """Return what each account did since the date before, the calendar's part taken out; NaN on the
    first date.
    """
    steps = np.full(health.shape, np.nan)
    steps[:, 1:] = health[:, 1:] - carried[:, :-1]
    return steps


def against_own_past(path: Floats) -> OwnPast:
    """Say for every account whether it dropped, declines, rises or stays, from the last `LOOK_BACK`
    dates and now.

    Parameters
    ----------
    path
        `own_path`, shape (n_accounts, n_dates); with fewer dates than the look-back there is less
        evidence.
    """
    recent = path[:, -(LOOK_BACK + 1) :]
    past, now = recent[:, :-1], recent[:, -1]
    dates = np.isfinite(past).sum(axis=1)
    enough = (dates >= MIN_PAST) & np.isfinite(now)
    usual = _median(np.where(enough[:, None], past, np.nan))
    wobble = _wobble(past, usual, dates)
    fall = usual - now
    step, since = _largest_step_down(recent, path.shape[1])
    slope, is_trend = _trend(recent)
    length = np.isfinite(recent).sum(axis=1) - 1
    declines = is_trend & (-slope * length >= MIN_DECLINE)
    rises = is_trend & (slope * length >= MIN_DECLINE)
    # Far for this account, and far in points: a steady account must not alarm over two points.
    drops = enough & (fall >= np.maximum(MIN_FALL, DEVIATIONS * wobble))
    # A ramp lies far below its own median too: what made the fall, one step or many, tells the two
    # apart.
    drops &= ~declines | (step > 0.5 * np.maximum(fall, -slope * length))
    movement = np.select([drops, declines, rises, enough], [SUDDEN, SLOW, RISING, STEADY], UNKNOWN)
    return OwnPast(
        movement, usual, wobble, fall, slope, np.where(fall > 0, since, -1), dates.astype(np.intp)
    )


def _median(values: Floats) -> Floats:
    """Median along rows without NaN; NaN where a row has nothing."""
    return np.array(pd.DataFrame(values).median(axis=1), dtype=np.float64)


def _wobble(past: Floats, usual: Floats, dates: NDArray[np.intp]) -> Floats:
    """Own deviation around the usual score, drawn towards that of a typical account as far as dates
    are few.
    """
    own = _TO_DEVIATION * _median(np.abs(past - usual[:, None]))
    known = own[np.isfinite(own)]
    # Three quiet dates do not make an account that never moves, so it borrows from the others.
    typical = float(np.median(known)) if len(known) else np.nan
    return np.asarray(
        np.sqrt((dates * own**2 + _BORROWED_DATES * typical**2) / (dates + _BORROWED_DATES))
    )


def _largest_step_down(recent: Floats, dates: int) -> tuple[Floats, NDArray[np.intp]]:
    """Size of the largest step down, and the place among all dates on which it had been taken."""
    if recent.shape[1] < 2:
        return np.zeros(len(recent)), np.full(len(recent), -1, dtype=np.intp)
    # A step next to a missing date is no step: minus infinity can never be the largest.
    down = np.nan_to_num(-np.diff(recent, axis=1), nan=-np.inf)
    place = np.argmax(down, axis=1)
    return np.maximum(down[np.arange(len(down)), place], 0.0), (
        place + 1 + dates - recent.shape[1]
    ).astype(np.intp)


def _trend(recent: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Theil-Sen slope per date and whether Mann-Kendall's test sees a trend, over the unbroken
    dates up to now.
    """
    count = np.isfinite(recent).sum(axis=1)
    pairs = list(combinations(range(recent.shape[1]), 2))
    if not pairs:
        return np.full(len(recent), np.nan), np.zeros(len(recent), dtype=bool)
    steps = np.column_stack(
        [(recent[:, later] - recent[:, earlier]) / (later - earlier) for earlier, later in pairs]
    )
    concordance = np.abs(np.nansum(np.sign(steps), axis=1))
    wanted = np.array([critical_s(n) for n in range(recent.shape[1] + 1)])
    enough = (count >= MIN_DATES) & np.isfinite(recent[:, -1])
    # The median of all pairs' slopes: one odd date among them cannot tilt the line.
    slope = _median(np.where(enough[:, None], steps, np.nan))
    return slope, enough & (concordance >= wanted[count])


@cache
def critical_s(dates: int) -> float:
    """Return the smallest Kendall S that independent values of so many dates exceed in at most 1%
    of cases, one way.

    The exact distribution: permutations by inversions (Mahonian numbers). Infinite where no S is
    that rare.

    Examples
    --------
    >>> critical_s(4), critical_s(5), critical_s(6), critical_s(7)
    (inf, 10.0, 13.0, 17.0)
    """
    counts = np.array([1.0])
    for size in range(2, dates + 1):
        counts = np.convolve(counts, np.ones(size))
    tail = np.cumsum(counts / counts.sum())
    pairs = dates * (dates - 1) // 2
    rare = [
        pairs - 2 * inversions
        for inversions in range(len(tail))
        if tail[inversions] <= SIGNIFICANCE
    ]
    return float(min(rare)) if rare and min(rare) > 0 else float("inf")
