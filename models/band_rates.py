"""What became of each band of the test, with intervals: churn among the healthy is missed churn,
who stays red a false alarm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.intervals import wilson


@dataclass(frozen=True)
class BandRate:
    """The scores of a band, and the share of them with the event; the interval is 95%."""

    n: int
    accounts: int
    events: int
    rate: float
    rate_low: float
    rate_high: float


def band_rates(
    labels: NDArray[Any], bands: Sequence[str], accounts: pd.Series
) -> dict[str, BandRate]:
    """Return per band its scores, accounts, events, and the share of scores with the event with a
    95% interval.

    The interval is Wilson's for as many trials as the band has accounts: scores of one account on
    several dates tell much the same, and of a band in which nobody left it does not say that nobody
    ever will.

    Parameters
    ----------
    labels, bands, accounts
        One value per score of the test.

    Returns
    -------
    dict
        Band -> its rate; a band without scores is absent.
    """
    table = pd.DataFrame(
        {
            "band": np.asarray(bands, dtype=object),
            "label": np.asarray(labels),
            "account": accounts.to_numpy(),
        }
    )
    rates = {}
    for band, rows in table.groupby("band", sort=True):
        rate, count = float(rows["label"].mean()), int(rows["account"].nunique())
        low, high = wilson(rate, count)
        rates[str(band)] = BandRate(
            n=len(rows),
            accounts=count,
            events=int(rows["label"].sum()),
            rate=rate,
            rate_low=low,
            rate_high=high,
        )
    return rates
