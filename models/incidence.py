"""How long it takes until something is reached, when some still wait and some have left
without it.
"""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

WAITING, REACHED, LEFT = 0, 1, 2


def cumulative_incidence(days: NDArray[np.float64], states: NDArray[np.int64]) -> pd.DataFrame:
    """Share that has reached it, and share that has left without it, by days since the start.

    Who still waits counts until today and no longer (censored); who left can never reach it any
    more, so leaving competes: counted as waiting, the leavers would make the share look as if they
    got there later. Without leavers `reached` is one minus the estimate of Kaplan and Meier. With S
    the share neither reached nor left just before day t and n(t) accounts not yet over, reached(t)
    = sum of S(u-) d_reached(u) / n(u) over u <= t [Aalen1978].

    [Aalen1978] O. Aalen, S. Johansen: An empirical transition matrix for non-homogeneous Markov
    chains based on censored observations, Scandinavian Journal of Statistics 5.

    Parameters
    ----------
    days
        Days until it was reached, until the account left, or until today; array of shape
        (n_accounts,).
    states
        `REACHED`, `LEFT` or `WAITING` at that day.

    Returns
    -------
    DataFrame
        day (those on which something ended), reached, left: shares of all that began, 0-1.

    Examples
    --------
    Four begin; one gets there on day 2, one leaves on day 3, one has waited 4 days so far, one gets
    there on day 5.

    >>> states = np.array([REACHED, LEFT, WAITING, REACHED])
    >>> cumulative_incidence(np.array([2.0, 3.0, 4.0, 5.0]), states)
       day  reached  left
    0  2.0     0.25  0.00
    1  3.0     0.25  0.25
    2  5.0     0.75  0.25
    """
    ends = np.unique(days[states != WAITING])
    rows = []
    remaining, reached, left = 1.0, 0.0, 0.0
    for day in ends:
        at_risk, today = int((days >= day).sum()), days == day
        now, gone = (int((today & (states == state)).sum()) / at_risk for state in (REACHED, LEFT))
        reached, left = reached + remaining * now, left + remaining * gone
        remaining *= 1.0 - now - gone
        rows.append((float(day), reached, left))
    return pd.DataFrame(rows, columns=["day", "reached", "left"]).astype("float64")


def day_of_share(incidence: pd.DataFrame, share: float) -> float:
    """Day by which that share of all that began has reached it; NaN where so many never did within
    the time seen.

    >>> curve = pd.DataFrame({"day": [2.0, 5.0], "reached": [0.25, 0.75], "left": [0.0, 0.0]})
    >>> day_of_share(curve, 0.5)
    5.0
    """
    # Sums of shares may fall short of a quarter by their last bit.
    far = incidence["reached"].to_numpy() >= share - 1e-12
    return float(incidence["day"].to_numpy()[far][0]) if far.any() else math.nan


def at_day(incidence: pd.DataFrame, day: float) -> tuple[float, float]:
    """Shares reached and left by the end of a day.

    >>> at_day(pd.DataFrame({"day": [2.0, 5.0], "reached": [0.25, 0.75], "left": [0.0, 0.1]}), 4)
    (0.25, 0.0)
    """
    past = incidence[incidence["day"] <= day]
    return (
        (0.0, 0.0)
        if past.empty
        else (float(past["reached"].iloc[-1]), float(past["left"].iloc[-1]))
    )
