"""What leavers have in common: planted patterns come back, chance does not, and every account
counts once.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from features.errors import ContractError
from models.dataset import TrainingSet, training_set
from models.patterns import Trait, benjamini_hochberg, candidate_traits, find_patterns, trait_words

FIRST = pd.Timestamp("2024-01-01")


def card(
    column: str, unit: str = "days", phrase: str = "", window: int | None = None, driver: str = ""
) -> Signal:
    return Signal(
        column,
        driver or column,
        "usage",
        "usage_events",
        f"meaning of {column}",
        unit,
        phrase or f"{column} {{value}}",
        window,
    )


def world(
    seed: int,
    *,
    accounts: int = 500,
    dates: int = 8,
    tests: int = 2,
    noise: int = 20,
    effect: float = 0.0,
    later_effect: float | None = None,
) -> TrainingSet:
    """Accounts followed until they leave; `bad` raises the hazard by `effect` in log-odds, `good`
    lowers it as much.

    Horizon two dates, so an account that leaves has up to two rows with the event.
    """
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(accounts, noise + 2))
    step = pd.Timedelta(days=28)
    first_test = dates - tests
    left = np.full(accounts, 10_000)
    for date in range(dates + 2):
        strength = effect if date < first_test or later_effect is None else later_effect
        odds = -2.7 + strength * (values[:, 0] > 0.8) - strength * (values[:, 1] > 0.8)
        leaves = (generator.random(accounts) < 1 / (1 + np.exp(-odds))) & (left > date)
        left[leaves] = date
    rows = [
        (account, date)
        for account in range(accounts)
        for date in range(dates)
        if left[account] >= date
    ]
    account, date = (np.array(part) for part in zip(*rows, strict=True))
    as_of = FIRST + date * step
    keys = pd.DataFrame(
        {
            "account_id": [f"A{a:04d}" for a in account],
            "as_of": as_of,
            "label_until": as_of + 2 * step,
            "is_test": date >= first_test,
        }
    )
    names = ["bad", "good", *(f"noise_{n}" for n in range(noise))]
    features = pd.DataFrame(
        values[account] + 0.3 * generator.normal(size=(len(account), noise + 2)), columns=names
    )
    return training_set(
        keys, features, (left[account] < date + 2).astype(int), [card(name) for name in names]
    )


def test_planted_patterns_are_found_in_both_directions_and_hold_later():
    found = find_patterns(world(1, accounts=1500, effect=1.6))
    more, less = found.of(is_more=True)[0], found.of(is_more=False)[0]
    assert (more.driver, more.side, more.verdict) == (
        "bad",
        "high",
        "confirmed",
    ) and more.later.ratio_low > 1
    assert (less.driver, less.side, less.verdict) == (
        "good",
        "high",
        "confirmed",
    ) and less.later.ratio_high < 1
    assert sum(each.driver.startswith("noise") for each in found.patterns) <= 1
    assert found.tested == 2 * 22


def test_what_held_only_before_is_not_confirmed():
    found = find_patterns(world(2, accounts=1500, effect=1.8, later_effect=0.0))
    early = [each for each in found.patterns if each.driver == "bad" and each.side == "high"]
    assert early and early[0].verdict in ("same_way", "not_confirmed")


def test_pure_chance_gives_hardly_any_pattern():
    counts = [len(find_patterns(world(seed, accounts=300)).patterns) for seed in range(100, 120)]
    assert sum(count > 0 for count in counts) <= 4, counts  # expected: 1 of 20


def test_an_account_counts_once_however_many_rows_saw_it_leave():
    rows = world(3, effect=1.6)
    found = find_patterns(rows)
    before = rows.rows(
        ~rows.keys["is_test"].to_numpy(bool)
        & (rows.keys["label_until"] <= FIRST + 6 * pd.Timedelta(days=28))
    )
    assert found.earlier_events == before.leaving_accounts() < before.labels.sum()
    assert all(each.found.event_accounts <= found.earlier_events for each in found.patterns)
    # Rows whose outcome reaches into the test dates take no part.
    assert max(found.earlier_dates) == FIRST + 4 * pd.Timedelta(days=28)


def test_shares_and_ratio_by_hand():
    """One early date: 20 of 25 leavers and 25 of 100 others have it, so the odds are 4 against 1/3;
    half an account each way.
    """
    has = [1] * 20 + [0] * 5 + [1] * 25 + [0] * 75
    label = [1] * 25 + [0] * 100
    keys = pd.DataFrame(
        {
            "account_id": [f"A{i:03d}" for i in range(125)],
            "as_of": FIRST,
            "label_until": FIRST,
            "is_test": False,
        }
    )
    later = keys.assign(
        as_of=FIRST + pd.Timedelta(days=28), label_until=FIRST + pd.Timedelta(days=56), is_test=True
    )
    rows = training_set(
        pd.concat([keys, later]),
        pd.DataFrame({"x": has * 2}),
        label * 2,
        [card("x", "yes", "x: {value}")],
    )
    pattern = find_patterns(rows).of(is_more=True)[0]
    assert pattern.words == "X: yes"
    assert pattern.found.share_event == pytest.approx(
        0.8
    ) and pattern.found.share_other == pytest.approx(0.25)
    assert pattern.found.ratio == pytest.approx((20.5 / 5.5) / (1 / 3))
    assert pattern.found.ratio_low < pattern.found.ratio < pattern.found.ratio_high


def test_accounts_are_compared_with_others_of_their_own_date():
    """The signal grows with time and more leave later: pooled it would separate, date by date it
    does not.
    """
    generator = np.random.default_rng(0)
    parts = []
    for date, rate in enumerate((0.05, 0.1, 0.3, 0.5, 0.3)):
        as_of = FIRST + date * pd.Timedelta(days=28)
        keys = pd.DataFrame(
            {
                "account_id": [f"D{date}A{i:03d}" for i in range(200)],
                "as_of": as_of,
                "label_until": as_of,
                "is_test": date == 4,
            }
        )
        parts.append(
            keys.assign(x=date + 0.01 * generator.random(200), label=generator.random(200) < rate)
        )
    rows = pd.concat(parts, ignore_index=True)
    found = find_patterns(
        training_set(
            rows[["account_id", "as_of", "label_until", "is_test"]],
            rows[["x"]],
            rows["label"].astype(int),
            [card("x")],
        )
    )
    assert found.patterns == ()


def test_interval_of_the_later_dates_covers_the_true_ratio():
    true = (0.24 / 0.76) / (0.08 / 0.92)
    covered = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        has = generator.random(900) < 0.3
        label = generator.random(900) < np.where(has, 0.24, 0.08)
        is_test = np.arange(900) % 2 == 0
        as_of = np.where(is_test, FIRST + pd.Timedelta(days=28), FIRST)
        keys = pd.DataFrame(
            {
                "account_id": [f"A{i:03d}" for i in range(900)],
                "as_of": as_of,
                "label_until": as_of,
                "is_test": is_test,
            }
        )
        rows = training_set(
            keys, pd.DataFrame({"x": has.astype(float)}), label.astype(int), [card("x", "yes")]
        )
        later = find_patterns(rows).of(is_more=True)[0].later
        covered += later.ratio_low <= true <= later.ratio_high
    assert covered >= 53  # 57 expected of 60; 53 is two standard deviations below


def test_traits_of_the_same_accounts_are_one_pattern():
    rows = world(4, accounts=1500, effect=1.6, noise=2)
    twin = rows.features.assign(bad_too=rows.features["bad"] * 2 + 0.01)
    both = training_set(rows.keys, twin, rows.labels, [*rows.signals, card("bad_too")])
    more = find_patterns(both).of(is_more=True)
    assert sum(each.driver in ("bad", "bad_too") and each.side == "high" for each in more) == 1
    assert any("bad" in words.lower() for each in more for words in each.also)


def test_missing_values_are_neither_have_nor_have_not():
    rows = world(5, accounts=1500, effect=1.6, noise=1)
    blank = rows.features.copy()
    blank.loc[rows.keys["account_id"].str[-1].isin(["0", "1", "2"]), "bad"] = np.nan
    found = find_patterns(training_set(rows.keys, blank, rows.labels, rows.signals))
    mine = next(each for each in found.patterns if each.driver == "bad")
    assert mine.found.event_accounts < 0.85 * found.earlier_events


def test_the_same_rows_give_the_same_patterns():
    assert find_patterns(world(6, effect=1.4)) == find_patterns(world(6, effect=1.4))


def test_too_few_leavers_or_no_test_is_refused_with_the_next_step():
    rows = world(7, accounts=60, effect=0.0)
    with pytest.raises(ContractError, match="20 are needed"):
        find_patterns(rows.rows(rows.labels == 0))
    with pytest.raises(ContractError, match="no test dates"):
        find_patterns(rows.rows(~rows.keys["is_test"].to_numpy(bool)))


def test_q_values_are_those_of_the_step_up_procedure():
    p = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216])
    assert (
        benjamini_hochberg(p) <= 0.05
    ).sum() == 2  # [Benjamini1995]: the largest k with p(k) <= k/m q is 2
    assert (np.diff(benjamini_hochberg(p)) >= 0).all()


@pytest.mark.parametrize(
    ("unit", "phrase", "side", "cut", "is_end", "words"),
    [
        (
            "days",
            "active on {value} of the last {days} days",
            "low",
            3.0,
            False,
            "Active on at most 3 of the last 28 days",
        ),
        (
            "tickets",
            "{value} tickets in the last {days} days",
            "high",
            1.0,
            False,
            "At least 1 ticket in the last 28 days",
        ),
        (
            "tickets",
            "{value} tickets in the last {days} days",
            "low",
            0.0,
            True,
            "No tickets in the last 28 days",
        ),
        (
            "change",
            "use {value} against {days} days before",
            "low",
            -0.5,
            False,
            "Use down 67% or more against 28 days before",
        ),
        (
            "change",
            "use {value} against {days} days before",
            "low",
            0.2,
            False,
            "Use up 50% or less against 28 days before",
        ),
        (
            "change",
            "use {value} against {days} days before",
            "high",
            -0.5,
            False,
            "Use down 67% or less against 28 days before",
        ),
        (
            "change",
            "use {value} against {days} days before",
            "low",
            -1.0,
            True,
            "Use down to nothing against 28 days before",
        ),
        ("yes", "country is GB: {value}", "high", 1.0, True, "Country is GB: yes"),
        (
            "minutes",
            "paid {value} after the due date",
            "low",
            -2880.0,
            False,
            "Paid at least 2 days before the due date",
        ),
        (
            "share",
            "{value} of paid seats in use",
            "low",
            0.623,
            False,
            "At most 62% of paid seats in use",
        ),
    ],
)
def test_traits_in_words(unit, phrase, side, cut, is_end, words):
    signal = replace(
        card("x", unit, phrase, 28),
        below="Paid {value} before the due date" if unit == "minutes" else "",
    )
    assert trait_words(signal, Trait(0, side, cut, is_end)) == words


def test_a_trait_is_the_end_nearest_a_fifth_and_never_the_rule():
    features = pd.DataFrame(
        {
            "zero_inflated": [0.0] * 80 + list(range(1, 21)),
            "flag": [1.0] * 10 + [0.0] * 90,
            "constant": [3.0] * 100,
        }
    )
    found = candidate_traits(features, [card(name) for name in features])
    assert [(t.place, t.side, t.cut) for t in found] == [(0, "high", 1.0), (1, "high", 1.0)]
