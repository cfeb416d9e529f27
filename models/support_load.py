"""How many support tickets a group of accounts will open, if they go on as they did."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.intervals import Z95


@dataclass(frozen=True)
class SupportLoad:
    """Tickets of a group over a window, and what the next window of the same length will bring, 95
    times in 100.
    """

    accounts: int
    tickets: float
    low: float
    high: float


def support_load(tickets: npt.ArrayLike) -> SupportLoad:
    """The load of accounts that opened so many tickets each; NaN: not known, and not counted.

    Accounts differ in how much they ask, so a total varies more than one of equal accounts: the
    variance of the accounts is taken as it is seen, once for the window seen and once for the next.
    Of fewer than two accounts nothing is expected: low and high are NaN.

    Parameters
    ----------
    tickets
        Shape (n_accounts,).
    """
    counts = np.asarray(tickets, dtype=np.float64)
    counts = counts[~np.isnan(counts)]
    total, n = float(counts.sum()), len(counts)
    if n < 2:
        return SupportLoad(n, total, np.nan, np.nan)
    # A quiet window of few accounts shows no variance at all; theirs is at least a Poisson's.
    spread = max(float(counts.var(ddof=1)) * n, total, 1.0)
    reach = Z95 * float(np.sqrt(2 * spread))
    return SupportLoad(n, total, max(0.0, total - reach), total + reach)
