"""Which signals lose their link to what is predicted: activity that once told who stays and no
longer does.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from features.definition import Signal
from models.dataset import TrainingSet
from models.intervals import auc_half_width

# Fewer accounts with the event than this tell no link.
FEWEST_EVENTS = 10
EARLIER, LATER = "earlier", "later"


class Link(NamedTuple):
    """How one signal told the event in one stretch of dates."""

    rows: int
    events: int
    auc: float
    low: float
    high: float


COLUMNS = (
    "signal",
    "dimension",
    "period",
    "period_start",
    "period_end",
    "rows",
    "events",
    "auc",
    "auc_low",
    "auc_high",
    "state",
)


def signal_links(training: TrainingSet, signals: tuple[Signal, ...]) -> pd.DataFrame:
    """AUC of every signal in the earlier and the later half of the dates and in each quarter, and
    whether its link was lost.

    [Hanley1982] J. Hanley, B. McNeil: The meaning and use of the area under a ROC curve, eq. 1.

    AUC above 0.5: accounts with larger values have the event more. `state` is said on the later
    half: `kept`, `lost` (told something earlier, nothing now), `turned` (the other way round now),
    else `none`; each only where the difference between the halves is beyond chance. A quarter has
    too few events to judge by; it shows when a link went.

    Returns
    -------
    DataFrame
        signal, dimension, period (`earlier`, `later`, or a quarter as `2024-Q1`), period_start,
        period_end (first and last date), rows, events (accounts), auc with its 95% interval, state
        (empty but for `later`).
    """
    dates = np.sort(training.keys["as_of"].unique())
    if len(dates) < 2:
        halves = {LATER: dates}
    else:
        halves = {EARLIER: dates[: len(dates) // 2], LATER: dates[len(dates) // 2 :]}
    quarter = pd.DatetimeIndex(dates).to_period("Q")
    periods = halves | {
        f"{each.year}-Q{each.quarter}": dates[quarter == each] for each in quarter.unique()
    }
    chosen = {
        period: training.keys["as_of"].isin(of_period).to_numpy()
        for period, of_period in periods.items()
    }
    labels, accounts = np.asarray(training.labels), training.keys["account_id"].to_numpy()
    records = []
    for signal in signals:
        values = training.features[signal.column].to_numpy(dtype=np.float64)
        links = {
            period: _auc(values[rows], labels[rows] == 1, accounts[rows])
            for period, rows in chosen.items()
        }
        state = _state(links[EARLIER], links[LATER]) if EARLIER in links else "none"
        records += [
            (
                signal.column,
                signal.dimension,
                period,
                periods[period][0],
                periods[period][-1],
                *link,
                state if period == LATER else "",
            )
            for period, link in links.items()
        ]
    return pd.DataFrame(records, columns=list(COLUMNS))


def _auc(values: NDArray[np.float64], had_event: NDArray[np.bool_], accounts: NDArray[Any]) -> Link:
    """Rows, events and AUC with its interval [Hanley1982]; accounts count once in the interval,
    rows repeat.
    """
    is_known = ~np.isnan(values)
    x, y, accounts = values[is_known], had_event[is_known], accounts[is_known]
    events, others = len(set(accounts[y])), len(set(accounts[~y]))
    if events < FEWEST_EVENTS or others < FEWEST_EVENTS:
        return Link(len(x), events, np.nan, np.nan, np.nan)
    auc = (rankdata(x)[y].sum() - y.sum() * (y.sum() + 1) / 2) / (y.sum() * (~y).sum())
    reach = auc_half_width(float(auc), events, others)
    return Link(len(x), events, float(auc), float(auc - reach), float(auc + reach))


def _state(earlier: Link, later: Link) -> str:
    """How the link of a signal fared."""
    if np.isnan(earlier.auc) or np.isnan(later.auc) or earlier.low <= 0.5 <= earlier.high:
        return "none"
    if abs(earlier.auc - later.auc) <= np.hypot(earlier.high - earlier.auc, later.high - later.auc):
        return "kept"
    if later.low <= 0.5 <= later.high:
        return "lost"
    return "turned" if (later.auc > 0.5) != (earlier.auc > 0.5) else "kept"
