"""What a lot will tell before it is drawn: how many accounts, how sure, and when."""

import math

from scipy.special import ndtri

from models.intervals import Z95

POWER = 0.8
WITHIN = 0.02
"""An effect is known where its interval is no wider than so much on each side."""
DAYS_PER_MONTH = 365.25 / 12


def accounts_per_arm(share: float, share_with: float, power: float = POWER) -> int:
    """Accounts each side needs so that the difference is found with this power, at 5% two-sided.

    `n = (z_0.975 + z_power)^2 (p (1-p) + q (1-q)) / (p - q)^2`.

    References
    ----------
    [Fleiss2003] Statistical methods for rates and proportions, 3rd ed., chapter 4.

    Examples
    --------
    >>> accounts_per_arm(0.20, 0.10)
    197
    >>> accounts_per_arm(0.0358, 0.0231)
    2778
    """
    if share == share_with:
        raise ValueError(f"share={share} and share_with={share_with} are equal: nothing to find.")
    spread = share * (1 - share) + share_with * (1 - share_with)
    quantiles = Z95 + float(ndtri(power))
    return math.ceil(quantiles**2 * spread / (share - share_with) ** 2)


def half_width(share: float, share_with: float, per_arm: float) -> float:
    """Half the width of the 95% interval of the difference; infinite without accounts.

    Examples
    --------
    >>> round(half_width(0.10, 0.08, 1_600), 3)
    0.02
    """
    if per_arm <= 0:
        return float("inf")
    spread = share * (1 - share) + share_with * (1 - share_with)
    return Z95 * math.sqrt(spread / per_arm)


def months_until_known(
    share: float, share_with: float, per_arm_per_month: float, horizon_days: int, within: float
) -> int | None:
    """Months until the effect is known to within `within`, with the horizon of the last accounts
    over; None where nobody is drawn or it takes longer than ten years.

    Examples
    --------
    >>> months_until_known(0.10, 0.08, 130, 90, 0.02)
    16
    """
    if per_arm_per_month <= 0:
        return None
    needed = Z95**2 * (share * (1 - share) + share_with * (1 - share_with)) / within**2
    months = math.ceil(needed / per_arm_per_month) + math.ceil(horizon_days / DAYS_PER_MONTH)
    return months if months <= 120 else None
