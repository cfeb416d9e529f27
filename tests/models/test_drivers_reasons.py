"""Reasons from the short list, twins as one driver, sureness, and words whose numbers all come from
the row.
"""

import re

import numpy as np
import pandas as pd
import pytest

from features.catalogue import DIMENSIONS
from features.definition import Signal
from models.drivers import (
    NOT_EXPLAINED,
    REASONS,
    account_reasons,
    driver_table,
    find_twins,
    format_value,
    paragraph,
    reason_of,
    reasons_in_words,
    spoken_signal,
    sure_drivers,
)
from models.health import displayed


def signal(driver, days=None, dimension="usage", worse=None, unit="events", **more):
    return Signal(
        column=f"{driver}_{days}d" if days else driver,
        driver=driver,
        dimension=dimension,
        source="usage_events",
        phrase=f"{{value}} {driver} in {{days}} days" if days else f"{driver} {{value}}",
        meaning=f"number of {driver}",
        unit=unit,
        window_days=days,
        worse=worse,
        **more,
    )


@pytest.mark.parametrize(
    ("one", "value", "before", "reference", "reason"),
    [
        (signal("events", 28, worse="down"), 2.0, 9.0, 20.0, "low_use"),
        (signal("login_count", 28), 2.0, 9.0, 20.0, "low_use"),
        (signal("active_users", 28, worse="down"), 2.0, 2.0, 5.0, "losing_users"),
        (signal("severe_tickets", 28, "support", "up"), 3.0, 0.0, 0.0, "bug_trouble"),
        (signal("reply_time", 91, "support", "up", "minutes"), 600.0, None, 60.0, "slow_support"),
        (signal("failed_payments", 91, "financial", "up"), 1.0, 0.0, 0.0, "payment"),
        (
            signal("champion_missing_days", None, "relationship", "up"),
            40.0,
            12.0,
            0.0,
            "sponsor_lost",
        ),
        (signal("nps", 182, "relationship", "down", "rating"), 3.0, 8.0, 9.0, "unhappy"),
        (signal("price_notice_count", 91, "engagement"), 1.0, 0.0, 0.0, "price"),
        (signal("days_since_price_notice", None, "engagement"), 10.0, None, 200.0, "price"),
        (signal("goals_missed", None, "outcomes", "up"), 2.0, 1.0, 0.0, "poor_fit"),
        (signal("milestones_late", None, "adoption", "up"), 2.0, 2.0, 0.0, "slow_start"),
        (signal("meetings", 91, "engagement", "down"), 0.0, 1.0, 2.0, "low_engagement"),
    ],
)
def test_a_trouble_has_its_reason(one, value, before, reference, reason):
    assert reason_of(one, value, before, reference) == reason


def test_a_reason_is_not_claimed_where_the_value_does_not_bear_it_out():
    events = signal("events", 28, worse="down")
    assert reason_of(events, 30.0, 20.0, 20.0) == ""  # uses it more than before and than others
    assert reason_of(events, 20.0, 20.0, 20.0) == ""
    assert (
        reason_of(events, 30.0, 60.0, 20.0) == "low_use"
    )  # more than others, half of its own past
    assert reason_of(events, None, None, 20.0) == ""  # unknown is not low
    assert (
        reason_of(signal("plan_is_starter", None, "contract", unit="yes"), 1.0, 0.0, 0.0) == ""
    )  # nothing to act on


def test_never_happened_is_the_longest_silence():
    assert (
        reason_of(signal("days_since_meeting", None, "engagement", "up"), None, None, 30.0)
        == "low_engagement"
    )


def test_renewal_is_near_by_its_days_and_not_by_its_points():
    left = signal("renewal_calendar", None, "contract", unit="days")
    left = Signal(**{**left.to_dict(), "column": "days_to_renewal"})
    assert reason_of(left, 30.0, None, 200.0) == "renewal_near"
    assert reason_of(left, 300.0, None, 200.0) == ""
    into = Signal(**{**left.to_dict(), "column": "days_in_term"})
    assert reason_of(into, 340.0, None, 150.0) == "renewal_near"
    assert reason_of(into, 20.0, None, 150.0) == ""


def test_every_reason_of_the_table_is_on_the_list_and_every_dimension_has_one():
    from models.drivers.reasons import _TABLE

    assert {reason for _, _, reason, _ in _TABLE} - {""} == set(REASONS)
    assert {dimension for dimension, _, _, _ in _TABLE} == set(DIMENSIONS)


def test_reasons_of_an_account_are_sums_with_a_least_size():
    drivers = pd.DataFrame(
        {
            "account_id": ["A", "A", "A", "A", "B", "C"],
            "points": [-3.0, -2.0, -4.0, 6.0, -0.6, -9.0],
            "reason": ["low_use", "low_use", "payment", "", "unhappy", ""],
        }
    )
    table = account_reasons(drivers)
    assert table[["account_id", "reason", "points", "drivers"]].to_numpy().tolist() == [
        ["A", "low_use", -5.0, 2],
        ["A", "payment", -4.0, 1],
    ]
    assert reasons_in_words(["low_use", "payment"]) == "low use, payment trouble"
    assert reasons_in_words([]) == NOT_EXPLAINED


def test_twins_are_found_by_rank_and_only_within_a_dimension():
    generator = np.random.default_rng(1)
    opened = generator.poisson(6, 800).astype(float)
    saved = (
        np.where(generator.random(800) < 0.03, opened + 1, opened) ** 2
    )  # same ranks, other numbers
    other = generator.poisson(6, 800)
    features = pd.DataFrame(
        {"opened_28d": opened, "saved_28d": saved, "tickets_28d": opened, "other_28d": other}
    )
    signals = [
        signal("opened", 28),
        signal("saved", 28),
        signal("tickets", 28, "support"),
        signal("other", 28),
    ]
    assert find_twins(features, signals) == {"usage": {"saved": "opened"}}
    assert find_twins(features.iloc[::-1].reset_index(drop=True), signals) == {
        "usage": {"saved": "opened"}
    }


def test_twins_are_compared_window_by_window_and_never_chained():
    generator = np.random.default_rng(2)
    a = generator.normal(size=3000)
    b = a + 0.35 * generator.normal(size=3000)
    c = b + 0.35 * generator.normal(size=3000)
    features = pd.DataFrame({"a_28d": a, "b_28d": b, "c_28d": c, "a_7d": a, "b_91d": a})
    chain = find_twins(features, [signal("a", 28), signal("b", 28), signal("c", 28)])
    assert len(chain["usage"]) == 1  # a~b and b~c reach the threshold, a~c does not
    assert find_twins(features, [signal("a", 7), signal("b", 91)]) == {}


def test_missing_values_and_constant_columns_make_no_twins():
    features = pd.DataFrame(
        {
            "a_28d": [1.0, 2.0, 3.0, np.nan] * 50,
            "b_28d": [np.nan, np.nan, np.nan, 1.0] * 50,
            "c_28d": 0.0,
        }
    )
    assert find_twins(features, [signal("a", 28), signal("b", 28), signal("c", 28)]) == {}


def test_twins_are_one_row_and_points_still_add():
    signals = [
        signal("opened", 7),
        signal("opened", 28),
        signal("saved", 28),
        signal("tickets", 28, "support"),
    ]
    generator = np.random.default_rng(3)
    points = generator.normal(0, 4, (50, 4))
    features = pd.DataFrame(
        generator.poisson(3, (50, 4)).astype(float), columns=[s.column for s in signals]
    )
    health = displayed(np.clip(60.2 + points.sum(axis=1), -400, 400))
    ids = [f"A{i:03d}" for i in range(50)]
    table = driver_table(
        ids, features, None, points, signals, {}, health, 60, twins={"usage": {"saved": "opened"}}
    )
    assert set(table["driver"]) == {"opened", "tickets"}
    sums = table.groupby("account_id")[["points", "points_displayed"]].sum().reindex(ids)
    assert np.abs(sums["points"].to_numpy() - points.sum(axis=1)).max() < 1e-9
    assert (60 + sums["points_displayed"].to_numpy() == health).all()
    row = table[(table["account_id"] == "A000") & (table["driver"] == "opened")].iloc[0]
    assert row["points"] == pytest.approx(points[0, :3].sum())
    assert row["value"] == features.iloc[0, int(np.abs(points[0, :3]).argmax())]


def _world():
    generator = np.random.default_rng(4)
    units = ["events", "money", "share", "minutes", "change", "yes", "rating", "times"]
    signals = [
        signal(f"m{i}", days, ("usage", "support", "financial")[i % 3], unit=units[i % len(units)])
        for i in range(16)
        for days in (7, 28)
    ]
    values = {
        "events": generator.poisson(4, 300),
        "money": generator.normal(900, 700, 300),
        "share": generator.random(300),
        "minutes": generator.normal(900, 2000, 300),
        "change": generator.uniform(-1, 1, 300),
        "yes": generator.integers(0, 2, 300),
        "rating": generator.uniform(0, 10, 300),
        "times": generator.gamma(2, 1, 300),
    }
    now = pd.DataFrame(
        {s.column: generator.permutation(values[s.unit]).astype(float) for s in signals}
    )
    before = pd.DataFrame(
        {s.column: generator.permutation(values[s.unit]).astype(float) for s in signals}
    )
    before = before.mask(generator.random(before.shape) < 0.2)
    points = generator.normal(0, 1.5, now.shape)
    references = {s.column: float(now[s.column].median()) for s in signals}
    table = driver_table(
        [f"A{i:03d}" for i in range(300)],
        now,
        before,
        points,
        signals,
        references,
        displayed(60 + points.sum(axis=1)),
        60,
        before_days=28,
        currency="EUR",
    )
    return table, signals


def test_every_number_in_the_words_is_the_rounded_value_of_the_row():
    table, signals = _world()
    units, number = {s.driver: s for s in signals}, re.compile(r"\d[\d,.]*\d|\d")
    for row in table[table["driver"] != "rest"].to_dict("records"):
        one = units[row["driver"]]
        given = [
            format_value(row[each], one.unit, currency="EUR")
            for each in ("value", "value_before", "reference")
            if not np.isnan(row[each])
        ]
        # The names of the measures and windows are the card's; what is left are values.
        known = (
            {match for text in given for match in number.findall(text)}
            | {"7", "28"}
            | set(number.findall(row["driver"]))
        )
        assert set(number.findall(row["words"])) <= known, row["words"]


def test_words_name_the_signal_whose_value_is_published():
    table, signals = _world()
    for row in table.head(400).to_dict("records"):
        found = spoken_signal(row, signals, {}, before_days=28, currency="EUR")
        assert (found is None) == (row["driver"] == "rest")
        assert found is None or found.driver == row["driver"]
    changed = {**table.iloc[0].to_dict(), "words": "3 other things"}
    assert spoken_signal(changed, signals, {}, before_days=28, currency="EUR") is None


def test_a_driver_is_sure_where_another_seed_gives_it_half_the_points():
    signals = [signal("a", 7), signal("a", 28), signal("b", 28), signal("c", 28)]
    drivers = pd.DataFrame(
        {
            "dimension": ["usage"] * 4,
            "driver": ["a", "b", "c", "rest"],
            "points": [-6.0, 4.0, 2.0, 1.0],
        }
    )
    assert sure_drivers(drivers, signals, {}, [-1.0, -2.0, 1.9, -2.0]) == [True, False, False, None]
    assert sure_drivers(drivers, signals, {"usage": {"b": "a"}}, [-2.0, -1.0, 1.0, 2.0])[:1] == [
        False
    ]


def test_paragraph_says_why_how_sure_and_what_next():
    told = paragraph(
        "Account 7",
        23,
        "at_risk",
        0.25,
        90,
        [],
        why="low use",
        advice="Ask what stopped.",
        interval=(0.1, 0.4),
    )
    assert (
        told
        == "Account 7 scores 23 of 100 (at risk). Of accounts scored like this, about 1 in 4 leave"
        " within 90 days (10% to 40%). Why: low use. Next: Ask what stopped."
    )
