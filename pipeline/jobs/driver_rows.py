"""The published table of drivers: its columns, and its rows as every reader gets them."""

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from models.drivers import REST
from pipeline.storage import Store

DRIVERS = (
    ("account_id", pa.string()),
    ("as_of", pa.timestamp("us")),
    ("target", pa.string()),
    ("horizon_days", pa.int64()),
    ("run_id", pa.string()),
    ("dimension", pa.string()),
    ("driver", pa.string()),
    ("signal", pa.string()),
    ("reason", pa.string()),
    ("nature", pa.string()),
    ("points", pa.float64()),
    ("points_displayed", pa.int64()),
    ("value", pa.float64()),
    ("value_before", pa.float64()),
    ("reference", pa.float64()),
    ("said", pa.string()),
    ("compared", pa.string()),
)
SPOKEN = ("signal", "reason", "nature", "said", "compared")
"""Columns that runs before version 0.2 do not have: those had one sentence, `words`."""


def read_drivers(store: Store, filters: Sequence[tuple[str, str, object]]) -> pd.DataFrame:
    """Drivers of one run or more, in the columns of today.

    Rows of a run before version 0.2 have their whole sentence as `said`; signal, reason, nature and
    compared are null.
    """
    rows = store.read("drivers", filters=filters)
    if "words" in rows:
        said = rows["words"] if "said" not in rows else rows["said"].fillna(rows["words"])
        rows = rows.assign(said=said)
    return rows.reindex(columns=[name for name, _ in DRIVERS]).astype(dict.fromkeys(SPOKEN, "str"))


def keeps_one_sentence(drivers: pd.DataFrame) -> bool:
    """Whether rows are of a run before version 0.2, which kept no signals and no reasons."""
    is_listed = (drivers["driver"] != REST).to_numpy(dtype=bool)
    has_none = drivers["signal"].isna().to_numpy(dtype=bool)
    return bool(is_listed.any()) and bool(has_none[is_listed].all())
