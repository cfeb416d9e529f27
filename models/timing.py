"""What of a training set is a matter of timing, and may not be taken for behaviour.

Days to renewal and days in term are calendar by their cards. Others are calendars in disguise: an
invoice once a term, a price notice that comes three months before every renewal. They are found by
asking whether a signal tells, among accounts of one length of term, whose term ends inside the
label window.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.dimensions.season import DRIVER as SEASON
from features.terms import term_name
from models.dataset import TrainingSet
from models.methods import ContractCalendar, Floats, can_leave, is_contractual, leaving_window
from models.methods.contract_calendar import calendar_columns
from models.metrics import auc

CYCLE_AUC = 0.75
"""AUC, either way round, from which a signal tells when a term ends."""
ACCOUNTS_A_SIDE = 50
"""Accounts with an end inside the window, and with one outside, that a length of term needs."""
ROWS_LOOKED_AT = 20_000
"""Rows of one length of term that are looked at; of more, as many at equal steps."""


@dataclass(frozen=True, eq=False)
class TimingApart:
    """Rows without what is a matter of timing, and what that says of them in log-odds."""

    rows: TrainingSet
    offset: Floats | None
    calendar: ContractCalendar | None

    def beside(self, features: pd.DataFrame) -> Floats | float:
        """Return the log-odds that the calendar gives to other rows; 0 without one."""
        return 0.0 if self.calendar is None else self.calendar.margin(features)


def timing_of(rows: TrainingSet, target: Mapping[str, Any]) -> ContractCalendar | None:
    """Return a contract calendar, not fitted yet, that hides what is timing among these signals;
    None where no contract ends with the target, or every row stands equally far from its end, so
    that time tells nothing apart.
    """
    if not is_contractual(target, rows.signals):
        return None
    window = leaving_window(target)
    if ContractCalendar(window, calendar_columns(rows.signals)).pieces(rows.features) < 2:
        return None
    hidden = [s.column for s in rows.signals if s.is_calendar and s.driver != SEASON]
    hidden += [column for column in cycle_signals(rows, window) if column not in hidden]
    return ContractCalendar(window, hidden=tuple(hidden))


def apart(rows: TrainingSet, timing: ContractCalendar | None) -> TimingApart:
    """Return the rows and their timing apart; `timing` is fitted on these rows, and not changed."""
    if timing is None:
        return TimingApart(rows, None, None)
    calendar = ContractCalendar(timing.window, timing.columns, timing.hidden)
    calendar.fit(rows.features, rows.labels, rows.signals)
    rest = TrainingSet(rows.keys, calendar.rest(rows.features), rows.labels, rows.signals)
    return TimingApart(rest, calendar.margin(rows.features), calendar)


def cycle_signals(rows: TrainingSet, window: tuple[float, float] | None) -> tuple[str, ...]:
    """Return columns that tell, among accounts of one length of term, whose term ends in the
    window.

    A missing value stands below all others. Lengths of term that all end inside the window tell
    nothing.
    """
    columns = calendar_columns(rows.signals)
    if window is None or columns is None or columns[1] is None:
        return ()
    renewal, term = columns
    ends = can_leave(rows.features, rows.signals, window)
    days = rows.features[term].to_numpy(dtype=np.float64)
    accounts = rows.keys["account_id"].to_numpy(dtype=object)
    known = ~np.isnan(days) & ~np.isnan(rows.features[renewal].to_numpy(dtype=np.float64))
    names = np.array([term_name(int(d)) if k else "" for d, k in zip(days, known, strict=True)])
    telling: set[str] = set()
    for name in sorted(set(names[known].tolist())):
        places = np.flatnonzero(names == name)
        inside = ends[places]
        sides = (accounts[places[inside]], accounts[places[~inside]])
        if min(len(set(side.tolist())) for side in sides) < ACCOUNTS_A_SIDE:
            continue
        # Evenly spread over the rows, which are in the order of dates: no period is left out.
        some = places[:: max(1, len(places) // ROWS_LOOKED_AT)]
        telling |= _telling(rows.features.iloc[some], ends[some])
    return tuple(s.column for s in rows.signals if s.column in telling and s.column not in columns)


def _telling(features: pd.DataFrame, inside: NDArray[np.bool_]) -> set[str]:
    """Columns that rank rows by whether their term ends in the window."""
    hidden = set()
    for column in features.columns:
        values = features[column].to_numpy(dtype=np.float64)
        known = ~np.isnan(values)
        if not known.any():
            continue
        score = np.where(known, values, values[known].min() - 1.0)
        area = auc(inside, score)
        if max(area, 1.0 - area) >= CYCLE_AUC:
            hidden.add(str(column))
    return hidden
