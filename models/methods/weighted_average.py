"""A weighted average of indicators on one 0-100 scale: by hand, by past outcomes, or in named
parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal
from features.errors import ContractError
from models.declared import ScorePart, weights_problem
from models.methods.actions import require_signals
from models.methods.base import Floats, MethodState
from models.methods.scorecard import (
    MARGIN_PER_POINT,
    NEUTRAL,
    Indicator,
    choose_indicators,
    freeze_indicator,
)

MAX_FITTED = 10
"""Indicators that weights are fitted for: a table people can read."""
MIN_FILLED = 0.5


@dataclass(frozen=True)
class WeightsDetails:
    """Weight and columns of each part of the score, and whether people declared them."""

    weights: Mapping[str, float]
    columns: Mapping[str, tuple[str, ...]]
    is_declared: bool


class WeightedAverage:
    """Weighted mean of parts, each the mean of its indicators' percentiles in the training rows
    (high is good).

    A part without any value in a row is left out there and the other weights are scaled to 100
    again; a row with no value at all scores 50. Base 50 and points per signal add to the score
    exactly. Percentiles are frozen at `fit`, so days, dollars and shares meet on one scale that
    later rows cannot move. Without parts, `fit` takes the indicators whose percentiles correlate
    best with the outcome and weights them by that correlation.
    """

    name = "weighted_average"

    def __init__(self, parts: Sequence[ScorePart] = (), *, is_event_good: bool = False) -> None:
        wrong = weights_problem({part.name: part.weight for part in parts}) if parts else None
        if wrong:
            raise ContractError(wrong)
        self.parts = tuple(parts)
        self.is_event_good = is_event_good
        self.parts_: tuple[ScorePart, ...] = ()
        self.indicators_: dict[str, Indicator] = {}
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
        """Freeze percentiles in these rows; labels are read only where weights are to be fitted."""
        self.signals_ = len(signals)
        self.parts_ = self.parts or fitted_parts(
            features, labels, signals, is_event_good=self.is_event_good
        )
        columns = [column for part in self.parts_ for column in part.columns]
        require_signals(columns, [signal.column for signal in signals], "weights")
        self.indicators_ = {column: _frozen(features, signals, column) for column in columns}
        return self

    def part_scores(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return 0-100 per row and part, high is good; null where none of the part's indicators has
        a value.
        """
        return pd.DataFrame(
            {part.name: _row_mean(self._scores(part, features)) for part in self.parts_},
            index=features.index,
        )

    def row_weights(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the weights that count per row and part: 0 where the part is missing, else scaled
        to sum to 100.
        """
        declared = np.array([part.weight for part in self.parts_], dtype=np.float64)
        present = np.column_stack(
            [~np.isnan(self._scores(part, features)).all(axis=1) for part in self.parts_]
        )
        counted = present * declared
        total = counted.sum(axis=1, keepdims=True)
        scaled = np.divide(100.0 * counted, total, out=np.zeros_like(counted), where=total > 0)
        return pd.DataFrame(
            scaled, index=features.index, columns=[part.name for part in self.parts_]
        )

    def points(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return the base (50) and points per signal, shape (n_rows, n_signals); together they are
        the score.
        """
        weights = self.row_weights(features).to_numpy()
        points = np.zeros((len(features), self.signals_))
        for number, part in enumerate(self.parts_):
            scores = self._scores(part, features)
            known = ~np.isnan(scores)
            each = weights[:, number] / 100.0 / np.maximum(known.sum(axis=1), 1)
            for place, column in enumerate(part.columns):
                gap = np.where(known[:, place], scores[:, place] - NEUTRAL, 0.0)
                points[:, self.indicators_[column].position] += each * gap
        return NEUTRAL, points

    def counted(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return base and points per signal, which add to the score."""
        return self.points(features)

    def score(self, features: pd.DataFrame) -> Floats:
        """Return 0-100 per row, high is good."""
        base, points = self.points(features)
        return np.asarray(base + points.sum(axis=1), dtype=np.float64)

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return a ranking on the log-odds side: a low score is a high margin (reversed for good
        events).
        """
        _, phi = self.contributions(features)
        return np.asarray(phi.sum(axis=1), dtype=np.float64)

    def contributions(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return 0 and the points turned into margin."""
        _, points = self.points(features)
        return 0.0, points * (MARGIN_PER_POINT if self.is_event_good else -MARGIN_PER_POINT)

    def part_margins(self, features: pd.DataFrame) -> Floats:
        """Return what each part would add to the margin at a weight of 100, shape (n_rows,
        n_parts); 0 where it is missing.
        """
        gap = self.part_scores(features).to_numpy() - NEUTRAL
        return np.where(
            np.isnan(gap),
            0.0,
            gap * (MARGIN_PER_POINT if self.is_event_good else -MARGIN_PER_POINT),
        )

    def reweighted(self, weights: Floats) -> Self:
        """Return this method with other weights of its parts, in their order; the percentiles
        stay.
        """
        state = self.to_dict()
        state["parts"] = [
            {**part, "weight": float(weight)}
            for part, weight in zip(state["parts"], weights, strict=True)
        ]
        return type(self).from_dict(state)

    def _scores(self, part: ScorePart, features: pd.DataFrame) -> Floats:
        """0-100 per indicator of a part, null where it has no value."""
        columns = []
        for column in part.columns:
            indicator = self.indicators_[column]
            values = features.iloc[:, indicator.position].to_numpy(dtype=np.float64)
            columns.append(np.where(np.isnan(values), np.nan, indicator.score(values)))
        return np.column_stack(columns)

    def describe(self) -> WeightsDetails:
        """Return the weights that count."""
        return WeightsDetails(
            {part.name: round(part.weight, 2) for part in self.parts_},
            {part.name: part.columns for part in self.parts_},
            bool(self.parts),
        )

    def to_dict(self) -> MethodState:
        """Return parts and frozen percentiles as lists."""
        frozen = {
            column: {
                "position": each.position,
                "worse": each.worse,
                "values": each.values.tolist(),
                "shares": each.shares.tolist(),
            }
            for column, each in self.indicators_.items()
        }
        return {
            "declared": [asdict(part) for part in self.parts],
            "parts": [asdict(part) for part in self.parts_],
            "indicators": frozen,
            "signals": self.signals_,
            "is_event_good": self.is_event_good,
        }

    @classmethod
    def from_dict(cls, state: MethodState) -> Self:
        """Return the method that `to_dict` described."""
        method = cls(_read(state["declared"]), is_event_good=bool(state["is_event_good"]))
        method.parts_ = _read(state["parts"])
        method.signals_ = int(state["signals"])
        method.indicators_ = {
            column: Indicator(
                each["position"],
                column,
                each["worse"],
                1.0,
                np.asarray(each["values"], dtype=np.float64),
                np.asarray(each["shares"], dtype=np.float64),
            )
            for column, each in state["indicators"].items()
        }
        return method


def _read(parts: list[dict[str, Any]]) -> tuple[ScorePart, ...]:
    return tuple(
        ScorePart(each["name"], float(each["weight"]), tuple(each["columns"])) for each in parts
    )


def _frozen(features: pd.DataFrame, signals: tuple[Signal, ...], column: str) -> Indicator:
    position = next(n for n, signal in enumerate(signals) if signal.column == column)
    if signals[position].worse is None:
        raise ContractError(
            f"the signal {column!r} has no direction that is worse, so it cannot count towards an"
            " average. Choose one whose card says worse up or down."
        )
    values = features.iloc[:, position].to_numpy(dtype=np.float64)
    if np.isnan(values).all():
        raise ContractError(
            f"the signal {column!r} is null in every training row; take it out of the weights."
        )
    return freeze_indicator(position, signals[position], 1.0, values)


def _row_mean(scores: Floats) -> Floats:
    known = ~np.isnan(scores)
    count = known.sum(axis=1)
    total = np.where(known, scores, 0.0).sum(axis=1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan), dtype=np.float64)


def fitted_parts(
    features: pd.DataFrame,
    labels: NDArray[np.int8],
    signals: tuple[Signal, ...],
    *,
    is_event_good: bool = False,
) -> tuple[ScorePart, ...]:
    """Return the indicators that went with the outcome in these rows, weighted by their
    correlation, sum 100.

    One signal per driver, at most ten; a correlation against the card's direction counts as none.
    """
    left = labels.astype(np.float64) * (-1.0 if is_event_good else 1.0)
    best: dict[str, tuple[float, str]] = {}
    for number, signal in enumerate(signals):
        values = features.iloc[:, number].to_numpy(dtype=np.float64)
        if (
            signal.worse is None
            or np.isnan(values).mean() > MIN_FILLED
            or np.nanmin(values) == np.nanmax(values)
        ):
            continue
        risk = NEUTRAL - freeze_indicator(number, signal, 1.0, values).score(values)
        link = float(np.corrcoef(risk, left)[0, 1]) if left.std() > 0 and risk.std() > 0 else 0.0
        if link > best.get(signal.driver, (0.0, ""))[0]:
            best[signal.driver] = (link, signal.column)
    chosen = sorted(best.values(), reverse=True)[:MAX_FITTED]
    if not chosen:
        raise ContractError(
            "no signal with a direction went with the outcome in training, so no weights can be"
            " fitted. Declare [bench.weights]."
        )
    total = sum(link for link, _ in chosen)
    return tuple(ScorePart(column, 100.0 * link / total, (column,)) for link, column in chosen)


FOUR = (
    ("adoption", ("milestones_met_share", "milestones_reached")),
    (
        "usage rate",
        ("seats_used_share", "active_days_28d", "active_days_91d", "events_28d", "events_91d"),
    ),
    ("NPS", ("nps_182d",)),
    ("pulse", ("pulse", "pulse_mean_364d")),
)
"""Product set-up, product usage rate, net promoter score, account manager's pulse: four that most
firms have.
"""


def four_indicators(features: pd.DataFrame, signals: tuple[Signal, ...]) -> tuple[ScorePart, ...]:
    """Return four equal parts that need neither a model nor history; absent ones are replaced by
    other indicators.
    """
    usable = _by_plain_name([s for n, s in enumerate(signals) if features.iloc[:, n].nunique() > 1])
    parts = [
        (name, usable[option])
        for name, options in FOUR
        for option in [o for o in options if o in usable][:1]
    ]
    taken = {column for _, column in parts}
    spare = [
        signals[n].column
        for n in choose_indicators(features, signals)
        if signals[n].column not in taken
    ]
    parts += [(column, column) for column in spare[: len(FOUR) - len(parts)]]
    if not parts:
        raise ContractError(
            "no signal says which direction is worse, so a scorecard has nothing to count."
        )
    return tuple(ScorePart(name, 100.0 / len(parts), (column,)) for name, column in parts)


def _by_plain_name(signals: Sequence[Signal]) -> dict[str, str]:
    """Signals with a direction by their name without the source's (`purchases__events_28d`); the
    first of each name.
    """
    columns: dict[str, str] = {}
    for signal in signals:
        if signal.worse is not None:
            columns.setdefault(signal.column.rpartition("__")[2], signal.column)
    return columns


FREQUENCY, BREADTH, DEPTH = (
    ("active_days_28d", "sessions_28d", "active_days_91d"),
    ("active_users_28d", "seats_used_share", "active_users_91d"),
    ("kinds_used_28d", "kinds_used_91d", "events_28d"),
)


def frequency_breadth_depth(
    signals: tuple[Signal, ...], declared: dict[str, tuple[str, ...]] | None = None
) -> tuple[ScorePart, ...]:
    """Return three parts: how often, by how many, how much of the product; an absent one leaves its
    weight to the others.
    """
    known = _by_plain_name(signals)
    wished = {"frequency": FREQUENCY, "breadth": BREADTH, "depth": DEPTH}
    proposed = {
        name: tuple(known[c] for c in columns if c in known)[:2] for name, columns in wished.items()
    }
    parts = {name: columns for name, columns in (declared or proposed).items() if columns}
    if not parts:
        raise ContractError(
            "no signal of frequency, breadth or depth of use is built; declare them in [bench]."
        )
    return tuple(ScorePart(name, 100.0 / len(parts), columns) for name, columns in parts.items())
