"""Timing apart from behaviour: cycles are found, nothing beside the calendar reads them, and health
stands whatever the date of renewal.
"""

import json
from functools import cache

import numpy as np
import pandas as pd
import pytest

from features.definition import Nature, Signal
from models.bundle import Bundle, base_of, read_bundle, score, write_bundle
from models.contenders import refit
from models.dataset import TrainingSet, training_set
from models.health import displayed, scale_from_anchors
from models.model import Model
from models.plan import TrainingPlan
from models.timing import cycle_signals, timing_of
from models.training import TrainingResult, train

TARGET = {"name": "churn_90d", "kind": "churn", "horizon_days": 90, "gap_days": 0}
WINDOW = (0.0, 90.0)
ACCOUNTS, DATES = 300, 24


def signal(column: str, source: str = "subscriptions", nature: Nature = "leading") -> Signal:
    return Signal(column, column, "contract", source, column, "days", "{value}", nature=nature)


SIGNALS = (
    signal("days_to_renewal", nature="calendar"),
    signal("term_days"),
    signal("invoice_age", "invoices"),
    signal("logins_28d", "usage_events"),
    signal("tickets_28d", "support_tickets"),
)


@cache
def world(seed: int = 0) -> TrainingSet:
    """Accounts on terms of a year or a month decide at the end of a term by how much they use it.

    An invoice comes with every term, so its age is the days in the term.
    """
    generator = np.random.default_rng(seed)
    start = pd.Timestamp("2022-01-01")
    term = generator.choice([30, 365], ACCOUNTS)
    first = generator.integers(0, term)
    usual = generator.normal(size=ACCOUNTS)
    left = np.full(ACCOUNTS, np.iinfo(np.int64).max)
    for n in range(ACCOUNTS):
        chance = (0.30 if term[n] == 365 else 0.03) * np.exp(-usual[n])
        for end in range(first[n], 1_200, term[n]):
            if generator.random() < min(chance, 0.9):
                left[n] = end
                break
    rows = []
    for number in range(DATES):
        day = 28 * number
        lead = (first - day) % term
        is_there = day <= left
        rows.append(
            pd.DataFrame(
                {
                    "account_id": [f"A{n:04d}" for n in range(ACCOUNTS)],
                    "as_of": start + pd.Timedelta(days=day),
                    "label_until": start + pd.Timedelta(days=day + 90),
                    "is_test": number >= DATES - 3,
                    "label": (left < day + 90).astype(int),
                    "days_to_renewal": lead.astype(float),
                    "term_days": term.astype(float),
                    "invoice_age": (term - lead).astype(float),
                    "logins_28d": usual + 0.3 * generator.normal(size=ACCOUNTS),
                    "tickets_28d": generator.normal(size=ACCOUNTS),
                }
            )[is_there]
        )
    table = pd.concat(rows, ignore_index=True)
    keys = table[["account_id", "as_of", "label_until", "is_test"]]
    return training_set(keys, table, table["label"], SIGNALS)


@cache
def trained() -> TrainingResult:
    return train(
        world(),
        TrainingPlan(trials=2, threads=1, few_events_below=20, beside_calendar=True),
        target=TARGET,
    )


def bundle() -> Bundle:
    return Bundle(trained().model, None, scale_from_anchors(0.25, 0.1), {})


def renewing(features: pd.DataFrame, lead: float) -> pd.DataFrame:
    """The same accounts with another renewal date, and whatever goes with that."""
    moved = np.minimum(lead, features["term_days"] - 1.0)
    return features.assign(days_to_renewal=moved, invoice_age=features["term_days"] - moved)


def test_a_signal_that_tells_when_a_term_ends_is_a_cycle() -> None:
    assert cycle_signals(world(), WINDOW) == ("invoice_age",)
    timing = timing_of(world(), TARGET)
    assert timing is not None and timing.hidden == ("days_to_renewal", "invoice_age")
    assert timing_of(world(), {"kind": "inactivity"}) is None


def test_what_is_hidden_is_named_in_the_notes() -> None:
    assert any("when a term ends" in note and "invoice_age" in note for note in trained().notes)


def test_two_accounts_that_differ_only_in_renewal_date_have_equal_health() -> None:
    features = world().test.features
    soon, late = (score(bundle(), renewing(features, lead)) for lead in (10.0, 200.0))
    annual = (features["term_days"] == 365).to_numpy()
    assert (soon.table["health_exact"] == late.table["health_exact"]).all()
    assert (soon.points == late.points).all()
    gap = soon.table["probability"] - late.table["probability"]
    assert (gap[annual] > 0).all() and gap[annual].mean() > 0.05


def test_points_add_up_at_the_decision_and_the_chance_is_predicted_apart() -> None:
    features, model = world().test.features, trained().model
    scored = score(bundle(), features)
    np.testing.assert_allclose(
        scored.base + scored.points.sum(axis=1), scored.table["health_exact"], atol=1e-9, rtol=0
    )
    assert scored.base == base_of(bundle())[0]
    assert int(displayed(np.array([scored.base]))[0]) == scored.base_displayed
    np.testing.assert_array_equal(scored.table["probability"], model.probability(features))
    table = scored.table
    odds = [np.log(p / (1 - p)) for p in (table["probability"], table["probability_at_decision"])]
    np.testing.assert_allclose(table["timing"], odds[0] - odds[1], atol=1e-9)
    assert (table["probability_at_decision_low"] <= table["probability_at_decision"]).all()
    assert (table["probability_at_decision"] <= table["probability_at_decision_high"]).all()


def test_days_to_renewal_and_cycles_never_have_points_and_the_term_may() -> None:
    features = world().test.features
    scored = score(bundle(), features)
    columns = list(features.columns)
    for column in ("days_to_renewal", "invoice_age"):
        assert (scored.points[:, columns.index(column)] == 0.0).all()
    of_term = scored.points[:, columns.index("term_days")]
    assert (
        of_term[features["term_days"] == 30].mean() > of_term[features["term_days"] == 365].mean()
    )


def test_health_ranks_what_decides_and_promises_what_happens_at_decisions() -> None:
    rows = world()
    inside = rows.rows((rows.features["days_to_renewal"] < 90).to_numpy())
    said = trained().model.at_decision.probability(inside.features)
    annual = (inside.features["term_days"] == 365).to_numpy()
    assert abs(said[annual].mean() - inside.labels[annual].mean()) < 0.08
    use = inside.features["logins_28d"].to_numpy()
    assert said[use < -0.5].mean() > 1.5 * said[use > 0.5].mean()


def test_decisions_survive_files_and_a_model_without_them_keeps_its_format(
    tmp_path: pytest.TempPathFactory,
) -> None:
    features, model = world().test.features, trained().model
    state = json.loads(json.dumps(model.to_dict()))
    again = Model.from_dict(state)
    assert state["format"] == 3
    assert (again.at_decision.margin(features) == model.at_decision.margin(features)).all()
    read = read_bundle(write_bundle(bundle(), tmp_path / "bundle"))  # type: ignore[operator]
    pd.testing.assert_frame_equal(score(read, features).table, score(bundle(), features).table)
    plain = trained().baselines["logistic"]
    assert plain.to_dict()["format"] == 1 and plain.at_decision is plain


def test_a_model_fitted_again_keeps_timing_apart() -> None:
    rows = world()
    again = refit(trained().model, rows.rows(~rows.keys["is_test"].to_numpy(dtype=bool)))
    features = rows.test.features
    for member in again.members:
        if member.method.name != "contract_calendar":
            margins = [member.margin(renewing(features, lead)) for lead in (10.0, 200.0)]
            assert (margins[0] == margins[1]).all()
