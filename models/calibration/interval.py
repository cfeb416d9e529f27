"""How sure the probability is: the rate among accounts scored like this, with its uncertainty.

Not the range of one account's own chance: that depends on what nobody observed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.calibration.platt import Platt
from models.methods.base import Floats, sigmoid

KNOTS = 41
REPLICATES = 200
LEVEL = 0.95
HINGE_SD = 0.35
"""How far the true curve may bend away from the sigmoid, in log-odds per standard deviation of margin."""


@dataclass(frozen=True, eq=False)
class Interval:
    """Knots of the margin with calibrated log-odds of the low and high end; between them, straight lines."""

    margins: Floats
    low: Floats
    """Distance below the calibrated log-odds, never negative."""
    high: Floats
    """Distance above the calibrated log-odds, never negative."""
    level: float = LEVEL

    def around(self, margin: Floats, calibrator: Platt) -> tuple[Floats, Floats]:
        """Return low and high probabilities; they contain the calibrated probability and rise with the margin."""
        middle = calibrator.logit(margin)
        low = middle - np.interp(margin, self.margins, self.low)
        high = middle + np.interp(margin, self.margins, self.high)
        return sigmoid(low), sigmoid(high)

    def to_dict(self) -> dict[str, Any]:
        """Return knots as lists."""
        lists = {name: getattr(self, name).tolist() for name in ("margins", "low", "high")}
        return {**lists, "level": self.level}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Interval":
        """Return the interval that `to_dict` described."""
        arrays = {name: np.asarray(state[name], dtype=np.float64) for name in ("margins", "low", "high")}
        return cls(level=float(state["level"]), **arrays)


def fit_interval(
    margin: Floats, labels: NDArray[np.int8], accounts: pd.Series, calibrator: Platt, *, seed: int = 0
) -> Interval:
    """Return the interval of a calibrator by resampling the accounts of its calibration rows.

    Each resample refits sigmoid and two hinges, so that the interval also covers a curve that is not
    quite a sigmoid. Ends are the percentiles of the refits at each knot.

    Parameters
    ----------
    margin, labels, accounts
        Calibration rows, shape (n_rows,); rows of one account stay together in a resample.
    """
    knots = _knots(margin)
    basis, at_knots = _bases(margin, knots)
    offset, offset_knots = calibrator.logit(margin), calibrator.logit(knots)
    codes = pd.factorize(accounts, sort=True)[0]
    generator = np.random.default_rng(seed)
    curves = np.empty((REPLICATES, len(knots)))
    for number in range(REPLICATES):
        times = np.bincount(generator.integers(0, codes.max() + 1, codes.max() + 1), minlength=codes.max() + 1)
        beta = _refit(basis, labels.astype(np.float64), times[codes].astype(np.float64), offset)
        curves[number] = offset_knots + at_knots @ beta
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(curves, [tail, 1.0 - tail], axis=0)
    # Rising ends: from the bottom for the low one, from the top for the high one, so neither cuts the curve off.
    low = np.minimum(np.minimum.accumulate(low[::-1])[::-1], offset_knots)
    high = np.maximum(np.maximum.accumulate(high), offset_knots)
    return Interval(knots, offset_knots - low, high - offset_knots)


def _knots(margin: Floats) -> Floats:
    inner = np.quantile(margin, np.linspace(0.005, 0.995, KNOTS))
    knots = np.unique(np.concatenate([[margin.min()], inner, [margin.max()]]))
    return np.asarray(knots, dtype=np.float64)


def _bases(margin: Floats, knots: Floats) -> tuple[Floats, Floats]:
    """Constant, slope and two hinges, in standard deviations of the margin."""
    spread = float(margin.std()) or 1.0
    middle = float(margin.mean())
    bends = np.quantile(margin, [1 / 3, 2 / 3])

    def columns(at: Floats) -> Floats:
        hinges = [np.maximum(at - bend, 0.0) / spread for bend in bends]
        return np.column_stack([np.ones(len(at)), (at - middle) / spread, *hinges])

    return columns(margin), columns(knots)


def _refit(basis: Floats, target: Floats, weight: Floats, offset: Floats) -> Floats:
    """A few Newton steps from the calibrator; the prior keeps bends small and everything finite."""
    pull = np.array([0.25, 1.0, 1.0 / HINGE_SD**2, 1.0 / HINGE_SD**2])
    beta = np.zeros(4)
    for _ in range(5):
        p = sigmoid(offset + basis @ beta)
        gradient = basis.T @ (weight * (p - target)) + pull * beta
        hessian = (basis * (weight * p * (1.0 - p))[:, None]).T @ basis + np.diag(pull)
        step = np.clip(np.linalg.solve(hessian, gradient), -2.0, 2.0)
        beta = beta - step
        if np.abs(step).max() < 1e-6:
            break
    return beta
