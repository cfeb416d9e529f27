"""Which rows were worked on inside their label window: a play that helped makes a right warning
look wrong.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.naming import facts_table
from pipeline.engine.duckdb import Connection
from pipeline.engine.facts import put_table
from pipeline.staging.staged import StagedSource


def treated_rows(
    connection: Connection, staged: Mapping[str, StagedSource], keys: pd.DataFrame
) -> NDArray[np.bool_] | None:
    """Return per row whether a play was done between `as_of` and the end of its label window; None
    without such a source.

    Rows left alone on purpose (holdout) are not treated. Where no source says when a play was done,
    its assignment counts.

    Parameters
    ----------
    keys
        `account_id`, `as_of`, `label_until`, one line per row.
    """
    names = [name for name, source in staged.items() if source.contract.table == "interventions"]
    if not names:
        return None
    numbered = pd.DataFrame(
        {
            "account_id": keys["account_id"].astype("str").to_numpy(),
            "row_number": np.arange(len(keys)),
            "first_us": keys["as_of"].to_numpy(dtype="datetime64[us]").astype(np.int64),
            "until_us": keys["label_until"].to_numpy(dtype="datetime64[us]").astype(np.int64),
        }
    )
    put_table(connection, "asked_rows", numbered)
    is_treated = np.zeros(len(keys), dtype=bool)
    for name in names:
        when = "t.done_at" if staged[name].is_mapped("done_at") else "t.assigned_at"
        treated = connection.execute(
            f"""
select distinct a.row_number from asked_rows a join {facts_table(name)} t
  on t.account_id = a.account_id
where {when} >= a.first_us and {when} < a.until_us and (t.is_holdout is null or not t.is_holdout)"""
        ).fetchall()
        is_treated[[number for (number,) in treated]] = True
    return is_treated
