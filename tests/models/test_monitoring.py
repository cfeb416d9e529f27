"""What chances promise before outcomes are known, and drift by what it does to the score."""

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from models.monitoring import (
    ABOVE,
    BELOW,
    INSIDE,
    MOVED,
    QUIET,
    STEADY,
    WHAT,
    drift,
    freeze,
    happened,
    promised,
    source_drift,
    verdict,
)

RANDOM = np.random.default_rng(5)


def signal(column: str, source: str) -> Signal:
    return Signal(column, column, "usage", source, column, "days", f"{column} {{value}}")


SIGNALS = (signal("a", "usage_events"), signal("b", "usage_events"), signal("c", "surveys"))


# --- promised


def test_promises_are_the_moments_of_independent_accounts() -> None:
    chance = RANDOM.beta(0.5, 6.0, 800)
    found = promised(chance, draws=4000)
    assert found["leavers"].value == pytest.approx(chance.sum())
    spread = 1.96 * np.sqrt((chance * (1 - chance)).sum())
    assert found["leavers"].high - found["leavers"].low == pytest.approx(2 * spread, rel=0.1)
    surprise = -(chance * np.log(chance) + (1 - chance) * np.log1p(-chance)).mean()
    assert found["log_loss"].value == pytest.approx(surprise, rel=0.02)
    assert set(found) == set(WHAT) and promised(chance, draws=4000) == found


def test_right_chances_come_out_inside_about_95_times_in_100() -> None:
    chance = RANDOM.beta(0.5, 6.0, 300)
    found = promised(chance)
    inside = {name: 0 for name in WHAT}
    for _ in range(200):
        measured = happened(chance, (RANDOM.random(300) < chance).astype(np.int8))
        for name, value in measured.items():
            inside[name] += verdict(found[name], value) == INSIDE
    assert all(180 <= count <= 199 for count in inside.values()), inside


def test_wrong_chances_come_out_outside() -> None:
    chance = RANDOM.beta(0.5, 6.0, 2000)
    found = promised(chance)
    twice = happened(chance, (RANDOM.random(2000) < np.clip(2 * chance, 0, 1)).astype(np.int8))
    assert verdict(found["leavers"], twice["leavers"]) == ABOVE
    shuffled = happened(chance, (RANDOM.random(2000) < RANDOM.permutation(chance)).astype(np.int8))
    assert verdict(found["auc"], shuffled["auc"]) == BELOW
    assert "auc" not in happened(chance, np.zeros(2000, dtype=np.int8))


def test_a_handful_of_accounts_promise_what_they_can() -> None:
    found = promised(np.array([1e-9, 1e-9]))
    assert found["leavers"].high == 0 and "auc" not in found


# --- drift


def training(
    rows: int = 3000,
) -> tuple[pd.DataFrame, "np.ndarray[tuple[int, int], np.dtype[np.float64]]"]:
    features = pd.DataFrame(RANDOM.normal(size=(rows, 3)), columns=["a", "b", "c"])
    points = np.column_stack([5.0 * features["a"], np.zeros(rows), -2.0 * features["c"]])
    return features, points


def test_nothing_moved_is_steady() -> None:
    frozen = freeze(*training())
    moved = drift(frozen, training(2000)[0], SIGNALS)
    assert set(moved["verdict"]) == {STEADY} and (moved["index"] < 0.05).all()
    assert set(source_drift(moved)["verdict"]) == {STEADY}


def test_drift_is_weighed_by_what_it_does_to_the_score_and_has_a_source() -> None:
    frozen = freeze(*training())
    now = training(2000)[0].assign(a=lambda t: t["a"] - 1.0, b=lambda t: t["b"] + 3.0)
    moved = drift(frozen, now, SIGNALS).set_index("signal")
    assert list(moved.index)[0] == "a" and moved.loc["a", "verdict"] == MOVED
    # The mean of the points falls by 5; bins see most of it.
    assert -5.5 < moved.loc["a", "points"] < -3.5
    assert moved.loc["b", "verdict"] == QUIET and moved.loc["b", "index"] > 1.0
    assert moved.loc["c", "verdict"] == STEADY
    sources = source_drift(moved.reset_index()).set_index("source")
    assert sources.loc["usage_events", "verdict"] == MOVED
    assert sources.loc["usage_events", "signal"] == "a"
    assert sources.loc["surveys", "verdict"] == STEADY


def test_more_accounts_make_no_more_drift() -> None:
    """What a test of significance would call drift in a large company is none."""
    frozen = freeze(*training())
    shifted = training(40_000)[0].assign(a=lambda t: t["a"] + 0.03)
    assert set(drift(frozen, shifted, SIGNALS)["verdict"]) == {STEADY}


def test_values_that_went_missing_have_a_bin_of_their_own() -> None:
    features, points = training()
    features.loc[::10, "a"] = np.nan
    points[::10, 0] = 8.0
    frozen = freeze(features, points)
    gone = features.assign(a=np.nan)
    moved = drift(frozen, gone, SIGNALS).set_index("signal")
    assert moved.loc["a", "verdict"] == MOVED and moved.loc["a", "points"] > 6.0


def test_few_accounts_are_not_compared() -> None:
    frozen = freeze(*training())
    assert drift(frozen, training(49)[0], SIGNALS).empty
    assert source_drift(drift(frozen, training(49)[0], SIGNALS)).empty
