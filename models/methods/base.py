"""The one interface of all methods, and small mathematics they share."""

from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal

Floats = NDArray[np.float64]
MethodState = dict[str, Any]
"""A fitted method as plain values, for JSON: each method knows its own keys."""


@runtime_checkable
class Method(Protocol):
    """Something that ranks accounts and can say how: log-odds that are a sum over signals.

    For every frame `phi_0 + contributions.sum(axis=1)` equals `margin` to 1e-9. `to_dict` holds
    plain values only (JSON, and LightGBM's own text under `boosters`); `from_dict` gives an equal
    method.
    """

    name: str

    def fit(
        self,
        features: pd.DataFrame,
        labels: NDArray[np.int8],
        signals: tuple[Signal, ...],
        *,
        seed: int = 0,
        weights: Floats | None = None,
    ) -> Self:
        """Learn from rows sorted by key; `weights` of shape (n_rows,) count rows more or less."""
        ...

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return log-odds of the event, array of shape (n_rows,)."""
        ...

    def contributions(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return the base `phi_0` and an array of shape (n_rows, n_signals)."""
        ...

    def to_dict(self) -> MethodState:
        """Return the fitted state as plain values."""
        ...

    @classmethod
    def from_dict(cls, state: MethodState) -> Self:
        """Return the method that `to_dict` described."""
        ...


def sigmoid(margin: Floats) -> Floats:
    """Return probabilities of log-odds, without overflow at either end."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * margin)), dtype=np.float64)


def logit(probability: Floats | float) -> Floats:
    """Return log-odds of probabilities strictly between 0 and 1 (others are clipped to 1e-12 from
    the ends).
    """
    clipped = np.clip(np.asarray(probability, dtype=np.float64), 1e-12, 1.0 - 1e-12)
    return np.asarray(np.log(clipped) - np.log1p(-clipped), dtype=np.float64)


def softplus(margin: Floats) -> Floats:
    """Return log(1 + exp(margin)) without overflow."""
    return np.asarray(np.logaddexp(0.0, margin), dtype=np.float64)


def mean_log_loss(margin: Floats, labels: NDArray[Any], weights: Floats | None = None) -> float:
    """Return the weighted mean of log(1 + exp(z)) - y z, the log loss of log-odds z."""
    return float(np.average(softplus(margin) - labels * margin, weights=weights))
