"""What hazards mean in days and money: expected time, remaining value, renewals by month with
shocks that all share.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from features.errors import ContractError
from models.calibration import fit_platt
from models.dataset import TrainingSet
from models.hazards import Curves, Hazards, Known, chunks
from models.intervals import LEVEL, Z95
from models.methods.base import Floats, logit, sigmoid
from models.methods.gradient_boosting import GradientBoosting, binned_rows
from models.model import Model
from models.splits import account_groups

DAYS_PER_YEAR = 365.0
TAIL = (1.0 - LEVEL) / 2.0
BLOCKS = 4
FIRST_SHARE = 0.2
"""Share of the rows whose outcome must be known before a model may predict later ones."""
MIN_MONTHS = 6
"""Months of history below which no common shock is estimated."""


def past_log_odds(model: Model, rows: TrainingSet, *, seed: int = 0) -> Floats:
    """Return calibrated log-odds of past rows from models of the same make that had not seen their
    outcomes.

    Dates are cut into blocks; each is predicted by the model's recipe fitted on rows whose label
    was complete before the block began. NaN for the dates before the first block. Where dates allow
    no block, accounts are divided into groups. A model's own log-odds of rows it was trained on are
    too good, and hazards learned from them would trust it too much.
    """
    margin = np.full(len(rows), np.nan)
    for train, later in _blocks(rows):
        taught = rows.rows(train)
        margin[later] = _refitted(model, taught, rows.features.iloc[later], seed)
    known = ~np.isnan(margin)
    if not known.any():
        raise ContractError(
            "no past date can be predicted without its own outcome: too few dates, or too few"
            " accounts with the event."
        )
    labels = rows.labels[known]
    weights = np.full(len(labels), rows.keys["account_id"][known].nunique() / len(labels))
    is_log_odds = all(each.method.name != "scorecard" for each in model.members)
    margin[known] = fit_platt(margin[known], labels, weights, is_log_odds=is_log_odds).logit(
        margin[known]
    )
    return margin


def _blocks(rows: TrainingSet) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    as_of, until = rows.keys["as_of"].to_numpy(), rows.keys["label_until"].to_numpy()
    dates = np.unique(as_of)
    matured = np.array([(until <= date).mean() for date in dates])
    later = dates[matured >= FIRST_SHARE]
    blocks = []
    for block in np.array_split(later, min(BLOCKS, len(later))) if len(later) else []:
        train = np.flatnonzero(until <= block[0])
        if len(np.unique(rows.labels[train])) == 2:
            blocks.append((train, np.flatnonzero((as_of >= block[0]) & (as_of <= block[-1]))))
    if blocks:
        return blocks
    group = account_groups(rows.keys["account_id"], rows.labels)
    return [
        (np.flatnonzero(group != each), np.flatnonzero(group == each)) for each in np.unique(group)
    ]


def _refitted(model: Model, taught: TrainingSet, features: pd.DataFrame, seed: int) -> Floats:
    """Margin of the model's members, fitted anew with the settings they have; the model itself is
    not touched.
    """
    fitted, binned = [], dict[int, lgb.Dataset]()
    x, y, signals = taught.features, taught.labels, taught.signals
    for each in model.members:
        method = copy(each.method)
        if isinstance(method, GradientBoosting):
            bins = method.settings.bins
            if bins not in binned:
                binned[bins] = binned_rows(x, y, signals, bins, seed, method.threads)
            method.fit(x, y, signals, seed=seed, binned=binned[bins])
        else:
            method.fit(x, y, signals, seed=seed)
        fitted.append(replace(each, method=method))
    parts = [each.weight * each.margin(features) for each in fitted]
    return np.asarray(np.sum(parts, axis=0), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Chance:
    """Primary probability of each account with its interval, arrays of shape (n_accounts,)."""

    middle: Floats
    low: Floats
    high: Floats

    def rows(self, picked: slice) -> "Chance":
        """Return some of the accounts."""
        return Chance(self.middle[picked], self.low[picked], self.high[picked])

    def at(self, deviation: float) -> Floats:
        """Return the probabilities so many standard errors from the middle, up or down together.

        Their uncertainty is the calibrator's, which all accounts share: it does not average out
        over a portfolio.
        """
        middle = logit(self.middle)
        width = (logit(self.high) - middle if deviation > 0 else middle - logit(self.low)) / Z95
        return sigmoid(middle + deviation * width)


def expected_days(curves: Curves, until_day: float) -> Floats:
    """Return the mean of min(days until the event, until_day): the area under survival up to that
    day.
    """
    return _area(curves.survival, curves.edges, until_day, 0.0)


def remaining_value(
    curves: Curves, value_per_year: Floats, until_day: float, yearly_discount: float = 0.0
) -> Floats:
    """Return expected money until the event or `until_day`, value per year times the discounted
    area under survival.
    """
    return (
        value_per_year
        / DAYS_PER_YEAR
        * _area(curves.survival, curves.edges, until_day, yearly_discount)
    )


def _area(survival: Floats, edges: Floats, until_day: float, yearly_discount: float) -> Floats:
    """Trapezoids over the periods before `until_day`, which must be an edge."""
    last = int(np.searchsorted(edges, until_day))
    if last >= len(edges) or edges[last] != until_day:
        raise ContractError(
            f"until_day={until_day:g} is no edge of the curve; choose one of {edges.tolist()}."
        )
    worth = survival[..., : last + 1] * (1.0 + yearly_discount) ** (
        -edges[: last + 1] / DAYS_PER_YEAR
    )
    return np.asarray(np.trapezoid(worth, edges[: last + 1], axis=-1), dtype=np.float64)


def shock_variances(
    month: NDArray[np.intp], observed: Floats, expected: Floats, *, seed: int = 0, draws: int = 200
) -> Floats:
    """Return the variance of the factor that all accounts of a month share, and that of resampled
    months.

    Per month, O events were observed where E were expected; beyond chance, Var(O) = V + tau^2 E^2
    with V = sum of h (1 - h). By moments, tau^2 = (sum of (O - E)^2 - V, months / (months - 1) for
    the level) / sum of E^2, at least 0. E is first brought to the level of O, so that a constant
    error of the hazards is no shock.

    Returns
    -------
    array of shape (1 + draws,)
        The estimate, then one per resample of months; NaN with fewer than 6 months.
    """
    months = np.unique(month, return_inverse=True)[1]
    size = int(months.max(initial=-1)) + 1
    if size < MIN_MONTHS:
        return np.full(1 + draws, np.nan)
    o = np.bincount(months, weights=observed)
    e = np.bincount(months, weights=expected)
    ratio = o.sum() / e.sum()
    e, variance = (
        e * ratio,
        np.bincount(months, weights=expected * ratio * (1.0 - np.minimum(expected * ratio, 1.0))),
    )
    # What months vary beyond the chance of their accounts; n - 1, as the ratio was fitted to them.
    excess = (o - e) ** 2 * size / (size - 1) - variance
    picks = np.random.default_rng(seed).integers(0, size, (draws, size))
    picks = np.vstack([np.arange(size), picks])
    return np.asarray(
        np.maximum(excess[picks].sum(axis=1) / (e[picks] ** 2).sum(axis=1), 0.0), dtype=np.float64
    )


def common_factors(variances: Floats, months: int, generator: np.random.Generator) -> Floats:
    """Return log-normal factors with mean 1, shape (n_draws, months): one draw of months per
    variance; NaN counts as 0.
    """
    log_variance = np.log1p(np.nan_to_num(variances))[:, None]
    return np.exp(
        np.sqrt(log_variance) * generator.standard_normal((len(variances), months))
        - 0.5 * log_variance
    )


@dataclass(frozen=True, eq=False)
class Renewals:
    """Contract ends of each account, and what is paid for a term.

    Attributes
    ----------
    period, month
        Number of the period, and of the month of the forecast, that holds each end; shape
        (n_accounts, n_ends), -1 where there is none or the forecast does not reach it.
    shared_month
        Month whose common factor a period takes part in, shape (n_accounts, n_periods); -1 after
        the last.
    value
        What the account pays a year, shape (n_accounts,).
    term_share
        What one term pays of that, at most 1: a month a twelfth, two years 1.
    group
        Number of its segment.
    """

    period: NDArray[np.intp]
    month: NDArray[np.intp]
    shared_month: NDArray[np.intp]
    value: Floats
    term_share: Floats
    group: NDArray[np.intp]

    def rows(self, picked: slice) -> "Renewals":
        """Return some of the accounts."""
        return Renewals(
            self.period[picked],
            self.month[picked],
            self.shared_month[picked],
            self.value[picked],
            self.term_share[picked],
            self.group[picked],
        )

    @cached_property
    def place(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """How many ends of the same period lie before an end, and how many it holds, each of shape
        (n_accounts, n_ends): a period of 30 days may hold two ends of monthly terms.
        """
        same = (self.period[:, :, None] == self.period[:, None, :]) & (self.period >= 0)[:, :, None]
        before = np.tril(same, -1).sum(axis=2)
        return before, np.maximum(same.sum(axis=2), 1)

    @property
    def due_if_all_renew(self) -> Floats:
        """What all ends inside the months pay for their next terms, shape (n_accounts,)."""
        return np.asarray(
            np.nan_to_num(self.value * self.term_share) * (self.month >= 0).sum(axis=1),
            dtype=np.float64,
        )


def simulate_month_values(
    hazard: Floats, renewals: Renewals, factor: Floats, groups: int, generator: np.random.Generator
) -> Floats:
    """Return simulated futures: value due, renewed, and lost a year, shape (n_draws, 3, n_months,
    n_groups).

    An account leaves in a period with its hazard times the factor of that month; a later contract
    end counts only where it is still there. Where a period holds several ends, whoever leaves in it
    does so at any of them.

    Parameters
    ----------
    hazard
        Shape (n_draws, n_accounts, n_periods).
    factor
        Shape (n_draws, n_months).
    """
    draws, months = factor.shape
    accounts, periods = renewals.shared_month.shape
    shared = renewals.shared_month
    factors = np.where(shared >= 0, factor[:, np.maximum(shared, 0)], 1.0)
    before, count = renewals.place
    has_several = bool((count > 1).any())
    chances = generator.random((draws, 1 + has_several, accounts, periods))
    leaves = chances[:, 0] < np.minimum(hazard[:, :, :periods] * factors, 1.0)
    leaves_here = _at_ends(leaves, renewals, False)
    gone_before = np.zeros_like(leaves)
    np.logical_or.accumulate(leaves[..., :-1], axis=2, out=gone_before[..., 1:])
    is_there = ~_at_ends(gone_before, renewals, True)
    if has_several:
        leaves_at = np.floor(_at_ends(chances[:, 1], renewals, 0.0) * count)
    else:
        leaves_at = np.zeros((1, *count.shape))
    due = is_there & (~leaves_here | (before <= leaves_at))
    renewed = is_there & (~leaves_here | (before < leaves_at))
    return _three(due.astype(np.float64), renewed.astype(np.float64), renewals, months, groups)


def _at_ends(by_period: NDArray[Any], renewals: Renewals, none: Any) -> NDArray[Any]:
    """A value of each period, shape (..., n_accounts, n_periods), at the ends it holds; `none`
    where there is no end.
    """
    rows = np.arange(len(renewals.period))[:, None]
    taken = by_period[..., rows, np.maximum(renewals.period, 0)]
    return np.where(renewals.period >= 0, taken, none)


def _three(due: Floats, renewed: Floats, renewals: Renewals, months: int, groups: int) -> Floats:
    """Money due, renewed, and lost a year, of the shares of each end."""
    term, year = renewals.value * renewals.term_share, renewals.value
    return np.stack(
        [
            month_values(share, money, renewals, months, groups)
            for share, money in ((due, term), (renewed, term), (due - renewed, year))
        ],
        axis=1,
    )


def month_values(
    share: Floats, value: Floats, renewals: Renewals, months: int, groups: int
) -> Floats:
    """Return value (n_accounts,) times share (n_draws, n_accounts, n_ends), summed by month and
    group, shape (n_draws, n_months, n_groups).
    """
    money = share * np.nan_to_num(value)[:, None]
    inside = renewals.month >= 0
    cell = (renewals.month * groups + renewals.group[:, None])[inside]
    cells = months * groups
    draw = np.arange(len(share))[:, None] * cells
    summed = np.bincount(
        (draw + cell).ravel(), weights=money[:, inside].ravel(), minlength=len(share) * cells
    ).astype(np.float64)
    return summed.reshape(len(share), months, groups)


@dataclass(frozen=True, eq=False)
class Draws:
    """What is uncertain, one row per draw: standard errors of the primary probability, variance of
    the monthly factor.
    """

    deviations: Floats
    variances: Floats
    seed: int


def draws_of(hazards: Hazards, variances: Floats, *, seed: int = 0) -> Draws:
    """Return as many draws as the hazards have replicates.

    Deviations are evenly spread quantiles of the normal distribution in random order: 200 random
    ones would make the ends of the interval at the primary horizon differ from the published ones
    by their own chance.
    """
    size = len(hazards.replicates)
    generator = np.random.default_rng(seed)
    even = (np.arange(size) + 0.5) / size
    return Draws(
        generator.permutation(np.asarray(ndtri(even), dtype=np.float64)),
        variances[1 : 1 + size],
        seed,
    )


def replicate_curves(
    hazards: Hazards, known: Known, chance: Chance, own: Sequence[str], draws: Draws
) -> Curves:
    """Return a curve per draw: hazards of resampled accounts through a primary probability of its
    interval.
    """
    drawn = np.stack([chance.at(float(deviation)) for deviation in draws.deviations])
    return hazards.replicate_curves(known, drawn, own)


def interval(draws: Floats, middle: Floats) -> tuple[Floats, Floats]:
    """Return the 95% ends of draws, shape (n_draws, ...), widened to hold the middle.

    A new draw lies below the p-quantile in p of the cases only if that is taken at place p (n + 1);
    numpy's own choice would hold it in 94.1% with 200 draws and in 93.1% with 100.
    """
    low, high = np.quantile(draws, [TAIL, 1.0 - TAIL], axis=0, method="weibull")
    return np.minimum(low, middle), np.maximum(high, middle)


@dataclass(frozen=True, eq=False)
class AccountForecast:
    """Curves of all accounts, and intervals; arrays of shape (..., n_accounts, ...) as named.

    `low` and `high`, shape (n_causes + 1, n_accounts, n_edges), hold each cause and last the total.
    `days` and `value` are triples of middle, low, high, shape (3, n_accounts). `months`, shape (3,
    3, n_months, n_groups + 1): middle, low, high of value due, value renewed and value lost a year,
    the last group being all together.
    """

    curves: Curves
    low: Floats
    high: Floats
    days: Floats
    value: Floats
    months: Floats


def forecast_accounts(
    hazards: Hazards,
    known: Known,
    chance: Chance,
    own: Sequence[str],
    renewals: Renewals,
    groups: int,
    months: int,
    draws: Draws,
    *,
    curve_days: float,
    value_days: float,
    yearly_discount: float,
) -> AccountForecast:
    """Return curves, times and money of all accounts, computed a few hundred accounts at a time.

    Intervals of curves, days and value hold the uncertainty of hazards and primary probability:
    they are about the mean of accounts like this one. Those of months hold, beside it, who happens
    to leave and what all accounts share in a month.
    """
    generator = np.random.default_rng(draws.seed + 1)
    factors = common_factors(draws.variances, months, generator)
    sums = np.zeros((len(factors), 3, months, groups))
    middle_months = np.zeros((3, months, groups))
    pieces = []
    for part in chunks(len(known)):
        some, value = known.rows(part), renewals.rows(part)
        middle = hazards.curves(some, chance.middle[part], own)
        many = replicate_curves(hazards, some, chance.rows(part), own, draws)
        sums += simulate_month_values(many.hazard, value, factors, groups, generator)
        middle_months += _expected_months(middle, value, months, groups)
        pieces.append(_piece(middle, many, value.value, curve_days, value_days, yearly_discount))
    joined = Curves(
        hazards.edges,
        np.concatenate([p[0].incidence for p in pieces], axis=1),
        np.concatenate([p[0].hazard for p in pieces]),
    )
    low, high = (np.concatenate([p[number] for p in pieces], axis=1) for number in (1, 2))
    days, value_ends = (np.concatenate([p[number] for p in pieces], axis=1) for number in (3, 4))
    sums, middle_months = _with_all(sums), _with_all(middle_months)
    ends = interval(sums, middle_months)
    return AccountForecast(joined, low, high, days, value_ends, np.stack([middle_months, *ends]))


def _with_all(by_group: Floats) -> Floats:
    """A last group that holds all: its interval is narrower than the sum of theirs, shared factors
    or not.
    """
    return np.concatenate([by_group, by_group.sum(axis=-1, keepdims=True)], axis=-1)


def _expected_months(curves: Curves, renewals: Renewals, months: int, groups: int) -> Floats:
    """Expected value due, renewed, and lost a year."""
    periods = renewals.shared_month.shape[1]
    entered = _at_ends(curves.survival[:, :periods], renewals, 0.0)
    left = _at_ends(curves.survival[:, 1 : periods + 1], renewals, 0.0)
    before, count = renewals.place
    lost = (entered - left) / count
    due = entered - before * lost
    summed: Floats = _three(due[None], (due - lost)[None], renewals, months, groups)[0]
    return summed


def _piece(
    middle: Curves,
    many: Curves,
    value: Floats,
    curve_days: float,
    value_days: float,
    yearly_discount: float,
) -> tuple[Curves, Floats, Floats, Floats, Floats]:
    def with_total(curves: Curves) -> Floats:
        return np.concatenate([curves.incidence, curves.total[..., None, :, :]], axis=-3)

    low, high = interval(with_total(many), with_total(middle))
    days, money = (
        expected_days(middle, curve_days),
        remaining_value(middle, value, value_days, yearly_discount),
    )
    day_ends = interval(expected_days(many, curve_days), days)
    value_ends = interval(remaining_value(many, value, value_days, yearly_discount), money)
    return middle, low, high, np.stack([days, *day_ends]), np.stack([money, *value_ends])
