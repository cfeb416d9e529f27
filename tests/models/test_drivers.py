"""The drivers table: merged windows, the largest each way, rests, and sums that hold."""

import time

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from features.errors import ContractError
from models.drivers import DRIVER_COLUMNS, driver_table
from models.health import displayed
from models.model import references


def signal(driver, days=None, dimension="usage", unit="events"):
    return Signal(
        column=f"{driver}_{days}d" if days else driver,
        driver=driver,
        dimension=dimension,
        source="usage_events",
        meaning=f"number of {driver}",
        unit=unit,
        phrase=f"{{value}} {driver} in {{days}} days",
        window_days=days,
    )


def many_signals(drivers=30):
    dimensions = ["usage", "support", "financial"]
    return [signal(f"m{i}", d, dimensions[i % 3]) for i in range(drivers) for d in (7, 28)]


def world(n, signals, seed=0):
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 2, (n, len(signals))) * (rng.random((n, len(signals))) < 0.7)
    features = pd.DataFrame(
        rng.poisson(5, (n, len(signals))).astype(float), columns=[s.column for s in signals]
    )
    exact = np.clip(60.4 + points.sum(axis=1), -500, 500)
    return [f"A{i:05d}" for i in range(n)], features, points, displayed(exact)


def test_two_windows_of_a_measure_are_one_driver_with_the_louder_value():
    signals = [signal("logins", 7), signal("logins", 28), signal("tickets", 28, "support")]
    features = pd.DataFrame({"logins_7d": [1.0], "logins_28d": [4.0], "tickets_28d": [2.0]})
    before = pd.DataFrame({"logins_7d": [3.0], "logins_28d": [np.nan], "tickets_28d": [2.0]})
    table = driver_table(
        ["A1"],
        features,
        before,
        [[-2.0, -6.0, 1.0]],
        signals,
        {"logins_28d": 9.0},
        [53],
        60,
        before_days=28,
    )
    assert tuple(table.columns) == DRIVER_COLUMNS
    assert table.driver.tolist() == ["logins", "tickets"]
    assert table.points.tolist() == [-8.0, 1.0]
    assert table.points_displayed.tolist() == [-8, 1]
    assert table.value.tolist() == [4.0, 2.0]
    assert table.signal.tolist() == ["logins_28d", "tickets_28d"]
    assert table.nature.tolist() == ["leading", "leading"] and table.reason.isna().all()
    assert table.said.tolist() == ["4 logins in 28 days", "2 tickets in 28 days"]
    assert table.compared.isna().all()  # no direction of these is bad, so nothing argues


def test_rows_add_up_for_every_account_exactly_and_as_shown():
    signals = many_signals()
    ids, features, points, health = world(2000, signals)
    table = driver_table(ids, features, None, points, signals, {}, health, 60)
    sums = table.groupby("account_id")[["points", "points_displayed"]].sum().reindex(ids)
    assert np.abs(sums.points.to_numpy() - points.sum(axis=1)).max() < 1e-9
    assert (60 + sums.points_displayed.to_numpy() == health).all()


def test_eight_each_way_and_one_rest_per_dimension():
    signals = many_signals()
    ids, features, points, health = world(200, signals)
    table = driver_table(ids, features, None, points, signals, {}, health, 60)
    listed = table[table.driver != "rest"]
    assert (listed[listed.points < 0].groupby("account_id").size() <= 8).all()
    assert (listed[listed.points > 0].groupby("account_id").size() <= 8).all()
    rests = table[table.driver == "rest"]
    assert rests.groupby(["account_id", "dimension"]).size().max() == 1
    assert rests.said.str.contains("further").all()
    assert rests[["signal", "reason", "nature", "value", "compared"]].isna().all(axis=None)
    # What is left out is never larger than what is listed the same way.
    for account, rows in listed.groupby("account_id"):
        grouped = points[ids.index(account)].reshape(-1, 2).sum(axis=1)
        assert sorted(rows.points[rows.points < 0]) == pytest.approx(
            sorted(grouped[grouped < 0])[:8]
        )


def test_account_alone_gets_the_rows_it_gets_among_others():
    signals = many_signals(12)
    ids, features, points, health = world(40, signals)
    together = driver_table(ids, features, features + 1, points, signals, {}, health, 60)
    alone = pd.concat(
        [
            driver_table(
                ids[i : i + 1],
                features.iloc[i : i + 1],
                features.iloc[i : i + 1] + 1,
                points[i : i + 1],
                signals,
                {},
                health[i : i + 1],
                60,
            )
            for i in range(40)
        ],
        ignore_index=True,
    )
    pd.testing.assert_frame_equal(together, alone)


def test_quiet_account_has_no_rows_and_empty_input_the_same_columns():
    signals = many_signals(2)
    _, features, points, _ = world(1, signals)
    assert len(driver_table(["A1"], features, None, points * 0, signals, {}, [60], 60)) == 0
    empty = driver_table(
        [], features.iloc[:0], None, np.empty((0, 4)), signals, {}, np.empty(0, dtype=int), 60
    )
    assert tuple(empty.columns) == DRIVER_COLUMNS


def test_misfits_are_refused():
    signals = many_signals(2)
    ids, features, points, health = world(3, signals)
    with pytest.raises(ContractError, match="need points of that shape"):
        driver_table(ids, features, None, points[:, :2], signals, {}, health, 60)
    with pytest.raises(ContractError, match="whole numbers"):
        driver_table(ids, features, None, points, signals, {}, health + 0.5, 60)
    with pytest.raises(ContractError, match="'m0_7d'"):
        driver_table(ids, features.drop(columns="m0_7d"), None, points, signals, {}, health, 60)
    with pytest.raises(ContractError, match="m1_28d is infinite"):
        driver_table(ids, features.assign(m1_28d=np.inf), None, points, signals, {}, health, 60)
    with pytest.raises(ContractError, match="missing or infinite"):
        driver_table(ids, features, None, points * np.nan, signals, {}, health, 60)


def test_reference_is_the_median_among_accounts_that_stayed():
    features = pd.DataFrame({"logins_7d": [1.0, 3.0, 50.0], "logins_28d": [np.nan, np.nan, 5.0]})
    assert references(features, [0, 0, 1]) == {"logins_7d": 2.0, "logins_28d": None}


def test_ten_thousand_accounts_take_seconds():
    signals = many_signals(60)
    ids, features, points, health = world(10_000, signals)
    start = time.perf_counter()
    driver_table(ids, features, features + 1, points, signals, {}, health, 60)
    assert time.perf_counter() - start < 15
