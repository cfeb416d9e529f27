"""The calibrator: rising, right when the margin is right, gentle when events are few."""

import numpy as np
import pandas as pd
import pytest

from models.calibration import (
    Interval,
    Platt,
    after_drift,
    at_level,
    fit_interval,
    fit_platt,
    losses_at_level,
)
from models.methods.base import mean_log_loss


def _margins(rows: int, slope: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Margins whose true log-odds are `slope` times them minus one half."""
    generator = np.random.default_rng(seed)
    margin = generator.normal(-1.0, 1.5, rows)
    true = slope * margin - 0.5
    return margin, (generator.random(rows) < 1 / (1 + np.exp(-true))).astype(np.int8)


def test_known_slope_and_intercept_are_found() -> None:
    fitted = fit_platt(*_margins(40_000, slope=0.7))
    assert fitted.slope == pytest.approx(0.7, abs=0.03) and fitted.intercept == pytest.approx(
        -0.5, abs=0.05
    )


def test_few_events_stay_near_the_margin() -> None:
    margin, labels = _margins(30, slope=3.0, seed=2)
    assert 0.5 < fit_platt(margin, labels).slope < 2.5
    assert fit_platt(margin, np.zeros(30, dtype=np.int8)).slope > 0


@pytest.mark.parametrize("seed", range(5))
def test_reversed_margins_never_reverse_the_calibrator(seed: int) -> None:
    margin, labels = _margins(500, seed=seed)
    fitted = fit_platt(-margin, labels)
    assert fitted.slope > 0
    assert (np.diff(fitted.calibrate(np.linspace(-10, 10, 100))) > 0).all()
    assert fitted.calibrate(-margin).mean() == pytest.approx(labels.mean(), abs=0.02)


def test_ranking_without_scale_gets_one() -> None:
    margin, labels = _margins(5000)
    assert fit_platt(20 * margin, labels, is_log_odds=False).slope == pytest.approx(0.05, abs=0.01)
    assert fit_platt(margin / 8, labels, is_log_odds=False).slope == pytest.approx(8.0, rel=0.1)


def test_interval_narrows_with_more_accounts_and_survives_json() -> None:
    widths = []
    for rows in (400, 6400):
        margin, labels = _margins(rows)
        accounts = pd.Series([f"a{number}" for number in range(rows)])
        calibrator = fit_platt(margin, labels)
        table = fit_interval(margin, labels, accounts, calibrator, seed=1)
        asked = np.array([-1.0])
        low, high = Interval.from_dict(table.to_dict()).around(
            asked, Platt.from_dict(calibrator.to_dict())
        )
        assert (low, high) == table.around(asked, calibrator)
        assert low[0] <= calibrator.calibrate(asked)[0] <= high[0]
        widths.append(float(high[0] - low[0]))
    assert widths[1] < 0.5 * widths[0]


def test_interval_of_few_leavers_holds_the_rate_among_calm_accounts() -> None:
    accounts = pd.Series([f"a{number}" for number in range(900)])
    calm, generator = np.array([-7.0]), np.random.default_rng(2)
    bend, held, widths = 0.5, [], []
    for seed in range(20):
        margin = generator.normal(-5.0, 1.2, 900)
        # The truth bends away from the straight line below the middle: no more than ten leavers
        # could show it.
        truth = 1 / (1 + np.exp(-(margin - bend * np.maximum(-5.0 - margin, 0.0))))
        labels = (generator.random(900) < truth).astype(np.int8)
        calibrator = fit_platt(margin, labels)
        low, high = fit_interval(margin, labels, accounts, calibrator, seed=seed).around(
            calm, calibrator
        )
        held.append(low[0] <= 1 / (1 + np.exp(7.0 + bend * 2.0)) <= high[0])
        widths.append(np.log(high[0] / low[0]))
    assert np.mean(held) >= 0.9
    assert np.mean(widths) < 6.0


def test_level_of_the_final_rows_keeps_the_slope_and_meets_their_rate() -> None:
    generator = np.random.default_rng(4)
    margin = generator.normal(-2.0, 1.5, 4_000)
    labels = (generator.random(4_000) < 1 / (1 + np.exp(-(margin + 0.9)))).astype(np.int8)
    weights = np.where(np.arange(4_000) < 2_000, 0.5, 1.5)

    levelled = at_level(Platt(0.8, -3.0, 17), margin, labels, weights)

    assert (levelled.slope, levelled.events) == (0.8, 17)
    mean = np.average(levelled.calibrate(margin), weights=weights)
    assert mean == pytest.approx(np.average(labels, weights=weights), abs=2e-4)


def test_level_is_finite_where_every_label_is_the_same() -> None:
    levelled = at_level(Platt(), np.array([-1.0, 0.0, 2.0]), np.zeros(3, dtype=np.int8))

    assert 0.0 < levelled.calibrate(np.array([0.0]))[0] < 0.2


@pytest.mark.parametrize(("shift", "kept"), [(-1.8, 0.9), (0.6, 0.7), (0.0, None)])
def test_level_follows_newer_dates_beyond_chance_only(shift: float, kept: float | None) -> None:
    generator = np.random.default_rng(5)
    margin = generator.normal(-1.0, 1.2, 3_000)
    labels = (generator.random(3_000) < 1 / (1 + np.exp(-(0.8 * margin + shift)))).astype(np.int8)

    moved = after_drift(Platt(0.8, 0.0, 9), margin, labels, accounts=1_500).intercept

    if kept is None:
        assert moved == pytest.approx(0.0, abs=0.02)
    else:
        assert kept * abs(shift) < abs(moved) <= 1.1 * abs(shift) and np.sign(moved) == np.sign(
            shift
        )


def test_few_accounts_move_no_level() -> None:
    margin = np.full(60, -1.0)
    labels = np.array([1, 0, 0] * 20, dtype=np.int8)
    assert after_drift(Platt(), margin, labels, accounts=6).intercept == 0.0


def test_candidates_are_judged_at_the_level_of_the_rows_and_nothing_else_is_taken_out() -> None:
    margin, labels = _margins(4_000)
    candidates = np.array([margin, margin + 3.0, 0.5 * margin, np.full(4_000, 2.0)])
    right, moved, shy, constant = losses_at_level(candidates, labels, 1_000_000)
    level = at_level(Platt(), margin, labels).intercept
    assert right == pytest.approx(mean_log_loss(margin + level, labels), abs=1e-6)
    assert moved == pytest.approx(right, abs=1e-5)
    assert right + 0.01 < shy < constant
    rate = labels.mean()
    entropy = -rate * np.log(rate) - (1 - rate) * np.log(1 - rate)
    assert constant == pytest.approx(entropy, abs=1e-6)


@pytest.mark.parametrize("outcome", [0, 1])
def test_candidates_are_judged_where_all_rows_have_one_outcome(outcome: int) -> None:
    margin, _ = _margins(200)
    losses = losses_at_level(margin[None, :], np.full(200, outcome, dtype=np.int8), 200)
    assert 0.0 < losses[0] < 0.1


def test_a_candidates_level_counts_where_chance_explains_what_it_lacks() -> None:
    margin, labels = _margins(4_000)
    near = margin + at_level(Platt(), margin, labels).intercept + 0.1
    few, many = (losses_at_level(near[None, :], labels, n)[0] for n in (40, 1_000_000))
    assert few == pytest.approx(mean_log_loss(near, labels), abs=1e-9)
    assert many == pytest.approx(mean_log_loss(near - 0.1, labels), abs=1e-4)
    assert many < few
