"""What differs between segments, and how much of it counts: departures from the common fit, pulled
towards it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import chi2

from models.intervals import LEVEL
from models.methods.base import Floats, sigmoid
from models.methods.penalised import FREE, MIN_SLOPE, Regression, bounded, ridge_fit

LEAVERS_PER_SEGMENT = 20
"""With fewer leaving accounts a segment keeps the common fit, and its calibration is shown but not
judged.
"""
NO_SEGMENT = "(none)"
WEAKEST_PULL = 2.0
"""Never a weaker pull than that of two leaving accounts: a coefficient of a segment stays finite.
"""
SMALL = 1e-9


@dataclass(frozen=True, eq=False)
class Departure:
    """How a segment departs from the common fit.

    Attributes
    ----------
    change
        Added to the common coefficients, shape (n_columns,); 0 throughout where the segment keeps
        the common fit.
    own_share
        Share of the segment's own estimate that counts, 0-1; the rest is the pull towards the
        common fit.
    is_judged
        Whether enough accounts left to estimate anything.
    """

    segment: str
    accounts: int
    leaving_accounts: int
    change: Floats
    own_share: float
    is_judged: bool

    @property
    def why_pooled(self) -> str:
        """Why nothing of the segment's own counts; empty where something does."""
        if not self.is_judged:
            return "too few"
        return "" if self.own_share > 0 else "no difference beyond chance"


@dataclass(frozen=True, eq=False)
class Departures:
    """The departures of all segments, by name, and the pull that made them."""

    by_segment: dict[str, Departure]
    pull_leavers: float
    """How many leaving accounts the common fit weighs as, beside the segment's own; infinite:
    nothing of their own counts.
    """

    def changes(self, segments: Sequence[str | None] | NDArray[Any]) -> Floats:
        """Return the change per row, shape (n_rows, n_columns); 0 for a segment that was not there
        at `fit`.
        """
        width = max(len(each.change) for each in self.by_segment.values())
        changes = np.zeros((len(segments), width))
        names = segment_names(segments)
        for name, each in self.by_segment.items():
            changes[names == name] = each.change
        return changes


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows as departures see them: what is known of each beside the common log-odds."""

    design: Floats
    offset: Floats
    labels: Floats
    free: Floats
    """Columns whose departure is neither shrunken nor reported: the level, where only slopes are
    asked for.
    """

    def of(self, mask: NDArray[np.bool_]) -> "_Rows":
        return _Rows(self.design[mask], self.offset[mask], self.labels[mask], self.free[mask])

    @property
    def columns(self) -> Floats:
        return np.column_stack([self.design, self.free])


def departures(
    design: Floats,
    offset: Floats,
    labels: NDArray[np.int8],
    accounts: pd.Series,
    segments: Sequence[str | None] | NDArray[Any],
    *,
    is_level_free: bool,
    lowest: Floats | None = None,
) -> Departures:
    """Return how each segment's coefficients depart from the common ones, each as far as segments
    differ beyond chance.

    A segment's departure is its maximum-likelihood fit with a penalty towards no departure. The
    penalty is what the common fit knows of the coefficients from `pull_leavers` leaving accounts (a
    unit-information prior [Kass1995], times that many), so a segment with as many leaving accounts
    of its own lies half-way. The pull is not chosen but derived: `1 / pull_leavers` is the smallest
    variance between segments that their fits still allow at 95%, where `Q` of the random-effects
    model falls to that quantile of chi-square [Viechtbauer2007, section 2.4]. Segments that are
    alike beyond chance get none of their own.

    Rows of one account tell much the same: all information is divided by the design effect, the
    trace of the variance of the score between accounts over the model's own.

    Parameters
    ----------
    design
        Columns whose coefficients may depart, shape (n_rows, n_columns), without an intercept.
    offset
        Log-odds of the common maximum-likelihood fit, shape (n_rows,).
    is_level_free
        Whether each segment also has a level of its own, neither shrunken nor reported.
    lowest
        Lower bounds of the changes, shape (n_columns,).

    References
    ----------
    [Kass1995] Kass and Wasserman, A reference Bayesian test for nested hypotheses and its
    relationship to the Schwarz criterion, section 3. [Viechtbauer2007] Confidence intervals for the
    amount of heterogeneity in meta-analysis.
    """
    free = np.ones((len(labels), int(is_level_free)))
    rows = _Rows(design, offset, labels.astype(np.float64), free)
    names, codes = segment_names(segments), accounts.to_numpy()
    leaving = {name: len(set(codes[(names == name) & (labels == 1)])) for name in np.unique(names)}
    effect = _design_effect(rows, codes)
    unit = _information(rows, offset, effect) / len(set(codes[labels == 1]))
    unit = unit + np.eye(len(unit)) * (SMALL + SMALL * np.trace(unit))
    judged = [name for name, count in leaving.items() if count >= LEAVERS_PER_SEGMENT]
    alone = {name: _fit(rows.of(names == name), effect, unit) for name in judged}
    between = _between(
        [alone[name][0] for name in judged], [alone[name][1] for name in judged], unit
    )
    pull = max(1.0 / between, WEAKEST_PULL) if between > 0 else np.inf
    by_segment = {}
    for name, count in leaving.items():
        change, share = np.zeros(design.shape[1]), 0.0
        if name in judged and between > 0:
            change, information = _fit(rows.of(names == name), effect, pull * unit, lowest)
            share = float(
                np.trace(np.linalg.solve(information + pull * unit, information)) / len(unit)
            )
        by_segment[str(name)] = Departure(
            str(name), len(set(codes[names == name])), count, change, share, name in judged
        )
    return Departures(by_segment, pull)


def segment_names(segments: Sequence[str | None] | NDArray[Any]) -> NDArray[Any]:
    """Return names as text; accounts without a segment are one of their own."""
    return (
        pd.Series(list(segments), dtype="object")
        .fillna(NO_SEGMENT)
        .astype(str)
        .to_numpy(dtype=object)
    )


def _design_effect(rows: _Rows, codes: NDArray[Any]) -> float:
    """How many rows tell as much as one: variance of the score over accounts beside the model's
    own; at least 1.
    """
    columns, p = rows.columns, sigmoid(rows.offset)
    account = pd.factorize(codes)[0]
    errors = columns * (rows.labels - p)[:, None]
    scores = np.column_stack([np.bincount(account, weights=column) for column in errors.T])
    own = (columns * (p * (1.0 - p))[:, None]).T @ columns
    own = own + np.eye(len(own)) * (SMALL + SMALL * np.trace(own))
    return max(float(np.trace(np.linalg.solve(own, scores.T @ scores)) / len(own)), 1.0)


def _information(rows: _Rows, margin: Floats, effect: float) -> Floats:
    """Information about the columns of the design once the free ones are fitted, shape (n_columns,
    n_columns).
    """
    p = sigmoid(margin)
    curvature = (p * (1.0 - p) / effect)[:, None]
    own = (rows.design * curvature).T @ rows.design
    if not rows.free.shape[1]:
        return np.asarray(own, dtype=np.float64)
    # What the free columns could explain as well is no information about the others (Schur).
    cross = (rows.design * curvature).T @ rows.free
    free = (rows.free * curvature).T @ rows.free
    return np.asarray(own - cross @ np.linalg.solve(free, cross.T), dtype=np.float64)


def _fit(
    rows: _Rows, effect: float, penalty: Floats, lowest: Floats | None = None
) -> tuple[Floats, Floats]:
    """Penalised maximum-likelihood change of the coefficients, and the information of the rows
    there.
    """
    columns, width = rows.columns, rows.design.shape[1]
    pull = np.zeros((columns.shape[1],) * 2)
    pull[:width, :width] = penalty
    floor = np.full(width, -np.inf) if lowest is None else lowest
    beta = bounded(
        Regression(
            columns,
            rows.labels,
            np.full(len(columns), 1.0 / effect),
            pull,
            offset=rows.offset,
            has_level=False,
        ),
        np.zeros(columns.shape[1]),
        [*((each, None) for each in floor), *[FREE] * (columns.shape[1] - width)],
    )
    return beta[:width], _information(rows, rows.offset + columns @ beta, effect)


def _between(changes: list[Floats], informations: list[Floats], unit: Floats) -> float:
    """Smallest variance between segments, per unit of one leaving account's, that their changes
    allow at 95%; 0 if none.
    """
    if len(changes) < 2:
        return 0.0
    spread = np.linalg.inv(unit)
    # A segment that knows a direction exactly would make the sum of weights singular.
    small = np.eye(len(unit)) * SMALL
    within = [np.linalg.inv(information + unit) for information in informations]
    most = float(chi2.ppf(LEVEL, (len(changes) - 1) * len(unit)))

    def excess(variance: float) -> float:
        weights = [np.linalg.inv(each + variance * spread + small) for each in within]
        total = np.sum([w @ c for w, c in zip(weights, changes, strict=True)], axis=0)
        mean = np.linalg.solve(np.sum(weights, axis=0), total)
        return (
            float(sum((c - mean) @ w @ (c - mean) for w, c in zip(weights, changes, strict=True)))
            - most
        )

    if excess(0.0) <= 0.0:
        return 0.0
    # The excess falls as the variance grows; doubling finds an end at which it is negative.
    widest = 1.0
    while excess(widest) > 0.0:
        widest *= 2.0
    return float(brentq(excess, 0.0, widest, xtol=1e-10))


@dataclass(frozen=True)
class SegmentLine:
    """How a segment's line departs from the common one."""

    segment: str
    accounts: int
    leaving_accounts: int
    level: float
    """Shift in log-odds."""
    level_share: float
    """Share of the segment's own estimate of the level that counts, 0-1."""
    slope: float
    """Times the common one."""
    slope_share: float
    pooled: str
    """Why nothing of the segment's own counts, or empty."""


class Cohorts:
    """A model's log-odds with a level and a slope per segment, each pulled towards the common line.

    Log-odds are `level + slope m + level_s + slope_s (m - middle_s)`: `m` is the model's margin,
    `middle_s` its mean in the segment weighted by `p (1 - p)`, which keeps the two departures of a
    segment apart, so each is shrunken by its own evidence. What is returned is on the scale of `m`,
    without the common line: where nothing departs, it is `m`.
    """

    def __init__(self) -> None:
        self.level_, self.slope_ = 0.0, 1.0
        self.levels_: Departures
        self.slopes_: Departures
        self.middles_: dict[str, float] = {}

    def fit(
        self,
        margin: Floats,
        labels: NDArray[np.int8],
        accounts: pd.Series,
        segments: Sequence[str | None] | NDArray[Any],
    ) -> Self:
        """Learn from margins of rows the model was not fitted on; on its own rows it hides what it
        misses.
        """
        target, weight = labels.astype(np.float64), np.full(len(labels), 1.0 / len(labels))
        self.level_, slope = ridge_fit(margin[:, None], target, weight, 0.0, np.array([1.0, 0.0]))
        self.slope_ = max(float(slope[0]), MIN_SLOPE)
        offset = self.level_ + self.slope_ * margin
        self.levels_ = departures(
            np.ones((len(margin), 1)), offset, labels, accounts, segments, is_level_free=False
        )
        names, p = segment_names(segments), sigmoid(offset)
        self.middles_ = {
            name: float(np.average(margin[names == name], weights=(p * (1.0 - p))[names == name]))
            for name in self.levels_.by_segment
        }
        centred = (margin - self._middles(segments))[:, None]
        self.slopes_ = departures(
            centred,
            offset,
            labels,
            accounts,
            segments,
            is_level_free=True,
            lowest=np.array([MIN_SLOPE - self.slope_]),
        )
        return self

    def line(self, segments: Sequence[str | None] | NDArray[Any]) -> tuple[Floats, Floats]:
        """Return level and slope per row, arrays of shape (n_rows,), for `level + slope * margin`;
        0 and 1 where pooled.
        """
        turned = self.slopes_.changes(segments)[:, 0] / self.slope_
        return (
            self.levels_.changes(segments)[:, 0] / self.slope_ - turned * self._middles(segments),
            1.0 + turned,
        )

    def _middles(self, segments: Sequence[str | None] | NDArray[Any]) -> Floats:
        return np.array([self.middles_.get(name, 0.0) for name in segment_names(segments)])

    def lines(self) -> tuple[SegmentLine, ...]:
        """Return the line of every segment, the largest first."""
        lines = []
        for name, level in self.levels_.by_segment.items():
            slope = self.slopes_.by_segment[name]
            lines.append(
                SegmentLine(
                    segment=name,
                    accounts=level.accounts,
                    leaving_accounts=level.leaving_accounts,
                    level=float(level.change[0]),
                    level_share=level.own_share,
                    slope=1.0 + float(slope.change[0]) / self.slope_,
                    slope_share=slope.own_share,
                    pooled=level.why_pooled if level.why_pooled == slope.why_pooled else "",
                )
            )
        return tuple(sorted(lines, key=lambda line: (-line.accounts, line.segment)))
