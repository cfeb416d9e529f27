"""Which signals lose their link to what is predicted: activity that once told who stays and no longer does."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from features.definition import Signal
from models.dataset import TrainingSet

# Fewer accounts with the event than this tell no link.
FEWEST_EVENTS = 10
_Z = 1.96

class Link(NamedTuple):
    """How one signal told the event in one stretch of dates."""

    rows: int
    events: int
    auc: float
    low: float
    high: float


COLUMNS = ("signal", "dimension", "period_start", "period_end", "rows", "events", "auc", "auc_low", "auc_high", "state")


def signal_links(training: TrainingSet, signals: tuple[Signal, ...]) -> pd.DataFrame:
    """AUC of every signal in the earlier and the later half of the dates, and whether its link was lost.

    [Hanley1982] J. Hanley, B. McNeil: The meaning and use of the area under a ROC curve, eq. 1.

    AUC above 0.5: accounts with larger values have the event more. `state` is said on the later half: `kept`,
    `lost` (told something earlier, nothing now), `turned` (the other way round now), else `none`; each only where the
    difference between the halves is beyond chance.

    Returns
    -------
    DataFrame
        signal, dimension, period_start, period_end, rows, events (accounts), auc with its 95% interval, state.
    """
    keys = training.keys
    dates = np.sort(keys["as_of"].unique())
    halves = [dates[: len(dates) // 2], dates[len(dates) // 2:]]
    found = []
    for signal in signals:
        values = training.features[signal.column].to_numpy(dtype=np.float64)
        pair = [_auc(training, values, half) for half in halves if len(half)]
        state = _state(pair[0], pair[1]) if len(pair) == 2 else "none"
        for half, result, told in zip(halves, pair, ("", state), strict=False):
            found.append((signal.column, signal.dimension, half[0], half[-1], *result, told))
    return pd.DataFrame(found, columns=list(COLUMNS))


def _auc(training: TrainingSet, values: NDArray[np.float64], half: NDArray[np.datetime64]) -> Link:
    """Rows, events and AUC with its interval [Hanley1982]; accounts count once in the interval, rows repeat."""
    chosen = training.keys["as_of"].isin(half).to_numpy() & ~np.isnan(values)
    x, y = values[chosen], np.asarray(training.labels)[chosen] == 1
    accounts = training.keys["account_id"].to_numpy()[chosen]
    events, others = len(set(accounts[y])), len(set(accounts[~y]))
    if events < FEWEST_EVENTS or others < FEWEST_EVENTS:
        return Link(len(x), events, np.nan, np.nan, np.nan)
    auc = (rankdata(x)[y].sum() - y.sum() * (y.sum() + 1) / 2) / (y.sum() * (~y).sum())
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = np.sqrt((auc * (1 - auc) + (events - 1) * (q1 - auc**2) + (others - 1) * (q2 - auc**2)) / (events * others))
    return Link(len(x), events, float(auc), float(auc - _Z * spread), float(auc + _Z * spread))


def _state(earlier: Link, later: Link) -> str:
    """How the link of a signal fared."""
    if np.isnan(earlier.auc) or np.isnan(later.auc) or earlier.low <= 0.5 <= earlier.high:
        return "none"
    if abs(earlier.auc - later.auc) <= np.hypot(earlier.high - earlier.auc, later.high - later.auc):
        return "kept"
    if later.low <= 0.5 <= later.high:
        return "lost"
    return "turned" if (later.auc > 0.5) != (earlier.auc > 0.5) else "kept"
