"""The contract calendar: rates by length of term and days to its end, pooled, never infinite."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.definition import Nature, Signal
from features.errors import ContractError
from models.dataset import TrainingSet, training_set
from models.evaluation import evaluate
from models.gates import gates
from models.methods import ContractCalendar, can_leave, is_contractual, leaving_window, sigmoid
from models.plan import TrainingPlan
from models.timing import timing_of
from models.training import train

WINDOW = (0.0, 90.0)
TARGET = {"name": "churn_90d", "kind": "churn", "horizon_days": 90, "gap_days": 0}


def signal(column: str, source: str = "subscriptions", nature: Nature = "leading") -> Signal:
    return Signal(column, column, "contract", source, column, "days", "{value}", nature=nature)


SIGNALS = (
    signal("days_to_renewal", nature="calendar"),
    signal("term_days"),
    signal("logins_28d", "usage_events"),
)


def rows(count: int = 6_000, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Accounts on monthly and annual terms; a quarter of annual ones and a tenth of monthly ones
    leave in a window that holds the end of their term.
    """
    generator = np.random.default_rng(seed)
    term = generator.choice([30.0, 365.0], count)
    days = np.floor(generator.random(count) * term)
    true = np.where(days < WINDOW[1], np.where(term > 100, 0.25, 0.10), 0.0)
    features = pd.DataFrame(
        {"days_to_renewal": days, "term_days": term, "logins_28d": generator.normal(size=count)}
    )
    return features, (generator.random(count) < true).astype(np.int8), true


def test_rates_are_those_of_term_and_days_to_its_end() -> None:
    features, labels, true = rows()
    calendar = ContractCalendar(WINDOW).fit(features, labels, SIGNALS)
    p = sigmoid(calendar.margin(features))
    assert calendar.terms_ == ("monthly", "yearly")
    assert np.abs(p - true).mean() < 0.02
    assert p[true == 0].max() < 0.01 and p.min() > 0.0


def test_a_term_where_nobody_left_has_a_chance_and_borrows_from_the_others() -> None:
    features, labels, _ = rows()
    few = pd.DataFrame({"days_to_renewal": [10.0, 60.0] * 5, "term_days": 182.0, "logins_28d": 0.0})
    calendar = ContractCalendar(WINDOW).fit(
        pd.concat([features, few], ignore_index=True),
        np.append(labels, np.zeros(10, np.int8)),
        SIGNALS,
    )
    p = sigmoid(calendar.margin(few))
    assert (p > 0.03).all() and (p < 0.25).all()


def test_a_term_never_seen_and_an_open_end_are_told_something() -> None:
    features, labels, _ = rows()
    calendar = ContractCalendar(WINDOW).fit(features, labels, SIGNALS)
    unseen = pd.DataFrame(
        {
            "days_to_renewal": [20.0, np.nan, 500.0],
            "term_days": [1_095.0, np.nan, 1_095.0],
            "logins_28d": 0.0,
        }
    )
    p = sigmoid(calendar.margin(unseen))
    assert np.isfinite(p).all() and p[2] < p[1] and p[2] < p[0]


def test_behaviour_moves_nothing_and_contributions_add() -> None:
    features, labels, _ = rows()
    calendar = ContractCalendar(WINDOW).fit(features, labels, SIGNALS)
    base, phi = calendar.contributions(features)
    assert (phi[:, 2] == 0.0).all()
    np.testing.assert_allclose(base + phi.sum(axis=1), calendar.margin(features), atol=1e-12)
    again = ContractCalendar(WINDOW).fit(features.assign(logins_28d=9.0), labels, SIGNALS)
    assert (again.margin(features) == calendar.margin(features)).all()


def test_window_edges_say_who_can_leave() -> None:
    days = pd.DataFrame({"days_to_renewal": [6.0, 7.0, 96.0, 97.0, np.nan]})
    window = leaving_window({"horizon_days": 90, "gap_days": 7})
    assert window == (7.0, 97.0)
    assert can_leave(days, SIGNALS, window).tolist() == [False, True, True, False, True]
    assert leaving_window({"horizon_days": None}) is None


def test_without_a_known_end_there_is_no_contract_calendar() -> None:
    features, labels, _ = rows(200)
    with pytest.raises(ContractError, match="no signal counts the days to the end of a term"):
        ContractCalendar().fit(features[["logins_28d"]], labels, SIGNALS[2:])
    assert is_contractual(TARGET, SIGNALS)
    assert not is_contractual(TARGET, SIGNALS[2:])
    assert not is_contractual({"kind": "inactivity"}, SIGNALS)


def test_a_source_of_another_name_has_its_contract_calendar() -> None:
    named = tuple(
        signal(f"billing__{column}", "billing", nature)
        for column, nature in (("days_to_renewal", "calendar"), ("term_days", "standing"))
    )
    features, labels, _ = rows()
    renamed = features.iloc[:, :2].set_axis([s.column for s in named], axis=1)
    calendar = ContractCalendar(WINDOW).fit(renamed, labels, named)
    assert calendar.columns == ("billing__days_to_renewal", "billing__term_days")
    plain = ContractCalendar(WINDOW).fit(features, labels, SIGNALS)
    np.testing.assert_allclose(calendar.margin(renamed), plain.margin(features))


def test_a_model_is_judged_beside_the_calendar_and_among_those_who_can_leave() -> None:
    """Here leaving follows the calendar alone, so no model can know more, and the gate says so."""
    generator = np.random.default_rng(3)
    dates = pd.date_range("2023-01-01", periods=20, freq="28D")
    parts = []
    for number, day in enumerate(dates):
        features, labels, _ = rows(500, seed=100 + number)
        parts.append(
            features.assign(
                account_id=[f"A{n:04d}" for n in range(500)],
                as_of=day,
                label_until=day + pd.Timedelta(days=90),
                is_test=number >= 17,
                label=labels,
                logins_28d=generator.normal(size=500),
            )
        )
    table = pd.concat(parts, ignore_index=True)
    world = training_set(
        table[["account_id", "as_of", "label_until", "is_test"]], table, table["label"], SIGNALS
    )
    result = train(world, TrainingPlan(trials=0, threads=1), target=TARGET)
    evaluation = evaluate(result, None, world, replicates=100)
    among, test = evaluation.can_leave, evaluation.test
    assert among is not None
    assert 0 < among.counts.n < test.counts.n
    assert among.counts.events == test.counts.events
    assert among.metrics.auc.low < among.metrics.auc.value < test.metrics.auc.value
    calendar = evaluation.baselines["contract_calendar"]
    assert calendar.auc_can_leave is not None and calendar.auc_can_leave < calendar.auc
    gate = next(g for g in gates(evaluation) if g.name == "no worse than the contract calendar")
    assert "when contracts end" in gate.reason or "does better than the model" in gate.reason
    untold = next(
        g
        for g in gates(
            replace(evaluation, baselines={"constant": evaluation.baselines["constant"]})
        )
        if g.name == "no worse than the contract calendar"
    )
    assert untold.passed and not untold.applies


def test_rows_near_the_decision_have_it_before_them() -> None:
    """Annual accounts leave by notice 60 days ahead: nearer to the end those are left that stay."""
    features, labels, _ = rows(20_000)
    annual = features["term_days"] > 100
    labels = np.where(annual & (features["days_to_renewal"] < 60), 0, labels).astype(np.int8)
    calendar = ContractCalendar(WINDOW).fit(features, labels, SIGNALS)
    days = pd.DataFrame(
        {"days_to_renewal": [70.0, 20.0, 200.0, np.nan], "term_days": 365.0, "logins_28d": 0.0}
    )
    assert calendar.near_decision(days).tolist() == [True, False, False, True]
    # At the decision the rate is the one seen there, not that of all whose term ends soon.
    near = calendar.near_decision(features) & annual.to_numpy()
    said = sigmoid(calendar.at_decision().margin(features[near]))
    assert abs(said.mean() - labels[near].mean()) < 0.02
    assert labels[near].mean() > 2 * labels[annual & (features["days_to_renewal"] < 90)].mean()


def test_without_a_window_every_row_has_its_decision_before_it() -> None:
    features, labels, _ = rows()
    calendar = ContractCalendar(None).fit(features, labels, SIGNALS)
    assert calendar.near_decision(features).all()


def test_rows_equally_far_from_their_end_have_no_timing_to_set_apart() -> None:
    features, labels, _ = rows(2_000)
    keys = pd.DataFrame(
        {
            "account_id": [f"a{i:05d}" for i in range(len(labels))],
            "as_of": pd.Timestamp("2024-01-01"),
            "label_until": pd.Timestamp("2024-04-01"),
            "is_test": False,
        }
    )
    anywhere = TrainingSet(keys, features, labels, SIGNALS)
    before_the_end = TrainingSet(keys, features.assign(days_to_renewal=3.0), labels, SIGNALS)
    assert timing_of(anywhere, TARGET) is not None
    assert timing_of(before_the_end, TARGET) is None
