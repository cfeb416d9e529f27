"""How good probabilities are, and how sure we are of that: every interval resamples accounts, not
rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import ContractError
from models.intervals import LEVEL, REPLICATES, Z95, wilson
from models.methods.base import Floats, logit
from models.methods.penalised import lines

BINS = 10
_CHUNK_CELLS = 4_000_000  # 32 MB of doubles at a time


@dataclass(frozen=True)
class Estimate:
    """A number and the ends of its 95% interval; NaN where it cannot be computed (one class
    only).
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class MetricValues:
    """How good probabilities are, each figure with its interval."""

    log_loss: Estimate
    brier: Estimate
    auc: Estimate
    average_precision: Estimate
    lift_top_decile: Estimate
    calibration_slope: Estimate
    calibration_intercept: Estimate
    ece: Estimate
    rate: Estimate
    """Share of rows with the event."""
    mean_probability: Estimate
    lift_at_capacity: Estimate | None = None
    """None where nobody said how many accounts the team can work on."""


def log_loss(labels: NDArray[Any], probability: Floats) -> float:
    """Return the mean of -log of the probability given to what happened (1e-15 kept from either
    end).
    """
    return float(log_losses(labels, probability).mean())


def log_losses(labels: NDArray[Any], probability: Floats) -> Floats:
    """Return the log loss of each row, shape (n_rows,)."""
    p = np.clip(probability, 1e-15, 1.0 - 1e-15)
    return np.asarray(
        np.where(np.asarray(labels) == 1, -np.log(p), -np.log1p(-p)), dtype=np.float64
    )


def brier(labels: NDArray[Any], probability: Floats) -> float:
    """Return the mean squared distance between probability and what happened."""
    return float(np.mean((probability - labels) ** 2))


@dataclass(frozen=True)
class BrierParts:
    """Reliability, resolution, uncertainty, and the remainder inside bins that binning hides."""

    brier_reliability: float
    brier_resolution: float
    brier_uncertainty: float
    brier_within: float


def brier_parts(labels: NDArray[Any], probability: Floats) -> BrierParts:
    """Return the parts of the Brier score over bins of equal count.

    brier = reliability - resolution + uncertainty + within, exactly; `within` is what binning
    hides.

    References
    ----------
    [Murphy1973] A new vector partition of the probability score; [Stephenson2008, eq. 7] for the
    remainder.
    """
    group = equal_count_bins(probability, BINS)
    size = np.bincount(group)
    mean_p = np.bincount(group, weights=probability) / size
    rate = np.bincount(group, weights=labels) / size
    overall, share = float(np.mean(labels)), size / size.sum()
    reliability = float(share @ (mean_p - rate) ** 2)
    resolution = float(share @ (rate - overall) ** 2)
    uncertainty = overall * (1.0 - overall)
    within = brier(labels, probability) - (reliability - resolution + uncertainty)
    return BrierParts(reliability, resolution, uncertainty, within)


def auc(labels: NDArray[Any], score: Floats, weights: Floats | None = None) -> float:
    """Return the chance that a random event row is ranked above a random other row, ties counted
    half.
    """
    order = np.argsort(score, kind="stable")
    weight = np.ones(len(score)) if weights is None else np.asarray(weights, dtype=np.float64)
    return float(
        _auc_sorted(np.asarray(labels)[order], np.asarray(score)[order], weight[order][None, :])[0]
    )


def auc_standard_error(labels: NDArray[Any], score: Floats) -> float:
    """Return the standard error of the AUC of independent rows.

    References
    ----------
    [DeLong1988] Comparing the areas under two or more correlated ROC curves, eq. 5.
    """
    left, stayed = np.sort(score[labels == 1]), np.sort(score[labels == 0])
    if len(left) < 2 or len(stayed) < 2:
        return float("nan")

    # Each row's share of rows of the other class that it beats: the AUC is its mean.
    def beaten(values: Floats, others: Floats) -> Floats:
        below, up_to = (
            np.searchsorted(others, values, "left"),
            np.searchsorted(others, values, "right"),
        )
        return np.asarray((below + up_to) / (2.0 * len(others)), dtype=np.float64)

    return float(
        np.sqrt(
            beaten(left, stayed).var(ddof=1) / len(left)
            + beaten(stayed, left).var(ddof=1) / len(stayed)
        )
    )


def auc_of_accounts(labels: NDArray[Any], score: Floats, accounts: NDArray[Any]) -> Estimate:
    """Return the AUC with its 95% interval without resampling: the error is that of independent
    rows, widened as if there were only as many rows as accounts.
    """
    widened = np.sqrt(len(labels) / len(np.unique(accounts)))
    value, reach = auc(labels, score), Z95 * auc_standard_error(labels, score) * float(widened)
    return Estimate(value, max(0.0, value - reach), min(1.0, value + reach))


def average_precision(labels: NDArray[Any], score: Floats) -> float:
    """Return the mean share of events among the rows ranked at least as high, over event rows (ties
    together).
    """
    order = np.argsort(-np.asarray(score), kind="stable")
    return float(
        _precision_sorted(
            np.asarray(labels)[order], np.asarray(score)[order], np.ones((1, len(order)))
        )[0]
    )


def lift(labels: NDArray[Any], score: Floats, share: float = 0.1) -> float:
    """Return the rate of events among the highest-scored `share` of rows over the overall rate.

    Rows tied at the edge count in proportion, so the order of rows cannot matter.
    """
    order = np.argsort(-np.asarray(score), kind="stable")
    return float(
        _lift_sorted(
            np.asarray(labels)[order], np.asarray(score)[order], np.ones((1, len(order))), share
        )[0]
    )


def equal_count_bins(probability: Floats, bins: int = BINS) -> NDArray[np.intp]:
    """Return a bin number per row; bins hold about equal counts and never divide equal
    probabilities.
    """
    rank = pd.Series(probability).rank(method="average").to_numpy()
    # The mean rank of equal probabilities is the same, so they fall into one bin.
    number = np.minimum(((rank - 0.5) / len(probability) * bins).astype(np.intp), bins - 1)
    return np.unique(number, return_inverse=True)[1].astype(np.intp)


def ece(labels: NDArray[Any], probability: Floats) -> float:
    """Return the expected calibration error: the mean distance of rate and probability over
    equal-count bins.
    """
    group = equal_count_bins(probability, BINS)
    return float(
        _ece(group, np.asarray(probability), np.asarray(labels, dtype=np.float64)[None, :])[0]
    )


def ece_expected(probability: Floats, *, seed: int = 0, replicates: int = 200) -> float:
    """Return the ECE that sampling alone gives when these probabilities are exactly right.

    An `ece` not above this is no evidence of miscalibration.
    """
    generator = np.random.default_rng(seed)
    group = equal_count_bins(probability, BINS)
    total, worlds = 0.0, 0
    # So many worlds at a time as fit into the memory of one chunk.
    step = max(1, _CHUNK_CELLS // max(1, len(probability)))
    while worlds < replicates:
        count = min(step, replicates - worlds)
        drawn = (generator.random((count, len(probability))) < probability).astype(np.float64)
        total += float(_ece(group, np.asarray(probability), drawn).sum())
        worlds += count
    return total / replicates


def reliability_table(
    labels: NDArray[Any], probability: Floats, *, bins: int = BINS, fewest: int = 1
) -> pd.DataFrame:
    """Return how often probabilities came true, in bins of equal count.

    Parameters
    ----------
    fewest
        Rows of a bin: with fewer than `bins` times as many there are fewer bins.

    Returns
    -------
    DataFrame
        bin; rows; events; probability (mean); rate; rate_low, rate_high (95%, rows taken as
        independent). Empty without rows.
    """
    values = {"probability": probability, "label": np.asarray(labels, dtype=np.float64)}
    known = pd.DataFrame(values, dtype=np.float64).dropna()
    group = equal_count_bins(
        known["probability"].to_numpy(), max(1, min(bins, len(known) // fewest))
    )
    table = (
        known.groupby(pd.Series(group, index=known.index, name="bin"))
        .agg(
            rows=("label", "size"),
            events=("label", "sum"),
            probability=("probability", "mean"),
            rate=("label", "mean"),
        )
        .reset_index()
    )
    ends = [wilson(rate, rows) for rate, rows in zip(table["rate"], table["rows"], strict=True)]
    return table.assign(rate_low=[low for low, _ in ends], rate_high=[high for _, high in ends])


@dataclass(frozen=True)
class AtCapacity:
    """What working on the highest-scored `capacity_share` of rows misses and wastes."""

    capacity_share: float
    missed_churn: float
    """Share of events outside the worked rows; NaN without events."""
    false_alarms: float
    """Share of worked rows without event."""


def at_capacity(
    labels: NDArray[Any], score: Floats, accounts: pd.Series, share: float
) -> AtCapacity:
    """Return what working on the highest-scored `share` of rows misses and wastes.

    Ties at the edge are broken by account, so the result is the same in any order of
    rows.
    """
    order = np.lexsort((accounts.astype(str).to_numpy(), -np.asarray(score)))
    worked = order[: max(1, round(share * len(order)))]
    caught = float(np.asarray(labels)[worked].sum())
    total = float(np.asarray(labels).sum())
    missed = 1.0 - caught / total if total else float("nan")
    return AtCapacity(share, missed, 1.0 - caught / len(worked))


def intervals(
    labels: NDArray[Any],
    probability: Floats,
    accounts: pd.Series,
    *,
    score: Floats | None = None,
    capacity_share: float | None = None,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> MetricValues:
    """Return every metric with a 95% percentile interval from resampling accounts.

    Parameters
    ----------
    labels, probability
        Shape (n_rows,).
    accounts
        Account of each row; all rows of an account are drawn together.
    score
        What ranks (the margin); default: the probability.
    capacity_share
        Share of rows the team can work on; adds `lift_at_capacity`.
    """
    values, drawn = resampled(
        labels,
        probability,
        accounts,
        score=score,
        capacity_share=capacity_share,
        seed=seed,
        replicates=replicates,
    )
    return MetricValues(**{name: estimate(values[name], drawn[name]) for name in values})


def resampled(
    labels: NDArray[Any],
    probability: Floats,
    accounts: pd.Series,
    *,
    score: Floats | None = None,
    capacity_share: float | None = None,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> tuple[dict[str, float], dict[str, Floats]]:
    """Return every metric of `intervals`, and its values over resamples of accounts, shape
    (replicates,).

    Equal seeds and accounts draw equal resamples, so draws of two methods may be subtracted one by
    one.
    """
    facts = _ResampleFacts.of(
        labels, probability, probability if score is None else score, capacity_share
    )
    values = {
        name: float(value[0])
        for name, value in facts.metrics(np.ones((1, len(facts.labels)))).items()
    }
    drawn: dict[str, list[Floats]] = {name: [] for name in values}
    for weights in account_weights(accounts, seed=seed, replicates=replicates):
        for name, column in facts.metrics(weights).items():
            drawn[name].append(column)
    return values, {name: np.concatenate(parts) for name, parts in drawn.items()}


def paired_difference(
    ours: Floats,
    theirs: Floats,
    accounts: pd.Series,
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Estimate:
    """Return mean(ours - theirs) of losses per row, with its interval from resampling accounts.

    Negative: ours is better. Pairing removes what is hard for both.
    """
    difference = np.asarray(ours - theirs, dtype=np.float64)
    drawn = [
        weights @ difference / weights.sum(axis=1)
        for weights in account_weights(accounts, seed=seed, replicates=replicates)
    ]
    return estimate(float(difference.mean()), np.concatenate(drawn))


def account_weights(
    accounts: pd.Series, *, seed: int = 0, replicates: int = REPLICATES
) -> Iterator[Floats]:
    """Yield chunks of row weights, shape (some, n_rows): how often a row's account was drawn.

    Draws depend on the sorted account ids only, so row order does not matter.
    """
    codes, names = pd.factorize(accounts.astype(str), sort=True)
    count, generator = len(names), np.random.default_rng(seed)
    step = max(1, _CHUNK_CELLS // max(1, len(codes)))
    for start in range(0, replicates, step):
        rows = min(step, replicates - start)
        drawn = generator.integers(0, count, (rows, count)) + np.arange(rows)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        yield times[:, codes].astype(np.float64)


def estimate(value: float, drawn: Floats) -> Estimate:
    """Return a value with the 95% percentile interval of its resampled values."""
    known = drawn[np.isfinite(drawn)]
    if not len(known) or not np.isfinite(value):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


@dataclass(frozen=True, eq=False)
class _ResampleFacts:
    """What does not change from resample to resample: rows sorted by score, losses, bins."""

    labels: Floats
    probability: Floats
    score: Floats
    loss: Floats
    square: Floats
    group: NDArray[np.intp]
    order: NDArray[np.intp]
    capacity_share: float | None

    @classmethod
    def of(
        cls, labels: NDArray[Any], probability: Floats, score: Floats, capacity_share: float | None
    ) -> "_ResampleFacts":
        if not len(labels) == len(probability) == len(score) or not len(labels):
            raise ContractError(
                "labels, probabilities and scores must have the same length and not be empty; they"
                f" have {len(labels)}, {len(probability)} and {len(score)} values."
            )
        order = np.argsort(-score, kind="stable")
        y, p = (
            np.asarray(labels, dtype=np.float64)[order],
            np.asarray(probability, dtype=np.float64)[order],
        )
        bins = equal_count_bins(p)
        return cls(
            y,
            p,
            np.asarray(score)[order],
            log_losses(y, p),
            (p - y) ** 2,
            bins,
            order,
            capacity_share,
        )

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Metrics per resample, each of shape (n_resamples,)."""
        if weights.shape[0] > 1:  # one row of ones needs no sorting
            weights = weights[:, self.order]
        total = weights.sum(axis=1)
        slope, intercept = lines(logit(self.probability), self.labels, weights)
        figures = {
            "log_loss": weights @ self.loss / total,
            "brier": weights @ self.square / total,
            "auc": _auc_sorted(self.labels[::-1], self.score[::-1], weights[:, ::-1]),
            "average_precision": _precision_sorted(self.labels, self.score, weights),
            "lift_top_decile": _lift_sorted(self.labels, self.score, weights, 0.1),
            "calibration_slope": slope,
            "calibration_intercept": intercept,
            "ece": _weighted_ece(self.group, self.probability, self.labels, weights),
            "rate": weights @ self.labels / total,
            "mean_probability": weights @ self.probability / total,
        }
        if self.capacity_share is not None:
            figures["lift_at_capacity"] = _lift_sorted(
                self.labels, self.score, weights, self.capacity_share
            )
        return figures


def _tie_ends(score: Floats) -> NDArray[np.intp]:
    """Position of the last row of each run of equal scores, for sorted scores."""
    return np.append(np.flatnonzero(np.diff(score) != 0), len(score) - 1)


def _auc_sorted(labels: NDArray[Any], score: Floats, weights: Floats) -> Floats:
    """AUC per row of weights; labels and scores ascending."""
    ends = _tie_ends(score)
    events = np.cumsum(weights * labels, axis=1)[:, ends]
    others = np.cumsum(weights * (1 - labels), axis=1)[:, ends]
    step_events = np.diff(events, axis=1, prepend=0.0)
    step_others = np.diff(others, axis=1, prepend=0.0)
    # Sums over runs of equal scores, so that the order inside a tie cannot matter: a tie wins half.
    wins = (step_events * (others - step_others / 2.0)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(wins / (events[:, -1] * others[:, -1]), dtype=np.float64)


def _precision_sorted(labels: NDArray[Any], score: Floats, weights: Floats) -> Floats:
    """Average precision per row of weights; scores descending."""
    ends = _tie_ends(score)
    events = np.cumsum(weights * labels, axis=1)[:, ends]
    ranked = np.cumsum(weights, axis=1)[:, ends]
    gained = np.diff(events, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(ranked > 0, events / ranked, 0.0)
        return np.asarray((gained * precision).sum(axis=1) / events[:, -1], dtype=np.float64)


def _lift_sorted(labels: NDArray[Any], score: Floats, weights: Floats, share: float) -> Floats:
    """Lift per row of weights; scores descending; the tie at the edge counts in proportion."""
    ends = _tie_ends(score)
    events = np.cumsum(weights * labels, axis=1)[:, ends]
    ranked = np.cumsum(weights, axis=1)[:, ends]
    edge = share * ranked[:, -1:]
    size = np.diff(ranked, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        # The share of each run that lies above the edge: 1 before it, 0 behind it, a part at it.
        taken = np.clip((edge - (ranked - size)) / size, 0.0, 1.0)
        caught = np.nansum(
            np.where(size > 0, taken, 0.0) * np.diff(events, axis=1, prepend=0.0), axis=1
        )
        return np.asarray((caught / edge[:, 0]) / (events[:, -1] / ranked[:, -1]), dtype=np.float64)


def _ece(group: NDArray[np.intp], probability: Floats, labels: Floats) -> Floats:
    """ECE per row of labels."""
    member = (group[:, None] == np.arange(group.max() + 1)).astype(np.float64)
    return np.asarray(
        np.abs((labels - probability) @ member).sum(axis=1) / len(group), dtype=np.float64
    )


def _weighted_ece(
    group: NDArray[np.intp], probability: Floats, labels: Floats, weights: Floats
) -> Floats:
    member = (group[:, None] == np.arange(group.max() + 1)) * (labels - probability)[:, None]
    return np.asarray(np.abs(weights @ member).sum(axis=1) / weights.sum(axis=1), dtype=np.float64)
