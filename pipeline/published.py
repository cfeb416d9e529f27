"""The published scores, as every reader gets them."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from models.health.standing import with_state
from pipeline.storage import Store

_STANDING = ("band", "band_reason", "state")


def read_scores(
    store: Store, filters: Sequence[tuple[Any, ...]], columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Rows of `scores`, with `state` and `band` also of runs that told them otherwise
    (`models.health.standing.with_state`).

    Parameters
    ----------
    columns
        Those wanted, and always `band`, `band_reason` and `state`; default: all of them.
    """
    if columns is not None:
        kept = store.columns("scores")
        wanted = dict.fromkeys([*columns, *_STANDING])
        columns = [name for name in wanted if name in kept]
    return with_state(store.read("scores", columns=columns, filters=list(filters)))
