"""What became of each band of the test, with intervals: churn among the healthy is missed churn, who stays red a false alarm."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.metrics import REPLICATES, account_weights, estimate


def band_rates(
    labels: NDArray[Any], bands: Sequence[str], accounts: pd.Series, *, seed: int = 0, replicates: int = REPLICATES
) -> dict[str, dict[str, Any]]:
    """Return per band its scores, accounts, events, and the share of scores with the event with a 95% interval.

    Parameters
    ----------
    labels, bands, accounts
        One value per score of the test. Accounts are resampled over the whole test, since one may stand in several bands.

    Returns
    -------
    dict
        band -> n, accounts, events, rate, rate_low, rate_high; a band without scores is absent.
    """
    names, truth = np.asarray(bands, dtype=object), np.asarray(labels, dtype=np.float64)
    inside = {str(band): (names == band).astype(np.float64) for band in sorted(set(names.tolist()))}
    drawn: dict[str, list[NDArray[np.float64]]] = {band: [] for band in inside}
    for weights in account_weights(accounts, seed=seed, replicates=replicates):
        for band, member in inside.items():
            size = weights @ member
            # A resample may hold no account of a small band.
            share = np.divide(weights @ (member * truth), size, out=np.full(len(size), np.nan), where=size > 0)
            drawn[band].append(share)
    found = {}
    for band, member in inside.items():
        rows = member > 0
        rate = estimate(float(truth[rows].mean()), np.concatenate(drawn[band]))
        found[band] = {"n": int(rows.sum()), "accounts": int(accounts[rows].nunique()), "events": int(truth[rows].sum()),
                       "rate": rate.value, "rate_low": rate.low, "rate_high": rate.high}
    return found
