"""Every published calibrator, 100,000 accounts: base, points, sub-scores, integers and bands agree
with the score.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.catalogue import DIMENSIONS
from models.calibration import Platt
from models.health import (
    displayed,
    displayed_points,
    largest_slope,
    points_from_contributions,
    scale_from_anchors,
    sub_scores,
)

PUBLISHED = [Platt(), Platt(0.7, -0.4, 150), Platt(1.4, 0.3, 900)]
"""Fitted calibrators of every published kind; only `calibrate` is used, so a new kind joins by a
line.
"""
HEALTH = scale_from_anchors(0.25, 0.08)
EXPANSION = scale_from_anchors(0.05, 0.20, good_event=True)
SCALES = pytest.mark.parametrize("scale", [HEALTH, EXPANSION], ids=["health", "expansion"])
CALIBRATORS = pytest.mark.parametrize(
    "calibrator", PUBLISHED, ids=lambda c: f"{type(c).__name__}-{PUBLISHED.index(c)}"
)
ACCOUNTS, SIGNALS = 100_000, 16
OF_SIGNAL = [DIMENSIONS[i % len(DIMENSIONS)] for i in range(SIGNALS)]


def accounts():
    """Contributions of a blend, rounded as a fast SHAP would: none, tiny, ordinary and far beyond
    the clip.
    """
    generator = np.random.default_rng(5)
    phi = generator.normal(0, 0.3, (ACCOUNTS, SIGNALS)) * generator.choice(
        [0, 1, 4], (ACCOUNTS, SIGNALS)
    )
    phi[:1000] = 0.0
    phi[1000:3000] *= 1e-8
    phi[3000:4000] *= 10
    return phi, -2.0, -2.0 + phi.sum(axis=1) + generator.uniform(-2e-5, 2e-5, ACCOUNTS)


@CALIBRATORS
@SCALES
def test_base_points_integers_sub_scores_and_bands_of_100000_accounts(calibrator, scale):
    phi, phi_0, z = accounts()
    result = points_from_contributions(phi_0, phi, z, calibrator.calibrate, scale)
    assert np.abs(result.base + result.points.sum(axis=1) - result.health_exact).max() < 1e-9
    assert ((result.health_exact >= 0) & (result.health_exact <= 100)).all()
    shown, base = displayed(result.health_exact), int(displayed(np.array([result.base]))[0])
    whole = displayed_points(result.points, OF_SIGNAL, shown, base)
    assert (base + whole.sum(axis=1) == shown).all()
    exact_parts = np.column_stack(
        [result.points[:, [d == name for d in OF_SIGNAL]].sum(axis=1) for name in DIMENSIONS]
    )
    whole_parts = np.column_stack(
        [whole[:, [d == name for d in OF_SIGNAL]].sum(axis=1) for name in DIMENSIONS]
    )
    assert np.abs(result.base + exact_parts.sum(axis=1) - result.health_exact).max() < 1e-9
    assert (base + whole_parts.sum(axis=1) == shown).all()
    bands = scale.band(shown)
    assert (
        bands
        == np.where(
            shown <= 40, scale.bands[0], np.where(shown <= 70, scale.bands[1], scale.bands[2])
        )
    ).all()


@SCALES
def test_band_follows_the_displayed_integer_at_its_edges(scale):
    exact = np.array([40.0, 40.4999, 40.5, 41.0, 70.0, 70.4999, 70.5, 71.0])
    assert displayed(exact).tolist() == [40, 40, 41, 41, 70, 70, 71, 71]
    low, middle, high = scale.bands
    assert scale.band(displayed(exact)).tolist() == [
        low,
        low,
        middle,
        middle,
        middle,
        middle,
        high,
        high,
    ]


@CALIBRATORS
@SCALES
@settings(max_examples=60, deadline=None)
@given(
    phi=arrays(
        np.float64, st.tuples(st.integers(1, 8), st.integers(1, 6)), elements=st.floats(-6, 6)
    ),
    phi_0=st.floats(-4, 4),
)
def test_no_points_exceed_the_contribution_times_the_steepest_slope(calibrator, scale, phi, phi_0):
    z = phi_0 + phi.sum(axis=1)
    result = points_from_contributions(phi_0, phi, z, calibrator.calibrate, scale)
    steepest = largest_slope(
        calibrator.calibrate, scale, min(z.min(), phi_0) - 1e-3, max(z.max(), phi_0) + 1e-3
    )
    assert (np.abs(result.points) <= np.abs(phi) * steepest * (1 + 1e-6) + 1e-6).all()


@CALIBRATORS
def test_the_expansion_score_rises_with_the_chance_and_health_falls(calibrator):
    phi = np.linspace(-3, 3, 50)[:, None]
    for scale, sign in ((HEALTH, -1), (EXPANSION, 1)):
        result = points_from_contributions(-1.0, phi, -1.0 + phi[:, 0], calibrator.calibrate, scale)
        assert (sign * np.diff(result.health_exact) >= 0).all()
    assert set(EXPANSION.bands) == {"low", "medium", "high"}


def test_sub_scores_hold_every_dimension_and_add():
    table = sub_scores([2.5, -7.25, 1.0], [2, -7, 1], ["usage", "contract", "usage"], DIMENSIONS)
    assert table["dimension"].tolist() == list(DIMENSIONS)
    found = table.set_index("dimension")
    assert found.loc["usage"].tolist() == [3.5, 3] and found.loc["contract"].tolist() == [-7.25, -7]
    assert found["points"].sum() == -3.75 and found["points_displayed"].sum() == -4
    with pytest.raises(ValueError, match="dimension 'mood'"):
        sub_scores([1.0], [1], ["mood"], DIMENSIONS)
