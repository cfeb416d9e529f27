"""Rates of bands: counted by hand, wider where the rows are few accounts, and not narrowed by
repeating rows.
"""

import numpy as np
import pandas as pd
import pytest

from models.band_rates import band_rates


def test_counts_and_rates_by_hand() -> None:
    accounts = pd.Series(["a", "a", "b", "c", "d"])
    rates = band_rates(
        np.array([0, 1, 0, 0, 1]), ["healthy", "at_risk", "healthy", "healthy", "at_risk"], accounts
    )
    assert set(rates) == {"healthy", "at_risk"}
    healthy = rates["healthy"]
    assert (healthy.n, healthy.accounts, healthy.events) == (3, 3, 0)
    assert rates["at_risk"].rate == 1.0 and healthy.rate == 0.0


def test_a_band_nobody_left_is_not_sure_to_keep_all() -> None:
    """Of 60 accounts none left: about 3 in 60 may yet be the rate (the rule of three gives 5%,
    Wilson 6%).
    """
    healthy = band_rates(
        np.zeros(60, dtype=int), ["healthy"] * 60, pd.Series([f"A-{n:03d}" for n in range(60)])
    )["healthy"]
    assert healthy.rate_low == pytest.approx(0.0, abs=1e-12) and 0.05 < healthy.rate_high < 0.07


@pytest.mark.parametrize("times", [1, 8])
def test_an_account_counts_once_however_often_it_was_scored(times: int) -> None:
    random = np.random.default_rng(4)
    labels = (random.random(200) < 0.2).astype(int)
    accounts = pd.Series([f"A-{n:03d}" for n in range(200)])
    healthy = band_rates(
        np.tile(labels, times),
        ["healthy"] * 200 * times,
        pd.concat([accounts] * times, ignore_index=True),
    )["healthy"]
    rate, low, high = healthy.rate, healthy.rate_low, healthy.rate_high
    assert low < rate < high
    # 1.96 * sqrt(p (1 - p) / 200)
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(rate * (1 - rate) / 200), rel=0.1)
