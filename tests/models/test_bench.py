"""The bench: one test for all, paired intervals, the smallest adequate method; and the methods it
alone uses.
"""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from features.errors import ContractError
from models import metrics
from models.bench import BenchResult, Money, adequate, compare, gains, lead_days, recommend, worked
from models.calibration import fit_platt
from models.contenders import BenchSettings, contenders, refit
from models.dataset import TrainingSet, training_set
from models.declared import Action
from models.methods import BoostingSettings, GradientBoosting
from models.methods.clusters import Clusters
from models.methods.comparators import NeuralNetwork, RandomForest
from models.methods.survival import Survival
from models.model import Member, Model
from models.training_facts import TrainingFacts

COLUMNS = ("days_since_use", "active_days_28d", "events_change_28d", "noise")


def _signals() -> tuple[Signal, ...]:
    measures = {
        "days_since_use": ("days_since", "up", "days"),
        "active_days_28d": ("distinct_days", "down", "days"),
        "events_change_28d": ("change", "down", "change"),
        "noise": ("count", None, "events"),
    }
    return tuple(
        Signal(
            column,
            column,
            "usage",
            "usage_events",
            "m",
            unit,
            "{value}",
            worse=worse,  # type: ignore[arg-type]
            definition={"measure": measure},
        )
        for column, (measure, worse, unit) in measures.items()
    )


def _rows(accounts: int = 150, dates: int = 12, seed: int = 0) -> tuple[TrainingSet, pd.Series]:
    """Accounts x dates every 28 days, horizon 28; the last two dates are the test."""
    generator = np.random.default_rng(seed)
    count = accounts * dates
    keys = pd.DataFrame(
        {
            "account_id": np.repeat([f"A{n:03d}" for n in range(accounts)], dates),
            "as_of": np.tile(pd.date_range("2024-01-01", periods=dates, freq="28D"), accounts),
        }
    )
    keys["label_until"] = keys["as_of"] + pd.Timedelta(days=28)
    keys["is_test"] = keys["as_of"] >= keys["as_of"].drop_duplicates().nlargest(2).min()
    values = pd.DataFrame(generator.normal(size=(count, 4)), columns=list(COLUMNS))
    values["days_since_use"] = np.exp(values["days_since_use"] + 2)
    margin = 0.9 * np.log(values["days_since_use"]) - 2.8 - 0.8 * values["active_days_28d"]
    labels = (generator.random(count) < 1 / (1 + np.exp(-margin))).astype(np.int8)
    left_at = keys["as_of"] + pd.to_timedelta(generator.integers(1, 28, count), unit="D")
    return training_set(keys, values, labels, _signals()), left_at.where(labels == 1)


def _elapsed(rows: TrainingSet, left_at: pd.Series) -> pd.Series:
    days = (left_at - rows.keys["as_of"]).dt.days / 28
    return pd.Series(
        days.to_numpy(), index=pd.MultiIndex.from_frame(rows.keys[["account_id", "as_of"]])
    )


def _model(rows: TrainingSet) -> Model:
    train = rows.rows(~rows.keys["is_test"].to_numpy(dtype=bool))
    trees = GradientBoosting(BoostingSettings(trees=30, leaves=7), threads=1).fit(
        train.features, train.labels, train.signals
    )
    return Model(
        (Member(trees, 1.0),), train.signals, training=TrainingFacts({"plan": {"seed": 0}})
    )


FEW = ("constant", "recency", "actions", "clusters", "logistic", "survival", "tuned")


def _bench(
    rows: TrainingSet,
    left_at: pd.Series,
    settings: BenchSettings | None = None,
    only: tuple[str, ...] = FEW,
    **more: object,
) -> BenchResult:
    every = contenders(
        settings or BenchSettings(clusters=3, threads=1), _model(rows), _elapsed(rows, left_at)
    )
    every = tuple(each for each in every if each.name in only or not only)
    ticks = itertools.count()
    return compare(
        rows, every, clock=lambda: float(next(ticks)), left_at=left_at, replicates=100, **more
    )  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bench() -> BenchResult:
    """All methods on one small set, with money."""
    rows, left_at = _rows()
    money = Money(np.full(int(rows.keys["is_test"].sum()), 1000.0), 0.5, 100.0)
    return _bench(rows, left_at, only=(), capacity=20, money=money)


def test_every_method_runs_on_the_same_test(bench: BenchResult) -> None:
    assert dict(bench.skipped) == {}
    assert list(bench.validation["method"]) == [
        "constant",
        "recency",
        "usage_drop",
        "four_indicators",
        "scorecard",
        "usage_score",
        "actions",
        "rules",
        "weighted_average",
        "clusters",
        "logistic",
        "survival",
        "random_forest",
        "neural_network",
        "lightgbm",
        "tuned",
        "hybrid",
    ]
    counts = bench.figures.groupby("method")["metric"].nunique()
    assert (counts == 7).all()
    assert bench.validation.set_index("method")["inputs"][
        ["constant", "recency", "usage_drop"]
    ].tolist() == [0, 1, 1]
    assert (bench.validation["seconds"] == 1.0).all()  # the clock ticks once per fit


def test_a_method_that_knows_beats_one_that_does_not(bench: BenchResult) -> None:
    table = bench.figures.set_index(["method", "metric"])
    assert table.loc[("constant", "auc"), "value"] == 0.5
    line = table.loc[("logistic", "log_loss")]
    assert line["minus_constant_high"] < 0
    assert table.loc[("tuned", "log_loss"), "minus_tuned"] == 0
    assert table.loc[("logistic", "profit"), "value"] > table.loc[("constant", "profit"), "value"]
    assert 0 < table.loc[("logistic", "lead_days"), "value"] < 28 * 2


def test_the_bench_is_the_same_twice() -> None:
    rows, left_at = _rows(60, 8)
    first, second = _bench(rows, left_at), _bench(rows, left_at)
    pd.testing.assert_frame_equal(first.figures, second.figures)
    assert (first.recommended, first.reason) == (second.recommended, second.reason)


def test_test_labels_do_not_choose() -> None:
    rows, left_at = _rows(80, 10)
    turned = replace(
        rows, labels=np.where(rows.keys["is_test"], 1 - rows.labels, rows.labels).astype(np.int8)
    )
    elapsed = left_at.fillna(rows.keys["label_until"])
    first, second = _bench(rows, elapsed), _bench(turned, elapsed)
    pd.testing.assert_frame_equal(first.validation, second.validation)
    assert first.recommended == second.recommended


def test_a_method_that_cannot_run_says_why() -> None:
    rows, left_at = _rows(60, 8)
    result = _bench(
        rows,
        left_at,
        BenchSettings(actions=(Action("x", "absent_signal", 1),), clusters=3, threads=1),
    )
    assert list(result.skipped) == ["actions"] and "absent_signal" in result.skipped["actions"]


def test_without_a_test_there_is_no_bench() -> None:
    rows, left_at = _rows(60, 8)
    with pytest.raises(ContractError, match="untouched test"):
        _bench(replace(rows, keys=rows.keys.assign(is_test=False)), left_at)


def test_the_paired_interval_of_a_constant_gap_has_no_width() -> None:
    accounts = pd.Series([f"A{n % 40}" for n in range(400)])
    losses = np.random.default_rng(0).random(400)
    table = adequate({"worse": losses + 0.01, "best": losses}, accounts, replicates=50).set_index(
        "method"
    )
    assert table.loc[
        "worse", ["minus_best", "minus_best_low", "minus_best_high"]
    ].to_numpy() == pytest.approx([0.01] * 3)
    assert table["is_adequate"].to_dict() == {"worse": False, "best": True}


def test_resampled_draws_of_two_methods_are_paired() -> None:
    generator = np.random.default_rng(1)
    labels, p = generator.integers(0, 2, 300), generator.uniform(0.1, 0.9, 300)
    accounts = pd.Series([f"A{n % 30}" for n in range(300)])
    _, one = metrics.resampled(labels, p, accounts, replicates=40)
    _, two = metrics.resampled(labels, p, accounts, replicates=40)
    assert (one["auc"] - two["auc"] == 0).all() and one["auc"].std() > 0


def _choice(*rows: tuple[str, float, float, bool]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "method": name,
                "log_loss": 0.5 + gap,
                "minus_best": gap,
                "minus_best_low": low,
                "minus_best_high": gap + 0.01,
                "is_adequate": fine,
                "gives_reasons": name != "forest",
            }
            for name, gap, low, fine in rows
        ]
    )


def test_the_smaller_method_is_recommended_when_tied() -> None:
    name, reason = recommend(
        _choice(
            ("constant", 0.1, 0.05, False),
            ("recency", 0.004, -0.001, True),
            ("tuned", 0.0, 0.0, True),
        )
    )
    assert name == "recency" and "not demonstrably worse than the best, tuned" in reason
    name, reason = recommend(
        _choice(
            ("constant", 0.1, 0.05, False),
            ("recency", 0.03, 0.01, False),
            ("tuned", 0.0, 0.0, True),
        )
    )
    assert name == "tuned" and "smallest log loss" in reason
    name, reason = recommend(
        _choice(
            ("recency", 0.03, 0.01, False),
            ("forest", 0.002, -0.01, True),
            ("tuned", 0.0, 0.0, True),
        )
    )
    assert name == "tuned"  # a forest is compared, never recommended
    name, reason = recommend(
        _choice(
            ("recency", 0.03, 0.01, False),
            ("forest", 0.0, 0.0, True),
            ("tuned", 0.01, 0.001, False),
        )
    )
    assert name == "tuned" and "forest, which gives none, is better by 0.0100" in reason
    name, reason = recommend(_choice(("constant", 0.001, -0.01, True), ("tuned", 0.0, 0.0, True)))
    assert name == "constant" and "No method is shown to know more" in reason


def test_work_is_shared_by_ties_at_the_edge() -> None:
    keys = pd.DataFrame({"account_id": list("ABCD"), "as_of": pd.Timestamp("2024-01-01")})
    day = {pd.Timestamp("2024-01-01"): 2}
    assert worked(keys, np.array([3.0, 1.0, 1.0, 0.0]), day).tolist() == [1.0, 0.5, 0.5, 0.0]
    assert worked(keys, np.zeros(4), day).tolist() == [0.5] * 4


def _small_test() -> TrainingSet:
    keys = pd.DataFrame(
        {
            "account_id": ["A", "A", "B", "B"],
            "as_of": pd.to_datetime(["2024-01-01", "2024-01-29"] * 2),
        }
    )
    keys["label_until"], keys["is_test"] = keys["as_of"] + pd.Timedelta(days=90), True
    return training_set(
        keys, pd.DataFrame({c: np.zeros(4) for c in COLUMNS}), [1, 1, 0, 1], _signals()
    )


def test_lead_time_counts_from_the_first_alarm_of_those_that_left() -> None:
    days = {pd.Timestamp("2024-01-01"): 1, pd.Timestamp("2024-01-29"): 1}
    moments = pd.to_datetime(["2024-02-20", "2024-02-20", "2024-04-01", "2024-03-01"]).to_numpy()
    early = lead_days(_small_test(), np.array([5.0, 5.0, 0.0, 0.0]), days, moments)
    assert early["A"] == 50 and np.isnan(early["B"])
    late = lead_days(_small_test(), np.array([5.0, 0.0, 0.0, 5.0]), days, moments)
    assert late.to_dict() == {"A": 50.0, "B": 32.0}


def test_gain_is_what_is_saved_less_what_contacts_cost() -> None:
    days = {pd.Timestamp("2024-01-01"): 1, pd.Timestamp("2024-01-29"): 1}
    money = Money(np.array([1000.0, 1000.0, np.nan, np.nan]), 0.2, 50.0)
    found = gains(_small_test(), np.array([5.0, 0.0, 0.0, 5.0]), days, money)
    assert found.tolist() == [150.0, 0.0, 0.0, -50.0]  # an unknown value counts nothing


def test_costs_of_rows_decide_whom_to_work_on() -> None:
    days = {pd.Timestamp("2024-01-01"): 1, pd.Timestamp("2024-01-29"): 1}
    test = _small_test()
    # On the first date the lower chance promises more (90 against 40); on the second one row costs
    # more than it promises, and of the other nobody knows what it costs.
    probability = np.array([0.9, 0.5, 0.2, 0.9])
    value = np.array([100.0, 100.0, 500.0, 900.0])
    cost = np.array([50.0, 60.0, 10.0, np.nan])
    found = gains(test, probability, days, Money(value, 1.0, cost, True), probability)
    assert found.tolist() == [0.0, 0.0, test.labels[2] * 500.0 - 10.0, 0.0]


def test_clusters_of_clear_groups_are_found_again_and_those_of_noise_are_not() -> None:
    generator = np.random.default_rng(4)
    group = np.repeat([0, 1, 2], 100)
    centres = np.array([[0, 0, 0, 0], [9, 0, 9, 0], [0, 9, 0, 9]])
    clear = pd.DataFrame(
        centres[group] + generator.normal(scale=0.3, size=(300, 4)), columns=list(COLUMNS)
    )
    noise = pd.DataFrame(generator.normal(size=(300, 4)), columns=list(COLUMNS))
    labels, accounts = (group == 1).astype(np.int8), pd.Series([f"A{n}" for n in range(300)])
    found = Clusters(3).fit(clear, labels, _signals())
    assert found.stability(clear, accounts) > 0.99
    assert Clusters(3).fit(noise, labels, _signals()).stability(noise, accounts) < 0.8
    assert sorted(found.sizes_) == [100, 100, 100]
    assert sorted(np.unique(found.margin(clear[:200]))) == sorted(
        np.unique(found.margin(clear))
    )  # two have no event


def test_hazards_of_no_signal_multiply_to_the_rate() -> None:
    generator = np.random.default_rng(5)
    frame = pd.DataFrame(np.zeros((4000, 1)), columns=["flat"])
    signals = (Signal("flat", "flat", "usage", "s", "m", "count", "{value}"),)
    piece = generator.choice(
        4, 4000, p=[0.1, 0.09, 0.081, 0.729]
    )  # hazard 0.1 in each of three pieces
    labels = (piece < 3).astype(np.int8)
    method = Survival(1e-6).fit(frame, labels, signals, elapsed=(piece + 0.5) / 3)
    np.testing.assert_allclose(method.hazards(frame)[0], 0.1, atol=0.02)
    assert 1 / (1 + np.exp(-method.margin(frame)[0])) == pytest.approx(labels.mean(), abs=0.002)
    with pytest.raises(ContractError, match="inside the horizon"):
        Survival().fit(frame, labels, signals, elapsed=np.zeros(4000))


@pytest.mark.parametrize(
    "make", [lambda: RandomForest(trees=30, threads=1), lambda: NeuralNetwork(passes=10)]
)
def test_comparators_rank_and_repeat(make: object) -> None:
    rows, _ = _rows(40, 6)
    one = make().fit(rows.features, rows.labels, rows.signals, seed=2).margin(rows.features)  # type: ignore[operator]
    two = make().fit(rows.features, rows.labels, rows.signals, seed=2).margin(rows.features)  # type: ignore[operator]
    assert (one == two).all() and metrics.auc(rows.labels, one) > 0.6


def test_refitting_the_model_on_its_own_rows_gives_it_back() -> None:
    rows, _ = _rows(40, 6)
    train = rows.rows(~rows.keys["is_test"].to_numpy(dtype=bool))
    model = _model(rows)
    np.testing.assert_array_equal(
        refit(model, train).margin(train.features), model.margin(train.features)
    )


def test_the_sigmoid_finds_a_slope_below_one_after_a_step_too_long() -> None:
    generator = np.random.default_rng(0)
    margin = generator.uniform(-3.5, 3.5, 600)
    labels = (generator.random(600) < 1 / (1 + np.exp(1.3 - 0.6 * margin))).astype(np.int8)
    assert fit_platt(margin, labels, is_log_odds=False).slope == pytest.approx(0.6, abs=0.15)
