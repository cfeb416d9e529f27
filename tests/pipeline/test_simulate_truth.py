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
from pipeline.simulate.hazards import pressure
from pipeline.simulate.parameters import BASE_LOG_HAZARD, NEVER, PLAY_NAMES
from pipeline.simulate.paths import walk
from pipeline.simulate.state import DayDraws, step
from pipeline.simulate.truth import TROUBLES, decision_probability

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


def test_decision_truth_is_that_of_contracts_that_come_up(world: World) -> None:
    """Where the window to decide begins on the date, both truths are about the same decision."""
    world_state = world._all_blocks[0].state_at(OPTIONS.day_index(DATES[4]))
    state, day = world_state.state, world_state.day
    free = state.is_customer(day) & ~state.decided & ~state.signed & ~state.trouble
    yearly = state.take(np.flatnonzero(free & (state.term == 0)))
    moved = day + 90 - yearly.term_end
    coming = replace(
        yearly,
        term_end=yearly.term_end + moved,
        last_price_day=yearly.last_price_day + moved,
    )
    there = true_probability(replace(world_state, state=coming), 91, 24, np.random.default_rng(1))
    asked = decision_probability(replace(world_state, state=yearly), 24, np.random.default_rng(2))
    assert asked.mean() == pytest.approx(there.mean(), abs=0.01)
    assert np.corrcoef(asked, there)[0, 1] > 0.95


def test_decision_truth_foretells_the_next_contract_end(world: World) -> None:
    company = world._all_blocks[0].company
    end = pd.Series(company.path.end.end_day, index=company.account_id)
    parts = []
    for as_of in DATES[:6]:
        day = OPTIONS.day_index(as_of)
        state = company.path.states[day]
        rows = world.truth.decision
        rows = rows[(rows["as_of"] == pd.Timestamp(as_of)) & ~rows["has_decided"]]
        term_end = rows["account_id"].map(pd.Series(state.term_end, index=company.account_id))
        term = rows["account_id"].map(pd.Series(state.term, index=company.account_id))
        is_lost = (rows["account_id"].map(end) <= term_end).astype(float)
        parts.append(rows.assign(lost=is_lost, lead=term_end - day, term=term))
    judged = pd.concat(parts, ignore_index=True)
    far = judged[(judged["term"] == 0) & (judged["lead"] > 90) & (judged["lead"] < 200)]
    assert far["lost"].sum() > 20
    value = auc(far["lost"].to_numpy(), far["probability"].to_numpy())
    print(f"AUC of the decision's truth, yearly contracts 90 to 200 days ahead: {value:.3f}")
    assert value > 0.62


def test_where_customers_remember_troubles_show_before_they_decide() -> None:
    options = replace(OPTIONS, memory_days=120.0, truth_dates=DATES[:1])
    start, _ = walk(300, 5, 0, options, -7.5)
    plain, _ = walk(300, 5, 0, replace(options, memory_days=0.0), -7.5)
    assert start.burden.max() == plain.burden.max() == 0.0
    seen: dict[float, list[np.ndarray]] = {120.0: [], 0.0: []}
    for memory, moves in seen.items():
        chances: list[np.ndarray] = []
        walk(
            300,
            5,
            0,
            replace(options, memory_days=memory),
            -7.5,
            lambda day, before, after, *_, into=chances, remembers=memory > 0: into.append(
                (after.burden if remembers else pressure(after, day)).astype(float)
            ),
        )
        later = np.array(chances[200:700:50])
        moves.extend(np.corrcoef(a, b)[0, 1] for a, b in zip(later, later[1:], strict=False))
    # What drives a decision in seven weeks can be told from what drives it today.
    assert np.mean(seen[120.0]) > np.mean(seen[0.0]) + 0.05


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
