"""What an interval is here: 95%, by a formula where there is one, else by so many resamples."""

import numpy as np
from scipy.special import ndtri

LEVEL = 0.95
Z95 = float(ndtri((1.0 + LEVEL) / 2.0))
"""Standard errors on each side of 95%, 1.96."""
REPLICATES = 400
"""Resamples of accounts behind an interval."""
FEWER_REPLICATES = 200
"""The same where each of them is a fit, or where a table has an interval in every row."""
LEAST_ERROR = 1e-12
"""A standard error is never taken for less, so that a gain without any spread is no division by 0.
"""
FEWEST_ACCOUNTS = 30
"""Below this many accounts counts say more than a share, which would be noise."""


def wilson(share: float, trials: int) -> tuple[float, float]:
    """Return the interval of a share seen in `trials` trials; (0, 1) without any.

    References
    ----------
    [Wilson1927] Probable inference, the law of succession, and statistical inference.

    Examples
    --------
    >>> [round(end, 3) for end in wilson(11 / 92, 92)]
    [0.068, 0.202]
    """
    if not trials:
        return 0.0, 1.0
    square = Z95 * Z95
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = (
        Z95
        * np.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
        / (1 + square / trials)
    )
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def auc_half_width(auc: float, events: int, others: int) -> float:
    """Return half the width of the interval of an AUC; infinite without events or others.

    `se^2 = (A(1-A) + (n1-1)(Q1-A^2) + (n0-1)(Q2-A^2)) / (n1 n0)`, `Q1 = A/(2-A)`, `Q2 =
    2A^2/(1+A)`.

    References
    ----------
    [Hanley1982] Hanley and McNeil, "The meaning and use of the area under a ROC curve", Radiology
    143, p. 32.

    Examples
    --------
    >>> round(auc_half_width(0.75, 23, 400), 2)
    0.12
    """
    if events == 0 or others == 0:
        return float("inf")
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (events - 1) * (q1 - auc**2) + (others - 1) * (q2 - auc**2)
    return float(Z95 * np.sqrt(variance / (events * others)))
