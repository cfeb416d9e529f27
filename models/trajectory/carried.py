"""What an account's signals become when only the calendar moves on: clocks tick, all else stays.

Much of a score's movement is the calendar's: a term that ends inside the horizon costs points, a
renewal gives them back, whatever the customer does. Scoring carried signals tells that part
beforehand; what remains is the customer's own.

Worked example: 20 days to renewal, 345 days into the term, carried 30 days on: the term of 365 days
has ended and, for those who are still there, begun again, so 355 days to renewal and 10 days into
the term.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from features.definition import Signal
from features.dimensions.season import DRIVER as SEASON
from features.errors import ContractError

_TO_RENEWAL, _IN_TERM = "days_to_renewal", "days_in_term"


def carry(features: pd.DataFrame, signals: Sequence[Signal], days: int) -> pd.DataFrame:
    """Return the same rows with every clock moved `days` on, as if nothing else happened and every
    term were renewed.

    Unknown stays unknown. A term that ends on the way begins again with its length, days to renewal
    plus days in the term; where that is not known, days to renewal are unknown.

    Raises
    ------
    ContractError
        `days` is negative.
    """
    if days < 0:
        raise ContractError(
            f"days={days} must be 0 or more: the past is scored from its own signals."
        )
    moved = {
        s.column: features[s.column].to_numpy(dtype=np.float64) + days
        for s in signals
        if _counts_up(s)
    }
    for ends in (s.column for s in signals if _name(s) == _TO_RENEWAL):
        begun = ends.removesuffix(_TO_RENEWAL) + _IN_TERM
        left = features[ends].to_numpy(dtype=np.float64) - days
        gone = moved.get(begun, np.full(len(features), np.nan))
        length = np.maximum(left + gone, 1.0)
        # The last day of a term is day 0: what lies below it has ended, and np.mod gives the place
        # in a later term.
        over = left < 0
        moved[ends] = np.where(over, np.mod(left, length), left)
        if begun in moved:
            moved[begun] = np.where(over, length - moved[ends], gone)
    return features.assign(**moved)


def _counts_up(signal: Signal) -> bool:
    # The season returns by itself; it is left where it is, and what it does counts as what cannot
    # be foreseen.
    counts_days = signal.is_clock and signal.unit == "days"
    return counts_days and signal.driver != SEASON and _name(signal) != _TO_RENEWAL


def _name(signal: Signal) -> str:
    """Name of a card without the source that it is prefixed with."""
    return signal.column.rsplit("__", 1)[-1]
