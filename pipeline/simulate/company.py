"""One block of the company as the tables see it: ids, names, lifetimes, and small tools for
rows.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.sources import CONTRACTS
from pipeline.simulate import parameters as p
from pipeline.simulate.calendar_days import season, timestamps
from pipeline.simulate.paths import STREAM_TABLES, Path, stream

Ints = NDArray[np.int64]
OWNERS = 24
"""CSMs per block of accounts."""
NO_DAY = -(10**6)
"""A day index that `Company.moment` turns into an empty time."""


@dataclass(frozen=True)
class Company:
    """A simulated block, before anything is lost, late or damaged."""

    path: Path
    options: p.WorldOptions
    seed: int

    def generator(self, table: str, part: int = 0) -> np.random.Generator:
        """The randomness of one table of this block."""
        return stream(
            self.seed, STREAM_TABLES + 10 + list(CONTRACTS).index(table), self.path.number, part
        )

    @cached_property
    def account_id(self) -> NDArray[Any]:
        """Ids, array of shape (n_accounts,)."""
        return account_ids(self.path.first_account, self.path.size)

    @cached_property
    def first_seen(self) -> Ints:
        """First day of activity inside the span: the trial's or the paid term's first day."""
        start = self.path.start
        return np.maximum(np.where(self.has_trial, start.created_day, start.start_day), 0)

    @cached_property
    def has_trial(self) -> NDArray[np.bool_]:
        """Accounts that tried the product before paying; without a trial the paperwork takes 1-8
        days.
        """
        return np.asarray(self.path.start.start_day - self.path.start.created_day >= 14)

    @cached_property
    def last_seen(self) -> Ints:
        """First day without service, at most the end of the span."""
        return np.minimum(self.path.end.end_day, self.options.days)

    @cached_property
    def is_live(self) -> NDArray[np.bool_]:
        """Whether the account uses the product on a day, shape (n_accounts, n_days)."""
        day = np.arange(self.options.days)
        return np.asarray((day >= self.first_seen[:, None]) & (day < self.last_seen[:, None]))

    @cached_property
    def is_paying(self) -> NDArray[np.bool_]:
        """Whether a paid term covers a day, shape (n_accounts, n_days)."""
        return self.is_live & (np.arange(self.options.days) >= self.path.start.start_day[:, None])

    @cached_property
    def season(self) -> NDArray[np.float32]:
        """Relative use per day, shape (n_days,)."""
        return season(self.options.first_day, self.options.days)

    @cached_property
    def expected_users(self) -> NDArray[np.float32]:
        """Expected active users per account and day, shape (n_accounts, n_days).

        Use per seat falls with size (power 0.85), ramps up after the start, follows week and
        season.
        """
        age = np.maximum(
            np.arange(self.options.days) - self.path.start.created_day[:, None], 0
        ).astype(np.float32)
        share = 1 / (1 + np.exp(-self.path.use))
        ramp = 1 - np.exp(-(age + 4) / np.float32(p.RAMP_DAYS))
        size = self.path.seats.astype(np.float32) ** np.float32(0.85)
        return np.asarray(size * share * ramp * self.season * self.is_live, dtype=np.float32)

    @cached_property
    def is_covered(self) -> NDArray[np.bool_]:
        """Accounts with a named CSM who keeps notes: all but small monthly ones."""
        start = self.path.start
        return np.asarray((start.seats >= p.SEGMENT_SEATS[0]) | (start.term != p.MONTHLY))

    @cached_property
    def owner_changes(self) -> tuple[Ints, Ints, Ints]:
        """Account, day and new owner (number in the block), in order; accounts change hands every
        two years or so.
        """
        generator = self.generator("accounts", part=3)
        account, day = self.happen(self.is_live / 700.0, generator)
        return account, day, generator.integers(0, OWNERS, len(account))

    @cached_property
    def first_owner(self) -> Ints:
        """Number of each account's first owner."""
        return self.generator("accounts", part=4).integers(0, OWNERS, self.path.size)

    def owner_on(self, account: Ints, day: Ints) -> Ints:
        """Number of the owner of accounts on days."""
        changed, changed_day, owner = self.owner_changes
        keys = changed * self.options.days + changed_day
        at = np.searchsorted(keys, account * self.options.days + day, side="right") - 1
        has_changed = (
            (at >= 0) & (changed[at] == account)
            if len(changed)
            else np.zeros(len(account), dtype=bool)
        )
        return np.where(has_changed, owner[at] if len(changed) else 0, self.first_owner[account])

    def owner_code(self, owner: Ints) -> NDArray[Any]:
        """`CSM 03`: a code for each owner number."""
        first = self.path.number * OWNERS + 1
        return np.array([f"CSM {first + k:02d}" for k in range(OWNERS)], dtype=object)[owner]

    def moment(self, day: NDArray[Any], minute: NDArray[Any] | int = 0) -> NDArray[np.datetime64]:
        """Times `minute` minutes into days; `NO_DAY` and everything far outside the span is
        empty.
        """
        day = np.asarray(day, dtype=np.int64)
        outside = (day <= NO_DAY // 2) | (day >= p.NEVER // 2)
        times = timestamps(self.options.first_day, np.where(outside, 0, day), np.asarray(minute))
        return np.where(outside, np.datetime64("NaT", "us"), times)

    def happen(self, rate: NDArray[Any], generator: np.random.Generator) -> tuple[Ints, Ints]:
        """Accounts and days of events that happen at a rate per account and day (a matrix)."""
        counts = generator.poisson(rate)
        account, day = np.nonzero(counts)
        times = counts[account, day]
        return np.repeat(account, times), np.repeat(day, times)


def account_ids(first: int, n: int) -> NDArray[Any]:
    """Ids `A-0000001` of `n` accounts."""
    return np.array([f"A-{number:07d}" for number in range(first, first + n)], dtype=object)


def office_minute(generator: np.random.Generator, n: int) -> Ints:
    """Minutes after midnight inside a working day, most of them around noon UTC."""
    return np.clip(generator.normal(12 * 60, 140, n), 6 * 60, 20 * 60).astype(np.int64)


def pick(
    generator: np.random.Generator, values: tuple[str, ...], n: int, weights: Any = None
) -> NDArray[Any]:
    """`n` of the values, by weight."""
    chance = None if weights is None else np.asarray(weights, dtype=np.float64) / np.sum(weights)
    return np.array(values, dtype=object)[generator.choice(len(values), n, p=chance)]


def as_known_at_the_end(table: str, rows: pd.DataFrame, options: p.WorldOptions) -> pd.DataFrame:
    """Rows and values known before `last_day`: later rows are dropped, later values blanked.

    Ends of subscription terms stay: they stand in the contract from its start.
    """
    contract = CONTRACTS[table]
    end = np.datetime64(options.last_day, "us")
    known = rows["known_at"] if "known_at" in rows else rows[contract.event_time]
    rows = rows[(known < end).to_numpy()].copy()
    late = {c.clock: (rows[c.clock] >= end).to_numpy() for c in contract.columns if c.clock in rows}
    for column in contract.columns:
        if (
            column.clock in late
            and column.name in rows
            and not (table == "subscriptions" and column.name == "ends_at")
        ):
            rows[column.name] = rows[column.name].mask(late[column.clock])
    return rows
