"""Reasons from the short list, twins as one driver, sureness, and words whose numbers all come from
the row.
"""

import re
from dataclasses import asdict
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from features.build import plan_features
from features.catalogue import DIMENSIONS
from features.definition import Nature, ReasonCode, Signal
from features.facts import SourceFacts
from features.sources import CONTRACTS
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
    sentence,
    signal_words,
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


def card(column):
    """The signal of a column, as a project with every source builds it."""
    return _BUILT[column]


_KINDS = {
    "usage_events": ("login", "export_error"),
    "touchpoints": ("price_notice", "mail_sent"),
}
_FACTS = [
    SourceFacts(
        c.table,
        c,
        frozenset(column.name for column in c.columns),
        kinds=_KINDS.get(c.table, ()),
        attributes=("plan",) if c.table == "accounts" else (),
        categories={"plan": ("Starter", "Team")},
    )
    for c in CONTRACTS.values()
]
_BUILT = {s.column: s for s in plan_features(_FACTS, window_days=(28, 91), season=True).signals}


@pytest.mark.parametrize(
    ("column", "value", "before", "reference", "reason"),
    [
        ("events_28d", 2.0, 9.0, 20.0, "low_use"),
        ("login_count_28d", 2.0, 9.0, 20.0, "low_use"),
        ("days_since_login", 40.0, 12.0, 2.0, "low_use"),
        ("active_users_28d", 2.0, 2.0, 5.0, "losing_users"),
        ("export_error_count_28d", 9.0, 2.0, 2.0, "bug_trouble"),
        ("days_since_export_error", 1.0, 50.0, 90.0, "bug_trouble"),
        ("severe_tickets_28d", 3.0, 0.0, 0.0, "bug_trouble"),
        ("tickets_28d", 3.0, 0.0, 0.0, "bug_trouble"),
        ("reply_time_91d", 600.0, None, 60.0, "slow_support"),
        ("failed_payments_91d", 1.0, 0.0, 0.0, "payment"),
        ("champion_missing_days", 40.0, 12.0, 0.0, "sponsor_lost"),
        ("nps_182d", 3.0, 8.0, 9.0, "unhappy"),
        ("price_notice_count_91d", 1.0, 0.0, 0.0, "price"),
        ("days_since_price_notice", 10.0, None, 200.0, "price"),
        ("goals_missed", 2.0, 1.0, 0.0, "poor_fit"),
        ("milestones_late", 2.0, 2.0, 0.0, "slow_start"),
        ("meetings_91d", 0.0, 1.0, 2.0, "low_engagement"),
    ],
)
def test_a_trouble_has_its_reason(column, value, before, reference, reason):
    assert reason_of(card(column), value, before, reference) == reason


def test_a_reason_is_not_claimed_where_the_value_does_not_bear_it_out():
    events = card("events_28d")
    assert reason_of(events, 30.0, 20.0, 20.0) == ""  # uses it more than before and than others
    assert reason_of(events, 20.0, 20.0, 20.0) == ""
    assert (
        reason_of(events, 30.0, 60.0, 20.0) == "low_use"
    )  # more than others, half of its own past
    assert reason_of(events, 30.0, 33.0, 20.0) == ""  # a tenth less than before is noise
    assert reason_of(events, None, None, 20.0) == ""  # unknown is not low
    # Days since anything grow by themselves: only others tell whether they are many.
    assert reason_of(card("days_since_goal_met"), 97.0, 69.0, 236.0) == ""
    assert reason_of(card("days_since_goal_met"), 297.0, 269.0, 236.0) == "poor_fit"
    assert reason_of(card("plan_is_starter"), 1.0, 0.0, 0.0) == ""  # nothing to act on
    assert reason_of(card("mail_sent_count_28d"), 1.0, 5.0, 5.0) == ""  # what we do


def test_never_happened_is_the_longest_silence():
    assert reason_of(card("days_since_meeting"), None, None, 30.0) == "low_engagement"
    # No failed payment on record is no trouble.
    assert reason_of(card("days_since_failed_payment"), None, None, 30.0) == ""


def test_renewal_is_near_by_its_days_and_not_by_its_points():
    left, into = card("days_to_renewal"), card("days_in_term")
    assert reason_of(left, 30.0, None, 200.0) == "renewal_near"
    assert reason_of(left, 300.0, 328.0, 310.0) == ""
    assert reason_of(into, 340.0, 312.0, 150.0) == "renewal_near"
    assert reason_of(into, 20.0, 0.0, 150.0) == ""  # older than before, as everything is


def test_every_card_declares_its_nature_and_a_reason_with_its_direction():
    for signal in _BUILT.values():
        assert signal.nature in get_args(Nature), signal.column
        assert signal.reason in ("", *REASONS), signal.column
        if signal.reason:
            has_rule = signal.bad_direction is not None or signal.reason_until is not None
            assert has_rule, f"{signal.column}: when is {signal.reason} borne out?"
        else:
            assert signal.reason_worse is None, f"{signal.column}: a direction of no reason"
    assert {s.reason for s in _BUILT.values()} - {""} == set(REASONS)
    assert {s.dimension for s in _BUILT.values() if s.reason} == set(DIMENSIONS)
    assert set(get_args(ReasonCode)) == {"", *REASONS}


def test_ages_the_calendar_and_standing_facts_are_told_apart():
    natures = {column: signal.nature for column, signal in _BUILT.items()}
    assert natures["days_as_customer"] == natures["days_since_first_use"] == "clock"
    assert natures["days_to_renewal"] == natures["days_from_april"] == "calendar"
    assert natures["plan_is_starter"] == natures["term_days"] == "standing"
    assert natures["days_overdue"] == "lagging" and natures["events_28d"] == "leading"


def test_cards_of_an_earlier_model_are_read_and_written_as_they_were():
    """Its version is a hash of what is written: other bytes would be another model."""
    card_facts = asdict(card("days_as_customer"))
    for key in (
        *("nature", "reason", "reason_worse", "reason_until"),
        *("missing", "said_at", "below", "inverse"),
    ):
        del card_facts[key]
    for is_leading, is_clock, nature in (
        (True, True, "clock"),
        (False, False, "lagging"),
        (True, False, "leading"),
    ):
        old = {**card_facts, "is_leading": is_leading, "is_clock": is_clock}
        signal = Signal.from_dict(old)
        assert (signal.nature, signal.is_leading, signal.is_clock) == (nature, is_leading, is_clock)
        assert signal.to_dict() == old
    for signal in _BUILT.values():
        assert Signal.from_dict(signal.to_dict()) == signal


def test_reasons_of_an_account_are_sums_with_a_least_size():
    drivers = pd.DataFrame(
        {
            "account_id": ["A", "A", "A", "A", "B", "C"],
            "points": [-3.0, -2.0, -4.0, 6.0, -0.6, -9.0],
            "reason": ["low_use", "low_use", "payment", None, "unhappy", None],
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
        words = sentence(row["said"], row["compared"])
        assert set(number.findall(words)) <= known, words


def test_a_row_names_the_signal_whose_value_is_published():
    table, signals = _world()
    by_column = {s.column: s for s in signals}
    rest = table["driver"] == "rest"
    assert table.loc[rest, ["signal", "reason", "nature", "compared"]].isna().all(axis=None)
    for row in table[~rest].to_dict("records"):
        assert by_column[row["signal"]].driver == row["driver"]
        assert row["said"] == signal_words(by_column[row["signal"]], row["value"], currency="EUR")


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
        "about 1 in 4 leave within 90 days",
        [],
        why="low use",
        advice="Ask what stopped.",
        interval=(0.1, 0.4),
    )
    assert (
        told == "Account 7 scores 23 of 100 (at risk). Of accounts like this, about 1 in 4 leave"
        " within 90 days (10% to 40%). Why: low use. Next: Ask what stopped."
    )
