"""How well each cause of growth is told, and a notice of the vendor's own price is no signal."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from models.by_cause import announced, by_cause
from models.dataset import TrainingSet, training_set
from models.leakage import leaks_in_words
from models.targets import CUSTOMERS_OWN, Cause

ROWS = 1200
DATES = pd.date_range("2024-01-07", periods=6, freq="28D")


def _signal(column: str, nature: str = "leading") -> Signal:
    return Signal(
        column,
        column,
        "contract",
        "touchpoints",
        "m",
        "count",
        "{value}",
        28,
        nature=nature,  # type: ignore[arg-type]
        definition={"stream": "touchpoints", "measure": "count"},
    )


def _company() -> tuple[TrainingSet, "pd.Series[str]"]:
    """200 accounts on six dates: a tenth buys seats, which use foretells; a tenth gets a new price,
    of which nine in ten are told and hardly anybody else is.
    """
    generator = np.random.default_rng(5)
    draw = generator.random(ROWS)
    causes = np.select([draw < 0.1, draw < 0.2], ["seats", "price"], "")
    told = (causes == "price") & (generator.random(ROWS) < 0.9)
    told |= generator.random(ROWS) < 0.01
    keys = pd.DataFrame(
        {
            "account_id": np.repeat([f"A-{n:03}" for n in range(ROWS // 6)], 6),
            "as_of": np.tile(DATES, ROWS // 6),
        }
    )
    keys = keys.assign(label_until=keys["as_of"] + pd.Timedelta(days=90), is_test=False)
    use = generator.normal(size=ROWS) + 2.0 * (causes == "seats")
    features = pd.DataFrame({"price_notices_28d": told.astype(float), "use_28d": np.exp(use)})
    signals = (_signal("price_notices_28d"), _signal("use_28d"))
    rows = training_set(keys, features, (causes != "").astype(int), signals)
    return rows, pd.Series(causes)


def test_each_cause_is_judged_against_rows_in_which_nothing_changed() -> None:
    rows, causes = _company()
    chance = rows.features["use_28d"].rank(pct=True).to_numpy()
    seats, price = by_cause(causes, chance, rows.keys["account_id"], CUSTOMERS_OWN)
    assert (seats.cause, seats.counts) == ("seats", True)
    assert (price.cause, price.counts) == ("price", False)
    assert seats.n == int((causes == "seats").sum())
    asked = causes.isin(["seats", ""])
    beaten = [
        float((chance[asked & (causes == "")] < each).mean()) for each in chance[causes == "seats"]
    ]
    assert seats.auc == pytest.approx(np.mean(beaten)) and seats.auc > 0.85
    assert seats.auc_low is not None and seats.auc_high is not None
    assert seats.auc_low < seats.auc < seats.auc_high
    assert price.auc_low is not None and price.auc_high is not None
    assert price.auc_low < 0.5 < price.auc_high
    assert price.words.startswith(f"price (does not count): {price.n} rows of ")
    assert seats.mean_probability == pytest.approx(chance[causes == "seats"].mean())


def test_a_cause_of_a_few_accounts_has_no_auc() -> None:
    rows, causes = _company()
    few = causes.where(causes != "price", "")
    few.iloc[:3] = "plan"  # three rows of one account
    chance = np.linspace(0.0, 1.0, ROWS)
    found = {each.cause: each for each in by_cause(few, chance, rows.keys["account_id"], ())}
    assert set(found) == {"seats", "plan"} and found["plan"].counts
    assert found["plan"].auc is None and "too few" in found["plan"].words


@pytest.mark.parametrize(
    ("counted", "is_leak"),
    [((), True), (("price",), True), (("seats", "price"), True), (CUSTOMERS_OWN, False)],
)
def test_a_notice_of_the_own_price_rise_is_a_leak_where_it_counts(
    counted: tuple[Cause, ...], is_leak: bool
) -> None:
    rows, causes = _company()
    found = announced(rows, causes, counted)
    assert [each.column for each in found] == (["price_notices_28d"] if is_leak else [])
    if not is_leak:
        return
    assert "announces what you do yourself" in leaks_in_words(found)
    assert found[0].figure > 0.8 and found[0].leavers > 50
    waived = announced(rows, causes, counted, {"price_notices_28d": "we want to see them"})
    assert waived[0].waived == "we want to see them"


def test_every_window_of_an_announcement_is_named_however_little_it_tells() -> None:
    rows, causes = _company()
    notice = replace(rows.signals[0], definition={**rows.signals[0].definition, "kinds": ["n"]})
    older = replace(notice, column="price_notices_364d")
    features = rows.features.assign(price_notices_364d=1.0)
    again = training_set(rows.keys, features, rows.labels, (notice, older, rows.signals[1]))
    assert [each.column for each in announced(again, causes, ())] == [
        "price_notices_28d",
        "price_notices_364d",
    ]


def test_the_place_in_the_term_announces_nothing() -> None:
    rows, causes = _company()
    calendar = replace(_signal("price_notices_28d"), definition={"state": "terms"})
    again = training_set(rows.keys, rows.features, rows.labels, (calendar, rows.signals[1]))
    assert announced(again, causes, ()) == ()
