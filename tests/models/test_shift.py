"""A score that moved is noticed: beyond what matters, beyond chance, with the signals that moved
it.
"""

import numpy as np
import pandas as pd
import pytest

from models.shift import moved_signals, score_shift, stability_index


def scores(health: np.ndarray) -> pd.DataFrame:
    bands = np.select([health <= 40, health <= 70], ["at_risk", "stable"], "healthy")
    return pd.DataFrame(
        {
            "account_id": [f"a{n}" for n in range(len(health))],
            "health_exact": health,
            "band": np.where(np.isnan(health), "unknown", bands),
        }
    )


def drawn(mean: float, accounts: int, seed: int) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(mean, 15.0, accounts), 0, 100)


def test_the_index_is_the_formula_and_zero_for_equal_counts() -> None:
    values = np.repeat(np.arange(10.0), 100)
    assert stability_index(values, values) == (pytest.approx(0.0, abs=1e-12), pytest.approx(1.0))
    half = np.concatenate([np.zeros(500), np.ones(500)])
    other = np.concatenate([np.zeros(800), np.ones(200)])
    p, q = np.array([500.5, 500.5]) / 1001, np.array([800.5, 200.5]) / 1001
    assert stability_index(half, other)[0] == pytest.approx(((q - p) * np.log(q / p)).sum())


@pytest.mark.parametrize("accounts", [60, 900, 20_000])
def test_chance_alone_is_never_beyond(accounts: int) -> None:
    found = [
        score_shift(scores(drawn(75, accounts, seed)), scores(drawn(75, accounts, seed + 100)))
        for seed in range(30)
    ]
    assert not any(each is not None and each.is_beyond(0.25) for each in found)


def test_a_portfolio_that_turned_is_beyond_and_a_small_move_is_not() -> None:
    before = scores(drawn(75, 900, 1))
    turned, nudged = (score_shift(before, scores(drawn(mean, 900, 2))) for mean in (55, 73))
    assert (
        turned is not None
        and turned.is_beyond(0.25)
        and turned.bands_now["healthy"] < turned.bands_before["healthy"]
    )
    assert nudged is not None and nudged.index < 0.1 and not nudged.is_beyond(0.25)


def test_accounts_that_change_band_are_counted_among_those_scored_both_times() -> None:
    before = scores(np.full(100, 80.0))
    now = scores(np.concatenate([np.full(25, 30.0), np.full(50, 80.0), np.full(25, np.nan)]))
    shift = score_shift(before, now)
    assert shift is not None and shift.changed_band == pytest.approx(25 / 75)


def test_runs_on_two_scales_are_compared_by_the_chances_behind_them() -> None:
    health = drawn(75, 900, 1)
    before = scores(health).assign(probability=1 - health / 100)
    other_scale = before.assign(health_exact=before["health_exact"] / 2)
    moved = score_shift(before, other_scale)
    assert moved is not None and moved.is_beyond(0.25)
    same = score_shift(before, other_scale, "probability")
    assert same is not None and same.index == pytest.approx(0.0, abs=1e-12)


def test_accounts_without_a_score_are_left_out_and_few_are_not_judged() -> None:
    health = drawn(75, 900, 1)
    health[:300] = np.nan
    found = score_shift(scores(health), scores(drawn(75, 900, 2)))
    assert found is not None and "unknown" not in found.bands_before
    assert score_shift(scores(drawn(75, 49, 1)), scores(health)) is None


def test_the_signal_of_another_unit_comes_first_with_its_ratio() -> None:
    random = np.random.default_rng(3)
    before = pd.DataFrame(
        {"calm": random.normal(size=900), "amount": random.lognormal(3, 1, 900), "empty": np.nan}
    )
    now = before.assign(amount=before["amount"] * 1_000.0, calm=random.permutation(before["calm"]))
    found = moved_signals(before, now)
    assert found["signal"].iloc[0] == "amount" and found["ratio"].iloc[0] == pytest.approx(1_000.0)
    assert found.set_index("signal").loc["calm", "index"] == pytest.approx(0.0, abs=1e-9)
