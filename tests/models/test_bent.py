"""A calibrator bends where accounts enough left to show it, and nowhere else; points keep adding
through it.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from models.calibration import (
    Bent,
    Platt,
    ScoredPeriod,
    at_level,
    bent_if_better,
    fit_platt,
    read_calibrator,
    straightened,
)
from models.calibration.bent import FLATTEST, STEEPEST
from models.health import points_from_contributions, scale_from_anchors
from models.health.bound import ROUNDING, bound_excess, steepest
from models.methods.base import Floats, sigmoid

History = tuple[Floats, np.ndarray, pd.Series, Floats]


def history(bend: float, accounts: int = 20_000, seed: int = 1) -> History:
    """Margins, outcomes, accounts and true probabilities: two rows of each account, log-odds
    flatter above the middle.
    """
    random = np.random.default_rng(seed)
    margin = np.repeat(random.normal(-2.5, 1.3, accounts), 2)
    truth = sigmoid(margin - bend * np.maximum(margin + 2.5, 0.0))
    labels = np.repeat(random.random(accounts), 2) < truth
    return (
        margin,
        labels.astype(np.int8),
        pd.Series(np.repeat([f"A-{n:05d}" for n in range(accounts)], 2)),
        truth,
    )


@cache
def calibrated(bend: float, accounts: int = 20_000, seed: int = 1) -> Platt:
    return chosen(history(bend, accounts, seed), history(bend, accounts, seed + 100))


def chosen(rows: History, earlier: History) -> Platt:
    later, before = (
        ScoredPeriod(margin, labels, names, np.full(len(margin), 0.5))
        for margin, labels, names, _ in (rows, earlier)
    )
    return bent_if_better(fit_platt(later.margin, later.labels, later.weights), later, before)


def test_a_straight_line_stays_straight() -> None:
    assert not any(isinstance(calibrated(0.0, seed=seed), Bent) for seed in range(3))


def test_a_bend_of_one_period_alone_is_not_followed() -> None:
    assert isinstance(chosen(history(0.8), history(0.8, seed=5)), Bent)
    assert not isinstance(chosen(history(0.0), history(0.8, seed=5)), Bent)
    assert not isinstance(chosen(history(0.8), history(0.0, seed=5)), Bent)


def test_few_leavers_never_bend_it() -> None:
    assert not isinstance(calibrated(0.8, accounts=600), Bent)


def test_a_bend_is_found_and_is_nearer_the_truth_on_other_accounts() -> None:
    margin, _, _, truth = history(0.8, seed=2)
    bent = calibrated(0.8)
    assert isinstance(bent, Bent)
    straight = straightened(bent, margin)
    assert (
        np.abs(bent.calibrate(margin) - truth).mean()
        < 0.7 * np.abs(straight.calibrate(margin) - truth).mean()
    )


def test_it_rises_within_its_bounds_and_survives_json() -> None:
    margin, labels, names, _ = history(0.8)
    straight = fit_platt(margin, labels, np.full(len(margin), 0.5))
    bent = calibrated(0.8)
    at = np.linspace(-12.0, 8.0, 4_001)
    slopes = np.diff(bent.logit(at)) / np.diff(at)
    assert (
        slopes.min() >= FLATTEST * straight.slope - 1e-9
        and slopes.max() <= STEEPEST * straight.slope + 1e-9
    )
    assert slopes.max() == pytest.approx(bent.largest_slope, rel=1e-6)
    assert (
        read_calibrator(bent.to_dict()) == bent and read_calibrator(straight.to_dict()) == straight
    )


def test_its_level_is_moved_as_a_sigmoid_is() -> None:
    margin, labels, _, _ = history(0.8)
    moved = at_level(calibrated(0.8), margin, 1 - labels)
    assert isinstance(moved, Bent) and moved.calibrate(margin).mean() == pytest.approx(
        1 - labels.mean(), abs=1e-3
    )


def test_points_add_through_bends_and_keep_their_bound() -> None:
    random = np.random.default_rng(3)
    phi = random.normal(0.0, 0.6, (100_000, 8))
    phi_0 = -2.5
    raw = phi_0 + phi.sum(axis=1)
    bent, scale = calibrated(0.8), scale_from_anchors(0.3, 0.08)
    given = points_from_contributions(phi_0, phi, raw, bent.calibrate, scale)
    assert np.abs(given.base + given.points.sum(axis=1) - given.health_exact).max() < 1e-9
    assert bound_excess(given.points, phi, steepest(bent, scale)).max() <= ROUNDING
