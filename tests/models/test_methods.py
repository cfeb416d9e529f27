"""Methods: contributions add, states come back, rows and columns keep their meaning."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from features.definition import Signal
from features.errors import ContractError
from models.methods import (
    METHODS,
    BoostingSettings,
    ContractCalendar,
    GradientBoosting,
    Logistic,
    Method,
    Recency,
    Scorecard,
    Season,
)
from models.methods.gradient_boosting import binned_rows
from models.methods.logistic import fit_transform

COLUMNS = (
    "days_since_use",
    "active_days_28d",
    "logins_change_28d",
    "overdue_money",
    "nps_latest",
    "seats",
    "noise",
)
WORSE = ("up", "down", "down", "up", "down", None, None)
DIMENSIONS = ("usage", "usage", "usage", "financial", "outcomes", "contract", "support")


def _measure(column: str) -> str:
    return (
        "days_since" if column.startswith("days") else "change" if "change" in column else "count"
    )


def _signals() -> tuple[Signal, ...]:
    return tuple(
        Signal(
            column,
            column,
            dimension,
            "usage_events",
            "m",
            "days" if column.startswith("days") else "count",
            "{value}",
            worse=worse,
            definition={"measure": _measure(column)},
        )
        for column, worse, dimension in zip(COLUMNS, WORSE, DIMENSIONS, strict=True)
    )


def _rows(count: int = 600, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    generator = np.random.default_rng(seed)
    features = pd.DataFrame(generator.normal(size=(count, len(COLUMNS))), columns=list(COLUMNS))
    features["days_since_use"] = np.exp(features["days_since_use"] + 2)
    margin = (
        np.log(features["days_since_use"])
        - 2
        - features["active_days_28d"]
        + 0.5 * features["overdue_money"]
        - 1
    )
    labels = (generator.random(count) < 1 / (1 + np.exp(-margin))).astype(np.int8)
    features.loc[generator.random(count) < 0.1, "nps_latest"] = np.nan
    gone = generator.random(count) < 0.05
    features.loc[gone, ["seats", "overdue_money"]] = np.nan  # one silent source
    return features, labels


def _fitted(name: str) -> Method:
    features, labels = _rows()
    small = BoostingSettings(trees=15, leaves=7, bagging_fraction=0.7)
    special = {
        "gradient_boosting": lambda: GradientBoosting(small, bags=2, threads=1),
        "season": lambda: Season(COLUMNS[:2]),
        "contract_calendar": lambda: ContractCalendar((0.0, 2.0), (COLUMNS[0], COLUMNS[1])),
    }
    method = special.get(name, METHODS[name])()
    return method.fit(features, labels, _signals(), seed=3)


@pytest.mark.parametrize("name", list(METHODS))
def test_base_and_contributions_are_the_margin(name: str) -> None:
    method = _fitted(name)
    fresh, _ = _rows(200, seed=9)
    fresh.loc[:20, "seats"] = np.nan  # a pattern of nulls that training never saw
    base, phi = method.contributions(fresh)
    assert isinstance(method, Method) and phi.shape == (200, len(COLUMNS))
    np.testing.assert_allclose(base + phi.sum(axis=1), method.margin(fresh), atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", list(METHODS))
def test_state_through_json_gives_equal_margins(name: str) -> None:
    method = _fitted(name)
    fresh, _ = _rows(100, seed=9)
    again = METHODS[name].from_dict(json.loads(json.dumps(method.to_dict())))
    assert (again.margin(fresh) == method.margin(fresh)).all()
    assert json.dumps(again.to_dict(), sort_keys=True) == json.dumps(
        method.to_dict(), sort_keys=True
    )


@pytest.mark.parametrize("name", list(METHODS))
def test_one_row_at_a_time_equals_all_at_once(name: str) -> None:
    method = _fitted(name)
    fresh, _ = _rows(20, seed=9)
    alone = np.concatenate([method.margin(fresh.iloc[[row]]) for row in range(20)])
    np.testing.assert_allclose(alone, method.margin(fresh), atol=1e-12)


def test_trees_on_shared_rows_are_those_on_rows_of_their_own() -> None:
    features, labels = _rows()
    offset, weights = features["noise"].to_numpy(), np.linspace(0.5, 1.5, len(labels))
    shared = binned_rows(features, labels, _signals(), 63, 8, 1, offset)
    for seed, share in ((3, 0.4), (4, 1.0)):  # sums by columns, and by rows
        settings = BoostingSettings(trees=12, leaves=7, feature_fraction=share, bins=63)
        own, other = (
            GradientBoosting(settings, bags=2, threads=1).fit(
                features, labels, _signals(), seed=seed, weights=weights, offset=offset, binned=each
            )
            for each in (None, shared)
        )
        assert (own.margin(features) == other.margin(features)).all()


def test_sums_by_columns_and_by_rows_give_the_same_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = _rows()
    settings = BoostingSettings(trees=12, leaves=7, feature_fraction=0.5, bins=63)
    margins = []
    for few in (0.0, 1.0):
        monkeypatch.setattr("models.methods.gradient_boosting.FEW_COLUMNS", few)
        trees = GradientBoosting(settings, threads=1).fit(features, labels, _signals(), seed=3)
        margins.append(trees.margin(features))
    assert (margins[0] == margins[1]).all()


def test_logistic_equals_scikit_learn_on_the_same_design() -> None:
    features, labels = _rows()
    method = Logistic(0.02).fit(features, labels, _signals())
    design = fit_transform(features.to_numpy()).apply(features.to_numpy())
    # Mean loss + l2/2 w^2 is scikit-learn's with C = 1 / (n l2).
    reference = LogisticRegression(C=1 / (0.02 * len(labels)), tol=1e-10, max_iter=5000).fit(
        design, labels
    )
    np.testing.assert_allclose(method.weights_, reference.coef_[0], atol=1e-5)
    assert method.intercept_ == pytest.approx(reference.intercept_[0], abs=1e-5)


def test_logistic_path_equals_single_fits() -> None:
    features, labels = _rows()
    for method in Logistic.path(features, labels, _signals(), (0.3, 0.01)):
        alone = Logistic(method.l2).fit(features, labels, _signals())
        np.testing.assert_allclose(method.weights_, alone.weights_, atol=1e-6)


def test_signed_weights_follow_the_cards() -> None:
    features, labels = _rows()
    wrong = 1 - labels  # every card points the wrong way now
    method = Logistic(0.001, signed=True).fit(features, wrong, _signals())
    meaning = {"up": 1, "down": -1, None: 0}
    for weight, worse in zip(method.weights_, WORSE, strict=False):
        assert weight * meaning[worse] >= 0


def test_an_absurd_value_is_clipped() -> None:
    features, labels = _rows()
    method = Logistic(0.01).fit(features, labels, _signals())
    one, more = features.iloc[[0]].copy(), features.iloc[[0]].copy()
    one["seats"], more["seats"] = 1e9, 1e15
    assert method.margin(one) == method.margin(more)


def test_recency_takes_the_signal_that_counts_days_since() -> None:
    method = _fitted("recency")
    assert isinstance(method, Recency) and COLUMNS[method.column_] == "days_since_use"
    with pytest.raises(ContractError, match="recency baseline"):
        features, labels = _rows()
        Recency().fit(features.iloc[:, 1:], labels, _signals()[1:])


def test_monotone_trees_follow_the_cards() -> None:
    features, labels = _rows()
    settings = BoostingSettings(trees=40, monotone=True, min_rows_in_leaf=5)
    method = GradientBoosting(settings, threads=1).fit(features, labels, _signals())
    ladder = pd.concat([features.iloc[[0]]] * 30, ignore_index=True)
    ladder["active_days_28d"] = np.linspace(-3, 3, 30)
    assert (np.diff(method.margin(ladder)) <= 1e-12).all()
    turned = GradientBoosting(settings, threads=1, is_event_good=True).fit(
        features, 1 - labels, _signals()
    )
    assert (np.diff(turned.margin(ladder)) >= -1e-12).all()


def test_scorecard_points_add_and_stay_between_0_and_100() -> None:
    method = _fitted("scorecard")
    assert isinstance(method, Scorecard)
    fresh, _ = _rows(300, seed=4)
    base, points = method.points(fresh)
    health = method.health(fresh)
    np.testing.assert_allclose(base + points.sum(axis=1), health, atol=1e-12)
    assert base == 50 and health.min() >= 0 and health.max() <= 100
    assert (
        abs(method.health(_rows()[0]).mean() - 50) < 1.0
    )  # the reference portfolio is average by construction


def test_scorecard_takes_two_per_dimension_and_reads_no_labels() -> None:
    features, labels = _rows()
    method = Scorecard().fit(features, labels, _signals())
    names = [part.column for part in method.indicators_]
    assert names == ["days_since_use", "logins_change_28d", "overdue_money", "nps_latest"]
    assert Scorecard().fit(features, 1 - labels, _signals()).to_dict() == method.to_dict()


def test_scorecard_worked_by_hand() -> None:
    signal = Signal("use", "use", "usage", "usage_events", "m", "count", "{value}", worse="down")
    reference = pd.DataFrame({"use": [0.0, 0.0, 5.0, 10.0]})
    method = Scorecard().fit(reference, np.zeros(4, dtype=np.int8), (signal,))
    # Ties share a place: 0 -> (0 + 2) / 8, 5 -> (2 + 3) / 8, 10 -> (3 + 4) / 8; 7.5 lies between.
    asked = pd.DataFrame({"use": [0.0, 5.0, 7.5, 10.0, 99.0, np.nan]})
    assert method.health(asked).tolist() == [25.0, 62.5, 75.0, 87.5, 87.5, 50.0]
    assert method.missing(asked).tolist() == [0, 0, 0, 0, 0, 1]
    assert (np.diff(method.margin(asked.iloc[:4])) < 0).all()


def test_scorecard_without_directions_is_refused() -> None:
    features, labels = _rows()
    with pytest.raises(ContractError, match="which direction is worse"):
        Scorecard().fit(features.iloc[:, 5:], labels, _signals()[5:])
