"""Promises against outcomes: the chance interval against simulation, and each count worked by
hand.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from models.intervals import wilson
from models.metrics import auc
from models.track_record import (
    FEWER,
    HELD,
    MORE,
    NOT_RANKED,
    RANKED,
    TOO_FEW,
    by_account,
    calm_leavers,
    chance_interval,
    record,
    tally,
)

BANDS = ("at_risk", "stable", "healthy")


def rows(count: int, **columns: Any) -> pd.DataFrame:
    """Judged scores of one date; columns may be replaced."""
    table = pd.DataFrame(
        {
            "account_id": [f"A{number:04d}" for number in range(count)],
            "as_of": pd.Timestamp("2025-01-05"),
            "probability": 0.1,
            "health_exact": 50.0,
            "band": "stable",
            "label": 0.0,
            "apart": "",
            "left": False,
            "treated": pd.array([None] * count, dtype="boolean"),
            "decided_later": False,
        }
    )
    return table.assign(**columns)


@pytest.mark.parametrize(
    ("count", "chance"), [(10, 0.5), (40, 0.02), (678, 0.05), (3000, 0.01), (5000, 0.3)]
)
def test_equal_chances_give_the_binomial_interval(count: int, chance: float) -> None:
    low, high = chance_interval(np.full((count, 1), chance))
    assert (low, high) == pytest.approx(
        binom.interval(0.95, count, chance), abs=0 if count < 5000 else 1
    )


def test_different_chances_are_what_simulation_gives() -> None:
    generator = np.random.default_rng(0)
    promised = generator.beta(1, 15, (600, 1))
    drawn = (generator.random((20_000, 600)) < promised[:, 0]).sum(axis=1)
    assert chance_interval(promised) == pytest.approx(
        tuple(np.quantile(drawn, [0.025, 0.975])), abs=1
    )


def test_dates_of_an_account_share_one_fate() -> None:
    """Four dates of 600 accounts: an interval as wide as if one draw decided all four, far wider
    than 2,400 accounts give.
    """
    generator = np.random.default_rng(0)
    promised = -np.sort(-generator.beta(1, 15, (600, 4)), axis=1)
    drawn = (generator.random((4_000, 600))[:, :, None] < promised).sum(axis=(1, 2))
    low, high = chance_interval(promised)
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=2)
    apart_low, apart_high = chance_interval(promised.reshape(-1, 1))
    assert high - low > 1.5 * (apart_high - apart_low)


@pytest.mark.parametrize(
    ("promised", "wanted"),
    [(np.zeros((0, 1)), (0, 0)), (np.zeros((5, 1)), (0, 0)), (np.ones((5, 1)), (5, 5))],
)
def test_nothing_left_to_chance_has_no_width(promised: Any, wanted: tuple[int, int]) -> None:
    assert chance_interval(promised) == wanted


def test_a_line_per_account_largest_first() -> None:
    table = by_account(pd.Series(["B", "A", "B", "B"]), np.array([0.1, 0.5, 0.3, 0.2]))
    assert table.tolist() == [[0.5, 0.0, 0.0], [0.3, 0.2, 0.1]]


@pytest.mark.parametrize(("left", "wanted"), [(3, FEWER), (10, HELD), (17, MORE)])
def test_level_is_judged_against_chance(left: int, wanted: str) -> None:
    """100 accounts at 10%: chance makes it 5 to 16 (binomial)."""
    found = tally(rows(100, label=[1.0] * left + [0.0] * (100 - left)))
    assert found.promised == pytest.approx(10.0)
    assert (found.chance_low, found.chance_high) == (5, 16)
    assert found.verdict == wanted
    assert (found.rate, (found.rate_low, found.rate_high)) == (left / 100, wilson(left / 100, 100))


def test_under_thirty_accounts_there_is_no_rate() -> None:
    found = tally(rows(29, label=[1.0] * 5 + [0.0] * 24))
    assert (found.scores, found.left, found.rate, found.rate_low) == (29, 5, None, None)
    # Sixty scores of twenty accounts are twenty accounts.
    many = rows(
        60, account_id=[f"A{number % 20}" for number in range(60)], label=[1.0] + [0.0] * 59
    )
    assert (tally(many).accounts, tally(many).left_accounts, tally(many).rate) == (20, 1, None)


def test_unpublished_probability_promises_nothing() -> None:
    found = record(rows(50, probability=np.nan, label=[1.0] * 20 + [0.0] * 30), BANDS).total
    assert (found.promised, found.chance_low, found.verdict) == (None, None, "")


def test_scorecard_is_judged_by_rank_and_band_only() -> None:
    """The published score ranks: low scores left."""
    label = [1.0] * 12 + [0.0] * 88
    made = record(
        rows(
            100,
            probability=np.nan,
            health_exact=np.arange(100.0),
            label=label,
            band=["at_risk"] * 20 + ["stable"] * 80,
        ),
        BANDS,
    )
    assert (made.auc, made.ranking, made.total.verdict) == (1.0, RANKED, "")
    assert [(band, each.scores, each.left, each.promised) for band, each in made.bands] == [
        ("at_risk", 20, 12, None),
        ("stable", 80, 0, None),
        ("healthy", 0, 0, None),
    ]
    grown = record(
        rows(100, probability=np.nan, health_exact=np.arange(100.0)[::-1], label=label, band="low"),
        ("low", "medium", "high"),
    )
    assert grown.auc == 1.0  # where the event is good, high scores have it


def test_ranking_needs_ten_accounts_that_left() -> None:
    probability = np.linspace(0.01, 0.4, 100)
    nine = record(rows(100, probability=probability, label=[0.0] * 91 + [1.0] * 9), BANDS)
    assert (nine.auc, nine.auc_low, nine.ranking) == (None, None, TOO_FEW)
    label = np.array([0.0] * 90 + [1.0] * 10)
    ten = record(rows(100, probability=probability, label=label), BANDS)
    assert ten.auc == auc(label, probability) == 1.0 and ten.ranking == RANKED
    # The same leavers scored three times are no more leavers.
    again = pd.concat([rows(34, label=[1.0] * 9 + [0.0] * 25)] * 3, ignore_index=True)
    assert record(again, BANDS).ranking == TOO_FEW


def test_ranking_no_better_than_chance_is_said() -> None:
    made = record(
        rows(
            100, probability=np.tile(np.linspace(0.01, 0.4, 50), 2), label=[1.0] * 50 + [0.0] * 50
        ),
        BANDS,
    )
    assert made.auc == 0.5 and made.ranking == NOT_RANKED


def test_interval_of_the_ranking_counts_accounts_not_scores() -> None:
    generator = np.random.default_rng(3)
    one = rows(
        200, probability=generator.random(200), label=(generator.random(200) < 0.3).astype(float)
    )
    once, thrice = record(one, BANDS), record(pd.concat([one] * 3, ignore_index=True), BANDS)
    assert once.auc == pytest.approx(thrice.auc) and once.auc_low == pytest.approx(
        thrice.auc_low, abs=0.002
    )


def test_unknown_and_noticed_accounts_are_counted_apart() -> None:
    table = rows(40, label=[1.0] * 4 + [0.0] * 36)
    table["apart"] = ["published as unknown"] * 2 + ["under notice already"] * 3 + [""] * 35
    table["left"] = [True] * 4 + [False] * 36
    made = record(table, BANDS)
    assert (made.total.scores, made.total.left) == (35, 0)
    assert [(each.reason, each.accounts, each.left) for each in made.apart] == [
        ("published as unknown", 2, 2),
        ("under notice already", 3, 2),
    ]


def test_treated_accounts_are_told_apart_and_stay_in_the_total() -> None:
    treated = pd.array([True] * 10 + [False] * 30, dtype="boolean")
    made = record(rows(40, label=[1.0] * 2 + [0.0] * 18 + [1.0] * 20, treated=treated), BANDS)
    assert made.treated is not None and made.untreated is not None
    assert (made.treated.scores, made.treated.left, made.untreated.left, made.total.left) == (
        10,
        2,
        20,
        22,
    )
    assert record(rows(40), BANDS).treated is None  # no source tells


def test_calm_accounts_that_left_and_alarms_that_stayed() -> None:
    band = ["healthy"] * 3 + ["at_risk"] * 4 + ["stable"] * 3
    table = rows(10, band=band, label=[1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    made = record(table, BANDS)
    assert (made.calm, made.calm_left, made.alarms, made.alarms_stayed) == (3, 1, 4, 3)
    assert calm_leavers(table)["account_id"].tolist() == ["A0000"]


def test_order_of_rows_changes_nothing() -> None:
    generator = np.random.default_rng(1)
    table = rows(
        300,
        account_id=[f"A{number % 120}" for number in range(300)],
        probability=generator.random(300) / 5,
        label=(generator.random(300) < 0.2).astype(float),
    )
    mixed = table.sample(frac=1.0, random_state=2)
    one, other = record(table, BANDS), record(mixed, BANDS)
    assert one.total.promised == pytest.approx(other.total.promised)
    assert replace(one.total, promised=None) == replace(other.total, promised=None)


def test_who_could_not_leave_is_neither_a_false_alarm_nor_a_customer_kept() -> None:
    table = rows(40, label=[1.0] * 4 + [0.0] * 36).assign(
        band=["at_risk"] * 20 + ["healthy"] * 20,
        decided_later=[False] * 10 + [True] * 20 + [False] * 10,
    )
    made = record(table, BANDS)
    assert (made.alarms, made.alarms_stayed, made.calm, made.calm_left) == (10, 6, 10, 0)
    assert made.is_of_decisions and made.total.scores == 40
    assert not record(table.assign(decided_later=False), BANDS).is_of_decisions
