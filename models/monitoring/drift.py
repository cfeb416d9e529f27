"""Which signals moved since training, and what that does to the score.

Bins are frozen at training, with the share of rows in each and the points that its accounts have on
average. Two figures follow, and neither is a test: with enough accounts every test finds something.

    index    population stability index between then and now: how far the values moved
    points   the change of the mean score that follows if the points of each bin stay what they are

A signal that moved far and moves no score is left alone; one that moved little may matter more.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from features.definition import Signal
from models.methods.base import Floats
from models.shift import FEWEST_COMPARED, bin_counts, bin_edges, bin_of, index_of_counts

LARGE_INDEX = 0.25
"""By custom a major shift of values."""
LARGE_POINTS = 1.0
"""Points of the mean score from which a drift matters to readers."""
MOVED, QUIET, STEADY = "moves scores", "moves no score", "steady"
FROZEN = ("signal", "edges", "counts", "points")
DRIFT = ("signal", "source", "nature", "index", "points", "verdict")


def freeze(features: pd.DataFrame, points: Floats) -> pd.DataFrame:
    """Bins of every signal on training rows.

    Parameters
    ----------
    features
        Training rows, one column per signal.
    points
        Points of the same rows, shape (n_rows, n_signals).

    Returns
    -------
    DataFrame
        signal; edges (inner edges of its bins); counts (rows of each bin, the empty ones last);
        points (mean points of each bin, 0 where no row is).
    """
    rows = []
    for place, column in enumerate(features.columns):
        values = features[column].to_numpy(dtype=np.float64)
        edges = bin_edges(values)
        counts = bin_counts(values, edges)
        sums = np.bincount(bin_of(values, edges), points[:, place], minlength=len(counts))
        means = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
        rows.append((column, edges, counts, means))
    return pd.DataFrame(rows, columns=list(FROZEN))


def drift(frozen: pd.DataFrame, now: pd.DataFrame, signals: Sequence[Signal]) -> pd.DataFrame:
    """How far each signal moved since training and how many points of the mean score that is, the
    largest effect first; no rows with under 50 accounts.

    Returns
    -------
    DataFrame
        signal, source, nature; index; points (negative: the mean score falls); verdict: `moves
        scores` (a point or more), `moves no score` (values moved far, scores did not), `steady`.
    """
    if len(now) < FEWEST_COMPARED:
        return pd.DataFrame(columns=list(DRIFT))
    cards = {signal.column: signal for signal in signals}
    rows = [
        (row["signal"], card.source, card.nature, *_moved(row, now[row["signal"]]))
        for row in frozen.to_dict("records")
        if (card := cards.get(row["signal"])) is not None and row["signal"] in now
    ]
    table = pd.DataFrame(rows, columns=list(DRIFT))
    order = table["points"].abs().rename("size")
    return (
        table.assign(size=order)
        .sort_values(["size", "index", "signal"], ascending=[False, False, True])
        .drop(columns="size")
        .reset_index(drop=True)
    )


def source_drift(moved: pd.DataFrame) -> pd.DataFrame:
    """The effects of `drift` by source, the largest first.

    Returns
    -------
    DataFrame
        source; points; signal (the one that did most); verdict.
    """
    rows = []
    for source, mine in moved.groupby("source", sort=True):
        points = float(mine["points"].sum())
        is_moved = abs(points) >= LARGE_POINTS
        rows.append((source, points, mine["signal"].iloc[0], MOVED if is_moved else STEADY))
    table = pd.DataFrame(rows, columns=["source", "points", "signal", "verdict"])
    return table.reindex(table["points"].abs().sort_values(ascending=False).index).reset_index(
        drop=True
    )


def _moved(frozen: Mapping[Any, Any], values: "pd.Series[Any]") -> tuple[float, float, str]:
    """Index, points and verdict of one signal."""
    edges, before, points = (
        np.asarray(frozen[name], dtype=np.float64) for name in ("edges", "counts", "points")
    )
    now = bin_counts(values.to_numpy(dtype=np.float64), edges)
    index, _ = index_of_counts(np.array([before, now]))
    effect = float(((now / now.sum() - before / before.sum()) * points).sum())
    if abs(effect) >= LARGE_POINTS:
        return index, effect, MOVED
    return index, effect, QUIET if index > LARGE_INDEX else STEADY
