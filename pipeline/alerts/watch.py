"""What is watched of every account: displayed health, and what customers did to it, run by run.

The path of an account adds up the behaviour part of the change ledger (`models/changes.py`) from
run to run. A retrain, late data, the calendar or a new configuration move health and leave the path
where it is, so a rule that asks the path cannot be fired by them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

USUAL_DAYS = 182
"""What is usual for an account is the median of its path over so many days."""
FEWEST_STEPS = 6
"""Steps of a path that tell how much it wobbles by itself."""
_NORMAL = 1.4826  # median absolute deviation -> standard deviation of a normal distribution


@dataclass(frozen=True, eq=False)
class Watched:
    """All accounts of a run and the runs before it; the last date is the run's own.

    Attributes
    ----------
    accounts
        One row per account: account_id, health, band, band_reason, state, renewal_date,
        renewal_before (as the evaluation before knew it), value_per_year, segment,
        overdue_days. The last two dates and the days may be absent.
    dates
        Dates of the columns, oldest first.
    health, path
        Shape (n_accounts, n_dates); missing where the account had no score or was not there.
    """

    accounts: pd.DataFrame
    dates: tuple[date, ...]
    health: Floats
    path: Floats

    def __len__(self) -> int:
        return len(self.accounts)

    @property
    def day(self) -> date:
        """The date of the run."""
        return self.dates[-1]

    def within(self, days: int) -> slice:
        """The dates before the run's that lie at most so many days back."""
        first = self.day - timedelta(days=days)
        place = next(n for n, each in enumerate(self.dates) if each >= first)
        return slice(place, len(self.dates) - 1)

    def fall(self, days: int = USUAL_DAYS) -> Floats:
        """Points that customers took from what is usual for each account; missing without a
        past.
        """
        return median(self.path[:, self.within(days)]) - self.path[:, -1]

    def wobble(self, *, before_days: int = 0) -> Floats:
        """Standard deviation of a path around its level, from its steps; 0 where there are too few
        to tell.

        `before_days` leaves out the newest ones, so that a fall is not measured by itself.
        """
        stop = self.within(before_days).start if before_days else len(self.dates) - 1
        start = self.within(USUAL_DAYS).start
        steps = np.diff(self.path[:, min(start, stop) : stop], axis=1)
        spread = _NORMAL * median(np.abs(steps)) / np.sqrt(2)
        enough = (~np.isnan(steps)).sum(axis=1) >= FEWEST_STEPS
        return np.where(enough & ~np.isnan(spread), spread, 0.0)

    def by_behaviour(self, edge: int) -> Floats:
        """Health as it would be had only customers moved it since it was last above an edge.

        Missing where it was not above it on any date that is watched.
        """
        before = self.health[:, :-1]
        above = before > edge
        if not before.size:
            return np.full(len(self), np.nan)
        last = before.shape[1] - 1 - np.argmax(above[:, ::-1], axis=1)
        rows = np.arange(len(self))
        then = before[rows, last] + self.path[:, -1] - self.path[rows, last]
        return np.where(above.any(axis=1), then, np.nan)


def watched_dates(dates: Sequence[date], day: date, *, step_days: int = 7) -> tuple[date, ...]:
    """Dates to compare a run with, oldest first: the newest, then one a week, over half a year.

    Nights of a daily pipeline are read a week apart, so that a rule sees the same past however
    often it runs.

    Examples
    --------
    >>> days = [date(2025, 6, n) for n in range(1, 11)]
    >>> [each.day for each in watched_dates(days, date(2025, 6, 11))]
    [3, 10]
    """
    chosen: list[date] = []
    for each in sorted((d for d in dates if d < day), reverse=True):
        if (day - each).days > USUAL_DAYS:
            break
        if not chosen or (chosen[-1] - each).days >= step_days:
            chosen.append(each)
    return tuple(chosen[::-1])


def watched(
    tonight: pd.DataFrame,
    past: pd.DataFrame,
    behaviour: "pd.Series[float]",
    day: date,
) -> Watched:
    """Put a run beside the evaluations before it.

    Parameters
    ----------
    tonight
        The accounts of the run; see `Watched.accounts`.
    past
        account_id, as_of, health, path of earlier evaluations, one row per account and date.
    behaviour
        Exact points of behaviour since the newest of them, by account; others did not move.
    """
    ids = pd.Index(tonight["account_id"])
    days = sorted(past["as_of"].unique())
    tables = {
        name: past.pivot(index="account_id", columns="as_of", values=name).reindex(
            index=ids, columns=days
        )
        for name in ("health", "path")
    }
    health, path = (tables[name].to_numpy(dtype=np.float64) for name in ("health", "path"))
    # Who had no score in between goes on from where the path was.
    last = tables["path"].ffill(axis=1).iloc[:, -1] if days else pd.Series(0.0, index=ids)
    moved = behaviour.reindex(ids).fillna(0.0)
    now = last.fillna(0.0).to_numpy(dtype=np.float64) + moved.to_numpy(dtype=np.float64)
    shown = tonight["health"].to_numpy(dtype=np.float64, na_value=np.nan)
    return Watched(
        accounts=tonight.reset_index(drop=True),
        dates=(*(pd.Timestamp(each).date() for each in days), day),
        health=np.column_stack([health, shown]),
        path=np.column_stack([path, now]),
    )


def median(values: Floats) -> Floats:
    """Median of each row without what is missing; missing where a row holds nothing."""
    ordered = np.sort(values, axis=1)  # what is missing goes last
    count = (~np.isnan(values)).sum(axis=1)
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    rows = np.arange(len(values))
    # The two middle places are one where the count is odd; a row without values is masked below.
    low, high = np.maximum(0, (count - 1) // 2), np.minimum(count // 2, values.shape[1] - 1)
    return np.where(count > 0, (ordered[rows, low] + ordered[rows, high]) / 2, np.nan)
