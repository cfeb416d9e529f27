"""No |points_i| exceeds |phi_i| times the largest slope of the score, for any calibrator, scale and
account.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.errors import ContractError
from models.calibration import Platt
from models.health import largest_slope, points_from_contributions, scale_from_anchors
from models.health.bound import ROUNDING, bound_excess, steepest

HEALTH = scale_from_anchors(0.25, 0.08)
EXPANSION = scale_from_anchors(0.05, 0.20, good_event=True)


@pytest.mark.parametrize("scale", [HEALTH, EXPANSION], ids=["health", "expansion"])
@pytest.mark.parametrize("slope", [0.05, 0.7, 1.0, 2.3])
def test_derived_slope_is_the_steepest_place_of_the_curve(scale, slope):
    calibrator = Platt(slope, -0.4)
    measured = largest_slope(calibrator.calibrate, scale, -8.0, 8.0)
    assert steepest(calibrator, scale) == pytest.approx(measured, rel=1e-6)


@given(
    phi=arrays(np.float64, (20, 6), elements=st.floats(-30, 30)),
    phi_0=st.floats(-6, 6),
    slope=st.floats(0.05, 3),
    intercept=st.floats(-4, 4),
    good=st.booleans(),
)
def test_no_points_exceed_their_contribution_times_the_slope(phi, phi_0, slope, intercept, good):
    scale, calibrator = EXPANSION if good else HEALTH, Platt(slope, intercept)
    z = phi_0 + phi.sum(axis=1)
    made = points_from_contributions(phi_0, phi, z, calibrator.calibrate, scale)
    assert (bound_excess(made.points, phi, steepest(calibrator, scale)) <= ROUNDING).all()


def test_what_contributions_miss_widens_the_bound_by_that_much():
    calibrator, phi = Platt(1.0, 0.0), np.array([[0.5, -0.2]])
    missed = 5e-5
    made = points_from_contributions(
        -2.0, phi, np.array([-2.0 + 0.3 + missed]), calibrator.calibrate, HEALTH
    )
    slope = steepest(calibrator, HEALTH)
    excess = bound_excess(made.points, phi, slope)
    assert excess.max() > ROUNDING and (excess <= slope * missed + ROUNDING).all()


def test_too_many_points_are_told():
    assert bound_excess([[3.0]], [[0.1]], 20.0)[0, 0] == pytest.approx(1.0)
    with pytest.raises(ContractError, match="must be alike"):
        bound_excess([[3.0]], [0.1], 20.0)
