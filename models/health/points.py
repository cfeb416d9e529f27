"""Points per signal that add up to the score exactly.

A model's contributions add in raw log-odds, `z = phi_0 + sum phi_i`; the score is a curve of `z`.
Points follow the straight line from `(phi_0, h(phi_0))` to `(z, h(z))`: its slope `s` is a mean of
the curve's own slopes between the two, so no signal gets more points than its contribution times
the steepest place of the curve. Giving each signal the local slope where it acts was tried: with a
step calibrator it gave +600 and -580 points to one account.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.errors import ArtifactMismatch, ContractError
from models.health.scale import Floats, Scale

Calibrate = Callable[[Floats], Floats]

ADDITIVITY_TOLERANCE = 1e-4
"""Largest |z - phi_0 - sum phi| of a fast SHAP in float32; anything more is another model's
contributions.
"""
_NEAR = 1e-6
_STEP = 1e-5


@dataclass(frozen=True)
class Points:
    """Scores and their parts: `base + points.sum(axis=1)` is `health_exact`.

    `base` is one number per model; `points` has shape (n_accounts, k); `probability` and
    `health_exact` have shape (n_accounts,); `probability` is NaN on a scorecard.
    """

    base: float
    points: Floats
    health_exact: Floats
    probability: Floats


def points_from_contributions(
    phi_0: float,
    phi: npt.ArrayLike,
    raw: npt.ArrayLike,
    calibrate: Calibrate,
    scale: Scale,
    *,
    calibrate_slope: Calibrate | None = None,
) -> Points:
    """Scores of accounts and the points of each signal.

    Parameters
    ----------
    phi_0
        Raw log-odds every account starts from.
    phi
        Contributions in raw log-odds, shape (n_accounts, k).
    raw
        Raw log-odds of the model, shape (n_accounts,).
    calibrate
        Raw log-odds to probability, rising. Called on arrays of shape (n,).
    calibrate_slope
        Derivative of `calibrate`; default: numeric.

    Raises
    ------
    ArtifactMismatch
        The contributions do not add up to the raw log-odds, or the calibrator falls somewhere.
    """
    contributions, z = _checked(phi, raw)
    _refuse_if_not_additive(phi_0, contributions, z)
    start = np.array([phi_0], dtype=np.float64)
    probability = np.asarray(calibrate(z), dtype=np.float64)
    _refuse_if_falling(z, probability)
    p_0 = np.asarray(calibrate(start), dtype=np.float64)
    base = float(scale.exact(p_0)[0])
    health = scale.exact(probability)
    if calibrate_slope is None:
        after, before = scale.exact(calibrate(start + _STEP)), scale.exact(calibrate(start - _STEP))
        slope_at_base = float((after - before)[0] / (2 * _STEP))
    else:
        slope_at_base = _score_slope(scale, float(p_0[0]), base, float(calibrate_slope(start)[0]))
    return Points(
        base,
        _share_out(contributions, z - phi_0, health - base, slope_at_base),
        health,
        probability,
    )


def points_of_scorecard(base: float, points: npt.ArrayLike) -> Points:
    """Scores of a scorecard, whose rules give points directly; sums outside 0-100 are drawn in.

    Raises
    ------
    ContractError
        The base lies outside 0-100.
    """
    if not 0 <= base <= 100:
        raise ContractError(f"a scorecard's base of {base} lies outside 0-100. Choose one inside.")
    own = np.asarray(points, dtype=np.float64)
    contributions, total = _checked(own, base + own.sum(axis=1) if own.ndim == 2 else own)
    health = np.clip(total, 0.0, 100.0)
    shared = _share_out(contributions, total - base, health - base, 1.0)
    return Points(base, shared, health, np.full(len(health), np.nan))


def largest_slope(
    calibrate: Calibrate, scale: Scale, low: float, high: float, *, steps: int = 20_001
) -> float:
    """Steepest change of the score per unit of raw log-odds between `low` and `high`; bounds every
    point.
    """
    z = np.linspace(low, high, steps)
    health = scale.exact(calibrate(z))
    return float(np.max(np.abs(np.diff(health)) / np.diff(z)))


def _share_out(phi: Floats, distance: Floats, change: Floats, slope_at_start: float) -> Floats:
    """`s * phi_i + r * |phi_i| / sum |phi|`, with the secant `s` and the remainder `r`.

    Three cases: `z` apart from the start: `s` is the secant, and `r` only what the contributions
    miss of `z`. `z` at the start: the secant is 0/0, the derivative stands in. No contribution at
    all: `r` (at most 1e-4 of log-odds) is spread evenly, because the sum must hold.
    """
    if phi.shape[1] == 0:
        if np.abs(change).max(initial=0.0) > 1e-9:
            raise ArtifactMismatch(
                "the score differs from the base, but there is no signal to carry the points."
            )
        return phi.copy()
    near = np.abs(distance) < _NEAR
    secant = np.where(near, slope_at_start, change / np.where(near, 1.0, distance))
    remainder = change - secant * phi.sum(axis=1)
    size = np.abs(phi).sum(axis=1)
    none = size == 0
    weight = np.where(
        none[:, None], 1.0 / phi.shape[1], np.abs(phi) / np.where(none, 1.0, size)[:, None]
    )
    shared: Floats = secant[:, None] * phi + remainder[:, None] * weight
    return shared


def _score_slope(scale: Scale, p: float, score: float, slope: float) -> float:
    """Chain rule: the score's slope is -b * p' / (p (1 - p)), and 0 where the score is clipped."""
    if score in (0.0, 100.0):
        return 0.0
    sign = 1.0 if scale.good_event else -1.0
    return sign * scale.b * slope / (p * (1.0 - p))


def _checked(phi: npt.ArrayLike, raw: npt.ArrayLike) -> tuple[Floats, Floats]:
    # Rows in one piece each: laid out by columns, a row among others is summed in another order
    # than a row alone.
    contributions, z = (
        np.ascontiguousarray(phi, dtype=np.float64),
        np.asarray(raw, dtype=np.float64),
    )
    if contributions.ndim != 2 or z.shape != (len(contributions),):
        raise ContractError(
            f"contributions of shape {contributions.shape} and raw scores of shape {z.shape}: "
            "(n_accounts, k) and (n_accounts,) are needed."
        )
    if not (np.isfinite(contributions).all() and np.isfinite(z).all()):
        raise ContractError(
            "contributions and raw scores must be finite. Publish accounts without a score as"
            " unknown."
        )
    return contributions, z


def _refuse_if_not_additive(phi_0: float, phi: Floats, z: Floats) -> None:
    gap = np.abs(z - phi_0 - phi.sum(axis=1))
    if (worst := float(gap.max(initial=0.0))) > ADDITIVITY_TOLERANCE:
        raise ArtifactMismatch(
            f"contributions of {int((gap > ADDITIVITY_TOLERANCE).sum())} of {len(z)} accounts miss"
            f" their raw log-odds, by up to {worst:.3g}; at most {ADDITIVITY_TOLERANCE} is allowed."
            " They come from another model or other rows: explain the same rows again with the"
            " model's own pred_contrib."
        )


def _refuse_if_falling(z: Floats, probability: Floats) -> None:
    if not np.isfinite(probability).all():
        raise ArtifactMismatch(
            "the calibrator returns missing or infinite probabilities. Fit it again."
        )
    ordered = probability[np.argsort(z, kind="stable")]
    # A few units in the last place are rounding of the calibrator's own arithmetic, not a fall.
    if (np.diff(ordered) < -1e-12).any():
        raise ArtifactMismatch(
            "the calibrator falls while raw log-odds rise. Only rising calibrators keep points"
            " honest."
        )
