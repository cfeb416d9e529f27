"""Intervals cover the period to come: they widen where periods differ, and only there."""

import numpy as np
import pandas as pd
import pytest

from models.calibration import Interval, Platt, period_sd
from models.calibration.interval import PERIOD_SD
from models.methods.base import sigmoid

DATES = pd.date_range("2022-01-02", periods=24, freq="28D")


def history(
    level_sd: float, seed: int = 1, horizon: int = 84
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Log-odds, outcomes and keys of 2,000 accounts on 24 dates; each quarter has a level of its
    own.
    """
    random = np.random.default_rng(seed)
    keys = pd.DataFrame(
        [(f"A-{n:04d}", d) for d in DATES for n in range(2_000)], columns=["account_id", "as_of"]
    )
    keys["label_until"] = keys["as_of"] + pd.Timedelta(days=horizon)
    logit = random.normal(-2.0, 0.8, len(keys))
    quarter = ((keys["as_of"].max() - keys["as_of"]) // pd.Timedelta(days=84)).to_numpy()
    level = random.normal(0.0, level_sd, quarter.max() + 1)[quarter]
    return logit, (random.random(len(keys)) < sigmoid(logit + level)).astype(np.int8), keys


def test_many_leavers_show_that_periods_differ_by_chance_alone() -> None:
    found = [period_sd(*history(0.0, seed)) for seed in range(5)]
    assert max(found) < 0.08


def test_few_leavers_cannot_show_it() -> None:
    logit, labels, keys = history(0.0)
    few = keys["account_id"].isin([f"A-{n:04d}" for n in range(60)]).to_numpy()
    assert 0.1 < period_sd(logit[few], labels[few], keys[few]) < 0.3


@pytest.mark.parametrize("level_sd", [0.3, 0.6])
def test_the_spread_of_levels_is_recovered(level_sd: float) -> None:
    found = [period_sd(*history(level_sd, seed)) for seed in range(6)]
    assert np.mean(found) == pytest.approx(level_sd, rel=0.3)


def test_one_period_leaves_the_prior_and_row_order_does_not_matter() -> None:
    logit, labels, keys = history(0.5)
    late = (keys["as_of"] >= DATES[-3]).to_numpy()
    assert period_sd(logit[late], labels[late], keys[late]) == pytest.approx(PERIOD_SD, rel=0.01)
    order = np.random.default_rng(0).permutation(len(keys))
    mixed = period_sd(logit[order], labels[order], keys.iloc[order])
    assert mixed == pytest.approx(period_sd(logit, labels, keys), abs=1e-12)


def test_the_interval_contains_the_probability_and_grows_with_the_spread() -> None:
    knots, margin = np.array([-3.0, 3.0]), np.linspace(-3, 3, 13)
    calm = Interval(knots, np.array([0.1, 0.2]), np.array([0.1, 0.2]))
    wide = Interval.from_dict({**calm.to_dict(), "period_sd": 0.3})
    (low, high), (lower, higher) = (each.around(margin, Platt()) for each in (calm, wide))
    assert (lower < low).all() and (higher > high).all()
    assert (low <= sigmoid(margin)).all() and (sigmoid(margin) <= high).all()
    assert (np.diff(lower) > 0).all() and (np.diff(higher) > 0).all()
