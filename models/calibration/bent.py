"""A sigmoid with bends: the published calibrator where accounts enough left to show that a straight
line is not it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.calibration.platt import Platt, at_level, fit_platt
from models.methods.base import Floats, softplus
from models.methods.penalised import FREE, Regression, bounded

ENOUGH_LEAVING = 200
"""Accounts with the event in the calibration rows below which nothing but a sigmoid is fitted."""
BENDS_AT = (0.25, 0.5, 0.75, 0.9)
"""Quantiles of the calibration rows' margins at which the line may bend."""
FLATTEST, STEEPEST = 0.2, 5.0
"""Slopes of the pieces, in slopes of the sigmoid."""
BEND_SD = 0.5
"""Pull towards no bend: change of log-odds per standard deviation of margin."""
BEYOND_NOISE = 2.0
"""Standard errors by which bends of an earlier period must lower the log loss of the later one."""


@dataclass(frozen=True)
class Bent(Platt):
    """Probability = sigmoid of a rising broken line: `slope` up to the first knot, then changed by
    `bends`.

    Continuous and strictly increasing, so that contributions still become points.
    """

    bends: tuple[tuple[float, float], ...] = ()
    """Knot of the margin, and the change of slope there."""

    def logit(self, margin: Floats) -> Floats:
        """Return calibrated log-odds."""
        m = np.asarray(margin, dtype=np.float64)
        line = super().logit(m)
        for knot, change in self.bends:
            line = line + change * np.maximum(m - knot, 0.0)
        return line

    @property
    def largest_slope(self) -> float:
        """Slope of the steepest piece."""
        return float(
            np.max(
                self.slope
                + np.concatenate([[0.0], np.cumsum([change for _, change in self.bends])])
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """Return kind, slope, intercept, events and bends."""
        return {**super().to_dict(), "kind": "bent", "bends": [list(each) for each in self.bends]}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Bent":
        """Return the calibrator that `to_dict` described."""
        straight = Platt.from_dict(state)
        bends = tuple((float(knot), float(change)) for knot, change in state["bends"])
        return cls(straight.slope, straight.intercept, straight.events, bends)


@dataclass(frozen=True, eq=False)
class ScoredPeriod:
    """Out-of-time rows of one period: margin, outcome and account, shape (n_rows,), and weights as
    `fit_platt` takes them.
    """

    margin: Floats
    labels: NDArray[np.int8]
    accounts: pd.Series
    weights: Floats

    @property
    def leaving(self) -> int:
        """Distinct accounts with the event."""
        return int(self.accounts[self.labels == 1].nunique())


def bent_if_better(straight: Platt, rows: ScoredPeriod, earlier: ScoredPeriod) -> Platt:
    """Return a sigmoid with bends where bends last, else `straight`.

    Bends drawn on the earlier period are held against the sigmoid drawn there, on the later one,
    both at its level: the mean gain in log loss per account must lie two standard errors above 0.
    (Groups of accounts of one period are not enough: on a course platform bends that won there by
    more than three standard errors lost a month later.) Under 200 accounts with the event in either
    period it is not tried.

    Parameters
    ----------
    straight
        The sigmoid fitted on `rows`.
    earlier
        Rows that end before `rows` begin, scored by a model of the same recipe that had seen
        neither.
    """
    if min(rows.leaving, earlier.leaving) < ENOUGH_LEAVING:
        return straight
    # Both are drawn on the earlier period: a curve judged on its own rows would always win.
    line = fit_platt(earlier.margin, earlier.labels, earlier.weights)
    bent = _fit(line, earlier)
    # At the later level, since a base rate that moved says nothing of the curve's shape.
    losses = [
        _loss(at_level(each, rows.margin, rows.labels, rows.weights), rows) for each in (line, bent)
    ]
    gain = np.bincount(pd.factorize(rows.accounts)[0], weights=losses[0] - losses[1])
    if gain.mean() <= BEYOND_NOISE * gain.std(ddof=1) / np.sqrt(len(gain)):
        return straight
    return _fit(straight, rows)


def read_calibrator(state: dict[str, Any]) -> Platt:
    """Return the calibrator that its `to_dict` described."""
    return Bent.from_dict(state) if state.get("kind") == "bent" else Platt.from_dict(state)


def straightened(calibrator: Platt, margins: Floats) -> Platt:
    """Return the sigmoid nearest to a calibrator over these margins; itself where it has no
    bends.
    """
    if not isinstance(calibrator, Bent):
        return calibrator
    slope, intercept = np.polyfit(margins, calibrator.logit(margins), 1)
    return Platt(float(slope), float(intercept), calibrator.events)


def _fit(straight: Platt, rows: ScoredPeriod) -> Bent:
    """Slopes of the pieces and the intercept with the smallest log loss, neighbours pulled
    together; convex, with bounds.
    """
    knots = np.unique(np.quantile(rows.margin, BENDS_AT))
    pieces = _pieces(rows.margin, knots)
    count = pieces.shape[1]
    # In units of the margin's spread, so that the pull means the same for every method.
    pull = (float(rows.margin.std()) or 1.0) ** 2 / BEND_SD**2
    # Neighbouring slopes are pulled together, not towards 0: without evidence there is no bend.
    apart = np.diff(np.eye(count), axis=0)
    penalty = np.zeros((count + 1, count + 1))
    penalty[:-1, :-1] = pull * apart.T @ apart
    solution = bounded(
        Regression(pieces, rows.labels.astype(np.float64), rows.weights, penalty),
        np.append(np.full(count, straight.slope), straight.intercept),
        [(FLATTEST * straight.slope, STEEPEST * straight.slope)] * count + [FREE],
    )
    slopes = solution[:-1]
    bends = tuple(
        (float(knot), float(change)) for knot, change in zip(knots, np.diff(slopes), strict=True)
    )
    return Bent(float(slopes[0]), float(solution[-1]), straight.events, bends)


def _pieces(margin: Floats, knots: Floats) -> Floats:
    """How far a margin reaches into each piece; with equal slopes their sum is the margin."""
    edges: Sequence[float] = [*knots, np.inf]
    columns = [np.minimum(margin, knots[0])]
    columns += [
        np.clip(margin, low, high) - low for low, high in zip(edges[:-1], edges[1:], strict=True)
    ]
    return np.column_stack(columns)


def _loss(calibrator: Platt, rows: ScoredPeriod) -> Floats:
    z = calibrator.logit(rows.margin)
    return np.asarray(softplus(z) - rows.labels * z, dtype=np.float64)
