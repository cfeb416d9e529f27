"""Points that people agreed on and a learned model, mixed in log-odds in a declared share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal
from features.errors import ContractError
from models.declared import MODEL_SHARE
from models.methods.actions import Actions
from models.methods.base import Floats, Method, MethodState, logit
from models.methods.contract_calendar import ContractCalendar, fit_members
from models.methods.gradient_boosting import GradientBoosting
from models.methods.logistic import Logistic
from models.methods.penalised import ridge_fit
from models.methods.rules import Rules
from models.methods.scorecard import Scorecard
from models.methods.weighted_average import WeightedAverage

PARTS: dict[str, type[Any]] = {
    each.name: each
    for each in (
        Scorecard,
        Rules,
        Actions,
        WeightedAverage,
        Logistic,
        GradientBoosting,
        ContractCalendar,
    )
}


@dataclass(frozen=True)
class HybridDetails:
    """Share of the model (0-1), and the names of what is mixed."""

    model_share: float
    points: str
    model: tuple[str, ...]


class DeclaredPoints:
    """Points of a counted method as log-odds: an affine map of its margin, the sigmoid of the
    training rows, so that each signal's contributions still add to the margin exactly.

    As a member of a blend it reads the rows whole, whatever the others are fitted beside.
    """

    name = "declared_points"

    def __init__(self, points: Method | None = None) -> None:
        self.points = points if points is not None else Scorecard()
        self.slope_, self.intercept_ = 1.0, 0.0

    def fit(
        self,
        features: pd.DataFrame,
        labels: NDArray[np.int8],
        signals: tuple[Signal, ...],
        *,
        seed: int = 0,
        weights: Floats | None = None,
    ) -> Self:
        """Fit the counted method, and the sigmoid of its margins."""
        self.points.fit(features, labels, signals, seed=seed, weights=weights)
        self.slope_, self.intercept_ = _sigmoid(self.points.margin(features), labels)
        return self

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return log-odds."""
        return np.asarray(self.slope_ * self.points.margin(features) + self.intercept_)

    def contributions(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return base and contributions in log-odds."""
        base, phi = self.points.contributions(features)
        return float(self.slope_ * base + self.intercept_), self.slope_ * phi

    def describe(self) -> Any:
        """Return what the counted method says of itself."""
        points: Any = self.points
        return points.describe()

    def to_dict(self) -> MethodState:
        """Return the counted method and the sigmoid."""
        return {"points": _state(self.points), "slope": self.slope_, "intercept": self.intercept_}

    @classmethod
    def from_dict(cls, state: MethodState) -> Self:
        """Return the method that `to_dict` described."""
        method = cls(_method(state["points"]))
        method.slope_, method.intercept_ = float(state["slope"]), float(state["intercept"])
        return method


class Hybrid:
    """margin = (1 - share) * log-odds of the points + share * log-odds of the model."""

    name = "hybrid"

    def __init__(
        self,
        points: Method | None = None,
        model: Sequence[tuple[Method, float]] | None = None,
        *,
        share: float = MODEL_SHARE,
    ) -> None:
        if not 0.0 <= share <= 1.0:
            raise ContractError(f"the model's share must be between 0 and 1, not {share:g}.")
        self.points = DeclaredPoints(points)
        self.model = tuple(model) if model is not None else ((Logistic(), 1.0),)
        self.share = share

    def fit(
        self,
        features: pd.DataFrame,
        labels: NDArray[np.int8],
        signals: tuple[Signal, ...],
        *,
        seed: int = 0,
        weights: Floats | None = None,
    ) -> Self:
        """Fit both sides on the same rows; age weights go to trees only, as in training."""
        self.points.fit(features, labels, signals, seed=seed)
        members = [method for method, _ in self.model]
        fit_members(members, features, labels, signals, seed=seed, weights=weights)
        return self

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return the mixed log-odds."""
        learned = sum(weight * method.margin(features) for method, weight in self.model)
        points = self.points.margin(features)
        return np.asarray((1.0 - self.share) * points + self.share * learned, dtype=np.float64)

    def contributions(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return the mixed base and the mixed contributions of both sides."""
        base, phi = self.points.contributions(features)
        rest = 1.0 - self.share
        base, phi = rest * base, rest * phi
        for method, weight in self.model:
            part_base, part = method.contributions(features)
            base, phi = base + self.share * weight * part_base, phi + self.share * weight * part
        return float(base), phi

    def describe(self) -> HybridDetails:
        """Return the declared mix."""
        return HybridDetails(
            self.share, self.points.points.name, tuple(m.name for m, _ in self.model)
        )

    def to_dict(self) -> MethodState:
        """Return both sides and the share."""
        return {
            "points": self.points.to_dict(),
            "model": [[_state(method), weight] for method, weight in self.model],
            "share": self.share,
        }

    @classmethod
    def from_dict(cls, state: MethodState) -> Self:
        """Return the method that `to_dict` described."""
        model = [(_method(each), float(weight)) for each, weight in state["model"]]
        method = cls(None, model, share=float(state["share"]))
        method.points = DeclaredPoints.from_dict(state["points"])
        return method


def _state(method: Method) -> MethodState:
    return {"name": method.name, "state": method.to_dict()}


def _method(entry: MethodState) -> Method:
    method: Method = PARTS[entry["name"]].from_dict(entry["state"])
    return method


def _sigmoid(points: Floats, labels: NDArray[np.int8]) -> tuple[float, float]:
    """Slope (never below 0) and intercept that turn points into log-odds."""
    target, weight = labels.astype(np.float64), np.full(len(labels), 1.0 / len(labels))
    rate = float(logit((target.sum() + 0.5) / (len(target) + 1.0)))
    intercept, slopes = ridge_fit(points[:, None], target, weight, 1e-4, np.array([0.0, rate]))
    return (float(slopes[0]), intercept) if slopes[0] > 0 else (0.0, rate)
