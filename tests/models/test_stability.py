"""Moves between bands: counted on the same inputs, halved by drawing the new model towards the one
in use.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from models.bundle import Bundle, score
from models.calibration import Platt
from models.gates import stable
from models.health import scale_from_anchors
from models.methods import Logistic
from models.model import Member, Model
from models.stability import band_changes, portfolio_rows, speaks_of_the_same, stabilised

SIGNALS = tuple(
    Signal(
        column=f"x{n}",
        driver=f"x{n}",
        dimension="usage",
        source="usage",
        meaning="",
        unit="",
        phrase="{value}",
    )
    for n in range(3)
)


def _features(rows: int, seed: int = 0) -> pd.DataFrame:
    return pd.DataFrame(
        np.random.default_rng(seed).normal(size=(rows, 3)), columns=["x0", "x1", "x2"]
    )


def _model(weights: tuple[float, float, float], calibrator: Platt) -> Model:
    features = _features(2_000, 9)
    chance = 1 / (1 + np.exp(-(features.to_numpy() @ np.array(weights) - 1.5)))
    labels = (np.random.default_rng(1).random(2_000) < chance).astype(np.int8)
    return Model(
        (Member(Logistic(0.001).fit(features, labels, SIGNALS), 1.0),), SIGNALS, calibrator
    )


def _bundle(model: Model) -> Bundle:
    return Bundle(model, None, scale_from_anchors(0.35, 0.12), {})


def test_changes_are_zero_against_itself_and_rise_with_the_difference() -> None:
    frame = _features(1_500)
    first = _bundle(_model((1.0, 0.5, 0.0), Platt()))
    near, far = (
        _bundle(_model((1.0, 0.4, 0.2), Platt())),
        _bundle(_model((-1.0, 0.5, 0.0), Platt())),
    )
    assert band_changes(first, first, frame) == 0.0
    assert 0.0 < band_changes(first, near, frame) < band_changes(first, far, frame) <= 1.0


def test_stabilised_lies_between_and_still_adds_up() -> None:
    frame = _features(1_500)
    champion, challenger = (
        _model((1.0, 0.5, 0.0), Platt(0.9, 0.2)),
        _model((0.2, 0.9, 0.8), Platt(1.3, -0.4)),
    )
    blend = stabilised(champion, challenger)
    logit = [m.calibrator.logit(m.margin(frame)) for m in (champion, challenger, blend)]
    assert np.allclose(logit[2], (logit[0] + logit[1]) / 2, atol=1e-12)
    scored = score(_bundle(blend), frame)
    gap = scored.base + scored.points.sum(axis=1) - scored.table["health_exact"].to_numpy()
    assert np.abs(gap).max() < 1e-9
    moved = [
        band_changes(_bundle(champion), _bundle(model), frame) for model in (challenger, blend)
    ]
    assert moved[1] < moved[0]


def test_models_of_other_signals_are_not_blended() -> None:
    model = _model((1.0, 0.0, 0.0), Platt())
    changed = replace(model, signals=(replace(SIGNALS[0], definition={"window": 7}), *SIGNALS[1:]))
    assert speaks_of_the_same(model, model) and not speaks_of_the_same(model, changed)


@pytest.mark.parametrize(("changed", "passed"), [(0.05, True), (0.2, True), (0.35, False)])
def test_gate_asks_for_the_budget_and_prints_the_noise(changed: float, passed: bool) -> None:
    gate = stable(changed, 0.03, 0.2)
    assert gate.passed is passed and "another seed alone moves 3.0%" in gate.reason
    assert (
        "20% are allowed" in gate.reason
        and "0.1% are allowed" in stable(changed, 0.03, 0.001).reason
    )


def _keys(*rows: tuple[str, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["account_id", "as_of"])
    return table.assign(as_of=pd.to_datetime(table["as_of"], format="ISO8601"))


def test_a_portfolio_is_the_latest_date_and_equal_rows_of_a_table_count_once() -> None:
    grid = _keys(("a", "2025-01-01"), ("a", "2025-01-29"), ("b", "2025-01-01"), ("c", "2025-01-29"))
    assert portfolio_rows(grid).tolist() == [False, True, False, True]
    undated = _keys(("a", "1970-01-01"), ("a", "1970-01-01 00:00:00.000001"), ("b", "1970-01-01"))
    assert portfolio_rows(undated).tolist() == [False, True, True]


def test_accounts_with_dates_of_their_own_are_shown_by_their_newest_row() -> None:
    days = pd.date_range("2025-01-01", periods=100)
    keys = pd.DataFrame({"account_id": [f"{n // 2:02}" for n in range(100)], "as_of": days})
    assert portfolio_rows(keys).tolist() == [False, True] * 50
