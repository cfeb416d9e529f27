"""Horizons that agree: known hazards are found again, censoring costs nothing, and money intervals
hold what they should.
"""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from features.errors import ContractError
from models.forecast import (
    Chance,
    Renewals,
    common_factors,
    draws_of,
    expected_days,
    forecast_accounts,
    interval,
    remaining_value,
    shock_variances,
    simulate_month_values,
)
from models.hazards import (
    Curves,
    Hazards,
    Known,
    Outcomes,
    contract_ends,
    fit_hazards,
    period_edges,
)
from models.methods.base import Floats, logit, sigmoid

EDGES = period_edges(90, 360)
NEVER = np.inf


def known(size: int, **columns: Floats | float) -> Known:
    """Rows of one kind; columns given take the place of the plain ones."""
    plain = {
        "log_odds": 0.0,
        "age_days": 200.0,
        "renewal_days": np.nan,
        "term_days": np.nan,
        "anchor_days": 90.0,
    }
    return Known(
        **{
            name: (
                np.broadcast_to(
                    np.asarray(columns.get(name, value), dtype=np.float64), (size,)
                ).copy()
            )
            for name, value in plain.items()
        }
    )


def constant_hazard(size: int, hazard: float, rng: np.random.Generator) -> Floats:
    """Days until the event: each 30 days it comes with chance `hazard`, at any moment of them."""
    return (rng.geometric(hazard, size) - 1 + rng.random(size)) * 30.0


def fitted(
    rows: Known,
    days: Floats,
    observed: Floats | float,
    cause: NDArray[np.intp] | None = None,
    causes: tuple[str, ...] = ("all",),
    replicates: int = 20,
) -> Hazards:
    size = len(rows)
    watched = np.broadcast_to(np.asarray(observed, dtype=np.float64), (size,))
    kind = np.zeros(size, dtype=np.intp) if cause is None else cause
    return fit_hazards(
        rows,
        Outcomes(days, np.where(days < watched, kind, -1), watched),
        np.arange(size),
        EDGES,
        causes,
        replicates=replicates,
    )


class Company:
    """Accounts whose true hazards are known: a chance that fades, contracts that end, two ways to
    leave.
    """

    def __init__(self, size: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.risk = rng.normal(0.0, 1.0, size)
        renewal, term = rng.uniform(0.0, 360.0, size), np.full(size, 364.0)
        age = rng.uniform(30.0, 1500.0, size)
        self.rows = known(size, renewal_days=renewal, term_days=term, age_days=age)
        count = len(EDGES) - 1
        self.choice, self.unpaid = np.empty((size, count)), np.empty((size, count))
        for period in range(count):
            is_end = contract_ends(self.rows, EDGES[period], EDGES[period + 1]) > 0
            odds = np.exp(-4.6 + 0.8 * self.risk * np.exp(-period * 30 / 300) + 2.2 * is_end)
            other = np.exp(np.full(size, -5.2))
            self.choice[:, period], self.unpaid[:, period] = (
                odds / (1 + odds + other),
                other / (1 + odds + other),
            )
        both = self.choice + self.unpaid
        self.true = np.column_stack([np.zeros(size), 1 - np.cumprod(1 - both, axis=1)])
        # What a perfect model says at the primary horizon.
        self.rows = replace(self.rows, log_odds=logit(self.true[:, list(EDGES).index(90.0)]))
        uniform = rng.random((size, count))
        leaves = uniform < both
        first = np.where(leaves.any(axis=1), leaves.argmax(axis=1), count)
        at = np.minimum(first, count - 1)
        self.days = np.where(first < count, EDGES[at] + rng.random(size) * 30.0, NEVER)
        self.cause = (uniform[np.arange(size), at] >= self.choice[np.arange(size), at]).astype(
            np.intp
        )
        self.observed = rng.uniform(30.0, 700.0, size)

    def fit(self) -> Hazards:
        return fitted(
            self.rows,
            self.days,
            self.observed,
            self.cause,
            ("voluntary", "involuntary"),
            replicates=40,
        )


@pytest.fixture(scope="module")
def company() -> tuple[Hazards, Company]:
    return Company(6_000, 1).fit(), Company(4_000, 2)


def at(day: float) -> int:
    return list(EDGES).index(day)


def test_edges_hold_the_primary_horizon() -> None:
    assert 45.0 in period_edges(45, 360)
    assert period_edges(400, 360)[-1] == 400.0


def test_contract_ends_are_counted_once_and_repeat_every_term() -> None:
    rows = known(
        3, renewal_days=np.array([30.0, 10.0, np.nan]), term_days=np.array([90.0, 30.0, np.nan])
    )
    # An end on day 30 belongs to the period that starts there.
    assert contract_ends(rows, 0, 30).tolist() == [0, 1, 0]
    assert contract_ends(rows, 30, 60).tolist() == [1, 1, 0]
    assert contract_ends(rows, 0, 360).tolist() == [4, 12, 0]


def test_two_ends_of_one_period_are_both_due_and_lose_half_each() -> None:
    """A month of 28 days: terms of a month end twice within 30 days."""
    size = 4_000
    ends = np.zeros((size, 2), dtype=np.intp)
    shared = np.zeros((size, 1), dtype=np.intp)
    renewals = Renewals(
        ends,
        ends,
        shared,
        np.full(size, 12.0),
        np.full(size, 1 / 12),
        np.zeros(size, dtype=np.intp),
    )
    assert renewals.due_if_all_renew.sum() == pytest.approx(2 * size)
    hazard, rng = np.full((1, size, 1), 0.2), np.random.default_rng(4)
    futures = simulate_month_values(hazard, renewals, np.ones((1, 1)), 1, rng)
    due, renewed, lost = futures[0, :, 0, 0]
    # 0.2 leave in all: half of them at the first end, so that 0.1 are not due at the second.
    assert due / size == pytest.approx(1.9, abs=0.02)
    assert renewed / size == pytest.approx(1.7, abs=0.03)
    assert lost / size == pytest.approx(12 * 0.2, abs=0.2)


def test_a_constant_hazard_is_found_again_however_much_is_censored() -> None:
    """Chance 0.1 in 30 days; four of five accounts are watched for less than a year."""
    rng = np.random.default_rng(0)
    rows, days = known(6_000), constant_hazard(6_000, 0.1, np.random.default_rng(5))
    watched = fitted(rows, days, 720.0)
    censored = fitted(rows, days, rng.uniform(30.0, 450.0, 6_000))
    one = known(1)
    for hazards, tolerance in ((watched, 0.008), (censored, 0.012)):
        free = 1.0 - np.cumprod(1.0 - np.array([hazards.first_hazard(one)[0]]))
        assert free[0] == pytest.approx(0.1, abs=tolerance)
        curve = hazards.curves(one, np.array([1 - 0.9**3])).total[0]
        assert curve == pytest.approx(1 - 0.9 ** (EDGES / 30), abs=0.025)


def test_a_half_watched_period_counts_neither_leavers_nor_stayers() -> None:
    """Were its leavers kept and its stayers dropped, the hazard of the last period would be far too
    high.
    """
    rows, days = known(8_000), constant_hazard(8_000, 0.05, np.random.default_rng(3))
    hazards = fitted(rows, days, 89.0)
    assert hazards.last_day == 45.0
    assert hazards.curves(known(1), np.array([1 - 0.95**3])).total[0, at(60)] == pytest.approx(
        1 - 0.95**2, abs=0.01
    )


def test_every_curve_rises_and_passes_through_the_primary_probability(
    company: tuple[Hazards, Company],
) -> None:
    hazards, held = company
    probability = np.random.default_rng(4).uniform(1e-4, 0.99, len(held.rows))
    curves = hazards.curves(held.rows, probability)
    assert np.abs(curves.total[:, at(90)] - probability).max() < 1e-9
    assert (np.diff(curves.total, axis=1) > 0).all()
    assert (curves.total >= 0).all() and (curves.total <= 1).all()


def test_each_account_may_have_a_horizon_of_its_own() -> None:
    """`next_renewal`: the curve passes through the probability at the end of the period that holds
    the contract's end.
    """
    own = np.array([20.0, 100.0, 350.0])
    rows = known(
        600, anchor_days=np.resize(own, 600), renewal_days=np.resize(own - 1, 600), term_days=365.0
    )
    hazards = fitted(rows, constant_hazard(600, 0.1, np.random.default_rng(1)), 400.0)
    total = hazards.curves(rows.rows(slice(0, 3)), np.array([0.2, 0.3, 0.4])).total
    assert [total[0, at(30)], total[1, at(120)], total[2, at(360)]] == pytest.approx(
        [0.2, 0.3, 0.4], abs=1e-9
    )


def test_causes_add_up_to_the_total(company: tuple[Hazards, Company]) -> None:
    hazards, held = company
    curves = hazards.curves(held.rows, sigmoid(held.rows.log_odds))
    survived = np.cumprod(1.0 - curves.hazard, axis=1)
    assert np.abs(curves.total[:, 1:] + survived - 1.0).max() < 1e-12
    assert (np.diff(curves.incidence, axis=2) > 0).all()


def test_one_cause_can_be_the_target_while_the_other_competes(
    company: tuple[Hazards, Company],
) -> None:
    hazards, held = company
    wanted = np.full(len(held.rows), 0.07)
    curves = hazards.curves(held.rows, wanted, own=("voluntary",))
    assert np.abs(curves.incidence[0, :, at(90)] - wanted).max() < 1e-9
    assert (curves.total[:, at(90)] > wanted).all()


@pytest.mark.parametrize("own", [(), ("voluntary",), ("involuntary",)])
def test_the_shift_is_found_wherever_the_chance_lies(
    company: tuple[Hazards, Company], own: tuple[str, ...]
) -> None:
    """From chances no account has to those near certainty, over hazards of all sizes."""
    hazards, held = company
    numbers = [hazards.causes.index(cause) for cause in own] or [0, 1]
    rows = held.rows.rows(slice(0, 400))
    wanted = sigmoid(np.linspace(-27.0, 20.0, 400))
    reached = hazards.curves(rows, wanted, own).incidence[numbers, :, at(90)].sum(axis=0)
    assert np.abs(reached / wanted - 1.0).max() < 1e-9


def test_replicates_at_once_are_those_one_by_one(company: tuple[Hazards, Company]) -> None:
    hazards, held = company
    rows = held.rows.rows(slice(0, 300))
    wanted = np.random.default_rng(5).uniform(0.001, 0.9, (len(hazards.replicates), 300))
    drawn = hazards.replicate_curves(rows, wanted, ("voluntary",))
    for number, weights in enumerate(hazards.replicates):
        alone = replace(hazards, weights=weights).curves(rows, wanted[number], ("voluntary",))
        assert drawn.incidence[number] == pytest.approx(alone.incidence, abs=1e-12)
        assert drawn.hazard[number] == pytest.approx(alone.hazard, abs=1e-12)


def test_horizons_and_causes_are_calibrated_on_other_accounts(
    company: tuple[Hazards, Company],
) -> None:
    """Mean chance beside what happened, overall, by risk, and by whether a contract ends in the
    next half year.
    """
    hazards, held = company
    curves = hazards.curves(held.rows, sigmoid(held.rows.log_odds))
    third = np.searchsorted(np.quantile(held.risk, [1 / 3, 2 / 3]), held.risk)
    ends_soon = held.rows.renewal_days < 180
    groups = [
        np.ones(len(held.rows), dtype=bool),
        *(third == n for n in range(3)),
        ends_soon,
        ~ends_soon,
    ]
    for day in (30, 60, 180, 360):
        for group in groups:
            said = curves.total[group, at(day)]
            sampling = np.sqrt((said * (1 - said)).sum()) / group.sum()
            # 3.2 standard errors of what happened, and the hazards' own error from 6,000 accounts.
            assert abs(said.mean() - (held.days[group] < day).mean()) < 3.2 * sampling + 0.006, (
                day,
                group.sum(),
            )
    for number in range(2):
        happened = ((held.days < 180) & (held.cause == number)).mean()
        assert curves.incidence[number, :, at(180)].mean() == pytest.approx(happened, abs=0.012)


def test_the_hazard_stands_where_the_contract_ends(company: tuple[Hazards, Company]) -> None:
    hazards, _ = company
    rows = known(1, log_odds=-3.0, renewal_days=200.0, term_days=364.0)
    hazard = hazards.curves(rows, np.array([0.05])).hazard[0]
    assert hazard.argmax() == at(180)
    assert hazard[at(180)] > 4 * np.median(hazard)


def test_too_few_events_are_refused() -> None:
    with pytest.raises(ContractError, match="at least 10"):
        fitted(known(50), np.full(50, NEVER), 300.0)


def test_a_horizon_beyond_the_curve_is_refused(company: tuple[Hazards, Company]) -> None:
    with pytest.raises(ContractError, match="beyond the last edge"):
        company[0].curves(known(1, anchor_days=500.0), np.array([0.2]))


def test_resampled_hazards_differ_as_much_as_new_companies_do() -> None:
    """Standard deviation of the chance at 60 days between 40 new companies, and between resamples
    of one.
    """
    one, found, resampled = known(1), [], []
    for seed in range(40):
        hazards = fitted(known(500), constant_hazard(500, 0.08, np.random.default_rng(seed)), 400.0)
        found.append(hazards.first_hazard(one)[0])
        if seed < 5:
            resampled.append(
                [replace(hazards, weights=each).first_hazard(one)[0] for each in hazards.replicates]
            )
    spread = np.mean([np.std(each) for each in resampled])
    assert spread == pytest.approx(np.std(found), rel=0.5)


def test_expected_days_and_value_of_a_constant_hazard() -> None:
    """Area under 0.9^(t / 30) up to a year, by trapezoids of 30 days; nobody leaves: value per year
    times years.
    """
    edges = period_edges(90, 360)
    chance = 1 - 0.9 ** (edges / 30)
    falling = Curves(edges, chance[None, None, :], np.full((1, 12), 0.1))
    by_hand = sum(30 * 0.5 * (0.9**k + 0.9 ** (k + 1)) for k in range(12))
    assert expected_days(falling, 360)[0] == pytest.approx(by_hand)
    staying = Curves(edges, np.zeros((1, 1, 13)), np.zeros((1, 12)))
    assert remaining_value(staying, np.array([365.0]), 360)[0] == pytest.approx(360.0)
    assert remaining_value(staying, np.array([365.0]), 360, 0.1)[0] == pytest.approx(343.0, abs=1.0)
    with pytest.raises(ContractError, match="no edge"):
        expected_days(falling, 100)


def test_variance_of_common_shocks_is_found_again() -> None:
    rng = np.random.default_rng(7)
    hazard = rng.uniform(0.05, 0.2, (60, 400))
    factor = common_factors(np.full(1, 0.09), 60, rng)[0]
    happened = rng.random(hazard.shape) < hazard * factor[:, None]
    month = np.repeat(np.arange(60), 400)
    found = shock_variances(month, happened.ravel().astype(float), hazard.ravel())
    assert found[0] == pytest.approx(0.09, abs=0.05)
    calm = shock_variances(
        month, (rng.random(hazard.shape) < 0.7 * hazard).ravel().astype(float), hazard.ravel()
    )
    assert calm[0] < 0.02
    assert np.isnan(shock_variances(month[:800], np.zeros(800), hazard.ravel()[:800])).all()


@pytest.mark.parametrize("deviation", [0.0, 0.3])
def test_money_intervals_hold_the_realised_month_at_the_stated_rate(deviation: float) -> None:
    """200 companies with 30 months of history each: the next month's renewed value lies inside in
    about 95%.

    Without the common factor the intervals of a shaken company hold it far too seldom.
    """
    rng = np.random.default_rng(11)
    size = 150
    inside: list[bool] = []
    without: list[bool] = []
    for repetition in range(200):
        hazard = rng.uniform(0.03, 0.25, (31, size))
        factor = common_factors(np.full(1, deviation**2), 31, rng)[0]
        leaves = rng.random((31, size)) < np.minimum(hazard * factor[:, None], 1.0)
        variances = shock_variances(
            np.repeat(np.arange(30), size),
            leaves[:30].ravel().astype(float),
            hazard[:30].ravel(),
            seed=repetition,
            draws=100,
        )
        value = rng.lognormal(9.0, 1.0, size)
        here = np.zeros((size, 1), dtype=np.intp)
        month = Renewals(here, here, here, value, np.ones(size), np.zeros(size, dtype=np.intp))
        realised = value[~leaves[30]].sum()
        for chosen, kept in ((variances[1:], inside), (np.zeros(100), without))[
            : 2 if deviation else 1
        ]:
            factors = common_factors(chosen, 1, rng)
            each = np.broadcast_to(hazard[30][:, None], (len(factors), size, 1))
            futures = simulate_month_values(each, month, factors, 1, rng)[:, 1, 0, 0]
            low, high = interval(futures, np.asarray((value * (1 - hazard[30])).sum()))
            kept.append(bool(low <= realised <= high))
    assert 0.91 <= np.mean(inside) <= 0.985
    if deviation:
        assert np.mean(without) < np.mean(inside) - 0.05


def test_a_forecast_adds_accounts_to_months_and_holds_its_middle(
    company: tuple[Hazards, Company],
) -> None:
    hazards, held = company
    rows = held.rows.rows(slice(0, 700))
    middle = sigmoid(rows.log_odds)
    chance = Chance(middle, sigmoid(rows.log_odds - 0.3), sigmoid(rows.log_odds + 0.3))
    due = np.column_stack(
        [contract_ends(rows, s, e) > 0 for s, e in zip(EDGES[:6], EDGES[1:7], strict=True)]
    )
    periods = np.broadcast_to(np.arange(6), due.shape)
    ends = np.where(due, periods, -1)
    renewals = Renewals(ends, ends, periods, np.full(700, 1000.0), np.ones(700), np.arange(700) % 2)
    draws = draws_of(hazards, np.zeros(41))
    found = forecast_accounts(
        hazards,
        rows,
        chance,
        (),
        renewals,
        2,
        6,
        draws,
        curve_days=360,
        value_days=360,
        yearly_discount=0.0,
    )
    assert found.months[0, :, :, :2].sum(axis=-1) == pytest.approx(found.months[0, :, :, 2])
    first = due[:, 0]
    assert found.months[0, 0, 0, -1] == pytest.approx(1000.0 * first.sum())
    assert found.months[0, 1, 0, -1] == pytest.approx(
        (1000.0 * (1 - found.curves.total[first, 1])).sum()
    )
    assert (found.months[1] <= found.months[0]).all() and (found.months[0] <= found.months[2]).all()
    for triple in (found.days, found.value):
        assert (triple[1] <= triple[0]).all() and (triple[0] <= triple[2]).all()
    # At the primary horizon the ends are those of the probability, up to the grain of 40 draws.
    assert found.low[-1, :, at(90)] == pytest.approx(chance.low, rel=0.1)
    assert found.high[-1, :, at(90)] == pytest.approx(chance.high, rel=0.1)
    again = forecast_accounts(
        hazards,
        rows,
        chance,
        (),
        renewals,
        2,
        6,
        draws,
        curve_days=360,
        value_days=360,
        yearly_discount=0.0,
    )
    assert np.array_equal(found.months, again.months)
