"""How sure the probability is: the rate among accounts scored like this, with its uncertainty.

Two things are uncertain: the curve, because few accounts drew it, and the level of the period to
come, because periods differ from each other by more than their accounts. Not the range of one
account's own chance: that depends on what nobody observed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.calibration.platt import Platt
from models.intervals import FEWER_REPLICATES, LEVEL, Z95
from models.methods.base import Floats, sigmoid
from models.methods.penalised import Regression, newton

KNOTS = 41
PRIOR_SD = np.array([2.0, 1.0, 0.7, 0.7])
"""How far the truth may lie from the calibrator before any data: level, slope and two bends, in
log-odds per standard deviation of margin.
"""
PERIOD_SD = 0.25
"""Scale of the prior for how levels of periods differ, in log-odds: a quarter more or fewer
leavers.
"""


@dataclass(frozen=True, eq=False)
class Interval:
    """Knots of the margin with calibrated log-odds of the low and high end; between them, straight
    lines.
    """

    margins: Floats
    low: Floats
    """Distance below the calibrated log-odds, never negative."""
    high: Floats
    """Distance above the calibrated log-odds, never negative."""
    level: float = LEVEL
    period_sd: float = 0.0
    """Standard deviation of a period's level around the calibrator, in log-odds."""

    def around(self, margin: Floats, calibrator: Platt) -> tuple[Floats, Floats]:
        """Return low and high probabilities; they contain the calibrated probability and rise with
        the margin.
        """
        middle = calibrator.logit(margin)
        apart = Z95 * self.period_sd
        low = middle - np.hypot(np.interp(margin, self.margins, self.low), apart)
        high = middle + np.hypot(np.interp(margin, self.margins, self.high), apart)
        return sigmoid(low), sigmoid(high)

    def to_dict(self) -> dict[str, Any]:
        """Return knots as lists."""
        lists = {name: getattr(self, name).tolist() for name in ("margins", "low", "high")}
        # Left out where it is 0, so that a model written before periods were counted keeps its
        # version.
        return {
            **lists,
            "level": self.level,
            **({"period_sd": self.period_sd} if self.period_sd else {}),
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Interval":
        """Return the interval that `to_dict` described."""
        arrays = {
            name: np.asarray(state[name], dtype=np.float64) for name in ("margins", "low", "high")
        }
        return cls(
            level=float(state["level"]), period_sd=float(state.get("period_sd", 0.0)), **arrays
        )


def fit_interval(
    margin: Floats,
    labels: NDArray[np.int8],
    accounts: pd.Series,
    calibrator: Platt,
    *,
    seed: int = 0,
) -> Interval:
    """Return the interval of a calibrator by weighing the accounts of its calibration rows at
    random.

    Each draw refits level, slope and two hinges around the calibrator, so that the interval also
    covers a curve that is not quite a sigmoid. A draw moves the centre of the prior as well as the
    weights: where accounts say nothing, as among calm ones of which none left, the interval is as
    wide as the prior and not of width 0. Ends are the percentiles of the refits at each knot.

    References
    ----------
    [Newton2021] Weighted Bayesian bootstrap for scalable posterior distributions, algorithm 1 with
    a random prior.

    Parameters
    ----------
    margin, labels, accounts
        Calibration rows, shape (n_rows,); rows of one account stay together in a resample.
    """
    knots = _knots(margin)
    basis, at_knots = _bases(margin, knots)
    offset, offset_knots = calibrator.logit(margin), calibrator.logit(knots)
    codes = pd.factorize(accounts, sort=True)[0]
    count = codes.max() + 1
    generator = np.random.default_rng(seed)
    curves = np.empty((FEWER_REPLICATES, len(knots)))
    for number in range(FEWER_REPLICATES):
        # Rows of one account tell much the same: together they count as one.
        weight = generator.exponential(count / len(codes), count)[codes]
        centre = generator.normal(0.0, PRIOR_SD)
        curves[number] = offset_knots + at_knots @ _refit(
            basis, labels.astype(np.float64), weight, offset, centre
        )
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(curves, [tail, 1.0 - tail], axis=0)
    # Rising ends: from the bottom for the low one, from the top for the high one, so neither cuts
    # the curve off.
    low = np.minimum(np.minimum.accumulate(low[::-1])[::-1], offset_knots)
    high = np.maximum(np.maximum.accumulate(high), offset_knots)
    return Interval(knots, offset_knots - low, high - offset_knots)


def period_sd(logit: Floats, labels: NDArray[np.int8], keys: pd.DataFrame) -> float:
    """Return by how much the level of one period differs from that of another, beyond what its
    accounts explain.

    A period is as long as the label windows, so that no leaving counts twice. Each gives the shift
    in log-odds that would make its mean probability its rate. Few periods or few leavers cannot
    show that levels are steady, so the variance between shifts is the posterior mean under a
    half-normal prior of 0.25 log-odds, which many leavers in many periods make disappear and a
    single period leaves as it is.

    Parameters
    ----------
    logit
        Calibrated log-odds of the rows that taught the model, shape (n_rows,).
    keys
        account_id, as_of and label_until of these rows.

    References
    ----------
    [Roever2021] On weakly informative prior distributions for the heterogeneity parameter in
    Bayesian random-effects meta-analysis, section 3.
    """
    # Accounts may have windows of their own length (until the next renewal); the usual one counts.
    window = pd.Timedelta((keys["label_until"] - keys["as_of"]).median())
    if not window > pd.Timedelta(0):
        return 0.0
    period = ((keys["as_of"].max() - keys["as_of"]) // window).to_numpy()
    p = sigmoid(logit)
    rows = pd.DataFrame(
        {"missing": labels - p, "spread": p * (1.0 - p), "account": keys["account_id"].to_numpy()}
    )
    by_period = rows.groupby(period).agg(
        missing=("missing", "sum"),
        spread=("spread", "sum"),
        n=("account", "size"),
        accounts=("account", "nunique"),
    )
    # One Newton step from the calibrator; rows of one account count as one.
    shift = (by_period["missing"] / by_period["spread"]).to_numpy(dtype=np.float64)
    precision = (by_period["spread"] * by_period["accounts"] / by_period["n"]).to_numpy(
        dtype=np.float64
    )
    return _between(shift, 1.0 / precision)


def _between(shift: Floats, variance: Floats) -> float:
    """Root of the posterior mean variance between levels, the common level integrated out, on a
    grid.
    """
    # Eight prior deviations hold all of the posterior that a double can show.
    tau = np.linspace(0.0, 8.0 * PERIOD_SD, 321)
    weight = 1.0 / (variance + tau[:, None] ** 2)
    mean = (weight @ shift) / weight.sum(axis=1)
    log_likelihood = 0.5 * (
        np.log(weight).sum(axis=1)
        - np.log(weight.sum(axis=1))
        - (weight * (shift - mean[:, None]) ** 2).sum(axis=1)
    )
    log_posterior = log_likelihood - 0.5 * (tau / PERIOD_SD) ** 2
    # Less the largest, so that the exponential neither overflows nor is zero everywhere.
    posterior = np.exp(log_posterior - log_posterior.max())
    return float(np.sqrt(posterior @ tau**2 / posterior.sum()))


def _knots(margin: Floats) -> Floats:
    # By rank, so that knots are dense where accounts are; the ends are the outermost rows.
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


def _refit(basis: Floats, target: Floats, weight: Floats, offset: Floats, centre: Floats) -> Floats:
    """Coefficients beside the calibrator; the prior keeps bends small and everything finite."""
    regression = Regression(
        basis, target, weight, PRIOR_SD**-2.0, centre=centre, offset=offset, has_level=False
    )
    return newton(regression, np.zeros(basis.shape[1]))
