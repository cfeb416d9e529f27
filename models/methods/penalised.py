"""The penalised logistic regression, and the ways it is solved; whatever fits log-odds fits here.

Three shapes of one problem: a regression with coefficients (`newton`, and `bounded` where
coefficients have bounds), one level per group beside known log-odds (`levels`), and a slope and a
level under many weightings at once (`lines`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models.methods.base import Floats, sigmoid, softplus

CURVATURE_ROWS = 50_000
"""Rows whose curvature is added up at once."""
MOST_STEPS = 50
FLAT = 1e-10
"""Largest gradient per unit of weight at which nothing is left to gain."""
NEARLY_FLAT = 1e-8
"""The same for tables of a million rows, where a further step costs a curvature of them all."""
LOSS_ROUNDING = 1e-13
"""Gain per unit of weight that a sum of losses can no longer tell from its own rounding."""
SMALLEST_STEP = 1e-6
"""Share of a Newton step below which it is not halved any further."""
CURVATURE_RIDGE = 1e-10
"""Added to the curvature: keeps a step finite where nothing holds a coefficient."""
MIN_SLOPE = 0.05
"""A line over a margin may flatten the order of accounts, never reverse or erase it."""
KEPT_WHILE = 0.3
"""Share of the slopes that a step with an earlier curvature may leave for it to be kept."""
FREE = (None, None)
"""The bounds of a coefficient without bounds."""


@dataclass(frozen=True, eq=False)
class Regression:
    """A weighted logistic regression whose coefficients are pulled towards a centre.

    Its loss is `sum(weight (log(1 + exp(z)) - target z)) + (b - centre)' penalty (b - centre) / 2`
    with `z = offset + design b`.

    Attributes
    ----------
    design
        Columns, shape (n_rows, n_columns).
    target, weight
        Outcomes 0 or 1 and weights, shape (n_rows,).
    penalty
        Symmetric, shape (n_coefficients, n_coefficients), or its diagonal alone.
    has_level
        Whether a level comes last among the coefficients: a column of ones that is not stored, as
        a million rows are long enough without it.
    """

    design: Floats
    target: Floats
    weight: Floats
    penalty: Floats
    centre: Floats | float = 0.0
    offset: Floats | float = 0.0
    has_level: bool = True

    def margin(self, coefficients: Floats) -> Floats:
        """Return log-odds, shape (n_rows,)."""
        if self.has_level:
            straight = self.design @ coefficients[:-1] + coefficients[-1]
        else:
            straight = self.design @ coefficients
        return np.asarray(straight + self.offset, dtype=np.float64)

    def loss(self, margin: Floats, coefficients: Floats) -> float:
        """Return the penalised loss; `margin` is that of the coefficients."""
        apart = coefficients - self.centre
        likelihood = self.weight @ (softplus(margin) - self.target * margin)
        return float(likelihood + 0.5 * self._pulled(apart) @ apart)

    def gradient(self, probability: Floats, coefficients: Floats) -> Floats:
        """Return the slopes of the loss, shape (n_coefficients,)."""
        error = self.weight * (probability - self.target)
        slopes = self.design.T @ error
        if self.has_level:
            slopes = np.append(slopes, error.sum())
        return np.asarray(slopes + self._pulled(coefficients - self.centre), dtype=np.float64)

    def curvature(self, probability: Floats) -> Floats:
        """Return the second derivatives of the loss, shape (n_coefficients, n_coefficients)."""
        weight = self.weight * probability * (1.0 - probability)
        count = self.design.shape[1]
        whole = np.zeros((count + self.has_level,) * 2)
        # Added up over chunks of rows, so that no weighted copy of all of them is made.
        for first in range(0, len(self.design), CURVATURE_ROWS):
            rows, weighted = (
                self.design[first : first + CURVATURE_ROWS],
                weight[first : first + CURVATURE_ROWS],
            )
            product = rows * weighted[:, None]
            whole[:count, :count] += product.T @ rows
            if self.has_level:
                whole[-1, :count] += product.sum(axis=0)
                whole[-1, -1] += weighted.sum()
        if self.has_level:
            whole[:count, -1] = whole[-1, :count]
        return whole + (np.diag(self.penalty) if self.penalty.ndim == 1 else self.penalty)

    def _pulled(self, apart: Floats) -> Floats:
        product = self.penalty * apart if self.penalty.ndim == 1 else self.penalty @ apart
        return np.asarray(product, dtype=np.float64)


def newton(
    regression: Regression,
    start: Floats,
    *,
    flat: float = FLAT,
    least_gain: float | None = None,
    keep_curvature: bool = False,
) -> Floats:
    """Return the coefficients with the smallest loss, by Newton's steps from `start`.

    With `keep_curvature` the curvature of one step serves the next ones as long as they shrink
    the slopes well: with hundreds of columns it costs a hundred times what the slopes cost, which
    are those of the place itself at every step, so that the end is the same.

    A step is halved until the loss does not grow. One that promises less than `least_gain` (by
    default what rounding hides) is taken whole and is the last: it squares what is left of the
    distance, and the loss could not tell.
    """
    total = float(regression.weight.sum())
    enough = LOSS_ROUNDING * total if least_gain is None else least_gain
    ridge = CURVATURE_RIDGE * np.eye(len(start))
    at = np.array(start, dtype=np.float64)
    margin = regression.margin(at)
    loss = regression.loss(margin, at)
    kept: Floats = ridge
    steepest = 0.0
    for _ in range(MOST_STEPS):
        probability = sigmoid(margin)
        gradient = regression.gradient(probability, at)
        # The gradient is a sum over weights, so what counts as flat grows with them.
        if np.abs(gradient).max() <= flat * total:
            break
        is_kept = keep_curvature and np.abs(gradient).max() <= KEPT_WHILE * steepest
        if not is_kept:
            kept = regression.curvature(probability) + ridge
        steepest = float(np.abs(gradient).max())
        step = np.linalg.solve(kept, gradient)
        if 0.5 * gradient @ step <= enough:
            return at - step
        # Where the curvature changes fast, a whole step may land beyond the minimum, and higher.
        # The full step can overshoot where the curve is flat; half of it, and half again, is tried
        # until the loss falls, which for a convex loss some part of the step always does.
        size = 1.0
        while size > SMALLEST_STEP:
            further = at - size * step
            margin = regression.margin(further)
            further_loss = regression.loss(margin, further)
            if further_loss <= loss:
                break
            size /= 2.0
        # No part of the step lowers the loss: rounding is all that is left to gain.
        else:
            break
        at, loss = further, further_loss
    return at


def bounded(
    regression: Regression,
    start: Floats,
    bounds: Sequence[tuple[float | None, float | None]],
) -> Floats:
    """Return the coefficients with the smallest loss among those within bounds, by L-BFGS-B."""

    def loss_and_gradient(at: Floats) -> tuple[float, Floats]:
        margin = regression.margin(at)
        return regression.loss(margin, at), regression.gradient(sigmoid(margin), at)

    solution = minimize(
        loss_and_gradient,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-8},
    )
    return np.asarray(solution.x, dtype=np.float64)


def ridge_fit(
    design: Floats,
    target: Floats,
    weight: Floats,
    l2: float,
    start: Floats,
    offset: Floats | float = 0.0,
) -> tuple[float, Floats]:
    """Return level and weights pulled towards 0 alike; `start` has the level last, which is free.

    `weight` sums to one, so that `l2` means the same for any number of rows.
    """
    # Without any pull, columns that separate the classes would have no finite coefficients.
    regression = ridge_regression(design, target, weight, max(l2, 1e-8), offset)
    coefficients = newton(regression, start, flat=NEARLY_FLAT, keep_curvature=True)
    return float(coefficients[-1]), coefficients[:-1]


def ridge_regression(
    design: Floats, target: Floats, weight: Floats, l2: float, offset: Floats | float = 0.0
) -> Regression:
    """Return the regression with the same pull on every column and none on the level."""
    penalty = np.full(design.shape[1] + 1, l2)
    penalty[-1] = 0.0
    return Regression(design, target, weight, penalty, offset=offset)


def levels(
    logit: Floats, target: Floats, weight: Floats, group: NDArray[np.intp], start: Floats
) -> tuple[Floats, Floats]:
    """Return per group the shift of its log-odds that makes its mean probability its rate.

    Half an event is added each way, so that a group in which nobody or everybody left has a level
    too.

    Returns
    -------
    tuple of arrays of shape (n_groups,)
        Shifts, and how much they are known to: the curvature there.
    """
    shift = start
    for _ in range(60):
        p = sigmoid(logit + shift[group])
        at = sigmoid(shift)
        gradient = np.bincount(group, weight * (target - p), len(shift)) + 0.5 - at
        curvature = np.bincount(group, weight * p * (1.0 - p), len(shift)) + at * (1.0 - at)
        # Far from the root the curvature is nearly zero, and a whole step would overshoot it.
        step = np.clip(gradient / curvature, -1.0, 1.0)
        shift = shift + step
        if np.abs(step).max() < 1e-10:
            break
    return shift, curvature


def lines(x: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return slope and level of the regression of y on x without a pull, one per row of weights.

    All at once, as resamples are many. NaN where x or y does not vary, and where a line separates
    the two classes, so that no finite slope is the best.
    """
    count = len(weights)
    # Nothing varies, so every slope fits as well as another.
    if np.ptp(x) < 1e-9 or np.ptp(y) == 0:
        return np.full(count, np.nan), np.full(count, np.nan)
    slope, intercept = np.ones(count), np.zeros(count)
    for _ in range(30):
        p = sigmoid(slope[:, None] * x + intercept[:, None])
        error, curvature = weights * (p - y), weights * p * (1.0 - p)
        g_slope, g_intercept = error @ x, error.sum(axis=1)
        h_ss, h_si, h_ii = curvature @ x**2, curvature @ x, curvature.sum(axis=1)
        # Clipped, as in `levels`: a resample may be all but separated, and its steps enormous.
        determinant = np.maximum(h_ss * h_ii - h_si**2, 1e-12)
        step_slope = np.clip((h_ii * g_slope - h_si * g_intercept) / determinant, -2.0, 2.0)
        step_intercept = np.clip((h_ss * g_intercept - h_si * g_slope) / determinant, -5.0, 5.0)
        slope, intercept = slope - step_slope, intercept - step_intercept
        if max(np.abs(step_slope).max(), np.abs(step_intercept).max()) < 1e-9:
            break
    # No finite fit has such a slope: its steps were on their way to infinity.
    is_separated = (np.abs(slope) > 100) | (np.abs(intercept) > 500)
    return np.where(is_separated, np.nan, slope), np.where(is_separated, np.nan, intercept)
