"""Whom a campaign may be sent to: members by band, those alone who agreed to be written to."""

import pandas as pd

from models.health.standing import is_member

AUDIENCE_COLUMNS = (
    "band",
    "account_id",
    "name",
    "segment",
    "owner",
    "health",
    "value_per_year",
    "currency",
)


def audiences(
    scores: pd.DataFrame, people: pd.DataFrame, consenting: frozenset[str]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Members of each band who agreed, and how many were left out because they did not.

    Whoever gave notice, lapsed or has no score is in no band to write to.

    Parameters
    ----------
    scores, people
        Published rows of one run.
    consenting
        Accounts whose consent is recorded as given; an unknown consent is none.

    Returns
    -------
    DataFrame
        `AUDIENCE_COLUMNS`, by band as scores name it, then by account.
    dict
        Band -> members without consent.
    """
    members = scores.loc[is_member(scores), ["account_id", "band", "health"]]
    agreed = members["account_id"].isin(consenting)
    left_out = members.loc[~agreed, "band"].value_counts()
    rows = members[agreed].merge(people, on="account_id", how="left", validate="1:1")
    rows = rows.sort_values(["band", "account_id"], ignore_index=True)
    return rows.reindex(columns=list(AUDIENCE_COLUMNS)), {
        str(band): int(left_out.get(band, 0)) for band in sorted(set(members["band"]))
    }
