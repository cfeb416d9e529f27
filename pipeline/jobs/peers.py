"""Owners and segments compared on the test dates: who left beside who was expected to."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

import pandas as pd

from features.errors import NotFound
from models.peers import Peer, compare_peers, independent_rows
from pipeline.config.schema import Target
from pipeline.engine.duckdb import connected
from pipeline.jobs.explain_scale import tested_scores
from pipeline.jobs.portfolio import portfolio
from pipeline.jobs.stage import load_staged
from pipeline.ledger import published_run
from pipeline.workspace import Workspace

By = Literal["owner", "segment"]
NOBODY = "none"


@dataclass(frozen=True)
class PeersReport:
    """Groups of accounts as they were on the test dates."""

    target: str
    kind: str
    by: By
    dates: tuple[date, ...]
    peers: tuple[Peer, ...]


def peers_report(workspace: Workspace, target: Target, by: By) -> PeersReport:
    """Compare owners, or segments, on the untouched test of the model in use.

    An account counts for whom it belonged to on the date, once in a horizon.

    Raises
    ------
    NotFound
        Nothing was published, or the model has no test on record: a scorecard gives no chances.
    """
    run = published_run(workspace.store, target.name)
    tested = tested_scores(workspace, target, run.model_version)
    if tested.empty:
        raise NotFound(
            f"target {target.name!r} has no test on record for the model in use, so nothing says"
            " what was expected. Run `tenure evaluate` and `tenure promote`."
        )
    rows = independent_rows(tested.reset_index(drop=True), target.horizon_days or 365)
    with connected() as connection:
        staged = load_staged(workspace, connection)
        parts = [
            portfolio(
                workspace,
                connection,
                staged,
                target,
                as_of.date(),
                rows.loc[rows["as_of"] == as_of, "account_id"],
            ).assign(as_of=as_of)
            for as_of in sorted(rows["as_of"].unique())
        ]
    people = pd.concat(parts, ignore_index=True)[["account_id", "as_of", by]]
    rows = rows.merge(people, on=["account_id", "as_of"], how="left")
    rows = rows.assign(group=rows[by].fillna(NOBODY).replace("", NOBODY))
    return PeersReport(
        target=target.name,
        kind=target.kind,
        by=by,
        dates=tuple(sorted(set(rows["as_of"].dt.date))),
        peers=compare_peers(rows[["group", "label", "probability"]]),
    )
