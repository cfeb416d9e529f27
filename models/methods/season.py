"""What the time of year does to everybody: log-odds by day of the year, laid over a finished model.

Autumn brings a gift shop's buyers back, the end of the school year takes a course's students away.
A model that has seen one such autumn cannot tell whether it returns; what training dates then had
beyond its scores is carried over as far as what differs between dates may be expected to.
"""

from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from features.definition import Signal
from features.dimensions.season import DRIVER
from models.methods.base import Floats, MethodState
from models.methods.penalised import levels

DAYS_OF_YEAR = 365.25
APRIL = 90.0
"""Days from 1 January to the day from which the second of the two signals counts."""
PERIOD_DAYS = 14
"""Rows of so many days share one level."""
SMOOTH_DAYS = 21.0
"""Days over which the effect of a season changes, before label windows smooth it further."""
LEVEL_SD = 0.25
"""Scale of the prior for how levels of dates differ, in log-odds: as for periods in
`calibration.interval`.
"""
SPREADS = np.linspace(0.02, 1.0, 25)
RETURNING = np.linspace(0.05, 0.95, 10)
"""Share of the variance between dates that comes back every year: any share is as likely before
data.
"""
KNOT_DAYS = 5.0
WORTH_TELLING = 0.15
"""Spread of the returning part, in log-odds, from which the time of year is a signal: a sixth more
or fewer events. Where nothing is known of it, the priors alone give 0.13.
"""


class Season:
    """Log-odds by day of the year, straight between knots five days apart; the same for every
    account of a date.

    Its whole contribution is that of the signal `days_from_new_year`. It takes part in a blend with
    the weight 1 beside members whose weights add to 1. Fitting it on rows alone leaves it flat: see
    `fit_season`.
    """

    name = "season"

    def __init__(self, columns: tuple[str, str], values: Floats | None = None) -> None:
        self.columns = columns
        self.values_ = np.zeros(len(_knots())) if values is None else values

    def fit(
        self,
        features: pd.DataFrame,
        labels: NDArray[np.int8],
        signals: tuple[Signal, ...],
        *,
        seed: int = 0,
        weights: Floats | None = None,
    ) -> Self:
        """Forget what was learned: a season is learned beside the other members, never by
        itself.
        """
        self.values_ = np.zeros(len(_knots()))
        return self

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return log-odds for each row; 0 where the date is not known."""
        day = day_of_year(*(features[column].to_numpy(dtype=np.float64) for column in self.columns))
        return np.nan_to_num(np.interp(day, _knots(), self.values_, period=DAYS_OF_YEAR))

    def contributions(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return 0, and the log-odds in the column of the first signal."""
        phi = np.zeros((len(features), features.shape[1]))
        phi[:, features.columns.get_loc(self.columns[0])] = self.margin(features)
        return 0.0, phi

    def to_dict(self) -> MethodState:
        """Return columns and values at the knots."""
        return {"columns": list(self.columns), "values": self.values_.tolist()}

    @classmethod
    def from_dict(cls, state: MethodState) -> Self:
        """Return the method that `to_dict` described."""
        first, second = state["columns"]
        return cls((first, second), np.asarray(state["values"], dtype=np.float64))


def season_columns(signals: tuple[Signal, ...]) -> tuple[str, str] | None:
    """Columns that tell the time of year; None where they are no signals."""
    columns = [s.column for s in signals if s.driver == DRIVER and s.source == "calendar"]
    return (columns[0], columns[1]) if len(columns) == 2 else None


def day_of_year(from_new_year: Floats, from_april: Floats) -> Floats:
    """Return days since 1 January (0 to 365.25) from the distances to it and to 1 April, in days.

    >>> day_of_year(np.array([10.0, 10.0]), np.array([80.0, 100.0]))
    array([ 10.  , 355.25])
    """
    is_spring = np.abs(np.abs(from_new_year - APRIL) - from_april) < 1e-6
    return np.asarray(
        np.where(is_spring, from_new_year, DAYS_OF_YEAR - from_new_year), dtype=np.float64
    )


def fit_season(
    logit: Floats, labels: NDArray[np.int8], keys: pd.DataFrame, columns: tuple[str, str]
) -> Season:
    """Return what the time of year adds to the log-odds of a finished model.

    Each fortnight of dates has a level: the shift of its log-odds that makes its mean probability
    its rate. Levels differ by a part that returns every year, a part of a season that does not, and
    chance; both parts are Gaussian processes, smooth over three weeks and the label window. Their
    common spread and the share that returns are averaged over their posterior. With dates of one
    year the share stays where its prior is, about a half; further years decide it.

    Parameters
    ----------
    logit, labels
        Calibrated log-odds and outcomes of the rows that taught the model, shape (n_rows,).
    keys
        account_id, as_of and label_until of these rows.

    References
    ----------
    [Rasmussen2006] Gaussian Processes for Machine Learning, equations 2.25 and 5.8; section 5.4.3
    for the sum of a periodic and other kernels.
    """
    day, level, variance = _levels(logit, labels, keys)
    values, _ = _returning(day, level, variance, _smooth(keys))
    # Log-odds of nobody in particular: the level is the calibrator's matter.
    return Season(
        columns,
        values
        - np.average(np.interp(day, _knots(), values, period=DAYS_OF_YEAR), weights=1.0 / variance),
    )


def season_spread(logit: Floats, labels: NDArray[np.int8], keys: pd.DataFrame) -> float:
    """Return by how much the levels of dates differ in a way that returns every year: a standard
    deviation in log-odds.

    The posterior mean of what `fit_season` averages over; parameters as there.
    """
    return _returning(*_levels(logit, labels, keys), _smooth(keys))[1]


def _smooth(keys: pd.DataFrame) -> float:
    """Days over which levels resemble each other."""
    window = float((keys["label_until"] - keys["as_of"]).dt.total_seconds().median()) / 86_400.0
    # Averaging an effect over a window widens its kernel by the variance of the distance of two
    # points in two windows.
    return float(np.sqrt(SMOOTH_DAYS**2 + window**2 / 6.0))


def _levels(
    logit: Floats, labels: NDArray[np.int8], keys: pd.DataFrame
) -> tuple[Floats, Floats, Floats]:
    """Mean day (since 1970), shift and its variance per fortnight; rows of one account count as
    one.
    """
    day = (keys["as_of"] - pd.Timestamp(0)).dt.total_seconds().to_numpy() / 86_400.0
    code, periods = pd.factorize(day // PERIOD_DAYS, sort=True)
    size = np.bincount(code).astype(np.float64)
    accounts = pd.DataFrame(
        {"code": code, "account": keys["account_id"].to_numpy()}
    ).drop_duplicates()["code"]
    shift, spread = levels(
        logit, labels.astype(np.float64), np.ones(len(day)), code, np.zeros(len(periods))
    )
    return np.bincount(code, day) / size, shift, size / np.bincount(accounts) / spread


def _returning(day: Floats, level: Floats, variance: Floats, smooth: float) -> tuple[Floats, float]:
    """Posterior means of the returning part at the knots and of its spread, the common level
    integrated out, on a grid.
    """
    yearly = _kernel(_around(day, day), smooth)
    passing = _kernel(day[:, None] - day[None, :], smooth)
    at_knots = _kernel(_around(_knots(), day), smooth)
    ones = np.ones(len(day))
    log_posterior, curves, spreads = [], [], []
    for spread in SPREADS:
        for share in RETURNING:
            # The 1e-9 keeps the factorisation possible where two dates are one.
            covariance = spread**2 * (share * yearly + (1.0 - share) * passing) + np.diag(
                variance + 1e-9
            )
            lower = np.linalg.cholesky(covariance)
            half, half_level = solve_triangular(lower, np.column_stack([ones, level]), lower=True).T
            mean = (half @ half_level) / (half @ half)
            rest = half_level - mean * half
            log_posterior.append(
                -np.log(np.diag(lower)).sum()
                - 0.5 * np.log(half @ half)
                - 0.5 * rest @ rest
                - 0.5 * (spread / LEVEL_SD) ** 2
            )
            spreads.append(spread * np.sqrt(share))
            curves.append(
                spread**2 * share * at_knots @ solve_triangular(lower, rest, lower=True, trans=1)
            )
    weight = np.exp(np.array(log_posterior) - max(log_posterior))
    weight = weight / weight.sum()
    return np.asarray(weight @ np.array(curves), dtype=np.float64), float(
        weight @ np.array(spreads)
    )


def _knots() -> Floats:
    return np.arange(0.0, DAYS_OF_YEAR, KNOT_DAYS)


def _around(first: Floats, second: Floats) -> Floats:
    """Days between two times of year, the shorter way round."""
    apart = np.abs(first[:, None] - second[None, :]) % DAYS_OF_YEAR
    return np.minimum(apart, DAYS_OF_YEAR - apart)


def _kernel(apart: Floats, smooth: float) -> Floats:
    return np.asarray(np.exp(-0.5 * (apart / smooth) ** 2), dtype=np.float64)
