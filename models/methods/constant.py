"""Says the same for everybody: the floor every other method has to beat."""

from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal
from models.methods.base import Floats, MethodState, logit


class Constant:
    """The rate of the training rows (one half of a row added to each class, so that it is never 0
    or 1).
    """

    name = "constant"

    def __init__(self) -> None:
        self.rate_ = float("nan")
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
        """Learn the rate; signals are not looked at."""
        weight = np.ones(len(labels)) if weights is None else weights
        self.rate_ = float((weight @ labels + 0.5) / (weight.sum() + 1.0))
        self.signals_ = len(signals)
        return self

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return the log-odds of the rate for each row."""
        return np.full(len(features), float(logit(self.rate_)))

    def contributions(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return the log-odds of the rate, and zeros."""
        return float(logit(self.rate_)), np.zeros((len(features), self.signals_))

    def to_dict(self) -> MethodState:
        """Return rate and number of signals."""
        return {"rate": self.rate_, "signals": self.signals_}

    @classmethod
    def from_dict(cls, state: MethodState) -> Self:
        """Return the method that `to_dict` described."""
        method = cls()
        method.rate_, method.signals_ = float(state["rate"]), int(state["signals"])
        return method
