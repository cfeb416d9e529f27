"""Points add up: exactly, and as shown, for every account and every kind of calibrator."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.errors import ArtifactMismatch, ContractError
from models.health import (
    displayed,
    displayed_points,
    largest_remainder,
    largest_slope,
    points_from_contributions,
    points_of_scorecard,
    scale_from_anchors,
)

SCALE = scale_from_anchors(0.25, 0.08)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def platt(z):
    return sigmoid(0.8 * z - 0.3)


def kinked(z):
    """Slopes of 0.2 to 5 times the sigmoid's: the widest that is published."""
    return sigmoid(np.interp(z, [-60, -2, -1, 0, 60], [-14, -2.4, 2.6 - 5, 0, 12]) - 0.4)


def beta(z):
    p = sigmoid(z)
    return sigmoid(0.7 * np.log(p) - 1.3 * np.log1p(-p) - 0.2)


CALIBRATORS = [sigmoid, platt, kinked, beta]


def contributions(seed, n=20_000, k=12, noise=0.0):
    rng = np.random.default_rng(seed)
    phi = rng.normal(0, 0.5, (n, k)) * rng.choice([0, 1, 3], (n, k))
    phi[: n // 20] = 0.0
    phi[n // 20 : n // 10] *= 1e-8
    return phi, -1.5, -1.5 + phi.sum(axis=1) + rng.uniform(-noise, noise, n)


@pytest.mark.parametrize("calibrate", CALIBRATORS)
@pytest.mark.parametrize("noise", [0.0, 1e-5])
def test_base_and_points_are_the_health_of_20000_accounts(calibrate, noise):
    phi, phi_0, z = contributions(1, noise=noise)
    result = points_from_contributions(phi_0, phi, z, calibrate, SCALE)
    assert np.abs(result.base + result.points.sum(axis=1) - result.health_exact).max() < 1e-9
    assert result.health_exact == pytest.approx(SCALE.exact(calibrate(z)), abs=0)


@pytest.mark.parametrize("calibrate", CALIBRATORS)
def test_no_point_exceeds_contribution_times_the_steepest_slope(calibrate):
    phi, phi_0, z = contributions(2)
    result = points_from_contributions(phi_0, phi, z, calibrate, SCALE)
    steepest = largest_slope(calibrate, SCALE, min(z.min(), phi_0), max(z.max(), phi_0))
    assert (np.abs(result.points) <= np.abs(phi) * steepest * (1 + 1e-6) + 1e-9).all()


@pytest.mark.parametrize("calibrate", CALIBRATORS)
def test_shown_points_add_to_the_shown_health(calibrate):
    phi, phi_0, z = contributions(3)
    result = points_from_contributions(phi_0, phi, z, calibrate, SCALE)
    health, base = displayed(result.health_exact), int(displayed(result.base))
    dimensions = ["usage"] * 5 + ["support"] * 3 + ["financial"] * 4
    shown = displayed_points(result.points, dimensions, health, base)
    assert (base + shown.sum(axis=1) == health).all()
    assert (shown[result.points == 0] == 0).all()
    per_dimension = np.column_stack(
        [shown[:, :5].sum(1), shown[:, 5:8].sum(1), shown[:, 8:].sum(1)]
    )
    exact = np.column_stack(
        [result.points[:, :5].sum(1), result.points[:, 5:8].sum(1), result.points[:, 8:].sum(1)]
    )
    assert np.abs(per_dimension - exact).max() <= 1.5
    assert np.abs(shown - result.points).max() <= 3


@pytest.mark.parametrize("calibrate", CALIBRATORS)
def test_health_falls_when_the_raw_log_odds_rise(calibrate):
    phi, phi_0, z = contributions(4, n=2000)
    result = points_from_contributions(phi_0, phi, z, calibrate, SCALE)
    order = np.argsort(z)
    assert (np.diff(result.probability[order]) >= 0).all()
    assert (np.diff(result.health_exact[order]) <= 0).all()


@pytest.mark.parametrize("calibrate", CALIBRATORS)
def test_a_signal_against_the_account_takes_points(calibrate):
    phi, phi_0, z = contributions(5, n=2000)
    result = points_from_contributions(phi_0, phi, z, calibrate, SCALE)
    moved = np.abs(result.points) > 1e-6
    assert (np.sign(result.points[moved]) == -np.sign(phi[moved])).all()


def test_three_accounts_by_hand():
    # a = 50, b = 20 without clipping: health is 50 - 20 z, so every point is -20 phi.
    scale = scale_from_anchors(sigmoid(0.475), sigmoid(-1.025))
    phi = np.array([[0.5, -0.2], [0.0, 0.0], [1.0, -1.0]])
    result = points_from_contributions(0.0, phi, phi.sum(axis=1), sigmoid, scale)
    assert result.base == pytest.approx(50)
    assert result.points == pytest.approx(-20 * phi, abs=1e-6)


def test_given_derivative_agrees_with_the_numeric_one():
    phi = np.array([[1.0, -1.0], [0.5, -0.5]])
    numeric = points_from_contributions(-1.0, phi, np.full(2, -1.0), platt, SCALE)
    analytic = points_from_contributions(
        -1.0,
        phi,
        np.full(2, -1.0),
        platt,
        SCALE,
        calibrate_slope=lambda z: 0.8 * platt(z) * (1 - platt(z)),
    )
    assert numeric.points == pytest.approx(analytic.points, abs=1e-6)


def test_good_events_gain_points_with_the_probability():
    scale = scale_from_anchors(0.05, 0.20, good_event=True)
    result = points_from_contributions(
        -2.0, np.array([[0.5, 0.1]]), np.array([-1.4]), sigmoid, scale
    )
    assert (result.points > 0).all()
    assert result.base + result.points.sum() == pytest.approx(result.health_exact[0], abs=1e-9)


def test_contributions_of_another_model_are_refused():
    phi, phi_0, z = contributions(6, n=100)
    with pytest.raises(ArtifactMismatch, match="miss their raw log-odds"):
        points_from_contributions(phi_0, phi, z + 2e-4, sigmoid, SCALE)


def test_falling_calibrator_is_refused():
    phi, phi_0, z = contributions(7, n=100)
    with pytest.raises(ArtifactMismatch, match="falls"):
        points_from_contributions(phi_0, phi, z, lambda raw: sigmoid(-raw), SCALE)


def test_missing_contributions_are_refused():
    with pytest.raises(ContractError, match="finite"):
        points_from_contributions(0.0, np.array([[np.nan]]), np.array([0.0]), sigmoid, SCALE)


def test_model_without_signals_scores_the_base():
    result = points_from_contributions(-1.0, np.empty((3, 0)), np.full(3, -1.0), sigmoid, SCALE)
    assert result.points.shape == (3, 0)
    assert result.health_exact == pytest.approx(result.base)


def test_scorecard_points_are_kept_inside_0_and_drawn_in_beyond_100():
    result = points_of_scorecard(60.0, np.array([[-10.0, 4.0], [50.0, 30.0]]))
    assert result.points[0].tolist() == pytest.approx([-10.0, 4.0])
    assert result.health_exact.tolist() == [54.0, 100.0]
    assert result.points[1].sum() == pytest.approx(40.0)
    assert np.isnan(result.probability).all()
    with pytest.raises(ContractError, match="base of 120"):
        points_of_scorecard(120, np.zeros((1, 1)))


def test_largest_remainder_by_hand():
    assert largest_remainder([[2.6, 2.3, -1.1]], [4]).tolist() == [[3, 2, -1]]
    # A tie goes to the first column; a zero takes no part.
    assert largest_remainder([[0.5, 0.0, 0.5]], [1]).tolist() == [[1, 0, 0]]
    # One less than the floors: the smallest remainder gives way.
    assert largest_remainder([[2.2, 3.1]], [4]).tolist() == [[2, 2]]


@settings(max_examples=150, deadline=None)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 5), st.integers(1, 7)),
        elements=st.floats(-100, 100, width=32),
    ),
    st.integers(-2, 2),
)
def test_largest_remainder_always_adds_up(values, shift):
    totals = np.round(values.sum(axis=1)).astype(int) + shift
    shown = largest_remainder(values, totals)
    assert (shown.sum(axis=1) == totals).all()
    assert (largest_remainder(values, totals) == shown).all()


def test_rounding_does_not_depend_on_the_other_accounts():
    points = np.random.default_rng(8).normal(0, 5, (300, 6))
    health = np.round(points.sum(axis=1)).astype(int) + 60
    dimensions = list("aabbcc")
    together = displayed_points(points, dimensions, health, 60)
    alone = np.vstack(
        [displayed_points(points[i : i + 1], dimensions, health[i : i + 1], 60) for i in range(300)]
    )
    assert (together == alone).all()


@pytest.mark.parametrize("order", ["C", "F"])
def test_points_of_an_account_do_not_depend_on_the_accounts_beside_it(order):
    phi, phi_0, z = contributions(4, n=400, k=60)
    together = points_from_contributions(
        phi_0, np.asarray(phi, order=order), z, platt, SCALE
    ).points
    alone = [
        points_from_contributions(phi_0, phi[n : n + 1], z[n : n + 1], platt, SCALE).points[0]
        for n in range(len(phi))
    ]
    assert np.array_equal(together, np.array(alone))
