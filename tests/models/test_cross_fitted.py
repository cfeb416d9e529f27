"""Candidates are judged as they will be used: after a sigmoid that has not seen the row."""

import numpy as np
import pandas as pd
import pytest

from models.calibration import CalibratedLoss, fit_platt, fit_sigmoids
from models.methods.base import mean_log_loss

ROWS = 4_000
"""Four rows for each of 1,000 accounts."""


def _candidates(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Margins of one truth: right, too shy, too bold, off in level, noisy and turned round."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(size=ROWS) * 1.5 - 1.0
    noise = generator.normal(size=ROWS)
    margins = [truth, 0.7 * truth, 3.0 * truth, truth + 2.0, truth + 4.0 * noise, -truth]
    labels = (generator.random(ROWS) < 1.0 / (1.0 + np.exp(-truth))).astype(np.int8)
    return np.asarray(margins), labels


@pytest.mark.parametrize("is_log_odds", [True, False])
def test_all_sigmoids_at_once_are_those_fitted_one_by_one(is_log_odds: bool) -> None:
    margins, labels = _candidates()
    slopes, levels = fit_sigmoids(margins, labels.astype(float), 1_000, is_log_odds=is_log_odds)
    weights = np.full(ROWS, 1_000 / ROWS)
    for margin, slope, level in zip(margins, slopes, levels, strict=True):
        alone = fit_platt(margin, labels, weights, is_log_odds=is_log_odds)
        assert (slope, level) == pytest.approx((alone.slope, alone.intercept), abs=1e-4)


def test_the_loss_is_that_of_each_half_under_the_sigmoid_of_the_other() -> None:
    margins, labels = _candidates()
    accounts = pd.Series([f"a{number // 4:04d}" for number in range(ROWS)])
    half = (np.arange(ROWS) // 4) % 2 == 0
    weights = np.full(ROWS // 2, 500 / (ROWS // 2))
    expected = np.mean(
        [
            mean_log_loss(
                fit_platt(margins[1][a], labels[a], weights).logit(margins[1][b]), labels[b]
            )
            for a, b in ((half, ~half), (~half, half))
        ]
    )
    assert CalibratedLoss(labels, accounts).of(margins)[1] == pytest.approx(expected, abs=1e-6)


def test_boldness_and_level_do_not_decide_and_noise_does() -> None:
    margins, labels = _candidates()
    accounts = pd.Series(np.arange(ROWS) // 4)
    right, shy, bold, moved, noisy, turned = CalibratedLoss(labels, accounts).of(margins)
    assert [shy, bold, moved] == pytest.approx([right] * 3, abs=0.003)
    assert noisy > right + 0.02
    assert turned > right + 0.05


def test_a_half_with_one_outcome_is_judged_by_a_sigmoid_of_all_rows() -> None:
    labels = np.zeros(40, dtype=np.int8)
    labels[0] = 1
    margin = np.linspace(-4.0, -3.0, 40)[None, :]
    loss = CalibratedLoss(labels, pd.Series(np.arange(40))).of(margin)
    assert 0.0 < loss[0] < 0.2
