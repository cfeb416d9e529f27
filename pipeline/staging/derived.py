"""What staging works out beside the user's columns: families, visits, answers on one scale, the
tone of texts.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from pipeline.engine.duckdb import Connection
from pipeline.staging.answers import add_points
from pipeline.staging.roll_up import roll_up
from pipeline.staging.sentiment import add_sentiment, no_texts
from pipeline.staging.sessions import add_sessions
from pipeline.staging.staged import StagedSource


@dataclass(frozen=True)
class Derived:
    """The staged sources with their worked-out columns, and the texts judged anew."""

    sources: dict[str, StagedSource]
    texts: pd.DataFrame


def derive(
    connection: Connection,
    staged: Mapping[str, StagedSource],
    *,
    families: pd.DataFrame | None,
    texts: pd.DataFrame,
) -> Derived:
    """Complete every staged table in the connection.

    Parameters
    ----------
    families
        account_id and root_id of children; None: accounts stay on their own.
    texts
        Texts judged before: text_hash, lexicon, sentiment.
    """
    sources, judged = {}, [no_texts()]
    for name, source in staged.items():
        if families is not None:
            source = roll_up(connection, source, families)
        source = add_points(connection, add_sessions(connection, source))
        source, fresh = add_sentiment(
            connection, source, pd.concat([texts, *judged], ignore_index=True)
        )
        judged.append(fresh)
        sources[name] = source
    return Derived(sources, pd.concat(judged, ignore_index=True))
