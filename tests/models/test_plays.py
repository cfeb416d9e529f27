"""Effects of plays: the lot, refusals in words, power beforehand, and the choice under hours."""

from itertools import product

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from models.plays import (
    accounts_per_arm,
    choose_plays,
    draw_lot,
    half_width,
    lot_cost,
    observed_effect,
    randomised_effect,
    sample_ratio,
    saved_value,
    score_effect,
)


def lot_rows(
    rng: np.random.Generator, *, rows: int = 4_000, base: float = 0.2, effect: float = -0.08
) -> dict[str, np.ndarray]:
    """Assignments of 12 months by a coin, each account once."""
    assigned = rng.random(rows) < 0.5
    month = rng.integers(0, 12, rows)
    share = base + 0.02 * (month % 3) + effect * assigned
    return {
        "outcome": rng.random(rows) < share,
        "assigned": assigned,
        "account": np.arange(rows),
        "month": month,
    }


def test_a_table_worked_by_hand() -> None:
    """One month, 100 accounts a side, 40 and 20 leavers: 20 points fewer."""
    outcome = np.concatenate([np.arange(100) < 20, np.arange(100) < 40])
    effect = randomised_effect(
        "call",
        "holdout",
        outcome=outcome,
        assigned=np.arange(200) < 100,
        account=np.arange(200),
        month=np.zeros(200),
    )
    assert effect.estimate == pytest.approx(-0.20)
    # Textbook: sqrt(.2*.8/100 + .4*.6/100) = 0.0632, of 1.97 (Student, 199) errors.
    assert effect.high - effect.estimate == pytest.approx(1.972 * 0.0632, rel=0.02)
    assert (effect.verdict, effect.reason) == ("effect", "")
    assert effect.save_share == pytest.approx(0.5)


def test_months_are_compared_within_themselves() -> None:
    """A month in which all are called and many leave is no argument against calling."""
    rng = np.random.default_rng(0)
    rows = lot_rows(rng, rows=6_000)
    without = randomised_effect("call", "lot", **rows)
    bad = np.ones(1_000, dtype=bool)
    effect = randomised_effect(
        "call",
        "lot",
        outcome=np.concatenate([rows["outcome"], bad]),
        assigned=np.concatenate([rows["assigned"], bad]),
        account=np.arange(7_000),
        month=np.concatenate([rows["month"], np.full(1_000, 99)]),
    )
    assert effect.naive > 0.1
    assert effect.estimate == pytest.approx(without.estimate, abs=1e-12)


def test_rows_of_one_account_are_not_independent() -> None:
    rng = np.random.default_rng(1)
    rows = lot_rows(rng, rows=1_000)
    once = randomised_effect("call", "lot", **rows)
    twice = randomised_effect(
        "call", "lot", **{name: np.concatenate([each, each]) for name, each in rows.items()}
    )
    assert twice.high - twice.low == pytest.approx(once.high - once.low, rel=0.02)


def test_refusals_say_why() -> None:
    rng = np.random.default_rng(2)
    rows = lot_rows(rng)
    alone = randomised_effect(
        "call", "lot", **{name: each[rows["assigned"]] for name, each in rows.items()}
    )
    assert alone.verdict == "refused" and "No comparison" in alone.reason
    few = randomised_effect("call", "lot", **{name: each[:100] for name, each in rows.items()})
    assert few.verdict == "refused" and "Too few outcomes" in few.reason
    kept = rows["assigned"] | (rng.random(4_000) < 0.8)
    lost = {name: each[kept] for name, each in rows.items()}
    unequal = randomised_effect("call", "lot", **lost, propensity=np.full(int(kept.sum()), 0.5))
    assert unequal.verdict == "refused" and "Somebody chose, or rows are lost" in unequal.reason


def test_sample_ratio_of_an_even_split_is_silent() -> None:
    assert sample_ratio(np.arange(1_000) < 500, np.full(1_000, 0.5)) == 1.0
    assert np.isnan(sample_ratio(np.ones(3, dtype=bool), np.ones(3)))


def observed_rows(
    seed: int, *, selection: float, hidden: float = 0.0, effect: float = -0.15, rows: int = 6_000
) -> dict[str, np.ndarray]:
    """Managers choose by a signal, and by something no table holds."""
    rng = np.random.default_rng(seed)
    signals = rng.normal(size=(rows, 3))
    unseen = rng.normal(size=rows)
    chosen = 1 / (1 + np.exp(-(-1.0 + selection * signals[:, 0] + hidden * unseen)))
    assigned = rng.random(rows) < chosen
    share = np.clip(0.3 + 0.06 * signals[:, 0] + 0.06 * unseen + effect * assigned, 0.01, 0.99)
    return {
        "outcome": rng.random(rows) < share,
        "assigned": assigned,
        "account": np.arange(rows) // 2,
        "signals": signals,
    }


GROUPS = {"use": (0,), "support": (1,), "payment": (2,)}


def test_observed_effect_that_a_hidden_reason_would_not_explain_away() -> None:
    effect = observed_effect("call", **observed_rows(0, selection=0.6), groups=GROUPS)
    assert effect.verdict == "effect"
    assert effect.low < -0.15 < effect.high
    assert "no proof" in effect.reason and effect.strongest_moves < -effect.high


def test_nothing_measured_behind_the_choice_is_no_licence() -> None:
    """People act on what no table holds, and no signal says how strongly: still no effect."""
    effect = observed_effect(
        "call", **observed_rows(4, selection=0.0, hidden=1.0, effect=-0.08), groups=GROUPS
    )
    assert effect.verdict == "association" and "doubles the odds" in effect.reason


def test_observed_effect_that_a_hidden_reason_would_explain_away_is_an_association() -> None:
    effect = observed_effect("call", **observed_rows(0, selection=1.2, effect=-0.05), groups=GROUPS)
    assert effect.verdict == "association"
    assert effect.reason.startswith("Association, not effect: ")
    assert np.isnan(effect.save_share)


def test_observed_effect_without_comparable_accounts_is_refused() -> None:
    effect = observed_effect("call", **observed_rows(3, selection=9.0), groups=GROUPS)
    assert effect.verdict == "refused" and "No comparable accounts" in effect.reason


def test_scores_that_rise_by_themselves_are_no_effect() -> None:
    """Both sides start low and rise by ten points; the play adds three."""
    rng = np.random.default_rng(5)
    assigned = rng.random(800) < 0.5
    moved = 10 + 3 * assigned + rng.normal(0, 8, 800)
    effect = score_effect(moved, assigned, np.arange(800), np.arange(800) % 6)
    # Three standard errors of 8 x 2 / sqrt(800).
    assert effect is not None and effect.low > 0
    assert effect.estimate == pytest.approx(3.0, abs=1.7)
    assert score_effect(moved[:40], assigned[:40], np.arange(40), np.zeros(40)) is None


def test_power_beforehand() -> None:
    """The figures of a firm that loses 3.6%, and of its red accounts."""
    assert accounts_per_arm(0.0358, 0.0231) == pytest.approx(2_800, rel=0.02)
    assert accounts_per_arm(0.2, 0.1) == pytest.approx(196, abs=1)
    assert half_width(0.2, 0.1, 0) == float("inf")
    with pytest.raises(ValueError, match="nothing to find"):
        accounts_per_arm(0.1, 0.1)


def test_the_lot_keeps_the_number_of_calls_and_draws_near_the_line() -> None:
    accounts = [f"A{number:03d}" for number in range(200)]
    lot = draw_lot(accounts, 40, key="demo/call/2025-01-01")
    assert lot.on_list.sum() == 40
    assert np.flatnonzero(lot.drawn).tolist() == list(range(34, 46))
    assert set(lot.propensity[lot.drawn]) == {0.5} and lot.on_list[:34].all()
    again = draw_lot(accounts, 40, key="demo/call/2025-01-01")
    assert (again.on_list == lot.on_list).all()
    assert not draw_lot(accounts, 40, key="other", share=0.0).drawn.any()


def test_the_lot_draws_each_account_half_of_the_time() -> None:
    accounts = [f"A{number:03d}" for number in range(60)]
    drawn = np.mean([draw_lot(accounts, 40, key=str(k)).on_list for k in range(600)], axis=0)
    assert drawn[34:46] == pytest.approx(np.full(12, 0.5), abs=0.07)
    assert (drawn[:34] == 1).all() and (drawn[46:] == 0).all()


def test_a_short_list_draws_its_share_on_average() -> None:
    """15% of one new account a night is a draw every seventh night, not every night."""
    accounts = [f"A{number:03d}" for number in range(10)]
    widths = [draw_lot(accounts, 1, key=str(k)).drawn.sum() / 2 for k in range(1_000)]
    assert np.mean(widths) == pytest.approx(0.15, abs=0.04)


def test_strategic_accounts_are_never_drawn() -> None:
    may_draw = np.arange(40) != 19
    lot = draw_lot([str(n) for n in range(40)], 20, key="k", may_draw=may_draw)
    assert lot.on_list[19] and lot.propensity[19] == 1.0 and lot.drawn.sum() == 6


def test_the_lots_cost_is_half_the_difference_across_the_line() -> None:
    saved = np.arange(20, 0, -1.0)
    lot = draw_lot([str(n) for n in range(20)], 10, key="k", share=0.2)
    # Above 12 and 11, below 10 and 9: 23 less the half of 42.
    assert lot_cost(lot, saved, 10) == pytest.approx(2.0)


@pytest.mark.parametrize("seed", range(12))
def test_choice_under_hours_is_as_good_as_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    saved = rng.normal(50, 60, (6, 2))
    saved[rng.random((6, 2)) < 0.2] = np.nan
    minutes = np.array([30, 45])
    best = 0.0
    for plays in product((-1, 0, 1), repeat=6):
        chosen = [(row, play) for row, play in enumerate(plays) if play >= 0]
        if sum(int(minutes[play]) for _, play in chosen) <= 120:
            best = max(best, float(np.sum([saved[each] for each in chosen])) if chosen else 0.0)
    choice = choose_plays(saved, minutes, 120)
    assert choice.saved == pytest.approx(best)
    assert choice.minutes <= 120


def test_strategic_accounts_come_first_whatever_they_save() -> None:
    saved = np.array([[-10.0], [500.0], [400.0]])
    choice = choose_plays(saved, np.array([30]), 60, must=np.array([True, False, False]))
    assert choice.play.tolist() == [0, 0, -1]


def test_nothing_is_chosen_that_saves_nothing() -> None:
    saved = saved_value(np.array([0.01]), np.array([100.0]), np.array([0.2]), np.array([120.0]))
    assert choose_plays(saved, np.array([30]), 600).play.tolist() == [-1]


@pytest.mark.parametrize("seed", range(3))
def test_the_doubly_robust_estimate_is_that_of_another_implementation(seed: int) -> None:
    """Much the same effect for all, so that econml's effect on everybody is close to ours on those
    who got the play; the two weigh accounts differently, by less than a standard error.
    """
    dr = pytest.importorskip("econml.dr", reason="extra crosscheck")
    rows = observed_rows(seed, selection=0.3)
    ours = observed_effect("call", **rows, groups={})
    other = dr.LinearDRLearner(
        model_propensity=LogisticRegression(),
        model_regression=LinearRegression(),
        cv=5,
        random_state=seed,
    )
    other.fit(
        rows["outcome"].astype(float), rows["assigned"].astype(int), X=None, W=rows["signals"]
    )
    estimate = float(other.ate(T0=0, T1=1))
    low, high = (float(np.squeeze(each)) for each in other.ate_interval(T0=0, T1=1, alpha=0.05))
    half = (ours.high - ours.low) / 2
    assert abs(ours.estimate - estimate) < half / 1.96
    assert half == pytest.approx((high - low) / 2, rel=0.25)


@pytest.mark.parametrize("seed", range(3))
def test_the_doubly_robust_estimate_follows_its_equation(seed: int) -> None:
    """Chernozhukov et al. (2018), equation 5.4, from both true chances: no model in between."""
    rng = np.random.default_rng(seed)
    signals = rng.normal(size=(8_000, 3))
    propensity = 1 / (1 + np.exp(-(-0.8 + 0.5 * signals[:, 0])))
    without = 1 / (1 + np.exp(-(-1.0 + 0.6 * signals[:, 0])))
    assigned = rng.random(8_000) < propensity
    outcome = rng.random(8_000) < np.where(assigned, without - 0.12 * without, without)
    ours = observed_effect(
        "call",
        outcome=outcome,
        assigned=assigned,
        account=np.arange(8_000),
        signals=signals,
        groups={},
    )
    share = assigned.mean()
    moment = (assigned * (outcome - without)) / share - (
        propensity * ~assigned * (outcome - without)
    ) / (share * (1 - propensity))
    reference = float(moment.mean())
    spread = float((moment - assigned / share * reference).std() / np.sqrt(8_000))
    half = (ours.high - ours.low) / 2
    assert abs(ours.estimate - reference) < 0.25 * half
    assert half == pytest.approx(1.96 * spread, rel=0.05)
