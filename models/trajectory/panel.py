"""Accounts on many dates as arrays, and the pairs of dates that the past offers to learn from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.methods.base import Floats
from models.trajectory.engagement import UserDays, Ways, rises, season
from models.trajectory.own_past import MOVEMENTS, against_own_past, own_path, own_steps
from models.trajectory.projection import Pairs, Standing, directions

AHEAD = (1, 3)
"""Dates ahead that are projected; with dates 30 days apart, 30 and 90 days."""
DIRECTION_DATES = 3
"""Dates over which an account falls or climbs."""


@dataclass(frozen=True, eq=False)
class Panel:
    """Accounts by id and dates oldest first, the last being now; arrays of shape (n_accounts,
    n_dates), NaN: no value.

    `health` are exact scores of members with data; `carried`, per dates ahead, the score of the
    same signals at that later calendar; `is_there` says who was in the population, `is_member` who
    of them was neither lapsed nor under notice; `label` is 1 where the event happened in the
    horizon and 0 where not, as known now.
    """

    account_ids: NDArray[Any]
    dates: tuple[date, ...]
    health: Floats
    probability: Floats
    carried: Mapping[int, Floats]
    is_there: NDArray[np.bool_]
    is_member: NDArray[np.bool_]
    label: Floats

    @property
    def now(self) -> int:
        """Place of the last date."""
        return len(self.dates) - 1

    @property
    def path(self) -> Floats:
        """Own paths up to now."""
        return own_path(self.health, self.carried[1])

    @property
    def direction(self) -> NDArray[np.intp]:
        """Where each account's own path was heading on each date."""
        steps = own_steps(self.health, self.carried[1])
        moved = np.full(steps.shape, np.nan)
        for end in range(DIRECTION_DATES, steps.shape[1]):
            moved[:, end] = steps[:, end + 1 - DIRECTION_DATES : end + 1].sum(axis=1)
        return directions(moved)

    def standing(self, ahead: int, account: NDArray[np.intp], at: NDArray[np.intp]) -> Standing:
        """Accounts on dates, seen for a projection so many dates ahead."""
        return Standing(
            self.carried[ahead][account, at],
            self.direction[account, at],
            self.probability[account, at],
        )


def past_pairs(panel: Panel, ahead: int) -> tuple[Pairs, Floats]:
    """Return every account with a score on every date whose later date has come, and its score on
    the first of the two.
    """
    account, origin = np.nonzero(np.isfinite(panel.health[:, : max(0, len(panel.dates) - ahead)]))
    then = origin + ahead
    pairs = Pairs(
        panel.standing(ahead, account, origin),
        panel.health[account, then],
        ~panel.is_member[account, then],
        account,
        origin,
    )
    return pairs, panel.health[account, origin]


@dataclass(frozen=True)
class MovementRecord:
    """What accounts of one movement did afterwards: rows, mean probability said, and share that
    left in the horizon.
    """

    rows: int
    accounts: int
    said: float
    happened: float


def movement_records(panel: Panel, first_date: int) -> dict[str, MovementRecord]:
    """Return what was said of accounts by movement on dates from `first_date` on, and what
    happened.
    """
    records = []
    for date_number in range(first_date, len(panel.dates)):
        rows = np.flatnonzero(
            np.isfinite(panel.label[:, date_number])
            & np.isfinite(panel.probability[:, date_number])
        )
        path = own_path(panel.health[:, : date_number + 1], panel.carried[1][:, : date_number + 1])
        records.append(
            (
                against_own_past(path).movement[rows],
                panel.probability[rows, date_number],
                panel.label[rows, date_number],
                rows,
            )
        )
    movement, said, happened, account = (
        np.concatenate([each[n] for each in records]) if records else np.array([]) for n in range(4)
    )
    return {
        name: MovementRecord(
            int((movement == name).sum()),
            len(np.unique(account[movement == name])),
            float(said[movement == name].mean()),
            float(happened[movement == name].mean()),
        )
        for name in MOVEMENTS
        if (movement == name).any()
    }


def use_on(panel: Panel, parts: Floats, size: int) -> UserDays:
    """Return use of all accounts on all dates, arrays of shape (n_accounts, n_dates).

    Parameters
    ----------
    parts
        User-days between two dates, shape (n_accounts, n_dates + 2 * size): column `2 * size + t`
        ends on date t.
    size
        Parts of a stretch.
    """
    until = np.concatenate([np.zeros((len(parts), 1)), np.cumsum(parts, axis=1)], axis=1)
    ends = np.arange(len(panel.dates)) + 2 * size + 1
    last, before = (
        until[:, ends] - until[:, ends - size],
        until[:, ends - size] - until[:, ends - 2 * size],
    )
    carried = panel.carried[min(AHEAD, key=lambda ahead: (abs(ahead - size), ahead))]
    return UserDays(parts[:, ends - 1], last, before, carried, size)


def past_ways(panel: Panel, use: UserDays) -> Ways:
    """Return every account with a score on every date whose label is known and whose next stretch
    is over.
    """
    origins = max(0, len(panel.dates) - use.parts)
    following = use.last[:, use.parts :]
    kept = panel.label[:, :origins] == 0
    rose = np.zeros(kept.shape, dtype=bool)
    for origin in range(origins):
        mine, last = kept[:, origin], use.last[:, origin]
        rose[:, origin] = mine & rises(
            last, following[:, origin], season(last[mine], following[mine, origin])
        )
    account, origin_of = np.nonzero(
        np.isfinite(panel.label[:, :origins]) & np.isfinite(panel.probability[:, :origins])
    )
    return Ways(
        use.at(account, origin_of),
        rose[account, origin_of],
        panel.label[account, origin_of] == 1,
        panel.probability[account, origin_of],
        account,
        origin_of,
    )
