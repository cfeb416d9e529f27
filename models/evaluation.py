"""A model on the untouched test, beside its baselines."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import ContractError
from models import metrics
from models.dataset import TrainingSet
from models.intervals import REPLICATES
from models.methods import can_leave, is_contractual, leaving_window
from models.methods.base import Floats
from models.model import Model
from models.training import TrainingResult


@dataclass(frozen=True)
class Counts:
    """How much was judged; accounts and leaving accounts count once, whatever their dates."""

    n: int
    accounts: int
    events: int
    leaving_accounts: int
    as_of: tuple[str, ...]
    """The dates, `2025-02-16`, the oldest first."""


@dataclass(frozen=True)
class Figures:
    """Counts and metrics of some rows."""

    counts: Counts
    metrics: metrics.MetricValues


@dataclass(frozen=True, eq=False)
class TestFigures(Figures):
    """What the untouched test said; NaN for numbers that do not exist."""

    __test__ = False  # the name is the business's, not pytest's

    constant_rate: float
    """Rate of the event on the latest training dates, said of everybody by the constant."""
    log_loss_constant: float
    log_loss_constant_hindsight: float
    """Log loss of the test's own rate, which nobody could have known."""
    ece_expected: float
    auc_standard_error: float
    probability_min: float
    probability_max: float
    brier_parts: metrics.BrierParts
    reliability: pd.DataFrame
    """What `metrics.reliability_table` returns."""
    at_capacity: metrics.AtCapacity | None
    recency_auc: float | None


@dataclass(frozen=True)
class Beside:
    """A baseline on the same rows.

    `difference` is the model's log loss minus the baseline's: below 0 the model is better.
    """

    log_loss: float
    auc: float
    auc_can_leave: float | None
    """AUC among rows whose term ends inside the label window; None where `can_leave` is."""
    difference: metrics.Estimate


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model on the untouched test, beside its baselines.

    Attributes
    ----------
    target
        Plain facts about what is predicted, as the model keeps them.
    can_leave
        Rows whose term ends inside the label window; None where no contract ends or all can leave.
    """

    target: Mapping[str, Any]
    model: str
    test: TestFigures
    can_leave: Figures | None
    baselines: Mapping[str, Beside]


def evaluate(
    result_or_model: TrainingResult | Model,
    baselines: Mapping[str, Model] | None,
    test: TrainingSet,
    *,
    capacity: int | None = None,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Evaluation:
    """Return how good the model is on the untouched test.

    Parameters
    ----------
    baselines
        Fitted models to compare with; None takes those of the training result.
    test
        Rows judged; where some are marked `is_test`, only those.
    capacity
        Accounts the team can work on at one date; adds lift, missed churn and false alarms there.
    """
    model = (
        result_or_model.model if isinstance(result_or_model, TrainingResult) else result_or_model
    )
    if baselines is None:
        baselines = result_or_model.baselines if isinstance(result_or_model, TrainingResult) else {}
    rows = test.test if bool(test.keys["is_test"].any()) else test
    _require_rows(rows, model)
    model.check_signals(rows.signals)
    margin, probability = model.margin(rows.features), model.probability(rows.features)
    if not np.isfinite(probability).all():
        raise ContractError(
            "the model gives probabilities that are not numbers; train again before evaluating."
        )
    losses = metrics.log_losses(rows.labels, probability)
    leavable = _can_leave(rows, model)
    beside = {
        name: _beside(baseline, rows, losses, leavable, seed=seed, replicates=replicates)
        for name, baseline in baselines.items()
    }
    share = _capacity_share(rows, capacity)
    whole = _figures(
        rows, probability, margin, capacity_share=share, seed=seed, replicates=replicates
    )
    among = None
    if leavable is not None:
        # Who cannot leave is no merit of a ranking.
        among = _figures(
            rows.rows(leavable),
            probability[leavable],
            margin[leavable],
            seed=seed,
            replicates=replicates,
        )
    rate = model.training.latest_rate
    own = float(rows.labels.mean())
    return Evaluation(
        model.target,
        model.name,
        TestFigures(
            whole.counts,
            whole.metrics,
            constant_rate=rate,
            log_loss_constant=(
                math.nan
                if math.isnan(rate)
                else metrics.log_loss(rows.labels, np.full(len(rows), rate))
            ),
            log_loss_constant_hindsight=metrics.log_loss(rows.labels, np.full(len(rows), own)),
            ece_expected=metrics.ece_expected(probability, seed=seed),
            auc_standard_error=metrics.auc_standard_error(rows.labels, margin),
            probability_min=float(probability.min()),
            probability_max=float(probability.max()),
            brier_parts=metrics.brier_parts(rows.labels, probability),
            reliability=metrics.reliability_table(rows.labels, probability),
            at_capacity=(
                None
                if share is None
                else metrics.at_capacity(rows.labels, margin, rows.keys["account_id"], share)
            ),
            recency_auc=beside["recency"].auc if "recency" in beside else None,
        ),
        among,
        beside,
    )


def _require_rows(rows: TrainingSet, model: Model) -> None:
    if model.calibrator is None:
        raise ContractError(
            "a scorecard has no probabilities to evaluate; evaluate a calibrated model."
        )
    if not len(rows):
        raise ContractError(
            "the test holds no rows; choose test dates whose label windows are complete."
        )


def _capacity_share(rows: TrainingSet, capacity: int | None) -> float | None:
    """Capacity is per date, so its share is taken of the mean number of rows per date."""
    if capacity is None:
        return None
    # Equal rows of a table without dates follow each other by a microsecond.
    days = rows.keys["as_of"].dt.normalize().nunique()
    return float(min(1.0, capacity * days / len(rows)))


def _figures(
    rows: TrainingSet,
    probability: Floats,
    margin: Floats,
    *,
    capacity_share: float | None = None,
    seed: int,
    replicates: int,
) -> Figures:
    dates = sorted(rows.keys["as_of"].unique())
    return Figures(
        Counts(
            n=len(rows),
            accounts=int(rows.keys["account_id"].nunique()),
            events=int(rows.labels.sum()),
            leaving_accounts=rows.leaving_accounts(),
            as_of=tuple(f"{date:%Y-%m-%d}" for date in dates),
        ),
        metrics.intervals(
            rows.labels,
            probability,
            rows.keys["account_id"],
            score=margin,
            capacity_share=capacity_share,
            seed=seed,
            replicates=replicates,
        ),
    )


def _can_leave(rows: TrainingSet, model: Model) -> NDArray[np.bool_] | None:
    """Rows whose term ends inside the label window; None where that tells none apart."""
    window = leaving_window(model.target)
    if window is None or not is_contractual(model.target, rows.signals):
        return None
    leavable = can_leave(rows.features, rows.signals, window)
    return leavable if leavable.any() and not leavable.all() else None


def _beside(
    model: Model,
    rows: TrainingSet,
    ours: Floats,
    leavable: NDArray[np.bool_] | None,
    *,
    seed: int,
    replicates: int,
) -> Beside:
    margin, probability = model.margin(rows.features), model.probability(rows.features)
    theirs = metrics.log_losses(rows.labels, probability)
    paired = metrics.paired_difference(
        ours, theirs, rows.keys["account_id"], seed=seed, replicates=replicates
    )
    return Beside(
        float(theirs.mean()),
        metrics.auc(rows.labels, margin),
        None if leavable is None else metrics.auc(rows.labels[leavable], margin[leavable]),
        paired,
    )
