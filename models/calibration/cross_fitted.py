"""What margins are worth once they are calibrated: each half of the accounts judged by the sigmoid
of the other, for many candidates at once.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.calibration.platt import PRIOR_INTERCEPT_SD, PRIOR_SLOPE_SD
from models.methods.base import Floats, logit, sigmoid, softplus
from models.methods.penalised import MIN_SLOPE

CLOSE = 1e-3
"""Step of slope and level below which the next one moves the loss by less than a millionth."""
MOST_STEPS = 25
LONGEST_STEP = 2.0
"""Of slope and level: where a candidate is all but certain, a whole step would run away."""


class CalibratedLoss:
    """The log loss that candidates have after a sigmoid that has not seen the row.

    Candidates are compared as they will be used: a published model has a calibrator, so neither a
    level that has moved nor margins that are too bold or too shy may decide between settings.
    Accounts are divided into two halves; the sigmoid of `fit_platt` is fitted to one and judges the
    other.

    Parameters
    ----------
    labels, accounts
        Outcome and account of each row, shape (n_rows,): an account's rows stay together.
    """

    def __init__(
        self, labels: NDArray[np.int8], accounts: pd.Series, *, is_log_odds: bool = True
    ) -> None:
        codes, names = pd.factorize(accounts, sort=True)
        self._labels = labels.astype(np.float64)
        self._is_log_odds = is_log_odds
        half = codes % 2 == 0
        if len(names) > 1 and all(np.ptp(labels[part]) > 0 for part in (half, ~half)):
            taught = ((half, ~half), (~half, half))
        else:
            # A half without both outcomes teaches nothing: all rows teach, and are judged by that.
            everyone = np.ones(len(labels), dtype=bool)
            taught = ((everyone, everyone),)
        self._parts: tuple[tuple[NDArray[Any], NDArray[Any], int], ...] = tuple(
            (np.flatnonzero(teach), np.flatnonzero(judge), len(np.unique(codes[teach])))
            for teach, judge in taught
        )

    def of(self, margins: Floats) -> Floats:
        """Return the loss of each candidate; margins of shape (n_candidates, n_rows)."""
        total = np.zeros(len(margins))
        for teach, judge, accounts in self._parts:
            slopes, levels = fit_sigmoids(
                margins[:, teach], self._labels[teach], accounts, is_log_odds=self._is_log_odds
            )
            logits = slopes[:, None] * margins[:, judge] + levels[:, None]
            total += softplus(logits).sum(axis=1) - logits @ self._labels[judge]
        return np.asarray(total / len(self._labels), dtype=np.float64)


def fit_sigmoids(
    margins: Floats, labels: Floats, accounts: int, *, is_log_odds: bool = True
) -> tuple[Floats, Floats]:
    """Return slope and level of `fit_platt` for each row of margins, all at once.

    Parameters
    ----------
    margins
        Shape (n_candidates, n_rows).
    labels
        0 or 1, shape (n_rows,).
    accounts
        Distinct accounts: the rows count together as that many.

    Returns
    -------
    tuple of arrays of shape (n_candidates,)
    """
    spread = 1.0 if is_log_odds else 20.0
    pull_slope = (PRIOR_SLOPE_SD * spread) ** -2.0
    pull_level = (PRIOR_INTERCEPT_SD * spread) ** -2.0
    weight = accounts / margins.shape[1]
    slope = np.ones(len(margins))
    rate = (labels.sum() + 0.5) / (len(labels) + 1.0)
    # Where the level has moved, steps from no correction at all would be many.
    level = np.asarray(logit(rate) - logit(sigmoid(margins).mean(axis=1)))
    for _ in range(MOST_STEPS):
        chance = sigmoid(slope[:, None] * margins + level[:, None])
        error = chance - labels
        uphill_level = weight * error.sum(axis=1) + pull_level * level
        uphill_slope = weight * _dots(error, margins) + pull_slope * (slope - 1.0)
        curvature = chance * (1.0 - chance)
        bend_level = weight * curvature.sum(axis=1) + pull_level
        bend_both = weight * _dots(curvature, margins)
        bend_slope = weight * np.einsum("kn,kn,kn->k", curvature, margins, margins) + pull_slope
        determinant = bend_slope * bend_level - bend_both**2
        step_slope = (bend_level * uphill_slope - bend_both * uphill_level) / determinant
        step_level = (bend_slope * uphill_level - bend_both * uphill_slope) / determinant
        # On the floor of the slope only the level is left to move.
        is_floor = (slope <= MIN_SLOPE) & (step_slope > 0.0)
        step_level = np.where(is_floor, uphill_level / bend_level, step_level)
        step_level = np.clip(step_level, -LONGEST_STEP, LONGEST_STEP)
        moved = np.maximum(slope - np.clip(step_slope, -LONGEST_STEP, LONGEST_STEP), MIN_SLOPE)
        farthest = max(np.abs(moved - slope).max(), np.abs(step_level).max())
        slope, level = moved, level - step_level
        if farthest < CLOSE:
            break
    return slope, level


def _dots(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.einsum("kn,kn->k", a, b), dtype=np.float64)
