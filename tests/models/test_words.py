"""Words: every unit, missing values, comparisons, chances; and no input that makes nonsense."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.definition import Signal
from features.errors import ContractError
from models.drivers import (
    Reason,
    account_chance,
    chance_in_words,
    comparison,
    format_value,
    interval_in_words,
    paragraph,
    rest_words,
    sentence,
    signal_words,
)


def a_signal(phrase, unit="days", days=28, **more):
    facts = {
        "meaning": "days with at least one event",
        "driver": "active_days",
        "dimension": "usage",
        "worse": "down",
    } | more
    return Signal(
        column="active_days_28d",
        source="usage_events",
        unit=unit,
        phrase=phrase,
        window_days=days,
        **facts,
    )


ACTIVE = a_signal("Active on {value} of the last {days} days")


def test_what_is_so_now_and_what_it_is_compared_with():
    assert signal_words(ACTIVE, 6) == "Active on 6 of the last 28 days"
    compared = comparison(ACTIVE, 6, 14, 18, pulls_down=True, before_days=28)
    assert compared == "down from 14 four weeks ago; customers who stay: 18"
    assert comparison(ACTIVE, 6, math.nan, math.nan, pulls_down=True) == ""
    assert sentence("A", compared) == f"A; {compared}"
    assert sentence("A", None) == sentence("A", math.nan) == "A"


@pytest.mark.parametrize(
    ("before", "reference", "pulls_down", "compared"),
    [
        (14, 18, False, ""),  # fewer days do not argue for points above 0
        (3, 18, True, "customers who stay: 18"),  # more than before, fewer than others
        (3, 18, False, "up from 3 30 days ago"),
        (6, 6, True, ""),  # "6 against 6" would make people look for a difference
        (None, 4, False, "customers who stay: 4"),
    ],
)
def test_only_what_argues_for_the_points_is_compared(before, reference, pulls_down, compared):
    words = comparison(ACTIVE, 6, before, reference, pulls_down=pulls_down, before_days=30)
    assert words == compared


def test_values_said_in_other_words_are_not_compared():
    early = a_signal("Paid {value} after", "minutes", worse="up", below="Paid {value} before")
    assert comparison(early, -2880, None, 720, pulls_down=False) == ""
    assert comparison(early, -5760, None, -2880, pulls_down=False) == "customers who stay: 2 days"
    slower = a_signal("{value} times as long", "times", worse="up", inverse="{value} times faster")
    assert signal_words(slower, 0.14) == "7 times faster"
    assert comparison(slower, 0.5, None, 2, pulls_down=False) == ""


def test_missing_value_is_said_and_never_zero():
    assert signal_words(ACTIVE, None) == "Not known: days with at least one event"
    since = a_signal("Last used {value} days ago", missing="No use on record")
    assert signal_words(since, math.nan) == "No use on record"


def test_clocks_are_not_compared_with_their_past():
    renewal = a_signal("{value} days to renewal", nature="calendar", dimension="contract")
    assert comparison(renewal, 33, 61, pulls_down=True, before_days=28) == ""


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (0.4, "0.4 days"),
        (1, "1 day"),
        (45, "45 days"),
        (75, "75 days"),
        (122, "4 months"),
        (1100, "3 years"),
    ],
)
def test_lengths_of_time_are_said_as_people_say_them(days, said):
    assert signal_words(a_signal("Last used {value} days ago"), days) == f"Last used {said} ago"


@pytest.mark.parametrize(
    ("unit", "value", "said"),
    [
        ("money", 1234567.4, "EUR 1,234,567"),
        ("money", -1200, "EUR -1,200"),
        ("money", -0.2, "EUR 0"),
        ("share", 0.456, "46%"),
        ("share", 0, "0%"),
        ("share", 0.003, "0.3%"),
        ("share", 0.9999, "over 99%"),
        ("share", 1, "100%"),
        ("minutes", 45, "45 minutes"),
        ("minutes", 600, "10 hours"),
        ("minutes", 1, "1 minute"),
        ("minutes", 8640, "6 days"),
        ("minutes", -5040, "-3.5 days"),
        ("change", -0.29032, "down 45%"),
        ("change", 0.5, "up 200%"),
        ("change", 0, "unchanged"),
        ("change", -1, "down to nothing"),
        ("change", 1, "up from nothing"),
        ("change", -0.9999, "down over 99%"),
        ("yes", 1, "yes"),
        ("yes", 0, "no"),
        ("days", 3.0, "3"),
        ("days", 3.26, "3.3"),
        ("events", 12345, "12,345"),
        ("rating", 0.004, "less than 0.01"),
        ("days", -0.0, "0"),
        ("days", -3, "-3"),
    ],
)
def test_units(unit, value, said):
    assert format_value(value, unit, currency="EUR") == said


def test_one_is_singular_and_early_is_before():
    assert (
        signal_words(a_signal("{value} payments failed in the last {days} days"), 1)
        == "1 payment failed in the last 28 days"
    )
    assert (
        signal_words(a_signal("{value} people used it in the last {days} days"), 1)
        == "1 person used it in the last 28 days"
    )
    assert signal_words(a_signal("Last used {value} days ago"), 1) == "Last used 1 day ago"
    assert (
        signal_words(a_signal("{value} severe tickets in {days} days"), 1)
        == "1 severe ticket in 28 days"
    )
    assert (
        signal_words(a_signal("On {value} of the last {days} days"), 1)
        == "On 1 of the last 28 days"
    )
    delay = a_signal(
        "Paid {value} after the due date", unit="minutes", below="Paid {value} before the due date"
    )
    assert signal_words(delay, -2 * 1440) == "Paid 2 days before the due date"


def test_names_with_braces_are_text():
    assert (
        signal_words(a_signal("{value} of kind {0.__class__} in {days} days", unit="events"), 3)
        == "3 of kind {0.__class__} in 28 days"
    )


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinite_values_are_refused(value):
    with pytest.raises(ContractError, match="active_days_28d is"):
        signal_words(ACTIVE, value)
    with pytest.raises(ContractError, match="active_days_28d is"):
        comparison(ACTIVE, 1, value, pulls_down=True)
    with pytest.raises(ContractError, match="cannot be said"):
        format_value(value, "days")


def test_change_outside_its_range_is_refused():
    with pytest.raises(ContractError, match=r"outside -1\.\.1"):
        format_value(1.5, "change")


@given(
    st.sampled_from(["days", "money", "share", "minutes", "yes", "events", "rating"]),
    st.one_of(st.none(), st.floats(allow_infinity=False, min_value=-1e12, max_value=1e12)),
    st.one_of(st.none(), st.floats(allow_infinity=False, min_value=-1e12, max_value=1e12)),
)
def test_every_finite_value_makes_clean_words(unit, value, before):
    signal = a_signal("{value} things in {days} days", unit=unit)
    words = sentence(
        signal_words(signal, value),
        comparison(signal, value, before, 3, pulls_down=True, before_days=28),
    )
    assert not re.search(r"nan|inf\b|[{}]|-0\b(?!\.)|e\+", words)
    assert "28 days" in words or value is None or math.isnan(value)


@pytest.mark.parametrize(
    ("p", "said"),
    [
        (0.25, "about 1 in 4 leave within 90 days"),
        (0.5, "about 1 in 2 leave within 90 days"),
        (0.001, "fewer than 1 in 200 leave within 90 days"),
        (0.02, "about 1 in 50 leave within 90 days"),
        (0.99, "nearly all leave within 90 days"),
        (0.68, "about 2 in 3 leave within 90 days"),
    ],
)
def test_chance_in_words(p, said):
    assert chance_in_words(p, 90) == said


@given(st.floats(0.005, 0.97))
def test_spoken_chance_is_within_an_eighth_of_the_probability(p):
    part, of = re.search(r"about (\d+) in (\d+) ", chance_in_words(p, 90)).groups()
    assert int(part) / int(of) == pytest.approx(p, rel=0.125)


def test_chance_by_the_next_renewal_and_without_probability():
    assert chance_in_words(0.1, None, event="cancel") == "about 1 in 10 cancel by the next renewal"
    with pytest.raises(ContractError, match="outside 0-1"):
        chance_in_words(math.nan, 90)


def test_interval_speaks_of_accounts_like_this():
    assert interval_in_words(0.18, 0.33) == "18% to 33% of accounts like this one"
    with pytest.raises(ContractError, match="upside down"):
        interval_in_words(0.4, 0.2)


def test_paragraph_lists_the_largest_reasons_both_ways():
    reasons = [Reason(-4, "late"), Reason(-11, "silent"), Reason(3, "paid"), Reason(0, "nothing")]
    assert (
        paragraph("Account 7", 23, "at_risk", account_chance(0.25, 90), reasons, most=1)
        == "Account 7 scores 23 of 100 (at risk). Of accounts like this, about 1 in 4 leave"
        " within 90 days. Pulls the score down: silent (-11). Holds it up: paid (+3)."
    )


def test_an_account_that_cannot_leave_yet_is_told_by_its_chance_at_the_contracts_end():
    later = account_chance(0.002, 90, 0.25, is_later=True)
    assert later == "about 1 in 4 leave when their contract comes up"
    told = paragraph(
        "Account 7", 23, "at_risk", later, [], timing="cannot leave before 14 Nov 2025"
    )
    assert told.endswith("comes up. Cannot leave before 14 Nov 2025.")
    assert account_chance(math.nan, 90) == ""


def test_paragraph_of_an_unknown_account_gives_the_reason():
    assert (
        paragraph("Account 7", None, "unknown", "", [], band_reason="no usage feed")
        == "Account 7 has no score: unknown (no usage feed)."
    )


def test_rest_counts():
    assert rest_words(12, "usage") == "12 further usage signals together"
    assert rest_words(1, "support") == "1 further support signal"
