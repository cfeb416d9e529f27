"""Where an account stands, beside how it scores: a band follows from the displayed health alone,
and that an account has decided, or is not known, is its state.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

MEMBER, NOTICE, LAPSED, UNKNOWN = "member", "notice", "lapsed", "unknown"
LEAVING = "leaving"
"""Group in which lists show accounts under notice, and those whose cover is over."""
_NO_BANDS = (LEAVING, UNKNOWN)


def with_state(scores: pd.DataFrame) -> pd.DataFrame:
    """Published scores with `state`, and `band` null where it is no band.

    Runs of version 0.2 and before told the state by the words `leaving` and `unknown` in the place
    of the band, and why by `band_reason`; which band the health had been in was not kept.
    """
    band = scores["band"].astype(object)
    said = band.isin(_NO_BANDS)
    states = pd.Series(MEMBER, index=scores.index, dtype=object)
    reason = scores.get("band_reason", pd.Series(None, index=scores.index, dtype=object))
    states = states.mask(band == LEAVING, reason.where(reason.isin([NOTICE, LAPSED]), LAPSED))
    states = states.mask((band == UNKNOWN) | band.isna(), UNKNOWN)
    state = scores["state"].astype(object) if "state" in scores else states
    state = state.where(state.notna(), states)
    return scores.assign(band=band.mask(said, None).astype("str"), state=state.astype("str"))


def is_member(scores: pd.DataFrame) -> "pd.Series[bool]":
    """Accounts with a score that have not decided: those that lists rank."""
    return with_state(scores)["state"] == MEMBER


def is_leaving(scores: pd.DataFrame) -> "pd.Series[bool]":
    """Accounts under notice, or whose cover is over."""
    return with_state(scores)["state"].isin([NOTICE, LAPSED])


def standing(scores: pd.DataFrame) -> "pd.Series[str]":
    """The group in which lists show each account: its band, or `leaving` or `unknown`, whatever it
    scores.
    """
    known = with_state(scores)
    shown = known["band"].where(known["state"] == MEMBER, UNKNOWN)
    return shown.mask(known["state"].isin([NOTICE, LAPSED]), LEAVING).astype("str")


def standing_of(score: Mapping[Any, Any]) -> str:
    """The same of one row; quick, for every account of a large company is asked one by one."""
    band, state = score.get("band"), score.get("state")
    known = band if isinstance(band, str) else ""
    if not isinstance(state, str):
        return known or UNKNOWN
    if state == MEMBER:
        return known or UNKNOWN
    return UNKNOWN if state == UNKNOWN else LEAVING
