"""A model with lines per segment: chosen where they pay, additive to the last digit, small segments
fallen back by name.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from features.errors import ArtifactMismatch, ContractError
from models.bundle import Bundle, score
from models.cohorts import CohortVerdict, cohort_signals, judge_cohorts, on_lines, with_cohorts
from models.dataset import TrainingSet, training_set
from models.health import scale_from_anchors
from models.lines import Lines
from models.metrics import Estimate, log_loss
from models.model import FORMAT, FORMAT_WITH_LINES, Model
from models.plan import TrainingPlan
from models.stability import stabilised
from models.training import TrainingResult, train

SEGMENTS = ("large", "small", "tiny")
TROUBLE = tuple(
    Signal(
        f"trouble_{n}",
        f"trouble_{n}",
        "usage",
        "usage_events",
        "m",
        "events",
        "{value}",
        worse="up",
        definition={"measure": ("count",)},
    )
    for n in range(3)
)
SIGNALS = (
    *TROUBLE,
    *(
        Signal(
            f"segment_is_{name}",
            "segment",
            "contract",
            "accounts",
            "m",
            "yes",
            "segment is {value}",
            definition={"attribute": "segment", "category": name},
        )
        for name in SEGMENTS
    ),
)
SIMPLE = TrainingPlan(trials=0, few_events_below=100_000, threads=1)


def company(seed: int, *, steeper: float) -> TrainingSet:
    """450 large, 450 small and 24 tiny accounts on five dates; trouble tells `steeper` times as
    much of small ones.
    """
    generator = np.random.default_rng(seed)
    segment = np.repeat(np.repeat(SEGMENTS, (450, 450, 24)), 5)
    trouble = generator.normal(size=(len(segment), 3))
    margin = np.where(segment == "small", steeper, 1.0) * (trouble @ [0.9, 0.6, 0.4]) - 2.0
    features = pd.DataFrame(trouble, columns=[s.column for s in TROUBLE])
    features = features.assign(
        **{f"segment_is_{name}": (segment == name).astype(float) for name in SEGMENTS}
    )
    keys = pd.DataFrame(
        {
            "account_id": np.repeat([f"A{n:04d}" for n in generator.permutation(924)], 5),
            "as_of": np.tile(pd.date_range("2024-01-01", periods=5, freq="91D"), 924),
        }
    )
    keys["label_until"] = keys["as_of"] + pd.Timedelta(days=90)
    keys["is_test"] = keys["as_of"] == keys["as_of"].max()
    left = generator.random(len(keys)) < 1.0 / (1.0 + np.exp(-margin))
    return training_set(keys, features, left.astype(np.int8), SIGNALS)


@cache
def trained(steeper: float) -> tuple[TrainingSet, TrainingResult, TrainingResult]:
    rows = company(3, steeper=steeper)
    plain = train(rows, SIMPLE)
    return rows, plain, with_cohorts(plain, rows, "segment")


def test_segments_that_differ_get_lines_that_help_on_the_test() -> None:
    rows, plain, apart = trained(0.0)
    assert apart.model.training.recorded["cohorts"]["attribute"] == "segment"
    before = log_loss(rows.test.labels, plain.model.probability(rows.test.features))
    assert log_loss(rows.test.labels, apart.model.probability(rows.test.features)) < before - 0.002
    assert apart.model.members[0].lines is not None and plain.model.members[0].lines is None


def test_a_small_segment_falls_back_by_name_and_keeps_its_order() -> None:
    rows, plain, apart = trained(0.0)
    assert any(
        "tiny" in note and "falls back on the common fit: under 20 left" in note
        for note in apart.notes
    )
    tiny = rows.test.features[rows.test.features["segment_is_tiny"] == 1.0]
    np.testing.assert_array_equal(apart.model.margin(tiny), plain.model.margin(tiny))


def test_a_line_under_each_member_is_the_line_under_their_weighted_sum() -> None:
    rows, plain, _ = trained(0.0)
    blend = replace(
        plain.model,
        members=(replace(plain.model.members[0], weight=0.7), *plain.baselines["logistic"].members),
    )
    lines = Lines(("segment_is_small",), (0.4,), (1.5,))
    verdict = CohortVerdict("segment", Estimate(-0.1, -0.2, -0.05), (), lines)
    before = blend.margin(rows.features)
    after = lines.margin(rows.features, before)
    moved = on_lines(blend, verdict, before, after)
    np.testing.assert_allclose(moved.margin(rows.features), after, atol=1e-12)


def test_segments_that_are_alike_keep_the_one_model() -> None:
    _, plain, alike = trained(1.0)
    assert alike.model is plain.model and alike.validation is plain.validation
    assert alike.notes[-1].startswith("no scores by segment: one model for all accounts")


def test_contributions_add_to_the_margin_and_points_to_the_health() -> None:
    rows, _, apart = trained(0.0)
    features = rows.test.features
    base, phi = apart.model.contributions(features)
    np.testing.assert_allclose(base + phi.sum(axis=1), apart.model.margin(features), atol=1e-9)
    scored = score(Bundle(apart.model, None, scale_from_anchors(0.4, 0.15), {}), features)
    np.testing.assert_allclose(
        scored.base + scored.points.sum(axis=1), scored.table["health_exact"], atol=1e-9
    )
    assert np.abs(phi[features["segment_is_small"] == 1.0, SIGNALS.index(SIGNALS[4])]).min() > 0.0


def test_the_portfolio_keeps_its_level_and_the_interval_holds_the_probability() -> None:
    rows, plain, apart = trained(0.0)
    assert apart.validation["probability"].mean() == pytest.approx(
        plain.validation["probability"].mean(), abs=0.01
    )
    low, high = apart.model.interval(rows.test.features)
    middle = apart.model.probability(rows.test.features)
    assert (low <= middle).all() and (middle <= high).all()


def test_a_kept_model_reads_back_equal_and_older_versions_cannot_take_it_for_one_without_lines() -> (
    None
):
    rows, plain, apart = trained(0.0)
    state = apart.model.to_dict()
    assert (state["format"], plain.model.to_dict()["format"]) == (FORMAT_WITH_LINES, FORMAT)
    np.testing.assert_array_equal(
        Model.from_dict(state).margin(rows.features), apart.model.margin(rows.features)
    )
    with pytest.raises(ArtifactMismatch, match="train with this version"):
        Model.from_dict({**state, "format": 4})


def test_a_model_drawn_towards_the_one_in_use_keeps_its_lines() -> None:
    rows, plain, apart = trained(0.0)
    drawn = stabilised(plain.model, apart.model)
    ends = [
        np.log(p / (1.0 - p))
        for p in (plain.model.probability(rows.features), apart.model.probability(rows.features))
    ]
    middle = drawn.probability(rows.features)
    np.testing.assert_allclose(
        np.log(middle / (1.0 - middle)), (ends[0] + ends[1]) / 2.0, atol=1e-9
    )


def test_by_chance_alone_lines_are_rarely_chosen() -> None:
    chosen = 0
    for seed in range(8):
        rows = company(100 + seed, steeper=1.0)
        held = rows.rows(~rows.keys["is_test"].to_numpy(dtype=bool))
        margin = held.features[[s.column for s in TROUBLE]].to_numpy() @ [0.9, 0.6, 0.4]
        table = held.keys.assign(label=held.labels, margin=margin)
        chosen += judge_cohorts(held, table, "segment").is_worth_it
    assert chosen <= 1


def test_with_too_few_leavers_nothing_is_judged_and_that_is_said() -> None:
    rows, plain, _ = trained(1.0)
    large = rows.keys.loc[rows.features["segment_is_large"] == 1.0, "account_id"]
    few = plain.validation[plain.validation["account_id"].isin(large)].reset_index(drop=True)
    verdict = judge_cohorts(rows, few, "segment")
    assert (
        not verdict.is_worth_it
        and "fewer than two values of segment have 20 accounts that left" in verdict.words[0]
    )
    calm = judge_cohorts(rows, few.assign(label=0), "segment")
    assert not calm.is_judged and calm.words == verdict.words


def test_an_attribute_that_no_signal_tells_is_refused() -> None:
    with pytest.raises(ContractError, match="attributes that have them: segment"):
        cohort_signals(SIGNALS, "region")


def test_lines_leave_rows_of_other_segments_alone() -> None:
    features = pd.DataFrame({"segment_is_small": [1.0, 0.0, np.nan], "x": [1.0, 2.0, 3.0]})
    lines = Lines(("segment_is_small",), (0.5,), (2.0,))
    np.testing.assert_array_equal(
        lines.margin(features, np.array([1.0, 1.0, 1.0])), [2.5, 1.0, 1.0]
    )
    moved = lines.contributions(features, 0.25, np.array([[0.0, 0.75]] * 3))
    np.testing.assert_allclose(moved, [[0.75, 1.5], [0.0, 0.75], [0.0, 0.75]])
    assert Lines.from_dict(lines.to_dict()) == lines and replace(lines, levels=(0.0,)) != lines
