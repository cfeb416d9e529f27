"""How long ago was the last one: the strongest single question in most businesses, and hard to
beat.
"""

from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal
from features.errors import ContractError
from models.methods.base import Floats, MethodState, mean_log_loss
from models.methods.logistic import Logistic


def recency_signals(signals: tuple[Signal, ...]) -> list[int]:
    """Return positions of signals that count days since something last happened."""
    return [
        n
        for n, signal in enumerate(signals)
        if signal.unit == "days" and _is_days_since(signal.definition)
    ]


def _is_days_since(definition: object) -> bool:
    if isinstance(definition, dict):
        return any(_is_days_since(value) for value in definition.values())
    if isinstance(definition, list | tuple):
        return any(_is_days_since(value) for value in definition)
    return definition == "days_since"


class Recency:
    """Logistic regression on the one recency signal that fits the training rows best."""

    name = "recency"

    def __init__(self) -> None:
        self.column_ = -1
        self.signals_ = 0
        # A hair of shrinkage: one signal needs none, and where it separates the classes the
        # slope still ends somewhere.
        self.logistic_ = Logistic(1e-4)

    def fit(
        self,
        features: pd.DataFrame,
        labels: NDArray[np.int8],
        signals: tuple[Signal, ...],
        *,
        seed: int = 0,
        weights: Floats | None = None,
    ) -> Self:
        """Choose the signal on these rows and learn its two numbers (three with a missing flag)."""
        candidates = self._candidates(signals)
        best = float("inf")
        for number in candidates:
            part = features.iloc[:, [number]]
            fitted = Logistic(1e-4).fit(part, labels, (signals[number],), weights=weights)
            loss = mean_log_loss(fitted.margin(part), labels, weights)
            if loss < best - 1e-12:
                best, self.column_, self.logistic_ = loss, number, fitted
        self.signals_ = len(signals)
        return self

    def _candidates(self, signals: tuple[Signal, ...]) -> list[int]:
        candidates = recency_signals(signals)
        if not candidates:
            raise ContractError(
                "no signal counts days since something happened; the recency baseline needs one."
            )
        return candidates

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return the log-odds the one signal gives."""
        return self.logistic_.margin(features.iloc[:, [self.column_]])

    def contributions(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return the intercept, and zeros but for the one signal."""
        base, phi = self.logistic_.contributions(features.iloc[:, [self.column_]])
        every = np.zeros((len(features), self.signals_))
        every[:, self.column_] = phi[:, 0]
        return base, every

    def to_dict(self) -> MethodState:
        """Return the chosen column and its regression."""
        return {
            "column": self.column_,
            "signals": self.signals_,
            "logistic": self.logistic_.to_dict(),
        }

    @classmethod
    def from_dict(cls, state: MethodState) -> Self:
        """Return the method that `to_dict` described."""
        method = cls()
        method.column_, method.signals_ = int(state["column"]), int(state["signals"])
        method.logistic_ = Logistic.from_dict(state["logistic"])
        return method
