"""Where accounts' scores will stand: today's behaviour at that day's calendar, and how far others
strayed from it.

A pair is an account on a past date and the same account some days later. Its *surprise* is the
score then less the carried one (`carried`: the earlier signals at the later calendar). An account's
surprise is taken to be distributed as that of past pairs that stood like it: the same recent
direction, the nearest carried scores. From that one distribution come the middle, the interval and
the shares of the bands, so they cannot disagree.

Leaving is apart. Let p be the published probability; by the day projected to, an account is gone,
lapsed or under notice with `1 - (1 - p)^c` (proportional cumulative hazards), `c` such that the
mean over past pairs is what happened.

References
----------
[Vovk2005] Algorithmic Learning in a Random World, section 2.2: quantile p of n surprises is taken
at place p (n + 1).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from features.errors import ContractError
from models.health import Scale, displayed
from models.methods.base import Floats

DIRECTIONS = ("falling", "level", "climbing", "any")
"""Where an own path was heading; `any`: not known, so told from all."""
_ANY = 3
DIRECTION_POINTS = 5.0
"""Points of the own path within 90 days from which an account falls or climbs."""
COVERAGE = 0.8
"""What the interval should hold. Wider ones would say nothing, narrower ones be wrong too often to
be trusted.
"""
NEAREST = 200
"""Pairs whose surprise tells an account's."""
FEWEST_PAIRS = 50
"""Pairs below which nothing is projected."""
REACH = 15.0
"""Points within which a carried score still is like another."""
LEAVERS_TO_PROJECT = 10
# Each band starts with half a pair, so that none is impossible because it was not seen (Jeffreys'
# prior).
_PRIOR_PAIRS = 0.5
_SCORES = np.arange(0.0, 101.0)


@dataclass(frozen=True, eq=False)
class Standing:
    """Accounts on some date, arrays of shape (n,): carried score, direction (place in
    `DIRECTIONS`), probability.
    """

    carried: Floats
    direction: NDArray[np.intp]
    probability: Floats

    def rows(self, picked: NDArray[np.bool_]) -> "Standing":
        """Return some of the accounts."""
        return Standing(self.carried[picked], self.direction[picked], self.probability[picked])


@dataclass(frozen=True, eq=False)
class Pairs:
    """Past standings and what became of them: `health` then (NaN: no score), `has_left` (gone,
    lapsed or under notice).
    """

    before: Standing
    health: Floats
    has_left: NDArray[np.bool_]
    account: NDArray[np.intp]
    origin: NDArray[np.intp]
    """Number of the date of the standing; the outcome's is `origin` and a constant."""

    def __len__(self) -> int:
        return len(self.health)

    def rows(self, picked: NDArray[np.bool_]) -> "Pairs":
        """Return some of the pairs."""
        return Pairs(
            self.before.rows(picked),
            self.health[picked],
            self.has_left[picked],
            self.account[picked],
            self.origin[picked],
        )


@dataclass(frozen=True, eq=False)
class Projector:
    """Surprises learned from pairs.

    `ends`, shape (4, 101, 3): low, middle, high surprise per direction and carried score; `shares`,
    shape (4, 101, 3): of the bands, lowest first, for those who stay; NaN where fewer than
    `FEWEST_PAIRS` pairs stood like that. `exponent` is c, NaN where fewer than
    `LEAVERS_TO_PROJECT` accounts left.
    """

    ends: Floats
    shares: Floats
    exponent: float
    scale: Scale


@dataclass(frozen=True, eq=False)
class Projected:
    """Exact low, middle, high of the score of those who stay, shape (n, 3), and chances of leaving
    and of the three bands, shape (n, 4), which sum to 1; NaN where too few stood like that.
    """

    health: Floats
    chances: Floats


def directions(moved: Floats) -> NDArray[np.intp]:
    """Return the place in `DIRECTIONS` of each move of an own path; `any` where it is not known."""
    falling, level, climbing, unknown = range(len(DIRECTIONS))
    return np.select(
        [np.isnan(moved), moved <= -DIRECTION_POINTS, moved >= DIRECTION_POINTS],
        [unknown, falling, climbing],
        level,
    ).astype(np.intp)


def fit_projector(pairs: Pairs, scale: Scale) -> Projector:
    """Learn surprises and the exponent of leaving from pairs."""
    stayed = pairs.rows(
        np.isfinite(pairs.health) & np.isfinite(pairs.before.carried) & ~pairs.has_left
    )
    order = np.argsort(stayed.before.carried, kind="stable")
    carried, surprise = stayed.before.carried[order], (stayed.health - stayed.before.carried)[order]
    direction = stayed.before.direction[order]
    ends = np.full((len(DIRECTIONS), len(_SCORES), 3), np.nan)
    shares = np.full_like(ends, np.nan)
    for place in range(len(DIRECTIONS)):
        mine = direction == place if place != _ANY else np.ones(len(carried), dtype=bool)
        for row, at in enumerate(_SCORES):
            near = _nearest(carried[mine], surprise[mine], at)
            if len(near) < FEWEST_PAIRS:
                near = _nearest(carried, surprise, at)
            if len(near) >= FEWEST_PAIRS:
                ends[place, row] = np.quantile(near, _LEVELS, method="weibull")
                shares[place, row] = _band_shares(at + near, scale)
    return Projector(ends, shares, _exponent(pairs), scale)


_LEVELS = ((1.0 - COVERAGE) / 2.0, 0.5, (1.0 + COVERAGE) / 2.0)


def _nearest(carried: Floats, surprise: Floats, at: float) -> Floats:
    """Surprises of the pairs around a carried score: the narrowest whole width that holds
    `NEAREST`, `REACH` at most.
    """
    widths = np.arange(1.0, REACH + 1.0)
    first, last = (
        np.searchsorted(carried, at - widths, "left"),
        np.searchsorted(carried, at + widths, "right"),
    )
    enough = np.flatnonzero(last - first >= NEAREST)
    width = enough[0] if len(enough) else -1
    return surprise[first[width] : last[width]]


def _band_shares(health: Floats, scale: Scale) -> Floats:
    bands = scale.band(displayed(np.clip(health, 0.0, 100.0)))
    counts = np.array([(bands == name).sum() for name in scale.bands]) + _PRIOR_PAIRS
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def _exponent(pairs: Pairs) -> float:
    known = np.isfinite(pairs.before.probability)
    left = pairs.has_left[known]
    if len(np.unique(pairs.account[known][left])) < LEAVERS_TO_PROJECT or left.all():
        return float("nan")
    # A chance of exactly 1 would make staying impossible at any horizon: log(0).
    stay = np.log1p(-np.clip(pairs.before.probability[known], 0.0, 1.0 - 1e-12))
    observed = float(left.mean())

    def excess(log_c: float) -> float:
        return float(-np.expm1(np.exp(log_c) * stay).mean() - observed)

    ends = (-8.0, 8.0)
    if excess(ends[0]) > 0 or excess(ends[1]) < 0:
        return float("nan")
    return float(np.exp(brentq(excess, *ends, xtol=1e-12)))


def project(projector: Projector, standing: Standing) -> Projected:
    """Return middle, interval and chances of accounts from where they stand."""
    known = np.isfinite(standing.carried)
    row = np.zeros(len(standing.carried), dtype=np.intp)
    row[known] = displayed(standing.carried[known])
    ends = projector.ends[standing.direction, row]
    health = np.clip(standing.carried[:, None] + ends, 0.0, 100.0)
    leaving = -np.expm1(projector.exponent * np.log1p(-standing.probability))
    chances = np.column_stack(
        [leaving, (1.0 - leaving)[:, None] * projector.shares[standing.direction, row]]
    )
    # All four or none: a chance of leaving beside unknown bands would not sum to 1.
    known &= np.isfinite(health).all(axis=1)
    has_chances = known & np.isfinite(chances).all(axis=1)
    return Projected(
        np.where(known[:, None], health, np.nan), np.where(has_chances[:, None], chances, np.nan)
    )


@dataclass(frozen=True)
class Measured:
    """How a projection did on pairs it had not seen: dates after the model was trained, each from
    earlier outcomes only.

    `coverage` is the share of scores inside the interval (as displayed), `low` and `high` its 95%
    ends with accounts resampled; `width` the median width in points; `middle_error` the median
    distance from the middle, `same_error` that of "it stays as it is"; `log_loss` of the four
    chances, beside that of counts by the band of today.
    """

    pairs: int
    accounts: int
    origins: int
    coverage: float
    low: float
    high: float
    width: float
    middle_error: float
    same_error: float
    log_loss: float
    log_loss_counts: float
    by_band: dict[str, tuple[int, float]]
    """Band of today: pairs and coverage."""


def measure(
    pairs: Pairs, now: Floats, scale: Scale, first_origin: int, ahead: int, *, seed: int = 0
) -> Measured | None:
    """Project every pair from `first_origin` on from what was known on its date, and compare; None
    with under 50 of them.

    Parameters
    ----------
    now
        Score on each pair's own date, shape (n_pairs,).
    first_origin
        The first date after the model's training.
    ahead
        Dates from a pair's origin to its outcome: earlier pairs count from that many dates on.
    """
    if not np.isfinite(now).all():
        raise ContractError(
            f"{int((~np.isfinite(now)).sum())} pairs start without a score; leave them out."
        )
    said, counted = _out_of_time(pairs, now, scale, first_origin, ahead)
    judged = np.isfinite(said.health).all(axis=1) & np.isfinite(pairs.health) & ~pairs.has_left
    if judged.sum() < FEWEST_PAIRS:
        return None
    shown, limits = (
        displayed(pairs.health[judged]),
        displayed(said.health[judged].ravel()).reshape(-1, 3),
    )
    inside = (shown >= limits[:, 0]) & (shown <= limits[:, 2])
    low, high = _resampled(inside, pairs.account[judged], seed)
    bands = _band_numbers(now[judged], scale)
    outcome = _outcome(pairs, scale)
    known = (
        (outcome >= 0) & np.isfinite(said.chances).all(axis=1) & np.isfinite(counted).all(axis=1)
    )
    return Measured(
        pairs=int(judged.sum()),
        accounts=len(np.unique(pairs.account[judged])),
        origins=len(np.unique(pairs.origin[judged])),
        coverage=float(inside.mean()),
        low=low,
        high=high,
        width=float(np.median(limits[:, 2] - limits[:, 0])),
        middle_error=float(np.median(np.abs(pairs.health - said.health[:, 1])[judged])),
        same_error=float(np.median(np.abs(pairs.health - now)[judged])),
        log_loss=mean_log_loss_of(said.chances[known], outcome[known]),
        log_loss_counts=mean_log_loss_of(counted[known], outcome[known]),
        by_band={
            name: (int((bands == n).sum()), float(inside[bands == n].mean()))
            for n, name in enumerate(scale.bands)
            if (bands == n).any()
        },
    )


def _out_of_time(
    pairs: Pairs, now: Floats, scale: Scale, first_origin: int, ahead: int
) -> tuple[Projected, Floats]:
    """What was projected of every pair, and counted by today's band, from outcomes known on its
    date; NaN before that.
    """
    health, chances, counted = (np.full((len(pairs), width), np.nan) for width in (3, 4, 4))
    for origin in np.unique(pairs.origin[pairs.origin >= first_origin]):
        is_known, mine = pairs.origin + ahead <= origin, pairs.origin == origin
        if is_known.sum() >= FEWEST_PAIRS:
            projected = project(fit_projector(pairs.rows(is_known), scale), pairs.before.rows(mine))
            health[mine], chances[mine] = projected.health, projected.chances
            counted[mine] = _transitions(pairs.rows(is_known), now[is_known], scale)[
                _band_numbers(now[mine], scale)
            ]
    return Projected(health, chances), counted


def _outcome(pairs: Pairs, scale: Scale) -> NDArray[np.intp]:
    """0 for leaving, 1 to 3 for the bands, -1 where neither is known."""
    band = 1 + _band_numbers(np.nan_to_num(pairs.health), scale)
    return np.select([pairs.has_left, np.isfinite(pairs.health)], [0, band], -1).astype(np.intp)


def _band_numbers(health: Floats, scale: Scale) -> NDArray[np.intp]:
    return np.searchsorted(
        [scale.at_risk_until, scale.stable_until], displayed(health), side="left"
    ).astype(np.intp)


def _transitions(pairs: Pairs, now: Floats, scale: Scale) -> Floats:
    """Shares of leaving and of the bands by the band of the origin, shape (3, 4): what plain
    counting would say.
    """
    table = np.full((3, 4), _PRIOR_PAIRS)
    outcome = _outcome(pairs, scale)
    np.add.at(table, (_band_numbers(now, scale)[outcome >= 0], outcome[outcome >= 0]), 1.0)
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def mean_log_loss_of(chances: Floats, outcome: NDArray[np.intp]) -> float:
    """Return the mean of -log of the chance given to what happened; `outcome` is the column of
    `chances`.
    """
    if not len(outcome):
        return float("nan")
    return float(-np.log(np.maximum(chances[np.arange(len(outcome)), outcome], 1e-12)).mean())


def _resampled(
    inside: NDArray[np.bool_], account: NDArray[np.intp], seed: int, draws: int = 500
) -> tuple[float, float]:
    """95% ends of a share with whole accounts drawn anew: the dates of one account are not
    independent.
    """
    ids = np.unique(account, return_inverse=True)[1]
    hits, sizes = np.bincount(ids, weights=inside), np.bincount(ids)
    picks = np.random.default_rng(seed).integers(0, len(sizes), (draws, len(sizes)))
    low, high = np.quantile(hits[picks].sum(axis=1) / sizes[picks].sum(axis=1), [0.025, 0.975])
    return float(low), float(high)
