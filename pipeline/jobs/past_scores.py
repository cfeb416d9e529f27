"""Every account on many past dates, scored with the model of a run: what that model would have
said, had it been there.

Dates lie `STEP_DAYS` apart and count back from the run's date, at most two years and not before the
model's first training date. These scores are never mixed with published ones: other models may have
been in use on those dates.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.sql import as_doubles
from features.windows import day_number
from models.bundle import Bundle
from models.health.standing import MEMBER, is_leaving, is_member
from models.methods.base import Floats
from models.trajectory import AHEAD, Panel, carry
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection
from pipeline.jobs.features import build_past_dates
from pipeline.jobs.scoring_rows import ROWS_READ_AT_ONCE
from pipeline.published import read_scores
from pipeline.workspace import Workspace

STEP_DAYS = 30
MOST_DATES = 24
ROWS_AT_ONCE = 300_000
"""Feature rows built at a time; a large company is built a date at a time."""


def past_dates(bundle: Bundle, day: date) -> tuple[date, ...]:
    """Dates before the run's, oldest first."""
    first = bundle.published.training.first_as_of
    count = 0 if first is None else min(MOST_DATES, max(0, (day - first).days // STEP_DAYS))
    return tuple(day - timedelta(days=STEP_DAYS * back) for back in range(count, 0, -1))


def past_scores(
    workspace: Workspace,
    connection: Connection,
    target: Target,
    bundle: Bundle,
    run_id: str,
    day: date,
) -> Panel:
    """Score the past dates, and put the published scores of the run beside them."""
    earlier = past_dates(bundle, day)
    rows = pd.concat(
        [
            _published(workspace, target, bundle, run_id, day),
            *_scored(workspace, connection, target, bundle, earlier, day),
        ],
        ignore_index=True,
    )
    dates = (*earlier, day)
    ids, account = np.unique(rows["account_id"].to_numpy(dtype=object), return_inverse=True)
    place = rows["as_of_day"].map({day_number(each): n for n, each in enumerate(dates)}).to_numpy()

    def table(column: str, empty: Any) -> NDArray[Any]:
        filled = np.full((len(ids), len(dates)), empty)
        filled[account, place] = rows[column].to_numpy(dtype=filled.dtype)
        return filled

    return Panel(
        ids,
        dates,
        table("health", np.nan),
        table("probability", np.nan),
        {ahead: table(_carried(ahead), np.nan) for ahead in AHEAD},
        table("is_there", False),
        table("is_member", False),
        table("label", np.nan),
    )


def _carried(ahead: int) -> str:
    return f"carried_{ahead}"


def _published(
    workspace: Workspace, target: Target, bundle: Bundle, run_id: str, day: date
) -> pd.DataFrame:
    """Accounts of the run itself: scores as readers see them."""
    store = workspace.store
    scores = read_scores(
        store,
        [("target", "=", target.name), ("run_id", "=", run_id)],
        ["account_id", "health_exact", "probability"],
    )
    features = store.read(f"features_scored_{target.name}", filters=[("run_id", "=", run_id)])
    known = (
        scores[is_member(scores)]
        .merge(features, on="account_id")
        .sort_values("account_id", ignore_index=True)
    )
    rows = known[["account_id", "probability"]].assign(
        health=known["health_exact"], **_all_carried(bundle, known)
    )
    published = scores[["account_id"]].merge(rows, on="account_id", how="left")
    return published.assign(
        as_of_day=day_number(day),
        is_there=True,
        is_member=~is_leaving(scores).to_numpy(),
        label=np.nan,
    )


def _scored(
    workspace: Workspace,
    connection: Connection,
    target: Target,
    bundle: Bundle,
    dates: tuple[date, ...],
    day: date,
) -> Iterator[pd.DataFrame]:
    """Rows of the past dates, built some dates and scored some rows at a time."""
    accounts = max(
        1,
        len(
            workspace.store.read(
                "scores",
                columns=["account_id"],
                filters=[("target", "=", target.name), ("as_of", "=", pd.Timestamp(day))],
            )
        ),
    )
    at_once = max(1, ROWS_AT_ONCE // accounts)
    for start in range(0, len(dates), at_once):
        bundle.published.check_signals(
            build_past_dates(
                workspace,
                connection,
                target,
                dates[start : start + at_once],
                bundle.choices,
                bundle.published.signals,
            )
        )
        [(count,)] = connection.execute("select count(*) from snapshots").fetchall()
        for first in range(0, int(count), ROWS_READ_AT_ONCE):
            yield _score(bundle, _rows(connection, bundle, day_number(day), first))


def _rows(connection: Connection, bundle: Bundle, known_by: int, first: int) -> pd.DataFrame:
    """Snapshots with their signals, and labels that were complete by the run's date."""
    columns = as_doubles(bundle.published.columns, "f")
    return connection.execute(f"""
select s.account_id, s.as_of_day, s.state, case when l.label_until_day <= {known_by}
  then cast(l.label as double) end as label,
  {columns}
from snapshots s join features f on f.account_id = s.account_id and f.as_of_day = s.as_of_day
left join labels l on l.account_id = s.account_id and l.as_of_day = s.as_of_day
order by s.account_id, s.as_of_day limit {ROWS_READ_AT_ONCE} offset {first}""").df()


def _score(bundle: Bundle, rows: pd.DataFrame) -> pd.DataFrame:
    signals = rows[bundle.published.columns]
    probability = bundle.published.probability(signals)
    # Scored as published ones are: nothing known of an account is no score, nor is one that is
    # leaving already.
    has_score = signals.notna().any(axis=1).to_numpy() & (rows["state"] == MEMBER).to_numpy()
    scores = rows[["account_id", "as_of_day", "label"]].assign(
        probability=probability,
        health=bundle.scale.exact(bundle.relationship.probability(signals)),
        **_all_carried(bundle, rows),
    )
    values = ["probability", "health", *map(_carried, AHEAD)]
    scores.loc[~has_score, values] = np.nan
    return scores.assign(is_there=True, is_member=(rows["state"] == MEMBER).to_numpy())


def _all_carried(bundle: Bundle, rows: pd.DataFrame) -> dict[str, Floats]:
    model = bundle.relationship
    signals = rows[model.columns].astype("float64")
    return {
        _carried(ahead): bundle.scale.exact(
            model.probability(carry(signals, model.signals, STEP_DAYS * ahead))
        )
        for ahead in AHEAD
    }
