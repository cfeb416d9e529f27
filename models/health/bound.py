"""No signal gets more points than its contribution times the steepest place of the score: the
bound, and how close points come.

Derivation, for the published calibrator `calibrate(z) = sigmoid(c z + d)` and the scale `g(z) = a -
b logit(calibrate(z))`:

    logit(calibrate(z)) = c z + d, so g'(z) = -b c everywhere, and the largest slope of g is L = b c
    (the clip only flattens); with bends, c is the largest of the slopes of the pieces, and the rest
    holds as well; points_i = s phi_i + r |phi_i| / sum |phi|, and s is a mean of slopes of the
    clipped g, so |s| <= L; r = h(z) - h(phi_0) - s sum phi = s (z - phi_0 - sum phi), so |r| <= L
    e, where e is what the contributions miss of z.

Hence |points_i| <= L |phi_i| (1 + e / sum |phi|). Exact contributions miss e of some 1e-14, so the
last factor is 1 to rounding. Signals shown as one driver share s, and so the bound holds for their
sums as well.
"""

import numpy as np
import numpy.typing as npt

from features.errors import ContractError
from models.calibration import Platt
from models.health.scale import Floats, Scale

ROUNDING = 1e-6
"""Points below this are zero to any reader: sums of a hundred doubles that cancel leave such
traces.
"""


def steepest(calibrator: Platt, scale: Scale) -> float:
    """Largest slope of the score in raw log-odds, in points per unit: `b * c`, exact for both
    calibrators.
    """
    return scale.b * calibrator.largest_slope


def bound_excess(points: npt.ArrayLike, phi: npt.ArrayLike, slope: float) -> Floats:
    """By how much each |points_i| exceeds `slope * |phi_i|`; 0 and below: the bound holds.

    Parameters
    ----------
    points, phi
        Points and contributions in raw log-odds of the same signals or drivers, same shape.
    slope
        Largest slope of the score (`steepest`); 1 for a scorecard, whose rules give points
        directly.
    """
    shown, contributions = np.asarray(points, dtype=np.float64), np.asarray(phi, dtype=np.float64)
    if shown.shape != contributions.shape:
        raise ContractError(
            f"points of shape {shown.shape} and contributions of shape {contributions.shape} must"
            " be alike."
        )
    excess: Floats = np.abs(shown) - slope * np.abs(contributions)
    return excess
