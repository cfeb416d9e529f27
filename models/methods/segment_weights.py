"""The weighted average with weights of its own per segment, as far as segments differ beyond
chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal
from models.declared import ScorePart
from models.methods.base import Floats
from models.methods.cohort import Departures, departures, segment_names
from models.methods.penalised import ridge_fit
from models.methods.weighted_average import WeightedAverage, WeightsDetails

RIDGE = 1e-6
"""Indicators may be collinear: enough to keep the common fit finite."""


@dataclass(frozen=True)
class SegmentShare:
    """Weights of a segment; `own_share` (0-1) is how far they are its own, `pooled` why they are
    the global ones, or empty.
    """

    segment: str
    accounts: int
    leaving_accounts: int
    own_share: float
    weights: Mapping[str, float]
    pooled: str


@dataclass(frozen=True)
class SegmentWeightsDetails(WeightsDetails):
    """The global weights, and those of the segments; `pull_leavers` None: pulled wholly."""

    pull_leavers: float | None
    segments: tuple[SegmentShare, ...]


class SegmentWeights:
    """The weighted average, each segment with its own weights; these sum to 100 again.

    Global weights are those of `WeightedAverage`. A segment's are the global ones, on the scale of
    log-odds, plus the segment's departure from the fit of all segments together
    (`models.methods.cohort.departures`), never below 0. So nothing but a difference between
    segments moves a weight, and a segment without one has the global weights exactly.
    """

    name = "segment_weights"

    def __init__(self, parts: Sequence[ScorePart] = (), *, is_event_good: bool = False) -> None:
        self.global_ = WeightedAverage(parts, is_event_good=is_event_good)
        self.departures_: Departures
        self.own_: dict[str, WeightedAverage] = {}

    def fit(
        self,
        features: pd.DataFrame,
        labels: NDArray[np.int8],
        signals: tuple[Signal, ...],
        *,
        accounts: pd.Series,
        segments: Sequence[str | None] | NDArray[Any],
    ) -> Self:
        """Fit global weights, then how segments depart from them; rows sorted by key."""
        self.global_.fit(features, labels, signals)
        risks = self.global_.part_margins(features)
        target, weight = labels.astype(np.float64), np.full(len(labels), 1.0 / len(labels))
        level, common = ridge_fit(risks, target, weight, RIDGE, np.zeros(risks.shape[1] + 1))
        # Log-odds per unit of the score, so that weights that sum to 100 become coefficients.
        scale = float(
            ridge_fit(self.global_.margin(features)[:, None], target, weight, RIDGE, np.zeros(2))[
                1
            ][0]
        )
        shared = max(scale, 0.0) * np.array([part.weight for part in self.global_.parts_]) / 100.0
        self.departures_ = departures(
            risks,
            level + risks @ common,
            labels,
            accounts,
            segments,
            is_level_free=True,
            lowest=-shared,
        )
        for name, each in self.departures_.by_segment.items():
            coefficients = shared + each.change
            if each.own_share > 0 and coefficients.sum() > 0:
                self.own_[name] = self.global_.reweighted(100.0 * coefficients / coefficients.sum())
        return self

    def margin(
        self, features: pd.DataFrame, segments: Sequence[str | None] | NDArray[Any]
    ) -> Floats:
        """Return a ranking on the log-odds side, by the weights of each row's segment."""
        _, phi = self.contributions(features, segments)
        return np.asarray(phi.sum(axis=1), dtype=np.float64)

    def contributions(
        self, features: pd.DataFrame, segments: Sequence[str | None] | NDArray[Any]
    ) -> tuple[float, Floats]:
        """Return 0 and the points turned into margin."""
        base, phi = self.global_.contributions(features)
        names = segment_names(segments)
        for name, method in self.own_.items():
            rows = names == name
            if rows.any():
                phi[rows] = method.contributions(features.loc[rows])[1]
        return base, phi

    def describe(self) -> SegmentWeightsDetails:
        """Return the global weights and those of the segments, the largest first."""
        common = self.global_.describe()
        segments = [
            SegmentShare(
                segment=name,
                accounts=each.accounts,
                leaving_accounts=each.leaving_accounts,
                own_share=each.own_share,
                weights=self.own_.get(name, self.global_).describe().weights,
                pooled=each.why_pooled,
            )
            for name, each in self.departures_.by_segment.items()
        ]
        pull = self.departures_.pull_leavers
        return SegmentWeightsDetails(
            weights=common.weights,
            columns=common.columns,
            is_declared=common.is_declared,
            pull_leavers=pull if np.isfinite(pull) else None,
            segments=tuple(sorted(segments, key=lambda each: (-each.accounts, each.segment))),
        )
