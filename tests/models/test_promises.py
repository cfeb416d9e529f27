"""What ten points promise and what the test saw, counted by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.health import (
    bands_of_range,
    observed_words,
    points_to_edges,
    promise_of,
    promises,
    scale_sentence,
)
from models.health.promises import Promise
from models.intervals import wilson

BANDS = ("at_risk", "stable", "healthy")


def scores_of(*groups):
    """Groups of (health, accounts, events, probability), one score per account."""
    rows = [
        {
            "account_id": f"{health}-{i}",
            "health": health,
            "probability": p,
            "label": int(i < events),
        }
        for health, accounts, events, p in groups
        for i in range(accounts)
    ]
    return pd.DataFrame(rows)


def spans(ranges):
    return [(each.health_from, each.health_until, each.accounts) for each in ranges]


def test_the_sentence_of_the_worked_example():
    found = promises(scores_of((35, 92, 11, 0.14), (55, 40, 2, 0.04), (85, 40, 1, 0.01)))
    one = promise_of(33, found)
    assert (one.accounts, one.scores, one.events, one.promised) == (92, 92, 11, pytest.approx(0.14))
    assert scale_sentence(one, "within 90 days") == (
        "Accounts scoring 0-40: about 14 in 100 leave within 90 days."
        " When we tested it, 11 of 92 did."
    )
    assert observed_words(one).startswith("12% (")


def test_ranges_of_ten_points_stay_where_each_has_thirty_accounts():
    found = promises(scores_of(*((top, 30, 1, 0.1) for top in range(10, 101, 10))))
    assert spans(found) == [(0, 10, 30), *((top - 9, top, 30) for top in range(20, 101, 10))]


def test_few_accounts_join_inside_their_band():
    found = promises(
        scores_of(
            (5, 31, 3, 0.3), (35, 5, 1, 0.2), (45, 40, 1, 0.1), (75, 29, 0, 0.01), (95, 29, 0, 0.01)
        )
    )
    assert spans(found) == [(0, 40, 36), (41, 70, 40), (71, 100, 58)]


def test_a_band_with_few_accounts_joins_its_neighbour():
    found = promises(scores_of((35, 3, 1, 0.3), (45, 40, 2, 0.1), (85, 40, 0, 0.01)))
    assert spans(found) == [(0, 70, 43), (71, 100, 40)]


def test_the_dates_of_one_account_are_counted_once():
    rows = scores_of((55, 40, 4, 0.1))
    twice = pd.concat([rows, rows])
    (once,), (both,) = promises(rows), promises(twice)
    assert (both.accounts, both.scores, both.events) == (40, 80, 8)
    assert (both.observed, both.observed_low, both.observed_high) == (
        once.observed,
        once.observed_low,
        once.observed_high,
    )


def test_no_test_gives_no_promise():
    assert promises(scores_of((55, 1, 0, 0.1)).iloc[:0]) == ()
    assert promise_of(55, ()) is None
    assert spans(promises(scores_of((55, 2, 0, 0.1)))) == [(0, 100, 2)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(1, 40)), min_size=1, max_size=12),
    st.sampled_from([(40, 70), (35, 64)]),
)
def test_ranges_cover_every_score_once_and_none_is_too_small(groups, edges):
    rows = scores_of(*((health, accounts, 0, 0.1) for health, accounts in groups))
    found = promises(rows, edges=edges)
    assert found[0].health_from == 0 and found[-1].health_until == 100
    assert all(
        one.health_until + 1 == other.health_from
        for one, other in zip(found, found[1:], strict=False)
    )
    assert len(found) == 1 or min(each.accounts for each in found) >= 30
    assert sum(each.scores for each in found) == len(rows)


@pytest.mark.parametrize(
    ("promised", "words"),
    [
        (0.139, "about 14 in 100 grow"),
        (0.006, "about 6 in 1,000 grow"),
        (0.0001, "fewer than 1 in 1,000 grow"),
    ],
)
def test_rare_chances_are_counted_in_a_thousand(promised, words):
    promise = Promise(71, 80, 50, 60, 1, promised, 1 / 60, 0.004, 0.09)
    assert (
        scale_sentence(promise, "by the next renewal", event="grow")
        == f"Accounts scoring 71-80: {words} by the next renewal."
        " When we tested it, 1 of 60 did."
    )
    assert observed_words(promise) == "1.7% (0.4-9%)"


def test_wilson_as_published():
    # Newcombe 1998, table I: 81 of 263, and none of 20.
    assert np.round(wilson(81 / 263, 263), 4).tolist() == [0.2553, 0.3662]
    assert np.round(wilson(0.0, 20), 4).tolist() == [0.0, 0.1611]
    assert wilson(0.0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        (0, (("stable", 41),)),
        (40, (("stable", 1),)),
        (41, (("at_risk", -1), ("healthy", 30))),
        (70, (("at_risk", -30), ("healthy", 1))),
        (71, (("stable", -1),)),
        (100, (("stable", -30),)),
    ],
)
def test_points_to_the_next_band(health, expected):
    assert points_to_edges(health, BANDS) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (30.0, 40.4999, ("at_risk",)),
        (30.0, 40.5, ("at_risk", "stable")),
        (40.5, 70.49, ("stable",)),
        (20.0, 90.0, BANDS),
        (float("nan"), 50.0, ()),
    ],
)
def test_a_range_reaches_the_bands_of_its_ends(low, high, expected):
    assert bands_of_range(low, high, BANDS) == expected


def test_a_health_read_at_the_decision_promises_only_where_a_contract_came_up():
    n = 80
    tested = pd.DataFrame(
        {
            "account_id": [f"a{i}" for i in range(2 * n)],
            "health": 30,
            # Half of the accounts cannot leave: nobody of them does, and none of them counts.
            "probability": [0.2] * n + [0.001] * n,
            "probability_at_decision": 0.25,
            "decides": [True] * n + [False] * n,
            "label": [1] * 20 + [0] * (2 * n - 20),
        }
    )
    (found,) = promises(tested)
    assert (found.scores, found.events, found.promised) == (n, 20, 0.25)
    own_date = tested.assign(probability_at_decision=float("nan"))
    (found,) = promises(own_date)
    assert (found.scores, found.promised) == (2 * n, pytest.approx(0.1005))
