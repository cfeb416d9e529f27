"""Every card's sentences at the values where language breaks read as plain English."""

import re

import pytest

from features.definition import Signal
from models.drivers import OTHERS, comparison, sentence, signal_words
from models.drivers.samples import every_signal, samples

SIGNALS = {signal.column: signal for signal in every_signal()}
_WRONG = re.compile(
    r"(?<![.\d])\b1 (days|weeks|months|years|minutes|hours|people|times|tickets|steps|goals|mails)\b"
    r"|\b0 |\bNone\b(?! of)|\bnan\b|\binf\b|[{}]|\bbeside\b|\bnor\b|\bof whom\b|\bof all in\b"
    r"|  |-0\b|--|\b(no|yes)$|_"
)
_MAY_SAY_NOTHING = ("rating", "points", "tenths", "number", "rank")


@pytest.mark.parametrize("column", SIGNALS)
def test_every_sentence_of_a_card_is_plain_english(column: str) -> None:
    signal = SIGNALS[column]
    for each in samples(signal):
        assert re.match(r'[A-Z0-9"]', each.said), each.said
        assert not each.said.endswith((".", ",", ":")), each.said
        line = sentence(each.said, each.compared or None)
        for found in _WRONG.finditer(line):
            is_number = found.group() == "0 " and signal.unit in _MAY_SAY_NOTHING
            # A part of nothing, or a term of no days, is what the example says, not a fact.
            is_example = each.at == "0" and signal.unit in ("share", "days", "times")
            is_example |= each.at == "missing"  # the catalogue's meaning, word for word
            assert is_number or is_example, f"{line!r} has {found.group()!r}"


def test_windows_are_said_as_people_say_them() -> None:
    said = {
        column: signal_words(signal, 12)
        for column, signal in SIGNALS.items()
        if signal.unit != "change"
    }
    assert said["events_28d"] == "12 actions in the last four weeks"
    assert said["events_91d"] == "12 actions in the last three months"
    assert said["events_364d"] == "12 actions in the last year"
    assert said["active_days_28d"] == "Active on 12 of the last 28 days"
    assert said["days_since_use"] == "Last used 12 days ago"
    assert signal_words(SIGNALS["days_as_customer"], 1100) == "Customer for 3 years"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("industry_is_food", 1, "Food industry"),
        ("champions_present", 0, "No champion"),
        ("nps_182d", 50, "Last NPS answer was 5 out of 10"),
        ("nps_182d", None, "No NPS answer on record for the last six months"),
        ("days_since_failed_payment", 12, "A payment failed 12 days ago"),
        (
            "create_report_share_182d",
            0.02,
            '"Create report" is 2% of their activity in the last six months',
        ),
        ("quantity_total_91d", 64, "64 units recorded in the last three months"),
        (
            "resolve_time_trend",
            0.14,
            "Tickets are solved 7 times faster than their yearly average",
        ),
        ("price_notice_change_91d", -1, "No price notice in the last three months"),
        ("usual_gap", 1.4, "Active about every 1.4 days"),
        (
            "payment_delay_182d",
            -2880,
            "Paid 2 days before the due date on average in the last six months",
        ),
        ("renews_itself", 0, "Does not renew by itself"),
        (
            "note_tone_91d",
            -0.54,
            "The account manager's notes of the last three months sound very negative",
        ),
    ],
)
def test_sentences_that_readers_stumbled_over(column: str, value: float, said: str) -> None:
    assert signal_words(SIGNALS[column], value, currency="EUR") == said


@pytest.mark.parametrize("column", SIGNALS)
def test_a_comparison_argues_for_the_points_beside_it(column: str) -> None:
    signal: Signal = SIGNALS[column]
    for value, other in ((3.0, 12.0), (12.0, 3.0), (0.2, 0.6), (0.6, 0.2), (3.0, 3.0)):
        if signal.unit == "change" and max(value, other) > 1:
            continue
        for pulls_down in (True, False):
            words = comparison(signal, value, other, other, pulls_down=pulls_down)
            if words:
                is_worse = (value > other) == (signal.bad_direction == "up")
                assert value != other and is_worse == pulls_down, (value, other, words)


def test_what_cannot_be_compared_is_not() -> None:
    failed, champions = SIGNALS["days_since_failed_payment"], SIGNALS["champions_present"]
    assert comparison(failed, 12, 14, 180, pulls_down=True) == ""
    assert comparison(champions, 0, 0, 1, pulls_down=True) == ""  # "No champion" says it
    assert comparison(champions, 0, 2, 3, pulls_down=True, before_days=28) == (
        f"down from 2 four weeks ago; {OTHERS}: 3"
    )
    # Lengths of time grow by themselves, and a standing fact is a fact.
    assert comparison(SIGNALS["days_since_use"], 40, 12, 3, pulls_down=True) == f"{OTHERS}: 3 days"
    assert comparison(SIGNALS["industry_is_food"], 1, 0, 0, pulls_down=True) == ""
    assert comparison(SIGNALS["seats_paid"], 3, 5, 9, pulls_down=True) == ""  # no direction is bad
    assert comparison(SIGNALS["champion_missing_days"], 40, 12, 0, pulls_down=True) == ""
