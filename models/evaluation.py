"""A model on the untouched test, beside its baselines, in the shape of `tenure evaluate --json`."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import ContractError
from models import metrics
from models.dataset import TrainingSet
from models.intervals import REPLICATES
from models.methods import can_leave, is_contractual, leaving_window
from models.methods.base import Floats
from models.model import Model
from models.training import TrainingResult


def evaluate(
    result_or_model: TrainingResult | Model,
    baselines: Mapping[str, Model] | None,
    test: TrainingSet,
    *,
    capacity: int | None = None,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> dict[str, Any]:
    """Return how good the model is on the untouched test, as plain values.

    Parameters
    ----------
    baselines
        Fitted models to compare with; None takes those of the training result.
    test
        Rows judged; where some are marked `is_test`, only those.
    capacity
        Accounts the team can work on at one date; adds lift, missed churn and false alarms there.

    Returns
    -------
    dict
        `target`; `test` with counts, dates and every metric (`_low`, `_high`: 95%, accounts
        resampled); `baselines` per name with log loss, AUC and `difference`, the model's log loss
        minus the baseline's on the same rows (negative: the model is better). `can_leave` holds
        counts and metrics of the rows whose term ends inside the label window, and `auc_can_leave`
        of a baseline its AUC there; None where no contract ends or all can leave. Numbers that do
        not exist are None.
    """
    model = (
        result_or_model.model if isinstance(result_or_model, TrainingResult) else result_or_model
    )
    if baselines is None:
        baselines = result_or_model.baselines if isinstance(result_or_model, TrainingResult) else {}
    rows = test.test if bool(test.keys["is_test"].any()) else test
    _require_rows(rows, model)
    model.check_signals(rows.signals)
    margin, accounts = model.margin(rows.features), rows.keys["account_id"]
    probability = model.probability(rows.features)
    if not np.isfinite(probability).all():
        raise ContractError(
            "the model gives probabilities that are not numbers; train again before evaluating."
        )
    share = _capacity_share(rows, capacity)
    estimates = metrics.intervals(
        rows.labels,
        probability,
        accounts,
        score=margin,
        capacity_share=share,
        seed=seed,
        replicates=replicates,
    )
    found: dict[str, Any] = {
        **_counts(rows),
        **_flat(estimates),
        **_constants(rows, model),
        **_further(rows, probability, margin, share, seed),
    }
    losses = metrics.log_losses(rows.labels, probability)
    leavable = _can_leave(rows, model)
    table = {
        name: _beside(baseline, rows, losses, leavable, seed=seed, replicates=replicates)
        for name, baseline in baselines.items()
    }
    found["recency_auc"] = table["recency"]["auc"] if "recency" in table else None
    whole: dict[str, Any] = {
        "target": dict(model.target),
        "model": model.name,
        "test": found,
        "can_leave": (
            None
            if leavable is None
            else _among(rows, leavable, probability, margin, seed=seed, replicates=replicates)
        ),
        "baselines": table,
        "gates": [],
    }
    return {name: _plain(part) for name, part in whole.items()}


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


def _counts(rows: TrainingSet) -> dict[str, Any]:
    dates = sorted(rows.keys["as_of"].unique())
    return {
        "n": len(rows),
        "accounts": int(rows.keys["account_id"].nunique()),
        "events": int(rows.labels.sum()),
        "leaving_accounts": rows.leaving_accounts(),
        "as_of": [f"{date:%Y-%m-%d}" for date in dates],
    }


def _flat(estimates: Mapping[str, metrics.Estimate]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, estimate in estimates.items():
        flat[name], flat[f"{name}_low"], flat[f"{name}_high"] = (
            estimate.value,
            estimate.low,
            estimate.high,
        )
    return flat


def _constants(rows: TrainingSet, model: Model) -> dict[str, float]:
    rate = float(model.training.get("latest_rate", math.nan))
    own = float(rows.labels.mean())
    return {
        "constant_rate": rate,
        "log_loss_constant": (
            metrics.log_loss(rows.labels, np.full(len(rows), rate)) if rate == rate else math.nan
        ),
        "log_loss_constant_hindsight": metrics.log_loss(rows.labels, np.full(len(rows), own)),
    }


def _further(
    rows: TrainingSet, probability: Floats, margin: Floats, share: float | None, seed: int
) -> dict[str, Any]:
    further: dict[str, Any] = {
        "ece_expected": metrics.ece_expected(probability, seed=seed),
        "auc_standard_error": metrics.auc_standard_error(rows.labels, margin),
        "probability_min": float(probability.min()),
        "probability_max": float(probability.max()),
        **{
            f"brier_{name}": value
            for name, value in metrics.brier_parts(rows.labels, probability).items()
        },
        "reliability": metrics.reliability_table(rows.labels, probability).to_dict("records"),
    }
    if share is not None:
        further |= {
            "capacity_share": share,
            **metrics.at_capacity(rows.labels, margin, rows.keys["account_id"], share),
        }
    return further


def _can_leave(rows: TrainingSet, model: Model) -> NDArray[np.bool_] | None:
    """Rows whose term ends inside the label window; None where that tells none apart."""
    window = leaving_window(model.target)
    if window is None or not is_contractual(model.target, rows.signals):
        return None
    leavable = can_leave(rows.features, window)
    return leavable if leavable.any() and not leavable.all() else None


def _among(
    rows: TrainingSet,
    leavable: NDArray[np.bool_],
    probability: Floats,
    margin: Floats,
    *,
    seed: int,
    replicates: int,
) -> dict[str, Any]:
    """Counts and metrics of some rows; who cannot leave is no merit of a ranking."""
    some = rows.rows(leavable)
    estimates = metrics.intervals(
        some.labels,
        probability[leavable],
        some.keys["account_id"],
        score=margin[leavable],
        seed=seed,
        replicates=replicates,
    )
    return {**_counts(some), **_flat(estimates)}


def _beside(
    model: Model,
    rows: TrainingSet,
    ours: Floats,
    leavable: NDArray[np.bool_] | None,
    *,
    seed: int,
    replicates: int,
) -> dict[str, Any]:
    margin, probability = model.margin(rows.features), model.probability(rows.features)
    theirs = metrics.log_losses(rows.labels, probability)
    paired = metrics.paired_difference(
        ours, theirs, rows.keys["account_id"], seed=seed, replicates=replicates
    )
    return {
        "log_loss": float(theirs.mean()),
        "auc": metrics.auc(rows.labels, margin),
        "auc_can_leave": (
            None
            if leavable is None
            else metrics.auc(rows.labels[leavable], np.asarray(margin)[leavable])
        ),
        "difference": paired.value,
        "difference_low": paired.low,
        "difference_high": paired.high,
    }


def _plain(value: Any) -> Any:
    """Plain values for JSON: what is not a finite number becomes None."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
