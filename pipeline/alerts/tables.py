"""The tables `alerts`, `alert_watch` and `deliveries`: rows are appended, the last one counts.

A run writes its alerts in one commit and its watch in the next. The watch is what makes a run
evaluated: killed between the two, the run is evaluated again from the same past and replaces its
own rows with equal ones.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from features.errors import NotFound
from pipeline.alerts.episodes import BY_DATA, Alert
from pipeline.ledger import run_rows
from pipeline.storage import Store

ALERTS_TABLE, WATCH_TABLE, DELIVERIES_TABLE = "alerts", "alert_watch", "deliveries"

ALERTS = (
    ("alert_id", pa.string()),
    ("target", pa.string()),
    ("account_id", pa.string()),
    ("name", pa.string()),
    ("rule", pa.string()),
    ("kind", pa.string()),
    ("episode", pa.timestamp("us")),
    ("state", pa.string()),
    ("owner", pa.string()),
    ("reason", pa.string()),
    ("evidence", pa.string()),
    ("value_at_risk", pa.float64()),
    ("currency", pa.string()),
    ("play", pa.string()),
    ("due", pa.timestamp("us")),
    ("as_of", pa.timestamp("us")),
    ("run_id", pa.string()),
    ("by", pa.string()),
    ("note", pa.string()),
    ("until", pa.timestamp("us")),
    ("told_on", pa.timestamp("us")),
    ("telling", pa.int64()),
    ("recorded_at", pa.timestamp("us")),
)
WATCH = (
    ("account_id", pa.string()),
    ("target", pa.string()),
    ("as_of", pa.timestamp("us")),
    ("run_id", pa.string()),
    ("health", pa.float64()),
    ("path", pa.float64()),
    ("renewal_date", pa.timestamp("us")),
    ("is_trusted", pa.bool_()),
    ("evaluated_at", pa.timestamp("us")),
)
DELIVERIES = (
    ("key", pa.string()),
    ("sender", pa.string()),
    ("target", pa.string()),
    ("owner", pa.string()),
    ("account_id", pa.string()),
    ("alerts", pa.string()),
    ("as_of", pa.timestamp("us")),
    ("state", pa.string()),
    ("attempts", pa.int64()),
    ("said", pa.string()),
    ("recorded_at", pa.timestamp("us")),
)
_DATES = ("episode", "due", "as_of", "until", "told_on")


@dataclass(frozen=True)
class Evaluated:
    """A run whose alerts were raised."""

    run_id: str
    day: date
    is_trusted: bool


def read_alerts(store: Store, target: str, *, without_run: str = "") -> list[Alert]:
    """Every row of a target's alerts, oldest first; those of runs that were taken back are none."""
    if not store.exists(ALERTS_TABLE):
        return []
    rows = store.read(ALERTS_TABLE, filters=[("target", "=", target)])
    taken_back = _taken_back(store)
    # A person's row says which run they saw; what they did stays done when that run is taken back.
    by_data = rows["by"] == BY_DATA
    rows = rows[~(by_data & rows["run_id"].isin({*taken_back, without_run}))]
    rows = rows.assign(by_person=rows["by"] != BY_DATA).sort_values(
        ["recorded_at", "by_person", "alert_id"], kind="stable"
    )
    return [_alert(row) for row in rows.drop(columns="by_person").to_dict("records")]


def current_alerts(history: Iterable[Alert]) -> list[Alert]:
    """The last row of every alert."""
    return list({alert.alert_id: alert for alert in history}.values())


def chosen_alert(history: Iterable[Alert], alert_id: str) -> Alert:
    """The alert whose id starts so.

    Raises
    ------
    NotFound
        There is none, or there are several.
    """
    alerts = current_alerts(history)
    chosen = [a for a in alerts if alert_id and a.alert_id.startswith(alert_id)]
    if len(chosen) != 1:
        active = ", ".join(a.alert_id for a in alerts if a.is_active and a.telling)[:200]
        problem = f"{len(chosen)} alerts start" if chosen else "no alert starts"
        raise NotFound(
            f"{problem} with {alert_id!r}. Open ones: {active or 'none'}. `tenure alerts list`"
            " shows them."
        )
    return chosen[0]


def write_run(store: Store, run_id: str, alerts: Sequence[Alert], watch: pd.DataFrame) -> None:
    """Write what a run changed, then the watch that says it was evaluated."""
    if alerts or store.exists(ALERTS_TABLE):
        store.write(
            ALERTS_TABLE,
            table_of_alerts(alerts),
            replace=f"run_id = '{run_id}' and by = '{BY_DATA}'",
            partition_by=["target"],
        )
    schema = pa.schema(list(WATCH))
    store.write(
        WATCH_TABLE,
        pa.Table.from_pandas(watch.reindex(columns=schema.names), schema, preserve_index=False),
        replace=f"run_id = '{run_id}'",
        partition_by=["target", "as_of"],
    )


def append_alert(store: Store, alert: Alert) -> None:
    """Add what a person did."""
    store.write(ALERTS_TABLE, table_of_alerts([alert]), append=True, partition_by=["target"])


def evaluated_runs(store: Store, target: str) -> list[Evaluated]:
    """Runs whose alerts were raised, oldest first, without those that were taken back."""
    if not store.exists(WATCH_TABLE):
        return []
    rows = store.read(
        WATCH_TABLE,
        columns=["run_id", "as_of", "is_trusted", "evaluated_at"],
        filters=[("target", "=", target)],
    ).drop_duplicates("run_id")
    rows = rows[~rows["run_id"].isin(_taken_back(store))]
    rows = rows.sort_values(["as_of", "evaluated_at"], kind="stable")
    return [
        Evaluated(str(row.run_id), pd.Timestamp(str(row.as_of)).date(), bool(row.is_trusted))
        for row in rows.itertuples()
    ]


def read_watch(store: Store, target: str, run_ids: Sequence[str]) -> pd.DataFrame:
    """Rows of some evaluations: account_id, as_of, run_id, health, path, renewal_date."""
    columns = ["account_id", "as_of", "run_id", "health", "path", "renewal_date"]
    if not run_ids:
        return pd.DataFrame({name: [] for name in columns})
    filters = [("target", "=", target), ("run_id", "in", list(run_ids))]
    return store.read(WATCH_TABLE, columns=columns, filters=filters)


def _taken_back(store: Store) -> set[str]:
    runs = run_rows(store)
    return set(runs.loc[runs["state"].isin(("superseded", "failed")), "run_id"])


def table_of_alerts(alerts: Sequence[Alert]) -> pa.Table:
    rows = [
        asdict(alert)
        | {name: _moment(getattr(alert, name)) for name in _DATES}
        | {"evidence": json.dumps(dict(alert.evidence), sort_keys=True)}
        for alert in alerts
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(list(ALERTS)))


def _moment(day: date | None) -> datetime | None:
    return None if day is None else datetime(day.year, day.month, day.day)


def _alert(row: dict[Any, Any]) -> Alert:
    value = row["value_at_risk"]
    known = {
        **row,
        **{n: None if pd.isna(row[n]) else pd.Timestamp(row[n]).date() for n in _DATES},
        "evidence": json.loads(row["evidence"]),
        "value_at_risk": None if pd.isna(value) else float(value),
        "telling": int(row["telling"]),
        "recorded_at": pd.Timestamp(row["recorded_at"]).to_pydatetime(),
    }
    return Alert(**{each.name: known[each.name] for each in fields(Alert)})
