"""Leavers, log loss and AUC before any outcome is known, from the chances alone; scored themselves
once outcomes are.

If the chances are right, each account leaves with its own, independently of the others. Drawing
outcomes that way gives what will be measured, with what luck makes of it. What is measured later
outside that range says that the chances are not right: too few leavers or too many, or a ranking
that is better or worse than the chances claim.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from models.intervals import LEVEL
from models.methods.base import Floats
from models.metrics import auc, log_loss

DRAWS = 1000
LEAVERS, LOG_LOSS, AUC = WHAT = ("leavers", "log_loss", "auc")
INSIDE, BELOW, ABOVE = "inside", "below", "above"
_CELLS_DRAWN = 4_000_000


@dataclass(frozen=True)
class ExpectedMeasure:
    """What a measure will be if the chances are right: its mean, and the middle 95 of 100 cases."""

    value: float
    low: float
    high: float


def promised(
    probability: Floats, *, seed: int = 0, draws: int = DRAWS
) -> dict[str, ExpectedMeasure]:
    """The measures of `WHAT` that the chances promise; no AUC where the draws show none.

    Parameters
    ----------
    probability
        Calibrated chances, shape (n_accounts,), without missing values; at least one.

    Examples
    --------
    >>> sure = promised(np.full(100, 0.1))
    >>> round(sure["leavers"].value), sure["leavers"].low < 10 < sure["leavers"].high
    (10, True)
    """
    chance = np.clip(probability, 1e-12, 1.0 - 1e-12)
    ranks = rankdata(chance)
    surprise_left, surprise_stayed = -np.log(chance), -np.log1p(-chance)
    generator = np.random.default_rng(seed)
    drawn: dict[str, list[Floats]] = {name: [] for name in WHAT}
    at_once = max(1, _CELLS_DRAWN // len(chance))
    for start in range(0, draws, at_once):
        size = min(at_once, draws - start), len(chance)
        left = generator.random(size) < chance
        count = left.sum(axis=1).astype(np.float64)
        stayed = len(chance) - count
        drawn[LEAVERS].append(count)
        losses = left @ (surprise_left - surprise_stayed) + surprise_stayed.sum()
        drawn[LOG_LOSS].append(losses / len(chance))
        pairs = count * stayed
        ranked = (left @ ranks) - count * (count + 1) / 2
        drawn[AUC].append(ranked[pairs > 0] / pairs[pairs > 0])
    tail = 100.0 * (1.0 - LEVEL) / 2.0
    promises = {}
    for name, parts in drawn.items():
        values = np.concatenate(parts)
        if len(values):
            low, high = np.percentile(values, [tail, 100.0 - tail])
            promises[name] = ExpectedMeasure(float(values.mean()), float(low), float(high))
    # The mean is known without drawing.
    promises[LEAVERS] = ExpectedMeasure(
        float(probability.sum()), promises[LEAVERS].low, promises[LEAVERS].high
    )
    return promises


def happened(probability: Floats, labels: NDArray[np.int8]) -> dict[str, float]:
    """The same measures of what became of the accounts; no AUC where all did the same."""
    measures = {LEAVERS: float(labels.sum()), LOG_LOSS: log_loss(labels, probability)}
    if 0 < labels.sum() < len(labels):
        measures[AUC] = auc(labels, probability)
    return measures


def verdict(promise: ExpectedMeasure, measured: float) -> str:
    """Whether what was measured lies where luck alone puts it.

    >>> verdict(ExpectedMeasure(10.0, 5.0, 15.0), 16.0)
    'above'
    """
    return BELOW if measured < promise.low else ABOVE if measured > promise.high else INSIDE
