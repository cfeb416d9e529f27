"""Groups of accounts that behave alike, each with its own rate, and whether the groups would be
found again.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.vq import ClusterError, kmeans2

from features.definition import Signal
from features.errors import ContractError
from models.declared import CLUSTERS
from models.methods.base import Floats, logit
from models.methods.logistic import Transform, fit_transform

BEHAVIOUR = ("usage", "engagement", "adoption", "support")
"""Dimensions grouped by, and in them the signals with an opinion: hundreds of counts per kind of
event, which have none, would drown the rest.
"""
PRIOR_ROWS = 50.0
"""A cluster's rate is pulled towards the overall one as if by this many rows of it."""
REFITS = 5
STARTS, ROUNDS = 3, 40
CENTRE_ROWS = 5000
"""Centres are sought among about this many rows, evenly picked; more move them by less than another
start does.
"""


@dataclass(frozen=True)
class ClustersDetails:
    """Rows and rate of the event of each cluster."""

    rows: tuple[int, ...]
    rates: tuple[float, ...]
    stability: float | None = None
    """Adjusted Rand index on resampled accounts; None where nobody asked."""


class Clusters:
    """K-means on standardised signals of behaviour; an account gets the shrunken rate of its
    cluster.
    """

    name = "clusters"

    def __init__(self, count: int = CLUSTERS) -> None:
        self.count = count
        self.columns_: list[int] = []
        self.transform_: Transform
        self.centres_: Floats
        self.rates_: Floats
        self.sizes_: NDArray[np.intp]

    def fit(
        self,
        features: pd.DataFrame,
        labels: NDArray[np.int8],
        signals: tuple[Signal, ...],
        *,
        seed: int = 0,
        weights: Floats | None = None,
    ) -> Self:
        """Find clusters without looking at labels, then count each one's rate."""
        self.columns_ = [
            n
            for n, signal in enumerate(signals)
            if signal.dimension in BEHAVIOUR and signal.worse is not None
        ]
        if not self.columns_:
            raise ContractError(
                f"no signal of {', '.join(BEHAVIOUR)} says which direction is worse, so there is no"
                " behaviour to group by."
            )
        if len(features) < 2 * self.count:
            raise ContractError(
                f"{len(features)} rows are too few for {self.count} clusters; set [bench] clusters"
                " lower."
            )
        values = self._values(features)
        self.transform_ = fit_transform(values)
        self.centres_ = _centres(self.transform_.apply(values), self.count, seed)
        group, weight = self.assign(features), np.ones(len(labels)) if weights is None else weights
        rows = np.bincount(group, weights=weight, minlength=self.count)
        events = np.bincount(group, weights=weight * labels, minlength=self.count)
        overall = (weight @ labels + 0.5) / (weight.sum() + 1.0)
        self.rates_ = (events + PRIOR_ROWS * overall) / (rows + PRIOR_ROWS)
        self.sizes_ = np.bincount(group, minlength=self.count).astype(np.intp)
        return self

    def assign(self, features: pd.DataFrame) -> NDArray[np.intp]:
        """Return the number of each row's cluster."""
        return _nearest(self.transform_.apply(self._values(features)), self.centres_)

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return log-odds of the cluster's rate."""
        return logit(self.rates_[self.assign(features)])

    def stability(self, features: pd.DataFrame, accounts: pd.Series, *, seed: int = 0) -> float:
        """Return how alike the groups are when found again on resampled accounts: 1 the same, 0 no
        more than chance.

        Mean adjusted Rand index of the assignments of these rows between this fit and each refit.

        References
        ----------
        [Hubert1985] Comparing partitions, eq. 5; [Hennig2007] for resampling.
        """
        from sklearn.metrics import adjusted_rand_score

        design = self.transform_.apply(self._values(features))
        here = _nearest(design, self.centres_)
        codes, names = pd.factorize(accounts.astype(str), sort=True)
        generator = np.random.default_rng(seed)
        agreements = []
        for number in range(REFITS):
            times = np.bincount(generator.integers(0, len(names), len(names)), minlength=len(names))
            drawn = np.repeat(np.arange(len(codes)), times[codes])
            again = _nearest(design, _centres(design[drawn], self.count, seed + 1 + number))
            agreements.append(float(adjusted_rand_score(here, again)))
        return float(np.mean(agreements))

    def _values(self, features: pd.DataFrame) -> Floats:
        return features.iloc[:, self.columns_].to_numpy(dtype=np.float64)

    def describe(self) -> ClustersDetails:
        """Return size and rate of each cluster."""
        return ClustersDetails(
            tuple(int(size) for size in self.sizes_),
            tuple(round(float(rate), 4) for rate in self.rates_),
        )


def _centres(design: Floats, count: int, seed: int) -> Floats:
    """Centres in the order of their first coordinates, so that equal groups have equal numbers."""
    generator = np.random.default_rng(seed)
    design = design[:: max(1, len(design) // CENTRE_ROWS)]
    # SciPy's, not scikit-learn's: the latter's threads wait by spinning, and take 8 times as long
    # on busy cores.
    try:
        starts = [
            kmeans2(design, count, iter=ROUNDS, minit="++", missing="raise", rng=generator)
            for _ in range(STARTS)
        ]
    except ClusterError as error:
        raise ContractError(
            f"behaviour does not fall into {count} groups: one stays empty. Set [bench] clusters "
            "lower."
        ) from error
    spread = [float(((design - centres[group]) ** 2).sum()) for centres, group in starts]
    centres = starts[int(np.argmin(spread))][0]
    return np.asarray(centres[np.lexsort(centres.T[::-1])], dtype=np.float64)


def _nearest(design: Floats, centres: Floats) -> NDArray[np.intp]:
    """By squared distance; what all centres share of it is left out."""
    distance = (centres**2).sum(axis=1) - 2.0 * design @ centres.T
    return np.asarray(distance.argmin(axis=1), dtype=np.intp)
