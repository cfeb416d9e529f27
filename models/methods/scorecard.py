"""A health score from a few signals and no labels: what is published when no model has earned its
place.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal
from features.errors import ContractError
from models.methods.base import Floats, MethodState

NEUTRAL = 50.0
MAX_INDICATORS = 6
MAX_PER_DIMENSION = 2
MAX_KNOTS = 201
MARGIN_PER_POINT = 0.1
"""Log-odds per point of health in `margin`: only the order matters there, a calibrator finds the
scale.
"""

# What a customer manager would ask first, most telling first; matched against driver, column and
# measure.
PREFERENCES = (
    ("days_since",),
    ("change", "trend"),
    ("active_days", "distinct_days"),
    ("overdue", "unpaid", "late_payment"),
    ("survey", "nps", "csat", "pulse", "rating"),
    ("share", "seats", "users"),
)


@dataclass(frozen=True, eq=False)
class Indicator:
    """One part of the scorecard: a signal, its percentiles in the reference portfolio, its
    weight.
    """

    position: int
    column: str
    worse: str
    weight: float
    values: Floats
    shares: Floats
    """Share of the reference portfolio below each value, ties counted half."""

    def score(self, values: Floats) -> Floats:
        """Return 0-100 per row, high is good; null scores a neutral 50."""
        share = np.interp(values, self.values, self.shares)
        good = share if self.worse == "down" else 1.0 - share
        return np.where(np.isnan(values), NEUTRAL, 100.0 * good)


class Scorecard:
    """Mean percentile of up to six indicators against the reference portfolio frozen at `fit`.

    health = 50 + sum of weight * (score - 50): base and points add exactly. Labels are never read.
    """

    name = "scorecard"

    def __init__(self, *, is_event_good: bool = False) -> None:
        self.is_event_good = is_event_good
        self.indicators_: tuple[Indicator, ...] = ()
        self.signals_ = 0

    def fit(
        self,
        features: pd.DataFrame,
        labels: NDArray[np.int8],
        signals: tuple[Signal, ...],
        *,
        seed: int = 0,
        weights: Floats | None = None,
    ) -> Self:
        """Choose indicators by their cards and freeze their percentiles in these rows."""
        chosen = choose_indicators(features, signals)
        if not chosen:
            raise ContractError(
                "no signal says which direction is worse (or all are empty), so a scorecard has"
                ' nothing to count. Give cards worse = "up" or "down".'
            )
        self.indicators_ = tuple(
            freeze_indicator(
                number,
                signals[number],
                1.0 / len(chosen),
                features.iloc[:, number].to_numpy(dtype=np.float64),
            )
            for number in chosen
        )
        self.signals_ = len(signals)
        return self

    def points(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return the base (50) and points per signal, shape (n_rows, n_signals); base + points =
        health.
        """
        points = np.zeros((len(features), self.signals_))
        for part in self.indicators_:
            values = features.iloc[:, part.position].to_numpy(dtype=np.float64)
            points[:, part.position] = part.weight * (part.score(values) - NEUTRAL)
        return NEUTRAL, points

    def counted(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return base and points per signal, which add to the health."""
        return self.points(features)

    def health(self, features: pd.DataFrame) -> Floats:
        """Return 0-100, high is good."""
        base, points = self.points(features)
        return np.asarray(base + points.sum(axis=1), dtype=np.float64)

    def missing(self, features: pd.DataFrame) -> NDArray[np.intp]:
        """Return how many indicators had no value per row, and so counted as neutral."""
        columns = [part.position for part in self.indicators_]
        return np.asarray(features.iloc[:, columns].isna().sum(axis=1), dtype=np.intp)

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return a ranking on the log-odds side: low health is a high margin (reversed for good
        events).
        """
        base, phi = self.contributions(features)
        return np.asarray(base + phi.sum(axis=1), dtype=np.float64)

    def contributions(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return 0 and the points turned into margin."""
        _, points = self.points(features)
        return 0.0, points * (MARGIN_PER_POINT if self.is_event_good else -MARGIN_PER_POINT)

    def to_dict(self) -> MethodState:
        """Return the indicators as lists."""
        parts = [
            {
                "position": part.position,
                "column": part.column,
                "worse": part.worse,
                "weight": part.weight,
                "values": part.values.tolist(),
                "shares": part.shares.tolist(),
            }
            for part in self.indicators_
        ]
        return {"is_event_good": self.is_event_good, "signals": self.signals_, "indicators": parts}

    @classmethod
    def from_dict(cls, state: MethodState) -> Self:
        """Return the method that `to_dict` described."""
        method = cls(is_event_good=bool(state["is_event_good"]))
        method.signals_ = int(state["signals"])
        method.indicators_ = tuple(
            Indicator(
                part["position"],
                part["column"],
                part["worse"],
                part["weight"],
                np.asarray(part["values"], dtype=np.float64),
                np.asarray(part["shares"], dtype=np.float64),
            )
            for part in state["indicators"]
        )
        return method


def choose_indicators(features: pd.DataFrame, signals: tuple[Signal, ...]) -> list[int]:
    """Return positions of at most six signals with an opinion, at most two per dimension, one per
    driver.

    Signals are asked in the order of `PREFERENCES`, the fuller ones first; a signal that never
    varies or is null in more than half of the portfolio says too little.
    """
    values = features.to_numpy(dtype=np.float64)
    filled = 1.0 - np.isnan(values).mean(axis=0)
    varies = np.array(
        [len(np.unique(column[~np.isnan(column)])) > 1 for column in values.T], dtype=bool
    )
    candidates = [
        n for n, signal in enumerate(signals) if signal.worse and varies[n] and filled[n] > 0.5
    ]
    candidates.sort(
        key=lambda n: (_preference(signals[n]), -round(filled[n], 2), signals[n].column)
    )
    chosen: list[int] = []
    for per_preference in (1, MAX_INDICATORS):  # first one of each kind, then whatever follows
        used: dict[int, int] = {}
        for number in candidates:
            rank = _preference(signals[number])
            if used.get(rank, 0) < per_preference and _has_room(number, chosen, signals):
                chosen.append(number)
                used[rank] = used.get(rank, 0) + 1
    return sorted(chosen[:MAX_INDICATORS])


def _has_room(number: int, chosen: list[int], signals: tuple[Signal, ...]) -> bool:
    signal = signals[number]
    same_dimension = sum(signals[other].dimension == signal.dimension for other in chosen)
    same_driver = any(signals[other].driver == signal.driver for other in chosen)
    return number not in chosen and same_dimension < MAX_PER_DIMENSION and not same_driver


def _preference(signal: Signal) -> int:
    text = f"{signal.driver} {signal.column} {signal.definition.get('measure', '')}".lower()
    for rank, words in enumerate(PREFERENCES):
        if any(word in text for word in words):
            return rank
    return len(PREFERENCES)


def freeze_indicator(position: int, signal: Signal, weight: float, values: Floats) -> Indicator:
    """Return the indicator of a signal with the percentiles of these values."""
    known = np.sort(values[~np.isnan(values)])
    unique = np.unique(known)
    if len(unique) > MAX_KNOTS:
        unique = unique[np.unique(np.round(np.linspace(0, len(unique) - 1, MAX_KNOTS)).astype(int))]
    below = np.searchsorted(known, unique, side="left")
    up_to = np.searchsorted(known, unique, side="right")
    shares = (below + up_to) / (2.0 * len(known))
    return Indicator(position, signal.column, str(signal.worse), weight, unique, shares)
