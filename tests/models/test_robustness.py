"""Old scores and missing sources: what is lost is measured, and nothing where nothing was known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from models.contenders import refit
from models.dataset import TrainingSet, training_set
from models.plan import TrainingPlan
from models.robustness import by_age, leading_alone, without_sources
from models.training import fitted_again, train


@pytest.fixture(scope="module")
def rows() -> TrainingSet:
    """400 accounts on 14 dates: `use` decides and wanders from date to date, `money` helps a
    little, `noise` not.
    """
    random = np.random.default_rng(11)
    accounts, dates = 400, pd.date_range("2024-01-07", periods=14, freq="28D")
    use = np.cumsum(random.normal(scale=0.7, size=(len(dates), accounts)), axis=0)
    money, noise = random.normal(size=(2, len(dates), accounts))
    keys = pd.DataFrame(
        [(f"A-{n:03d}", d) for d in dates for n in range(accounts)], columns=["account_id", "as_of"]
    )
    keys = keys.assign(
        label_until=keys["as_of"] + pd.Timedelta(days=28), is_test=keys["as_of"] >= dates[-3]
    )
    features = pd.DataFrame({"use": use.ravel(), "money": money.ravel(), "noise": noise.ravel()})
    chance = 1 / (1 + np.exp(1.5 + 1.5 * features["use"] - 0.4 * features["money"]))
    labels = (random.random(len(keys)) < chance).to_numpy().astype(np.int8)
    sources = {"use": "usage", "money": "invoices", "noise": "tickets"}
    signals = [
        Signal(name, name, "usage", source, "a number", "number", "{value}")
        for name, source in sources.items()
    ]
    return training_set(keys, features, labels, signals)


def test_old_scores_are_worse_and_judged_on_the_same_outcomes(rows: TrainingSet) -> None:
    model = train(rows, TrainingPlan(trials=0, threads=1, folds=2, max_trees=40, bags=1)).model
    ages = by_age(model, rows.test)
    assert [each.age_days for each in ages] == [0, 28, 56]
    assert {each.compared.n for each in ages} == {400}
    assert len({each.compared.events for each in ages}) == 1
    assert ages[0].compared.difference.value == 0.0
    fresh, older, oldest = (each.compared.log_loss for each in ages)
    assert oldest > older > fresh
    assert ages[2].compared.difference.low > 0
    one_date = rows.test.rows((rows.test.keys["as_of"] == rows.test.keys["as_of"].max()).to_numpy())
    assert by_age(model, one_date) == ()


def test_the_source_that_decides_costs_most_and_the_others_little(rows: TrainingSet) -> None:
    model = train(rows, TrainingPlan(trials=0, threads=1, folds=2, max_trees=40, bags=1)).model
    losses = without_sources(model, rows.test)
    assert losses[0].without == ("usage",)
    assert losses[0].compared.difference.low > 0
    cost = {each.without[0]: each.compared.difference.value for each in losses[:3]}
    assert abs(cost["tickets"]) < 0.1 * cost["usage"]
    # The curve: the dearest two together; all three would leave a constant.
    assert [len(each.without) for each in losses[3:]] == [2]
    assert all(0.0 < each.compared.log_loss < 5.0 for each in losses)


def test_leading_signals_alone_are_fitted_again_and_the_loss_is_told(rows: TrainingSet) -> None:
    plan = TrainingPlan(trials=0, threads=1, folds=2, max_trees=40, bags=1)

    def lagging(name: str) -> TrainingSet:
        signals = tuple(
            replace(s, nature="lagging" if s.column == name else "leading") for s in rows.signals
        )
        return TrainingSet(rows.keys, rows.features, rows.labels, signals)

    losses = {
        name: leading_alone(train(lagging(name), plan).model, lagging(name), plan)
        for name in ("use", "noise")
    }
    costly, free = losses["use"], losses["noise"]
    assert costly is not None and free is not None
    alone = costly.compared
    assert (costly.signals, costly.lagging, alone.n) == (2, 1, len(rows.test))
    assert alone.difference.low > 0 and alone.auc < costly.all_auc - 0.1
    assert alone.difference.value == pytest.approx(alone.log_loss - costly.all_log_loss)
    assert abs(free.compared.difference.value) < 0.1 * alone.difference.value
    # The same signals and settings make the same model again: the difference is the signals', not
    # the second fit's.
    model = train(rows, plan).model
    again = fitted_again(rows, plan, lambda some, _: refit(model, some).members)
    assert np.array_equal(
        again.probability(rows.test.features), model.probability(rows.test.features)
    )
    assert leading_alone(model, rows, plan) is None
