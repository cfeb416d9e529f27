"""The search for ratios: the one that decides is found, chance and recognised accounts are not, the
test stays unread.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from features.errors import TooFewEvents
from models import ratios
from models.dataset import TrainingSet, training_set
from models.plan import TrainingPlan
from models.ratios import search_ratios

PLAN = TrainingPlan(trials=0, threads=1, folds=3)
DATES = pd.date_range("2024-01-07", periods=14, freq="28D")


def signal(name: str, **changes: object) -> Signal:
    return replace(
        Signal(name, name, "usage", "s", "m", "events", "{value}", definition={"of": name}),
        **changes,
    )  # type: ignore[arg-type]


def rows_of(
    features: pd.DataFrame, log_odds: np.ndarray, random: np.random.Generator, signals: list[Signal]
) -> TrainingSet:
    accounts = len(features) // len(DATES)
    keys = pd.DataFrame(
        [(f"A-{n:03d}", d) for d in DATES for n in range(accounts)], columns=["account_id", "as_of"]
    )
    keys = keys.assign(
        label_until=keys["as_of"] + pd.Timedelta(days=28), is_test=keys["as_of"] >= DATES[-2]
    )
    labels = (random.random(len(keys)) < 1 / (1 + np.exp(-log_odds))).astype(np.int8)
    return training_set(keys, features, labels, signals)


def planted(seed: int = 1) -> TrainingSet:
    """300 accounts of very different size; tickets per user decide, how many tickets or users says
    next to nothing.
    """
    random = np.random.default_rng(seed)
    count = 300 * len(DATES)
    size, own = 1.5 * random.normal(size=count), random.normal(size=count)
    features = pd.DataFrame(
        {
            "tickets": np.round(100 * np.exp(size + 0.2 * own)),
            "users": np.round(100 * np.exp(size)),
            **{f"noise_{n}": np.round(100 * np.exp(random.normal(size=count))) for n in range(4)},
        }
    )
    return rows_of(features, -1.5 + 1.5 * own, random, [signal(name) for name in features])


def noise(seed: int, *, same_accounts: bool) -> TrainingSet:
    """Twenty columns of noise; with `same_accounts` they never change, and nor does who has the
    event often.
    """
    random = np.random.default_rng(seed)
    accounts = 150
    values = np.exp(random.normal(size=(accounts if same_accounts else accounts * len(DATES), 20)))
    kept = (
        np.tile(2 * random.normal(size=accounts), len(DATES))
        if same_accounts
        else np.zeros(accounts * len(DATES))
    )
    features = pd.DataFrame(
        np.tile(values, (len(DATES), 1)) if same_accounts else values,
        columns=[f"n_{n}" for n in range(20)],
    )
    return rows_of(features, kept - 1, random, [signal(name) for name in features])


def test_the_ratio_that_decides_is_found_and_no_other() -> None:
    searched = search_ratios(planted(), PLAN)
    first = searched.beyond_chance.iloc[0]
    assert len(searched.beyond_chance) == 1 and len(searched.ratios) == 15
    assert {first["numerator"], first["divisor"]} == {"tickets", "users"}
    assert first["name"] == f"{first['numerator']}_per_{first['divisor']}"
    assert first["is_more"] == (first["numerator"] == "tickets")
    assert first["gain_low"] > 0 and first["periods_up"] == first["periods"] > 1


@pytest.mark.parametrize("same_accounts", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_twenty_columns_of_noise_give_none(
    seed: int, same_accounts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        ratios, "MOST_TRIED", 60
    )  # quick; with fewer tried the guard has to forgive less
    searched = search_ratios(noise(seed, same_accounts=same_accounts), PLAN)
    assert (len(searched.ratios), len(searched.beyond_chance)) == (60, 0)


def test_the_test_is_not_read() -> None:
    rows = planted()
    flipped = training_set(
        rows.keys,
        rows.features,
        np.where(rows.keys["is_test"], 1 - rows.labels, rows.labels),
        rows.signals,
    )
    pd.testing.assert_frame_equal(
        search_ratios(flipped, PLAN).ratios, search_ratios(rows, PLAN).ratios
    )


def test_only_amounts_over_the_same_window_are_tried() -> None:
    rows = planted()
    kept = rows.features[["tickets", "users", "noise_0", "noise_1", "noise_2", "noise_3"]].copy()
    kept["noise_3"] = 5.0
    kept["known"] = kept["tickets"] / kept["noise_0"]
    definition = {"numerator": {"of": "tickets"}, "divisor": {"of": "noise_0"}}
    signals = [
        signal("tickets"),
        signal("users"),
        signal("noise_0"),
        signal("noise_1", window_days=28),
        signal("noise_2", unit="share"),
        signal("noise_3"),
        signal("known", definition=definition),
    ]
    tried = search_ratios(training_set(rows.keys, kept, rows.labels, signals), PLAN).ratios
    # Another window, a share, a constant and a ratio take no part; tickets over noise_0 is there
    # already.
    assert {frozenset(pair) for pair in zip(tried["numerator"], tried["divisor"], strict=True)} == {
        frozenset({"tickets", "users"}),
        frozenset({"users", "noise_0"}),
    }


def test_the_same_ratio_under_another_name_is_tried_once() -> None:
    rows = planted()
    twice = rows.features[["tickets", "users"]].assign(largest=rows.features["tickets"])
    tried = search_ratios(
        training_set(rows.keys, twice, rows.labels, [signal(name) for name in twice]), PLAN
    ).ratios
    assert len(tried) == 1


def test_nothing_to_try_is_no_error() -> None:
    rows = planted()
    shares = training_set(
        rows.keys,
        rows.features,
        rows.labels,
        [signal(name, unit="share") for name in rows.features],
    )
    searched = search_ratios(shares, PLAN)
    assert searched.ratios.empty and searched.beyond_chance.empty


def test_a_fit_on_sure_margins_does_not_run_away() -> None:
    """Whole Newton steps from margins this sure and this wrong overshoot, and the loss would grow
    without end.
    """
    random = np.random.default_rng(0)
    margin = 12 * random.normal(size=400)
    columns = np.column_stack([np.ones(400), margin, random.normal(size=(400, 4))])
    labels = (random.random(400) < 0.03).astype(np.float64)
    found = ratios._logistic(columns, labels)
    start = np.array([0.0, 1, 0, 0, 0, 0])
    probability = 1 / (1 + np.exp(-columns @ found))
    slope = columns.T @ (labels - probability) - (found - start)
    assert np.abs(slope).max() < 0.01  # the top of a concave function


def test_without_time_to_validate_in_there_is_no_search() -> None:
    rows = planted()
    late = rows.keys.assign(label_until=rows.keys["as_of"] + pd.Timedelta(days=400), is_test=False)
    with pytest.raises(TooFewEvents, match="judged on later dates"):
        search_ratios(training_set(late, rows.features, rows.labels, rows.signals), PLAN)
