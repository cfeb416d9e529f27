"""Metrics against numbers worked by hand, scikit-learn, and the rule that the truth wins."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

from features.errors import ContractError
from models import metrics
from models.figures import side_by_side
from models.methods.base import logit
from models.methods.penalised import lines

LABELS = np.array([1, 0, 1, 0, 0], dtype=np.int8)
PROBABILITY = np.array([0.9, 0.5, 0.5, 0.2, 0.1])


def _world(rows: int = 4000, seed: int = 1) -> tuple[np.ndarray, np.ndarray, pd.Series]:
    generator = np.random.default_rng(seed)
    truth = 1 / (1 + np.exp(-generator.normal(-1.5, 1.2, rows)))
    accounts = pd.Series([f"a{number // 4:04d}" for number in range(rows)])
    return (generator.random(rows) < truth).astype(np.int8), truth, accounts


def test_log_loss_by_hand() -> None:
    # -(ln 0.9 + ln 0.5 + ln 0.5 + ln 0.8 + ln 0.9) / 5
    assert metrics.log_loss(LABELS, PROBABILITY) == pytest.approx(0.3640318, abs=1e-6)


def test_brier_by_hand() -> None:
    # (0.01 + 0.25 + 0.25 + 0.04 + 0.01) / 5
    assert metrics.brier(LABELS, PROBABILITY) == pytest.approx(0.112)


def test_auc_counts_a_tie_half() -> None:
    # Pairs (event, other): 0.9 wins 3; 0.5 ties one and wins 2: 5.5 of 6.
    assert metrics.auc(LABELS, PROBABILITY) == pytest.approx(5.5 / 6)


def test_lift_shares_the_tie_at_the_edge() -> None:
    # The first two of five rows: 0.9 (event), then half of a tie of one event: 1.5 events of 2
    # rows, rate 0.4.
    assert metrics.lift(LABELS, PROBABILITY, 0.4) == pytest.approx((1.5 / 2) / 0.4)


def test_metrics_equal_scikit_learn() -> None:
    labels, probability, _ = _world()
    rounded = probability.round(2)  # many ties
    assert metrics.auc(labels, rounded) == pytest.approx(roc_auc_score(labels, rounded), abs=1e-12)
    reference = average_precision_score(labels, rounded)
    assert metrics.average_precision(labels, rounded) == pytest.approx(reference, abs=1e-12)
    assert metrics.log_loss(labels, probability) == pytest.approx(
        sklearn_log_loss(labels, probability), abs=1e-12
    )
    assert metrics.brier(labels, probability) == pytest.approx(
        brier_score_loss(labels, probability), abs=1e-12
    )


def test_calibration_line_equals_unpenalised_regression() -> None:
    labels, probability, _ = _world()
    shrunk = 1 / (1 + np.exp(-0.5 * np.log(probability / (1 - probability))))
    line = np.log(shrunk / (1 - shrunk))
    (slope,), (intercept,) = lines(line, labels, np.ones((1, len(labels))))
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(line[:, None], labels)
    assert slope == pytest.approx(reference.coef_[0, 0], abs=1e-4)
    assert intercept == pytest.approx(reference.intercept_[0], abs=1e-4)
    assert slope > 1.5  # halved log-odds are too timid


def test_brier_parts_add_up() -> None:
    labels, probability, _ = _world()
    parts = metrics.brier_parts(labels, probability)
    total = (
        parts.brier_reliability
        - parts.brier_resolution
        + parts.brier_uncertainty
        + parts.brier_within
    )
    assert total == pytest.approx(metrics.brier(labels, probability), abs=1e-15)
    assert parts.brier_resolution > 5 * parts.brier_reliability


def test_ece_of_the_truth_is_what_sampling_gives() -> None:
    labels, truth, _ = _world(20_000)
    expected = metrics.ece_expected(truth, seed=3)
    assert metrics.ece(labels, truth) == pytest.approx(expected, rel=0.6)
    assert metrics.ece(labels, np.clip(truth * 1.5, 0, 0.999)) > 4 * expected


def test_bins_never_divide_equal_probabilities() -> None:
    groups = metrics.equal_count_bins(np.repeat([0.1, 0.2, 0.9], [50, 7, 3]))
    assert [len(set(groups[start:end])) for start, end in ((0, 50), (50, 57), (57, 60))] == [
        1,
        1,
        1,
    ]


def test_the_truth_has_the_smallest_log_loss() -> None:
    labels, truth, accounts = _world(8000)
    logit = np.log(truth / (1 - truth))
    best = metrics.log_losses(labels, truth)
    for distorted in (0.6 * logit, 1.5 * logit, logit + 0.4):
        other = metrics.log_losses(labels, 1 / (1 + np.exp(-distorted)))
        assert metrics.paired_difference(best, other, accounts).high < 0


def test_intervals_contain_the_point_and_do_not_depend_on_row_order() -> None:
    labels, probability, accounts = _world(800)
    plain = metrics.intervals(labels, probability, accounts, capacity_share=0.2, replicates=200)
    for name in (
        "log_loss",
        "brier",
        "auc",
        "average_precision",
        "calibration_slope",
        "lift_top_decile",
        "rate",
    ):
        estimate = getattr(plain, name)
        assert estimate.low < estimate.value < estimate.high, name
    order = np.random.default_rng(0).permutation(len(labels))
    y, p, drawn_from = labels[order], probability[order], accounts.iloc[order]
    mixed = metrics.intervals(y, p, drawn_from, capacity_share=0.2, replicates=200)
    assert side_by_side(mixed) == pytest.approx(side_by_side(plain), abs=1e-9)


def test_weighted_metrics_equal_repeated_rows() -> None:
    labels, probability, _ = _world(300)
    times = np.random.default_rng(2).integers(0, 4, len(labels))
    facts = metrics._ResampleFacts.of(labels, probability.round(2), probability.round(2), 0.2)
    # Two resamples at once: the same weights twice.
    drawn = facts.metrics(np.vstack([times, times]).astype(float))
    repeated = np.repeat(np.arange(len(labels)), times)
    y, p = labels[repeated], probability.round(2)[repeated]
    assert drawn["auc"][0] == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert drawn["average_precision"][1] == pytest.approx(average_precision_score(y, p), abs=1e-12)
    assert drawn["lift_at_capacity"][0] == pytest.approx(metrics.lift(y, p, 0.2), abs=1e-12)
    (slope,), _ = lines(logit(p), y, np.ones((1, len(y))))
    assert drawn["calibration_slope"][0] == pytest.approx(slope, abs=1e-8)


def test_resampling_accounts_is_wider_than_resampling_rows_of_repeating_accounts() -> None:
    labels, probability, _ = _world(500)
    labels, probability = np.repeat(labels, 6), np.repeat(probability, 6)
    grouped = pd.Series([f"a{number // 6}" for number in range(len(labels))])
    alone = pd.Series([f"r{number}" for number in range(len(labels))])
    wide = metrics.intervals(labels, probability, grouped, replicates=200).log_loss
    narrow = metrics.intervals(labels, probability, alone, replicates=200).log_loss
    assert wide.high - wide.low > 1.8 * (narrow.high - narrow.low)


def test_delong_error_agrees_with_resampling() -> None:
    labels, probability, _ = _world(1500)
    rows = pd.Series([str(number) for number in range(len(labels))])
    drawn = metrics.intervals(labels, probability, rows, replicates=300).auc
    assert metrics.auc_standard_error(labels, probability) == pytest.approx(
        (drawn.high - drawn.low) / 3.92, rel=0.2
    )


def test_capacity_counts_what_is_missed_and_wasted() -> None:
    accounts = pd.Series(list("abcde"))
    worked = metrics.at_capacity(LABELS, np.array([5.0, 4.0, 3.0, 2.0, 1.0]), accounts, 0.4)
    assert (worked.missed_churn, worked.false_alarms) == (0.5, 0.5)


def test_one_class_gives_no_number_instead_of_a_false_one() -> None:
    one_class = metrics.intervals(
        np.zeros(50), np.linspace(0.1, 0.2, 50), pd.Series(range(50)), replicates=20
    )
    assert np.isnan(one_class.auc.value) and np.isnan(one_class.calibration_slope.value)
    assert one_class.log_loss.value > 0


def test_empty_input_is_refused() -> None:
    with pytest.raises(ContractError, match="not be empty"):
        metrics.intervals(np.zeros(0), np.zeros(0), pd.Series([], dtype=str))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=4, max_size=60))
def test_auc_equals_counting_pairs(rows: list[tuple[bool, int]]) -> None:
    labels = np.array([row[0] for row in rows], dtype=np.int8)
    score = np.array([row[1] for row in rows], dtype=float)
    events, others = score[labels == 1], score[labels == 0]
    if not len(events) or not len(others):
        assert np.isnan(metrics.auc(labels, score))
        return
    wins = (events[:, None] > others).mean() + 0.5 * (events[:, None] == others).mean()
    assert metrics.auc(labels, score) == pytest.approx(wins, abs=1e-12)
