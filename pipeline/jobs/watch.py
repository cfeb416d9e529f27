"""Between two nights: read what changed, and say what the scores of the coming midnight would be.

They are provisional. They have a table of their own (`provisional_scores`), which outcomes,
training, alerts and pages do not read: a day half seen is no day.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime

import pandas as pd
import pyarrow as pa

from features.errors import ConfigError
from pipeline.config.schema import Target
from pipeline.engine.duckdb import connected
from pipeline.jobs.score import coming_midnight, provisional_scores, published_table
from pipeline.jobs.stage import stage_sources
from pipeline.ledger import current_run
from pipeline.workspace import Workspace

PROVISIONAL = "provisional_scores"
COLUMNS = (
    ("account_id", pa.string()),
    ("as_of", pa.timestamp("us")),
    ("target", pa.string()),
    ("made_at", pa.timestamp("us")),
    ("model_version", pa.string()),
    ("probability", pa.float64()),
    ("health", pa.int64()),
    ("band", pa.string()),
    ("state", pa.string()),
    ("health_published", pa.int64()),
    ("health_last_tick", pa.int64()),
    ("reason", pa.string()),
)
"""`health_published` is that of the current run, `health_last_tick` that of the tick before for the
same midnight; `reason` the largest driver towards the event, where the account has moved that way
since. Null where there is none."""


@dataclass(frozen=True, eq=False)
class Tick:
    """One look at the sources.

    Attributes
    ----------
    as_of
        The coming midnight, by the rows there are.
    read
        Sources whose files had changed.
    rows
        `COLUMNS`, one row per account; None where nothing had changed since the tick before.
    """

    as_of: date
    made_at: datetime
    read: tuple[str, ...]
    rows: pd.DataFrame | None

    @property
    def moved(self) -> pd.DataFrame:
        """Accounts whose health is another than at the tick before, the largest move first."""
        if self.rows is None:
            return pd.DataFrame(columns=[name for name, _ in COLUMNS])
        move = (self.rows["health"] - self.rows["health_last_tick"]).abs()
        moved = self.rows.assign(move=move)[move.fillna(0) > 0]
        return moved.sort_values(
            ["move", "account_id"], ascending=[False, True], ignore_index=True
        ).drop(columns="move")


def watch_tick(workspace: Workspace, target: Target) -> Tick:
    """Read sources that changed, and score the coming midnight where any did.

    Raises
    ------
    ConfigError
        When accounts have dates of their own, or no source says how far it reaches.
    NoModel
        When no model is in use.
    """
    if target.dates.anchor is not None:
        raise ConfigError(
            f"target {target.name!r} scores each account on a date of its own"
            f" ({target.dates.anchor}): there is no coming midnight to watch. Use `tenure night`."
        )
    store, made_at = workspace.store, workspace.moment()
    # Rows that came after the first tick are no rows of the future.
    workspace = replace(workspace, now=made_at)
    with store.writing(), connected() as connection:
        before = _versions(workspace)
        staged = stage_sources(workspace, connection, only_changed=True)
        after = _versions(workspace)
        read = tuple(name for name in staged if before.get(name) != after.get(name))
        day = coming_midnight(staged)
        if day is None:
            raise ConfigError("no source says how far it reaches; declare data_until for one.")
        last = _last_tick(workspace, target, day)
        if not read and last is not None:
            return Tick(day, made_at, read, None)
        bundle, scores, reasons = provisional_scores(workspace, connection, target, day)
        largest = reasons.drop_duplicates("account_id").set_index("account_id")["said"]
        since = scores["account_id"].map({} if last is None else last)
        move = (scores["health"] - since) * (1 if bundle.scale.good_event else -1)
        rows = scores.assign(
            as_of=pd.Timestamp(day),
            target=target.name,
            made_at=made_at,
            model_version=bundle.model_version,
            health_published=scores["account_id"].map(_published_health(workspace, target)),
            health_last_tick=since,
            reason=scores["account_id"].map(largest).where(move > 0),
        )
        table = published_table(rows, COLUMNS)
        store.write(PROVISIONAL, table, replace=f"target = '{target.name}'")
    return Tick(day, made_at, read, table.to_pandas())


def _versions(workspace: Workspace) -> dict[str, int]:
    """Version of each source's staged table; a source that was read and found equal keeps it."""
    store = workspace.store
    return {
        name: store.version(f"staged_{name}")
        for name in workspace.project.sources
        if store.exists(f"staged_{name}")
    }


def _last_tick(workspace: Workspace, target: Target, day: date) -> dict[str, float] | None:
    """Health by account at the tick before, of the same midnight; None: this is its first."""
    if not workspace.store.exists(PROVISIONAL):
        return None
    wanted = [("target", "=", target.name), ("as_of", "=", pd.Timestamp(day))]
    rows = workspace.store.read(
        PROVISIONAL, columns=["account_id", "health"], filters=wanted
    ).dropna()
    return None if rows.empty else dict(zip(rows["account_id"], rows["health"], strict=True))


def _published_health(workspace: Workspace, target: Target) -> dict[str, float]:
    run = current_run(workspace.store, target.name)
    if run is None:
        return {}
    rows = workspace.store.read(
        "scores", columns=["account_id", "health"], filters=[("run_id", "=", run.run_id)]
    ).dropna()
    return dict(zip(rows["account_id"], rows["health"], strict=True))
