"""Random forest and neural network of scikit-learn: measured beside the others, never published.

They rank accounts and cannot say why in parts that add, so they have no contributions.
"""

import warnings
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal
from models.methods.base import Floats, logit
from models.methods.logistic import Transform, fit_transform

EDGE = 1e-3
"""Probabilities of a forest reach 0 and 1; log-odds stop at 1 in 1,000."""
HIDDEN_UNITS = 32
SHRINKAGE = 3.0


class RandomForest:
    """Two hundred trees on medians for nulls and missing flags, leaves of at least ten rows."""

    name = "random_forest"

    def __init__(self, *, trees: int = 200, threads: int = 2) -> None:
        self.trees = trees
        self.threads = threads
        self.transform_: Transform
        self.forest_: Any = None

    def fit(
        self,
        features: pd.DataFrame,
        labels: NDArray[np.int8],
        signals: tuple[Signal, ...],
        *,
        seed: int = 0,
        weights: Floats | None = None,
    ) -> Self:
        """Learn from rows sorted by key."""
        from sklearn.ensemble import RandomForestClassifier

        values = features.to_numpy(dtype=np.float64)
        self.transform_ = fit_transform(values)
        self.forest_ = RandomForestClassifier(
            self.trees,
            min_samples_leaf=10,
            max_features="sqrt",
            n_jobs=self.threads,
            random_state=seed,
        )
        self.forest_.fit(self.transform_.apply(values), labels, sample_weight=weights)
        return self

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return log-odds of the mean of the trees' rates."""
        return _margin(self.forest_, self.transform_, features)


class NeuralNetwork:
    """One hidden layer of 32 units, strongly shrunken, a fixed number of passes.

    Scikit-learn's early stopping would hold out rows at random, which mixes dates of one account;
    so it is off.
    """

    name = "neural_network"

    def __init__(self, *, passes: int = 25) -> None:
        self.passes = passes
        self.transform_: Transform
        self.network_: Any = None

    def fit(
        self,
        features: pd.DataFrame,
        labels: NDArray[np.int8],
        signals: tuple[Signal, ...],
        *,
        seed: int = 0,
        weights: Floats | None = None,
    ) -> Self:
        """Learn from rows sorted by key."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        values = features.to_numpy(dtype=np.float64)
        self.transform_ = fit_transform(values)
        self.network_ = MLPClassifier(
            (HIDDEN_UNITS,), alpha=SHRINKAGE, max_iter=self.passes, random_state=seed
        )
        with warnings.catch_warnings():
            # The number of passes is a choice made here, not a failure to converge.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.network_.fit(self.transform_.apply(values), labels, sample_weight=weights)
        return self

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return log-odds of the network's output."""
        return _margin(self.network_, self.transform_, features)


def _margin(fitted: Any, transform: Transform, features: pd.DataFrame) -> Floats:
    probability = fitted.predict_proba(transform.apply(features.to_numpy(dtype=np.float64)))[:, 1]
    return logit(np.clip(probability, EDGE, 1.0 - EDGE))
