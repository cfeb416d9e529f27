"""Measures that move together, so that one trouble is not told twice: found once at training,
frozen with the model.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from features.definition import Signal
from models.health.scale import Floats

TWINS_FROM = 0.9
"""Mean absolute rank correlation over their common windows from which two measures are one reason.
"""
LEAST_SHARED = 0.5
"""Share of the rows where either signal has a value in which both must have one."""
CORRELATED_ROWS = 20_000
"""Rows over which signals are correlated; more move a correlation by less than matters."""
# Machines differ in the last bits of a sum; a correlation must not fall on either side of the
# threshold by them.
_DIGITS = 6

Twins = Mapping[str, Mapping[str, str]]
"""Dimension -> driver -> the driver under whose name both are shown."""


def find_twins(
    features: pd.DataFrame, signals: Sequence[Signal], threshold: float = TWINS_FROM
) -> dict[str, dict[str, str]]:
    """Drivers of one dimension that say the same, by Spearman's rank correlation of their signals.

    Two drivers are compared window by window (those without a window with each other); what counts
    is the mean of the absolute correlations. Groups are complete: every two of a group reach the
    threshold, so no chain joins measures that have nothing in common. A group goes by the name of
    its first driver, in the order of the signals. Values missing for either are left out, with
    ranks as among all rows that have one.

    Parameters
    ----------
    features
        Training rows, a column per signal; of more than 20,000 every n-th is read.

    Returns
    -------
    dict
        Dimension -> driver -> name it is shown under; only drivers that change their name are
        listed.
    """
    rows = features.iloc[:: max(1, -(-len(features) // CORRELATED_ROWS))]
    twins: dict[str, dict[str, str]] = {}
    for dimension in dict.fromkeys(signal.dimension for signal in signals):
        shown_under = _twins_of(
            [signal for signal in signals if signal.dimension == dimension], rows, threshold
        )
        if shown_under:
            twins[dimension] = shown_under
    return twins


def _twins_of(signals: list[Signal], rows: pd.DataFrame, threshold: float) -> dict[str, str]:
    drivers = list(dict.fromkeys(signal.driver for signal in signals))
    if len(drivers) < 2 or len(rows) < 2:
        return {}
    alike = _between_drivers(
        signals, drivers, _rank_correlations(rows[[s.column for s in signals]].to_numpy(np.float64))
    )
    distance = np.round(1.0 - alike, _DIGITS)
    np.fill_diagonal(distance, 0.0)
    group = fcluster(
        linkage(squareform(distance), "complete"), round(1.0 - threshold, _DIGITS), "distance"
    )
    first: dict[int, str] = {}
    shown = {
        driver: first.setdefault(int(g), driver) for driver, g in zip(drivers, group, strict=True)
    }
    return {driver: name for driver, name in shown.items() if name != driver}


def _between_drivers(signals: list[Signal], drivers: list[str], correlations: Floats) -> Floats:
    """Mean absolute correlation of each two drivers over the windows both have; 0 where they share
    none.
    """
    places: dict[str, dict[int | None, list[int]]] = {driver: {} for driver in drivers}
    for place, signal in enumerate(signals):
        places[signal.driver].setdefault(signal.window_days, []).append(place)
    alike = np.zeros((len(drivers), len(drivers)))
    for i, one in enumerate(drivers):
        for j, other in enumerate(drivers[:i]):
            # An unnamed window is compared only with another unnamed one: "ever" is not "the last
            # 28 days".
            pairs = [
                correlations[a, b]
                for window, first in places[one].items()
                for a in first
                for b in places[other].get(window, [])
            ]
            alike[i, j] = alike[j, i] = float(np.mean(pairs)) if pairs else 0.0
    return alike


def _rank_correlations(values: Floats) -> Floats:
    """Absolute Spearman correlation of all pairs of columns, over the rows that have both
    values.
    """
    known = ~np.isnan(values)
    ranked = pd.DataFrame(values).rank()
    # Centred first: differences of large sums would lose the digits that the threshold needs.
    ranks = (ranked - ranked.mean()).fillna(0.0).to_numpy()
    mask = known.astype(np.float64)
    both = mask.T @ mask
    either = mask.sum(axis=0)[:, None] + mask.sum(axis=0)[None, :] - both
    with np.errstate(divide="ignore", invalid="ignore"):
        sums, squares = ranks.T @ mask, (ranks**2).T @ mask
        covariance = ranks.T @ ranks - sums * sums.T / both
        spread = squares - sums**2 / both
        correlation = np.abs(covariance / np.sqrt(spread * spread.T))
        usable = (both >= LEAST_SHARED * either) & (both > 2)
    # Rounding can lift a perfect correlation above 1; constant columns have none.
    return np.where(usable & np.isfinite(correlation), np.minimum(correlation, 1.0), 0.0)
