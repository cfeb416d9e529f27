"""Platt's sigmoid on the margin: the published calibrator, affine in log-odds, so contributions
keep adding.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from models.methods.base import Floats, sigmoid, softplus
from models.methods.penalised import MIN_SLOPE, Regression, newton

PRIOR_SLOPE_SD = 0.25
PRIOR_INTERCEPT_SD = 2.0
"""Pull towards "the margin is already log-odds": several hundred accounts make it disappear."""
LEVEL_STEP = 1e-4
MOST_LEVEL_STEPS = 40


@dataclass(frozen=True)
class Platt:
    """Probability = sigmoid(slope * margin + intercept), slope above 0.

    References
    ----------
    [Platt1999] Probabilistic outputs for support vector machines, section 2.2, here with a prior in
    place of smoothed targets.
    """

    slope: float = 1.0
    intercept: float = 0.0
    events: int = 0
    """Events it was fitted on."""

    def logit(self, margin: Floats) -> Floats:
        """Return calibrated log-odds."""
        return np.asarray(
            self.slope * np.asarray(margin, dtype=np.float64) + self.intercept, dtype=np.float64
        )

    def calibrate(self, margin: Floats) -> Floats:
        """Return calibrated probabilities, strictly increasing in the margin."""
        return sigmoid(self.logit(margin))

    @property
    def largest_slope(self) -> float:
        """Largest change of log-odds per unit of margin."""
        return self.slope

    def to_dict(self) -> dict[str, Any]:
        """Return kind, slope, intercept and events."""
        return {
            "kind": "platt",
            "slope": self.slope,
            "intercept": self.intercept,
            "events": self.events,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Platt":
        """Return the calibrator that `to_dict` described."""
        return cls(float(state["slope"]), float(state["intercept"]), int(state["events"]))


def fit_platt(
    margin: Floats,
    labels: NDArray[np.int8],
    weights: Floats | None = None,
    *,
    is_log_odds: bool = True,
) -> Platt:
    """Return the sigmoid that fits these out-of-time margins best.

    Minimises log loss plus a prior: slope near 1 and intercept near 0 where the margin is log-odds
    already, a nearly flat prior where it is only a ranking (a scorecard). Rows of one account tell
    much the same, so `weights` should add up to the number of accounts.
    """
    spread = 1.0 if is_log_odds else 20.0
    slope, intercept = _fit(
        margin,
        labels.astype(np.float64),
        np.ones(len(margin)) if weights is None else weights,
        PRIOR_SLOPE_SD * spread,
        PRIOR_INTERCEPT_SD * spread,
    )
    return Platt(slope, intercept, int(labels.sum()))


def at_level(
    calibrator: Platt, margin: Floats, labels: NDArray[np.int8], weights: Floats | None = None
) -> Platt:
    """Return the calibrator with the intercept at which these rows' mean probability is their rate
    of the event.

    The slope must come from rows the model has not seen; the level need not, and what an earlier
    model's level lacked on later dates is learned by the model fitted on those dates: carried over,
    it would count twice.
    """
    weight = np.ones(len(margin)) if weights is None else weights
    straight = calibrator.logit(margin) - calibrator.intercept
    # Half an event each way keeps the root finite where every label is the same.
    wanted = (weight @ labels + 0.5) / (weight.sum() + 1.0)
    # At 40 log-odds beyond any row every chance is 0 or 1 to the last bit, so the root is inside.
    reach = float(np.abs(straight).max()) + 40.0
    level = brentq(
        lambda at: float(weight @ sigmoid(straight + at)) / weight.sum() - wanted,
        -reach,
        reach,
        xtol=1e-12,
    )
    return replace(calibrator, intercept=float(level))


def losses_at_level(margins: Floats, labels: NDArray[np.int8], accounts: int) -> Floats:
    """Return the log loss of each candidate at the level of these rows, as far as that lies beyond
    chance from its own.

    A published model follows the level of newer rows (`after_drift`), so what a candidate lacks
    there must not decide: where the rate has fallen, a few trees are less wrong than many, and know
    less. Within chance the level stays, as a candidate's own level tells good from bad as well.
    Taking every shift out, and the slope of a sigmoid too, was tried and chose worse.

    Parameters
    ----------
    margins
        Log-odds of one candidate per row, shape (n_candidates, n_rows).
    labels
        0 or 1, shape (n_rows,).
    accounts
        Distinct accounts among the rows: rows of one account count as one.

    Returns
    -------
    array of shape (n_candidates,)
    """
    # Half an event on either side: a block nobody left still has a finite level.
    wanted = (labels.sum() + 0.5) / (len(labels) + 1.0)
    shift = np.zeros(len(margins))
    chance = sigmoid(margins)
    variance = _shift_variance(chance, accounts)
    for _ in range(MOST_LEVEL_STEPS):
        curvature = (chance * (1.0 - chance)).mean(axis=1)
        # Far from the root the curvature is nearly zero, and a whole step would overshoot it.
        step = (wanted - chance.mean(axis=1)) / np.maximum(curvature, 1e-12)
        step = np.clip(step, -1.0, 1.0)
        shift += step
        chance = sigmoid(margins + shift[:, None])
        # The loss is flat at its level: what is left of it moves the loss by its square.
        if np.abs(step).max() < LEVEL_STEP:
            break
    logits = margins + (_beyond_chance(shift, variance) * shift)[:, None]
    loss = softplus(logits).sum(axis=1) - logits @ labels.astype(np.float64)
    return np.asarray(loss / len(labels), dtype=np.float64)


def after_drift(
    calibrator: Platt, margin: Floats, labels: NDArray[np.int8], accounts: int
) -> Platt:
    """Return the calibrator moved to the level of the newest rows, as far as that differs from it
    beyond chance.

    The shift of these rows counts less what two standard errors explain: `shift * max(0, 1 - 4
    se**2 / shift**2)`, a positive-part James-Stein estimate [Stein1981]. A base rate that fell from
    a third to a twentieth is followed nearly whole, a wobble not at all.

    Parameters
    ----------
    margin, labels
        The newest rows that taught the model, shape (n_rows,).
    accounts
        Distinct accounts among them: rows of one account count as one.
    """
    logit = calibrator.logit(margin)
    shift = at_level(Platt(), logit, labels).intercept
    variance = _shift_variance(sigmoid(logit), accounts)
    kept = float(_beyond_chance(np.asarray(shift), variance))
    return replace(calibrator, intercept=calibrator.intercept + kept * shift)


def _shift_variance(probability: Floats, accounts: int) -> Floats:
    """Variance of a level estimated from rows with these chances, over their last axis.

    Rows of one account tell much the same: the information is that of as many accounts.
    """
    information = (probability * (1.0 - probability)).sum(axis=-1)
    return np.asarray(probability.shape[-1] / accounts / np.maximum(information, 1e-12))


def _beyond_chance(shift: Floats, variance: Floats) -> Floats:
    """Share of a shift that two standard errors do not explain."""
    return np.asarray(np.maximum(0.0, 1.0 - 4.0 * variance / np.maximum(shift**2, 1e-12)))


def _fit(
    margin: Floats, target: Floats, weight: Floats, slope_sd: float, intercept_sd: float
) -> tuple[float, float]:
    """Slope and intercept of the least penalised loss; the slope stays at its floor where data pull
    it below.
    """
    pull = np.array([slope_sd, intercept_sd]) ** -2.0
    line = Regression(margin[:, None], target, weight, pull, centre=np.array([1.0, 0.0]))
    slope, intercept = newton(line, np.array([1.0, 0.0]))
    if slope >= MIN_SLOPE:
        return float(slope), float(intercept)
    # The loss is convex: where its minimum lies below the floor, the best line lies on the floor.
    flattest = Regression(
        np.empty((len(margin), 0)), target, weight, pull[1:], offset=MIN_SLOPE * margin
    )
    return MIN_SLOPE, float(newton(flattest, np.zeros(1))[0])
