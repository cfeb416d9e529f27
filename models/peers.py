"""Owners and segments side by side, on the accounts they have: who left beside who was expected to.

An owner of risky accounts loses more of them and may still do well. Expected are the calibrated
chances of the accounts at the time; all are scaled together so that they add up to those who left,
since the question is how owners compare, not whether the level is right.

    observed among the 95% that chance allows      as expected
    above                                          more left than expected
    below                                          fewer left than expected
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import gamma

from models.intervals import LEVEL
from models.methods.base import Floats

Standing = Literal["as expected", "more", "fewer"]
LEAST_SPREAD, MOST_SPREAD = 1e-3, 4.0
"""Bounds of the variance between groups."""


@dataclass(frozen=True)
class Peer:
    """One owner, or one segment.

    `ratio` is left over expected, pulled towards 1 as far as so few accounts ask for, with its 95%
    interval. `chance_low` and `chance_high` are the funnel: how many of these accounts leave by
    chance alone (95%).
    """

    group: str
    accounts: int
    left: int
    expected: float
    chance_low: int
    chance_high: int
    ratio: float
    ratio_low: float
    ratio_high: float

    @property
    def standing(self) -> Standing:
        """Where it stands in the funnel."""
        if self.left > self.chance_high:
            return "more"
        return "fewer" if self.left < self.chance_low else "as expected"


def independent_rows(tested: pd.DataFrame, horizon_days: int) -> pd.DataFrame:
    """Rows of each account whose windows do not overlap, the newest first kept.

    Parameters
    ----------
    tested
        account_id, as_of and whatever else.
    """
    kept: list[int] = []
    last: dict[str, pd.Timestamp] = {}
    ordered = tested.sort_values(["account_id", "as_of"], ascending=[True, False])
    for place, account, as_of in zip(
        ordered.index, ordered["account_id"], ordered["as_of"], strict=True
    ):
        if account not in last or last[account] - as_of >= pd.Timedelta(days=horizon_days):
            kept.append(place)
            last[account] = as_of
    return tested.loc[kept]


def compare_peers(rows: pd.DataFrame) -> tuple[Peer, ...]:
    """Every group with its funnel, the one with the largest ratio first.

    The number that leaves by chance is a sum of unequal coins, counted exactly. Ratios are pooled
    as gamma-Poisson: with variance `t` between groups `(left + 1/t) / (expected + 1/t)`, `t` by
    moments.

    Parameters
    ----------
    rows
        group, label (1 left), probability; one line for each independent outcome.

    References
    ----------
    [Spiegelhalter2005] Funnel plots for comparing institutional performance, Statistics in Medicine
    24. [Clayton1987] Empirical Bayes estimates of age-standardized relative risks, Biometrics 43.
    """
    if rows.empty:
        return ()
    level = float(rows["label"].sum()) / max(float(rows["probability"].sum()), 1e-12)
    chance = np.clip(rows["probability"].to_numpy(dtype=np.float64) * level, 0.0, 1.0)
    groups = rows.assign(chance=chance).groupby("group", sort=True)
    left = groups["label"].sum().to_numpy(dtype=np.float64)
    expected = groups["chance"].sum().to_numpy(dtype=np.float64)
    spread = _spread(left, expected)
    peers = [
        _peer(str(name), part["label"].to_numpy(), part["chance"].to_numpy(), spread)
        for name, part in groups
    ]
    return tuple(sorted(peers, key=lambda peer: (-peer.ratio, peer.group)))


def _peer(group: str, label: Floats, chance: Floats, spread: float) -> Peer:
    low, high = chance_limits(chance)
    left, expected = int(label.sum()), float(chance.sum())
    shape, rate = left + 1 / spread, expected + 1 / spread
    ends = gamma.ppf(((1 - LEVEL) / 2, (1 + LEVEL) / 2), shape) / rate
    return Peer(
        group=group,
        accounts=len(label),
        left=left,
        expected=expected,
        chance_low=low,
        chance_high=high,
        ratio=shape / rate,
        ratio_low=float(ends[0]),
        ratio_high=float(ends[1]),
    )


def chance_limits(chance: Sequence[float] | Floats) -> tuple[int, int]:
    """Fewest and most that leave by chance alone: at most 2.5% lies below, and above.

    Examples
    --------
    >>> chance_limits([0.1] * 100)
    (5, 16)
    """
    share = np.ones(1)
    for each in chance:
        share = np.convolve(share, (1.0 - each, each))
    tail = (1 - LEVEL) / 2
    below, above = np.cumsum(share), np.cumsum(share[::-1])[::-1]
    low = int(np.argmax(below > tail))
    high = int(len(share) - 1 - np.argmax(above[::-1] > tail))
    return low, high


def _spread(left: Floats, expected: Floats) -> float:
    """Variance of the true ratios between groups, by moments: `sum((O-E)^2 - E) / sum(E^2)`."""
    excess = float((((left - expected) ** 2) - expected).sum() / (expected**2).sum())
    return float(np.clip(excess, LEAST_SPREAD, MOST_SPREAD))
