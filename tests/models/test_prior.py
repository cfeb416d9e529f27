"""A base rate that moved: noticed, corrected in level only, and not invented from chance or from
few leavers.
"""

import numpy as np
import pandas as pd
import pytest

from models.calibration import Platt
from models.calibration.prior import check_prior, corrected
from models.methods.base import sigmoid


def _newer(
    shift: float, rows: int = 6_000, seed: int = 2
) -> tuple[np.ndarray, np.ndarray, pd.Series]:
    """Promised log-odds and outcomes whose true log-odds are `shift` higher."""
    generator = np.random.default_rng(seed)
    logit = generator.normal(-2.0, 1.0, rows)
    labels = (generator.random(rows) < sigmoid(logit + shift)).astype(np.int8)
    return logit, labels, pd.Series([f"a{n // 2}" for n in range(rows)])


@pytest.mark.parametrize("shift", [-1.5, -0.4, 0.6])
def test_known_shift_is_found_and_corrected(shift: float) -> None:
    logit, labels, accounts = _newer(shift)
    check = check_prior(logit, labels, accounts)
    assert check.has_moved and check.shift_low < shift < check.shift_high
    calibrator = corrected(Platt(1.0, 0.0, 50), check)
    assert calibrator.slope == 1.0
    assert calibrator.calibrate(logit).mean() == pytest.approx(labels.mean(), abs=1e-3)
    assert "the level moved by" in check.words


def test_promise_that_holds_is_left_alone() -> None:
    check = check_prior(*_newer(0.0))
    assert not check.has_moved and corrected(Platt(0.8, 0.1), check) == Platt(0.8, 0.1)
    assert "the level holds" in check.words


def test_false_alarms_are_as_rare_as_stated() -> None:
    moved = [check_prior(*_newer(0.0, rows=800, seed=seed)).has_moved for seed in range(40)]
    assert sum(moved) <= 6


def test_few_leavers_correct_nothing() -> None:
    logit, labels, accounts = _newer(1.5, rows=60)
    labels[np.flatnonzero(labels)[10:]] = 0
    check = check_prior(logit, labels, accounts)
    assert not check.has_moved and "too few" in check.words


def test_rows_of_one_account_widen_the_interval() -> None:
    logit, labels, _ = _newer(0.3, rows=400)
    alone = check_prior(logit, labels, pd.Series([f"a{n}" for n in range(400)]))
    repeated = check_prior(
        np.tile(logit, 5), np.tile(labels, 5), pd.Series([f"a{n % 400}" for n in range(2_000)])
    )
    assert repeated.shift == pytest.approx(alone.shift, abs=0.02)
    assert repeated.shift_high - repeated.shift_low == pytest.approx(
        alone.shift_high - alone.shift_low, rel=0.3
    )
