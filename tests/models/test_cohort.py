"""What segments differ in: planted differences are found, chance is not, and a small segment keeps
the common fit by name.
"""

import itertools

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from models.bench import BenchResult, compare
from models.contenders import SEGMENT, BenchSettings, contenders
from models.dataset import TrainingSet, training_set
from models.methods.base import Floats, mean_log_loss, sigmoid
from models.methods.cohort import LEAVERS_PER_SEGMENT, NO_SEGMENT, Cohorts, SegmentLine, departures
from models.methods.segment_weights import SegmentWeights

COLUMNS = tuple(f"trouble_{n}" for n in range(4))
WEIGHTS = np.array([0.9, 0.6, 0.3, 0.1])
SIGNALS = tuple(
    Signal(
        column,
        column,
        "usage",
        "usage_events",
        "m",
        "events",
        "{value}",
        worse="up",
        definition={"measure": ("count",)},
    )
    for column in COLUMNS
)
DATES = 4


def _company(
    seed: int,
    *,
    turned: bool = False,
    level: float = 0.0,
    slope: float = 1.0,
    sizes: tuple[int, ...] = (500, 300, 16),
) -> TrainingSet:
    """Accounts of large, small and tiny: `small` has the weights turned round, or another level or
    slope.

    Dates of an account look alike and leave together, as real ones do. The last date is the test.
    """
    generator = np.random.default_rng(seed)
    accounts = sum(sizes)
    segment = np.repeat(np.repeat(["large", "small", "tiny"], sizes), DATES)
    own = np.repeat(generator.normal(size=(accounts, len(COLUMNS))), DATES, axis=0)
    values = 0.9 * own + 0.45 * generator.normal(size=own.shape)
    small = segment == "small"
    margin = values @ WEIGHTS
    margin = (
        np.where(small, level + slope * (values @ WEIGHTS[::-1] if turned else margin), margin)
        - 2.0
    )
    own_luck, luck = np.repeat(generator.random(accounts), DATES), generator.random(len(margin))
    luck = np.where(generator.random(len(margin)) < 0.5, own_luck, luck)
    keys = pd.DataFrame(
        {
            "account_id": np.repeat([f"A{n:04d}" for n in generator.permutation(accounts)], DATES),
            "as_of": np.tile(pd.date_range("2024-01-01", periods=DATES, freq="91D"), accounts),
        }
    )
    keys["label_until"] = keys["as_of"] + pd.Timedelta(days=90)
    keys["is_test"] = keys["as_of"] == keys["as_of"].max()
    rows = training_set(
        keys,
        pd.DataFrame(values, columns=list(COLUMNS)),
        (luck < sigmoid(margin)).astype(np.int8),
        SIGNALS,
    )
    names = pd.Series(segment, index=pd.MultiIndex.from_frame(keys[["account_id", "as_of"]]))
    found = names.loc[pd.MultiIndex.from_frame(rows.keys[["account_id", "as_of"]])].to_numpy()
    return TrainingSet(
        rows.keys.assign(**{SEGMENT: found}), rows.features, rows.labels, rows.signals
    )


def _weights(rows: TrainingSet) -> SegmentWeights:
    return SegmentWeights().fit(
        rows.features,
        rows.labels,
        rows.signals,
        accounts=rows.keys["account_id"],
        segments=rows.keys[SEGMENT].to_numpy(),
    )


def _loss(margin: Floats, rows: TrainingSet) -> float:
    """Log loss of a ranking on the scale that fits it best."""
    scales = np.linspace(0.1, 2.0, 39)
    levels = np.linspace(-4.0, 0.0, 41)
    return min(
        mean_log_loss(scale * margin + level, rows.labels) for scale in scales for level in levels
    )


def _gain(seed: int, *, turned: bool) -> float:
    """Log loss of global weights minus that of weights per segment, on accounts neither has
    seen.
    """
    method, fresh = _weights(_company(seed, turned=turned)), _company(seed + 100, turned=turned)
    own = method.margin(fresh.features, fresh.keys[SEGMENT].to_numpy())
    return _loss(method.global_.margin(fresh.features), fresh) - _loss(own, fresh)


def test_opposite_weights_are_found_and_pay_on_new_accounts() -> None:
    method = _weights(_company(0, turned=True))
    found = {each.segment: each for each in method.describe().segments}
    large, small = found["large"].weights, found["small"].weights
    assert (
        large["trouble_0"] > 35 > 20 > large["trouble_3"]
        and small["trouble_3"] > 35 > 20 > small["trouble_0"]
    )
    assert min(found[name].own_share for name in ("large", "small")) > 0.6
    assert sum(small.values()) == pytest.approx(100.0, abs=0.05) and min(small.values()) >= 0
    assert min(_gain(seed, turned=True) for seed in range(3)) > 0.005


def test_equal_truth_keeps_the_global_weights_and_loses_next_to_nothing() -> None:
    shares, gains = [], []
    for seed in range(6):
        method = _weights(_company(seed))
        shares.append(max(each.own_share for each in method.describe().segments))
        gains.append(_gain(seed, turned=False))
    assert sum(share == 0.0 for share in shares) >= 5 and max(shares) < 0.2
    assert min(gains) > -0.0005


def test_a_small_segment_has_exactly_the_global_weights_and_is_named() -> None:
    rows = _company(0, turned=True)
    method = _weights(rows)
    tiny = next(each for each in method.describe().segments if each.segment == "tiny")
    assert 0 < tiny.leaving_accounts < LEAVERS_PER_SEGMENT and tiny.accounts == 16
    assert (
        tiny.pooled == "too few"
        and tiny.own_share == 0.0
        and tiny.weights == method.describe().weights
    )
    of_tiny = rows.rows(rows.keys[SEGMENT].to_numpy() == "tiny")
    common = method.global_.margin(of_tiny.features)
    for name in ("tiny", "never seen", None):
        assert (method.margin(of_tiny.features, [name] * len(of_tiny)) == common).all()


def test_levels_and_slopes_are_found_each_by_its_own_evidence() -> None:
    def cohorts(**truth: float) -> dict[str, SegmentLine]:
        rows = _company(1, **truth)  # type: ignore[arg-type]
        method = Cohorts().fit(
            rows.features.to_numpy() @ WEIGHTS - 2.0,
            rows.labels,
            rows.keys["account_id"],
            rows.keys[SEGMENT].to_numpy(),
        )
        return {line.segment: line for line in method.lines()}

    same = cohorts()
    assert all(line.level == 0.0 and line.slope == 1.0 and line.pooled for line in same.values())
    higher = cohorts(level=1.0)
    assert 0.7 < higher["small"].level - higher["large"].level < 1.2
    assert (
        higher["small"].slope_share == 0.0
        and higher["tiny"].pooled == "too few"
        and higher["tiny"].level == 0.0
    )
    flatter = cohorts(slope=0.2)
    assert (
        flatter["small"].slope < 0.6 < flatter["large"].slope and flatter["small"].slope_share > 0.5
    )


def test_fewer_leavers_are_pulled_further() -> None:
    rows = _company(2, level=1.0, sizes=(600, 300, 90))
    offset = np.full(len(rows), np.log(rows.labels.mean() / (1 - rows.labels.mean())))
    found = departures(
        np.ones((len(rows), 1)),
        offset,
        rows.labels,
        rows.keys["account_id"],
        rows.keys[SEGMENT].to_numpy(),
        is_level_free=False,
    )
    by_leavers = sorted(found.by_segment.values(), key=lambda each: each.leaving_accounts)
    shares = [each.own_share for each in by_leavers]
    assert shares == sorted(shares) and 0 < shares[0] < shares[-1] < 1
    for each in by_leavers:  # as many leavers as the pull: half-way
        assert each.own_share == pytest.approx(
            each.leaving_accounts / (each.leaving_accounts + found.pull_leavers), abs=0.15
        )


def test_accounts_without_a_segment_are_one_of_their_own() -> None:
    rows = _company(3, level=1.0)
    names = rows.keys[SEGMENT].where(rows.keys[SEGMENT] != "small", None).to_numpy(dtype=object)
    found = departures(
        np.ones((len(rows), 1)),
        np.full(len(rows), -2.0),
        rows.labels,
        rows.keys["account_id"],
        names,
        is_level_free=False,
    )
    assert (
        found.by_segment[NO_SEGMENT].own_share > 0
        and (found.changes([None]) == found.changes([NO_SEGMENT])).all()
    )


def test_one_segment_alone_departs_from_nothing() -> None:
    rows = _company(0, sizes=(200, 0, 0))
    method = _weights(rows)
    assert [each.pooled for each in method.describe().segments] == ["no difference beyond chance"]
    assert method.describe().pull_leavers is None


def test_the_order_of_rows_does_not_matter() -> None:
    rows = _company(0, turned=True, level=0.5)
    mixed = np.random.default_rng(0).permutation(len(rows))
    keys = rows.keys.iloc[mixed]
    again = SegmentWeights().fit(
        rows.features.iloc[mixed],
        rows.labels[mixed],
        rows.signals,
        accounts=keys["account_id"],
        segments=keys[SEGMENT].to_numpy(),
    )
    margin = rows.features.to_numpy() @ WEIGHTS
    lines = [
        Cohorts()
        .fit(
            margin[order],
            rows.labels[order],
            rows.keys["account_id"].iloc[order],
            rows.keys[SEGMENT].to_numpy()[order],
        )
        .line(["large", "small", "tiny"])
        for order in (np.arange(len(rows)), mixed)
    ]
    np.testing.assert_allclose(lines[0], lines[1], atol=1e-5)
    for one, other in zip(
        _weights(rows).describe().segments, again.describe().segments, strict=True
    ):
        assert (
            one.weights == pytest.approx(other.weights, abs=0.02) and one.segment == other.segment
        )
    assert _weights(rows).describe() == _weights(rows).describe()


def _bench(rows: TrainingSet, *, has_segments: bool = True) -> BenchResult:
    elapsed = pd.Series(0.5, index=pd.MultiIndex.from_frame(rows.keys[["account_id", "as_of"]]))
    every = contenders(BenchSettings(threads=1), None, elapsed, has_segments=has_segments)
    few = [
        each
        for each in every
        if each.name in ("constant", "weighted_average", "segment_weights", "tuned", "cohort")
    ]
    ticks = itertools.count()
    return compare(
        rows, few, clock=lambda: float(next(ticks)), left_at=rows.keys["label_until"], replicates=60
    )


def test_the_bench_says_whether_segments_of_their_own_are_worth_it() -> None:
    found = _bench(_company(4, level=2.0, sizes=(500, 400, 16)))
    verdicts = {each.method: each for each in found.by_segment}
    assert {name: each.pooled for name, each in verdicts.items()} == {
        "segment_weights": "weighted_average",
        "cohort": "tuned",
    }
    assert (
        verdicts["cohort"].is_worth_it
        and "worth it, better than tuned by more than chance" in verdicts["cohort"].words
    )
    losses = found.validation.set_index("method")["log_loss"]
    assert verdicts["cohort"].validation.value == pytest.approx(losses["cohort"] - losses["tuned"])
    inputs = found.validation.set_index("method")["inputs"]
    assert inputs["cohort"] == inputs["tuned"] and found.recommended != "cohort"


def test_where_segments_are_alike_the_cohorts_are_the_pooled_model() -> None:
    found = _bench(_company(3, sizes=(300, 200, 16)))
    table = found.figures.set_index(["method", "metric"])["value"]
    for verdict in found.by_segment:
        assert verdict.validation.low == verdict.validation.high == verdict.test.value == 0.0
        assert "no segment differed beyond what chance gives" in verdict.words
        assert table[verdict.method, "auc"] == table[verdict.pooled, "auc"]


def test_without_segments_nothing_of_them_is_compared() -> None:
    elapsed = pd.Series(dtype=np.float64)
    names = [each.name for each in contenders(BenchSettings(), None, elapsed)]
    assert "segment_weights" not in names and "cohort" not in names
    with_segments = [
        each.name for each in contenders(BenchSettings(), None, elapsed, has_segments=True)
    ]
    assert [each for each in with_segments if each not in names] == ["segment_weights", "cohort"]
