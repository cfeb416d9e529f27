"""Trajectory: the calendar is carried, own past raises alerts, projections hold what they say,
three ways sum to one.
"""

from dataclasses import replace
from datetime import date, timedelta
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from features.errors import ContractError
from models.health import scale_from_anchors
from models.methods.base import sigmoid
from models.trajectory import (
    COVERAGE,
    RISING,
    SLOW,
    STEADY,
    SUDDEN,
    UNKNOWN,
    Pairs,
    Panel,
    Standing,
    UserDays,
    Ways,
    against_own_past,
    carry,
    chance_of_rise,
    directions,
    fit_projector,
    fit_rises,
    measure,
    measure_ways,
    movement_records,
    own_path,
    past_pairs,
    past_ways,
    project,
    rises,
    season,
    three_ways,
    use_on,
)
from models.trajectory.own_past import critical_s

SCALE = scale_from_anchors(0.2, 0.05)


def signal(column: str, *, nature: str = "clock", driver: str = "clock") -> Signal:
    return Signal(
        column, driver, "contract", "subscriptions", column, "days", "{value}", nature=nature
    )


CARDS = (
    signal("days_to_renewal"),
    signal("days_in_term"),
    signal("days_as_customer"),
    signal("days_from_new_year", driver="season"),
    signal("active_days_28d", nature="leading"),
)


def rows(*values: tuple[float, ...]) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[s.column for s in CARDS], dtype="float64")


# --- the calendar
# -----------------------------------------------------------------------------------------


def test_a_term_that_ends_on_the_way_begins_again() -> None:
    moved = carry(rows((20, 345, 710, 50, 12)), CARDS, 30)
    assert moved.to_numpy().tolist() == [[355, 10, 740, 50, 12]]


def test_the_last_day_of_a_term_still_belongs_to_it() -> None:
    moved = carry(rows((30, 335, 335, 0, 0), (29, 336, 336, 0, 0)), CARDS, 30)
    assert moved["days_to_renewal"].tolist() == [0, 364]
    assert moved["days_in_term"].tolist() == [365, 1]


def test_a_monthly_term_may_begin_several_times() -> None:
    assert carry(rows((10, 20, 20, 0, 0)), CARDS, 90)["days_to_renewal"].tolist() == [10]


def test_what_is_not_known_stays_unknown() -> None:
    moved = carry(rows((np.nan, 10, 10, 0, 5), (20, np.nan, 10, 0, 5)), CARDS, 30)
    assert np.isnan(moved["days_to_renewal"]).all() and moved["days_in_term"].tolist()[0] == 40


def test_carrying_by_nothing_and_without_clocks_changes_nothing() -> None:
    table = rows((20, 345, 710, 50, 12))
    pd.testing.assert_frame_equal(carry(table, CARDS, 0), table)
    pd.testing.assert_frame_equal(carry(table, (), 30), table)
    assert table.loc[0, "days_to_renewal"] == 20
    with pytest.raises(ContractError, match="must be 0 or more"):
        carry(table, CARDS, -1)


def test_a_score_that_only_the_calendar_moves_has_a_level_own_path() -> None:
    health = np.array([[90.0, 88.0, 45.0, 46.0, 91.0, 90.0]])
    carried = np.array([[88.0, 45.0, 46.0, 91.0, 90.0, np.nan]])
    assert own_path(health, carried).tolist() == [[90.0] * 6]
    assert against_own_past(own_path(health, carried)).movement.tolist() == [STEADY]


def test_the_own_path_ends_at_the_score_and_stops_at_a_gap() -> None:
    health = np.array([[80.0, np.nan, 70.0, 60.0]])
    path = own_path(health, np.array([[80.0, np.nan, 69.0, 0.0]]))
    assert path[0, 2:].tolist() == [69.0, 60.0] and np.isnan(path[0, :2]).all()


# --- own past
# ---------------------------------------------------------------------------------------------


def noisy(level: np.ndarray, seed: int, accounts: int = 1, deviation: float = 2.0) -> np.ndarray:
    return level + np.random.default_rng(seed).normal(0.0, deviation, (accounts, len(level)))


STEPS = np.arange(7.0)
SCRIPTED = {
    "its use collapses": (np.array([85.0] * 6 + [50.0]), SUDDEN),
    "it collapsed two dates ago": (np.array([85.0] * 4 + [50.0] * 3), SUDDEN),
    "it collapses at a low level too": (np.array([45.0] * 6 + [15.0]), SUDDEN),
    "it falls four points a month": (85.0 - 4.0 * STEPS, SLOW),
    "it is flat and noisy": (np.full(7, 60.0), STEADY),
    "it rises four points a month": (40.0 + 4.0 * STEPS, RISING),
}


@pytest.mark.parametrize("case", SCRIPTED)
def test_scripted_accounts_are_told_apart(case: str) -> None:
    level, wanted = SCRIPTED[case]
    found = against_own_past(noisy(level, seed=7, accounts=500, deviation=1.5)).movement
    assert (found == wanted).mean() > 0.95


def test_alerts_wait_for_their_minimum_evidence() -> None:
    collapse, slope = np.array([85.0] * 6 + [50.0]), 85.0 - 4.0 * STEPS
    for known, of_collapse, of_slope in (
        (3, UNKNOWN, UNKNOWN),
        (4, SUDDEN, STEADY),
        (5, SUDDEN, SLOW),
    ):
        path = np.vstack([collapse, slope]) + 0.1 * np.sin(STEPS)
        path[:, : 6 - known] = np.nan
        movement = against_own_past(path).movement.tolist()
        assert movement[0] == of_collapse, known
        # Four past dates and now are five in a row, which the slope needs; three are four.
        assert movement[1] == (SLOW if known >= 4 else of_slope), known


def test_a_drop_says_how_far_and_by_when() -> None:
    found = against_own_past(np.array([[70.0, 80, 82, 80, 78, 80, 79, 50, 48]]))
    assert (
        found.usual[0] == 79.5
        and found.fall[0] == 31.5
        and found.since[0] == 7
        and found.dates[0] == 6
    )


def test_a_restless_account_needs_a_larger_fall() -> None:
    calm, restless = (
        np.array([60.0, 61, 59, 60, 61, 59, 46]),
        np.array([60.0, 75, 45, 62, 76, 44, 46]),
    )
    assert against_own_past(np.vstack([calm] * 9 + [restless])).movement.tolist() == [
        SUDDEN
    ] * 9 + [STEADY]


def test_false_alarms_on_flat_accounts_are_rare() -> None:
    generator = np.random.default_rng(3)
    normal = generator.normal(0.0, 3.0, (20_000, 7))
    heavy = 2.0 * generator.standard_t(4, (20_000, 7))
    carried_on = np.zeros((20_000, 7))
    for each in range(7):
        carried_on[:, each] = (0.5 * carried_on[:, each - 1] if each else 0.0) + generator.normal(
            0.0, 2.6, 20_000
        )
    for noise, most in ((normal, 0.01), (heavy, 0.02), (carried_on, 0.02)):
        movement = against_own_past(60.0 + noise).movement
        assert (movement == SUDDEN).mean() <= most
        assert (movement == SLOW).mean() <= most


def test_the_critical_value_is_that_of_all_permutations() -> None:
    scores = [
        sum(np.sign(b - a) for i, a in enumerate(each) for b in each[i + 1 :])
        for each in permutations(range(6))
    ]
    values = sorted(set(scores))
    assert critical_s(6) == min(v for v in values if np.mean(np.array(scores) >= v) <= 0.01)
    assert critical_s(4) == np.inf


def test_no_past_is_unknown_and_no_error() -> None:
    for width in (1, 2):
        assert against_own_past(np.full((3, width), 50.0)).movement.tolist() == [UNKNOWN] * 3


# --- projection
# -------------------------------------------------------------------------------------------


def made_pairs(
    origins: int, accounts: int, seed: int, deviation: float = 6.0
) -> tuple[Pairs, np.ndarray]:
    """Accounts whose surprise is normal, wider where they fall, and who leave with 1 - (1 -
    p)^2.
    """
    generator = np.random.default_rng(seed)
    account, origin = (
        each.ravel() for each in np.meshgrid(np.arange(accounts), np.arange(origins), indexing="ij")
    )
    carried = np.clip(generator.normal(60.0, 18.0, len(account)), 0.0, 100.0)
    direction = generator.integers(0, 3, len(account))
    probability = sigmoid((SCALE.a - carried) / SCALE.b)
    surprise = generator.normal(0.0, deviation * np.where(direction == 0, 2.0, 1.0))
    has_left = generator.random(len(account)) < 1.0 - (1.0 - probability) ** 2
    health = np.where(has_left, np.nan, np.clip(carried + surprise, 0.0, 100.0))
    return (
        Pairs(
            Standing(carried, direction.astype(np.intp), probability),
            health,
            has_left,
            account,
            origin,
        ),
        carried,
    )


def test_intervals_hold_their_share_out_of_time_and_know_who_strays_further() -> None:
    pairs, now = made_pairs(12, 400, seed=1)
    found = measure(pairs, now, SCALE, first_origin=6, ahead=3)
    assert found is not None and found.origins == 6
    assert found.low - 0.02 <= COVERAGE <= found.high + 0.02
    assert abs(found.coverage - COVERAGE) < 0.04
    projector = fit_projector(pairs, SCALE)
    same = Standing(np.full(2, 60.0), np.array([0, 1]), np.full(2, 0.1))
    ends = project(projector, same).health
    assert (ends[0, 2] - ends[0, 0]) > 1.6 * (ends[1, 2] - ends[1, 0])
    assert (np.diff(ends, axis=1) > 0).all()


def test_chances_sum_to_one_and_leaving_has_the_observed_level() -> None:
    pairs, _ = made_pairs(8, 500, seed=2)
    projector = fit_projector(pairs, SCALE)
    found = project(projector, pairs.before)
    known = np.isfinite(found.chances).all(axis=1)
    assert (
        known.mean() > 0.95
        and np.isnan(found.chances[~known]).all()
        and np.isnan(found.health[~known]).all()
    )
    assert (
        np.abs(found.chances[known].sum(axis=1) - 1.0).max() < 1e-12
        and (found.chances[known] >= 0).all()
    )
    assert projector.exponent == pytest.approx(2.0, abs=0.15)
    assert found.chances[known, 0].mean() == pytest.approx(pairs.has_left[known].mean(), abs=0.005)
    order = np.argsort(pairs.before.probability[known])
    assert (np.diff(found.chances[known][order, 0]) >= -1e-12).all()


def test_the_bands_are_those_of_the_projected_scores() -> None:
    pairs, _ = made_pairs(8, 500, seed=3, deviation=1.0)
    standing = Standing(np.array([20.0, 55.0, 90.0]), np.full(3, 1), np.full(3, 0.01))
    chances = project(fit_projector(pairs, SCALE), standing).chances
    assert (
        chances[:, 1:].argmax(axis=1).tolist() == [0, 1, 2]
        and (chances[:, 1:].max(axis=1) > 0.9).all()
    )


def test_the_projection_beats_counting_by_band_where_the_calendar_moves_scores() -> None:
    pairs, carried = made_pairs(12, 400, seed=4)
    before = np.random.default_rng(4).permutation(carried)
    found = measure(pairs, before, SCALE, first_origin=6, ahead=3)
    assert (
        found is not None
        and found.log_loss < found.log_loss_counts
        and found.middle_error < found.same_error
    )


def test_nothing_is_projected_from_too_few() -> None:
    pairs, now = made_pairs(2, 20, seed=5)
    assert measure(pairs, now, SCALE, first_origin=1, ahead=1) is None
    found = project(fit_projector(pairs.rows(pairs.account < 5), SCALE), pairs.before)
    assert np.isnan(found.health).all() and np.isnan(found.chances).all()
    nobody = pairs.rows(pairs.account < 0)
    assert measure(nobody, now[:0], SCALE, first_origin=0, ahead=1) is None
    with pytest.raises(ContractError, match="start without a score"):
        measure(pairs, np.full(len(pairs), np.nan), SCALE, first_origin=1, ahead=1)


def test_an_account_far_from_all_others_has_no_projection() -> None:
    pairs, _ = made_pairs(6, 300, seed=6)
    high = pairs.rows(pairs.before.carried > 50.0)
    found = project(
        fit_projector(high, SCALE), Standing(np.array([10.0, 70.0]), np.full(2, 1), np.full(2, 0.1))
    )
    assert np.isnan(found.health[0]).all() and np.isfinite(found.health[1]).all()


def test_what_happened_later_changes_no_earlier_projection() -> None:
    pairs, now = made_pairs(9, 300, seed=7)
    first = measure(
        pairs.rows(pairs.origin <= 6), now[pairs.origin <= 6], SCALE, first_origin=6, ahead=3
    )
    later = replace(
        pairs,
        health=np.where(pairs.origin > 6, 1.0, pairs.health),
        has_left=pairs.has_left & (pairs.origin <= 6),
    )
    # The dates after the one that is judged, and the outcomes not yet known on it, are not what it
    # is judged from.
    spoiled = replace(
        later, health=np.where((later.origin > 3) & (later.origin < 6), 0.0, later.health)
    )
    again = measure(
        spoiled.rows(spoiled.origin <= 6), now[spoiled.origin <= 6], SCALE, first_origin=6, ahead=3
    )
    assert first == again


def test_direction_needs_five_points() -> None:
    assert directions(np.array([-5.0, -4.9, 4.9, 5.0, np.nan])).tolist() == [0, 1, 1, 2, 3]


# --- three ways
# -------------------------------------------------------------------------------------------


def test_a_rise_must_pass_both_margins_beyond_the_season() -> None:
    last, following = np.full(4, 40.0), np.array([44.0, 43.0, 60.0, 0.0])
    assert rises(last, following, 0.9).tolist() == [True, False, True, False]
    assert rises(np.array([4.0, 4.0]), np.array([8.0, 9.0]), 1.0).tolist() == [False, True]
    assert (
        season(np.array([9.0, 9.0, 99.0]), np.array([4.0, 4.0, 99.0])) == 0.5
        and season(last[:0], last[:0]) == 1.0
    )


def made_ways(seed: int, *, informative: bool) -> tuple[Ways, np.ndarray]:
    generator = np.random.default_rng(seed)
    account, origin = (
        each.ravel() for each in np.meshgrid(np.arange(500), np.arange(10), indexing="ij")
    )
    size = len(account)
    last, before = generator.gamma(3.0, 20.0, size), generator.gamma(3.0, 20.0, size)
    use = UserDays(last / 3.0, last, before, np.full(size, 60.0), 3)
    truth = sigmoid(-1.0 - (1.2 * np.log((last + 1.0) / (before + 1.0)) if informative else 0.0))
    probability = np.full(size, 0.05)
    has_left = generator.random(size) < probability
    rose = (generator.random(size) < truth) & ~has_left
    return Ways(use, rose, has_left, probability, account, origin), truth


def test_three_ways_sum_to_one_and_recover_a_known_chance() -> None:
    ways, truth = made_ways(1, informative=True)
    model = ways.model()
    assert model is not None
    rise = chance_of_rise(model, ways.use)
    chances = three_ways(ways.probability, rise)
    assert (
        np.abs(chances.sum(axis=1) - 1.0).max() < 1e-12
        and (chances[:, 0] == ways.probability).all()
    )
    assert np.abs(rise - truth).mean() < 0.05
    found = measure_ways(ways, first_origin=6, ahead=3)
    assert found is not None and found.is_better and found.log_loss < found.log_loss_constant
    assert found.rise_seen == pytest.approx(found.rise_said, abs=0.08) and list(
        found.rise_said
    ) == sorted(found.rise_said)


def test_a_trend_that_tells_nothing_gains_nothing_and_too_few_give_no_model() -> None:
    ways, _ = made_ways(2, informative=False)
    found = measure_ways(ways, first_origin=6, ahead=3)
    assert found is not None and found.log_loss > found.log_loss_constant_split - 0.003
    assert fit_rises(ways.use.rows(ways.account < 10), ways.rose[ways.account < 10]) is None
    assert measure_ways(ways.rows(ways.account < 10), first_origin=6, ahead=3) is None


# --- the panel
# --------------------------------------------------------------------------------------------


def panel() -> Panel:
    """Three accounts, six dates: a steady one, one that leaves after the fourth date, one that
    comes with the third.
    """
    there = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1]], dtype=bool)
    health = np.where(there, np.array([[80.0], [60.0], [70.0]]), np.nan)
    label = np.array(
        [
            [0, 0, 0, np.nan, np.nan, np.nan],
            [0, 1, 1, np.nan, np.nan, np.nan],
            [np.nan, np.nan, 0, np.nan, np.nan, np.nan],
        ]
    )
    return Panel(
        np.array(["a", "b", "c"], dtype=object),
        tuple(date(2025, 1, 1) + timedelta(days=30 * n) for n in range(6)),
        health,
        np.where(there, 0.1, np.nan),
        {1: health.copy(), 3: health - 5.0},
        there,
        there.copy(),
        label,
    )


def test_pairs_hold_everybody_with_a_score_and_who_is_gone_has_left() -> None:
    pairs, now = past_pairs(panel(), 3)
    assert list(zip(pairs.account.tolist(), pairs.origin.tolist(), strict=True)) == [
        (0, 0),
        (0, 1),
        (0, 2),
        (1, 0),
        (1, 1),
        (1, 2),
        (2, 2),
    ]
    assert pairs.has_left.tolist() == [False, False, False, False, True, True, False]
    assert now.tolist() == [80.0] * 3 + [60.0] * 3 + [70.0] and pairs.before.carried.tolist() == [
        75.0
    ] * 3 + [55.0] * 3 + [65.0]
    short = panel()
    first = {ahead: values[:, :3] for ahead, values in short.carried.items()}
    short = replace(
        short,
        dates=short.dates[:3],
        health=short.health[:, :3],
        probability=short.probability[:, :3],
        carried=first,
        is_member=short.is_member[:, :3],
    )
    assert len(past_pairs(short, 3)[0]) == 0


def test_use_sums_whole_parts_before_each_date() -> None:
    parts = np.arange(8.0)[None, :].repeat(3, axis=0)
    six = use_on(panel(), np.hstack([parts, parts[:, :4]]), size=3)
    assert six.last_part[0].tolist() == [6, 7, 0, 1, 2, 3]
    assert six.last[0].tolist() == [15, 18, 13, 8, 3, 6] and six.before[0].tolist() == [
        6,
        9,
        12,
        15,
        18,
        13,
    ]
    ways = past_ways(panel(), six)
    assert (
        ways.has_left.tolist() == [False, False, False, False, True, True, False]
        and not ways.rose[ways.has_left].any()
    )


def test_records_count_movements_on_dates_with_a_known_outcome() -> None:
    found = movement_records(panel(), 0)
    assert {name: each.rows for name, each in found.items()} == {UNKNOWN: 7}
    assert found[UNKNOWN].happened == pytest.approx(2 / 7) and found[UNKNOWN].said == pytest.approx(
        0.1
    )
