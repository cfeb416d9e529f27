"""Whom to ask for a reference: healthy accounts that say themselves that they are content."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from models.health.standing import standing

GOOD_NPS = 50.0
"""Percent promoters minus percent detractors among the answers of half a year."""
GOOD_PULSE = 4.0


@dataclass(frozen=True)
class Sign:
    """One sign that an account would speak for you: a signal, when it counts, how it is said."""

    column: str
    counts: Callable[["pd.Series[float]"], "pd.Series[bool]"]
    words: str
    says_so: bool
    """Whether somebody said it: use alone is no praise."""


SIGNS = (
    Sign("nps_balance", lambda value: value >= GOOD_NPS, "promoter in surveys", True),
    Sign("pulse", lambda value: value >= GOOD_PULSE, "rated 4 or 5 by its manager", True),
    Sign("goals_met_364d", lambda value: value >= 1, "met a goal within the year", False),
    Sign("champions_present", lambda value: value >= 1, "has a champion", False),
    Sign("community_posts_91d", lambda value: value >= 1, "writes in the community", False),
)
ADVOCATE_COLUMNS = ("rank", "account_id", "name", "owner", "value_per_year", "health", "signs")


def advocates(scores: pd.DataFrame, people: pd.DataFrame, signals: pd.DataFrame) -> pd.DataFrame:
    """Healthy accounts with at least one sign that somebody said, and another sign.

    High health alone is not enough: a quiet account may simply have no reason to leave.

    Parameters
    ----------
    scores, people
        Published rows of one run.
    signals
        account_id and the columns of `SIGNS` that exist, as scored.

    Returns
    -------
    DataFrame
        `ADVOCATE_COLUMNS`: those with the most signs first, then the healthiest; signs in words.
    """
    rows = scores.loc[standing(scores) == "healthy", ["account_id", "health"]]
    rows = rows.merge(people, on="account_id", how="left").merge(
        signals, on="account_id", how="left"
    )
    present = [sign for sign in SIGNS if sign.column in rows]
    shown = {
        sign: sign.counts(rows[sign.column].astype(float)).fillna(False).astype(bool)
        for sign in present
    }
    count = sum((each.astype(int) for each in shown.values()), pd.Series(0, index=rows.index))
    said = pd.Series(False, index=rows.index)
    for sign, each in shown.items():
        said |= each & sign.says_so
    rows["signs"] = [
        ", ".join(sign.words for sign in present if shown[sign][place]) for place in rows.index
    ]
    rows = rows.assign(count=count)[said & (count >= 2)]
    rows = rows.sort_values(
        ["count", "health", "account_id"], ascending=[False, False, True], ignore_index=True
    )
    return rows.assign(rank=rows.index + 1)[list(ADVOCATE_COLUMNS)]
