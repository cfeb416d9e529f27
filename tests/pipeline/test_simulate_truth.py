"""The truth: a probability that holds, follows the planted troubles, and is no better than it
should be.
"""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.simulate import World, WorldOptions, WorldState, simulate, true_probability
from pipeline.simulate.parameters import BASE_LOG_HAZARD, NEVER, PLAY_NAMES
from pipeline.simulate.state import DayDraws, step
from pipeline.simulate.truth import TROUBLES

DATES = tuple(date(2023, 7, 9) + timedelta(days=84 * i) for i in range(8))
OPTIONS = WorldOptions(truth_dates=DATES, truth_replicates=8)


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(1_000, 11, options=OPTIONS)


@pytest.fixture(scope="module")
def judged(world: World) -> pd.DataFrame:
    """Truth rows with what happened: the account's cover ended inside the 90 days."""
    company = world._all_blocks[0].company
    end = pd.Series(company.path.end.end_day, index=company.account_id)
    rows = world.truth.churn
    day = (rows["as_of"] - pd.Timestamp(OPTIONS.first_day)).dt.days
    return rows.assign(left=(rows["account_id"].map(end) < day + 90).astype(float))


def auc(left: NDArray[np.float64], probability: NDArray[np.float64]) -> float:
    """Probability that a leaver has the higher value (ties count half)."""
    rank = pd.Series(probability).rank().to_numpy()
    events = left.sum()
    return float(
        (rank[left == 1].sum() - events * (events + 1) / 2) / (events * (len(left) - events))
    )


def test_truth_is_a_probability_of_customers_only(world: World, judged: pd.DataFrame) -> None:
    assert judged["probability"].between(0, 1).all()
    assert not judged.duplicated(["account_id", "as_of"]).any()
    state = world._all_blocks[0].company.path.states[OPTIONS.day_index(DATES[0])]
    assert (judged["as_of"] == pd.Timestamp(DATES[0])).sum() == state.is_customer(
        OPTIONS.day_index(DATES[0])
    ).sum()


def test_truth_is_calibrated(judged: pd.DataFrame) -> None:
    """Windows of 90 days on dates 84 days apart hardly overlap, so rows are nearly independent."""
    probability, left = judged["probability"].to_numpy(), judged["left"].to_numpy()
    noise = np.sqrt((probability * (1 - probability)).sum())
    assert abs(left.sum() - probability.sum()) < 3.5 * noise
    for low, high in ((0.0, 0.05), (0.05, 0.15), (0.15, 0.5)):
        rows = (probability >= low) & (probability < high)
        noise = np.sqrt((probability[rows] * (1 - probability[rows])).sum())
        assert abs(left[rows].sum() - probability[rows].sum()) < 3.5 * noise


def test_auc_of_the_truth_is_that_of_a_hard_but_possible_problem(judged: pd.DataFrame) -> None:
    open_rows = judged[~judged["notice_known"]]
    value = auc(open_rows["left"].to_numpy(), open_rows["probability"].to_numpy())
    print(f"AUC of the truth, customers without known notice: {value:.3f}")
    assert 0.75 < value < 0.88


def test_known_notice_means_leaving(judged: pd.DataFrame) -> None:
    noticed = judged[judged["notice_known"]]
    assert len(noticed) > 10
    assert noticed["probability"].min() == 1.0
    assert noticed["left"].min() == 1.0


def test_planted_troubles_raise_the_truth(world: World, judged: pd.DataFrame) -> None:
    rows = judged.merge(world.truth.drivers, on=["account_id", "as_of"])
    assert len(rows) == len(judged)
    rows = rows[~rows["notice_known"]]
    for name in TROUBLES:
        assert (
            rows.loc[rows[name], "probability"].mean() > rows.loc[~rows[name], "probability"].mean()
        ), name


def test_truth_depends_on_the_state_alone(world: World) -> None:
    """Two replays from one state agree within their noise; another future of the same company is
    not used.
    """
    state = world._all_blocks[0].state_at(OPTIONS.day_index(DATES[3]))
    one, two = (true_probability(state, 90, 8, np.random.default_rng(seed)) for seed in (1, 2))
    inside = ~np.isnan(one)
    assert np.abs(one[inside].mean() - two[inside].mean()) < 0.004
    assert np.corrcoef(one[inside], two[inside])[0, 1] > 0.95


def test_longer_horizons_are_never_safer(world: World) -> None:
    state = world._all_blocks[0].state_at(OPTIONS.day_index(DATES[2]))
    short = true_probability(state, 30, 8, np.random.default_rng(4))
    long = true_probability(state, 90, 8, np.random.default_rng(4))
    inside = ~np.isnan(short)
    assert long[inside].mean() > short[inside].mean()


def test_conditional_expectation_equals_letting_people_decide(world: World) -> None:
    """The fast formula against brute force: decisions drawn, accounts counted."""
    world_state: WorldState = world._all_blocks[0].state_at(OPTIONS.day_index(DATES[4]))
    customers = np.flatnonzero(world_state.state.is_customer(world_state.day))
    fast = true_probability(world_state, 60, 12, np.random.default_rng(5))[customers]
    state = world_state.state.take(np.tile(customers, 12))
    generator = np.random.default_rng(6)
    rules = replace(world_state.rules, allow_decisions=True)
    for day in range(world_state.day, world_state.day + 60):
        starts = np.repeat(generator.random((12, 4)) < 1 / 300, len(customers), axis=0)
        state, _ = step(
            state, day, DayDraws.fresh(generator, starts[np.arange(state.size), state.area]), rules
        )
    slow = (state.end_day < world_state.day + 60).mean()
    assert fast.mean() == pytest.approx(slow, abs=0.005)


def test_effects_of_plays_are_told(world: World) -> None:
    plays = world.truth.effects["plays"]
    assert set(plays) == set(PLAY_NAMES)
    assert (
        plays["pilot_call"]["risk_difference_90d"]
        < plays["training_offer"]["risk_difference_90d"]
        < 0
    )
    assert abs(plays["discount_offer"]["risk_difference_90d"]) < 0.006


def test_default_base_is_used_without_a_wish() -> None:
    assert simulate(10, 0, options=OPTIONS).base == BASE_LOG_HAZARD
    assert NEVER > OPTIONS.days
