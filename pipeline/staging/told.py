"""Rows that people told on the dashboard, added to a staged source.

They are known from when they were told, whatever the source says of its own rows, and say nothing
of how far its export reaches: a manager's note of today does not make last week's export fresh.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from pipeline.dashboard.inbox import ANSWER, ANSWERS, PLAY, Told
from pipeline.engine.duckdb import Connection, identifier, row
from pipeline.staging.sources import not_denied
from pipeline.staging.staged import DUCKDB_TYPES, StagedSource


def told_rows(told: Sequence[Told], contract: str) -> pd.DataFrame:
    """Entries as rows of `csm_notes`, `interventions` or `surveys`, with account_id and
    known_from.
    """
    return pd.DataFrame([_row(each, contract) for each in told])


def _row(told: Told, contract: str) -> dict[str, Any]:
    entry = told.entry
    at = pd.Timestamp(entry.at)
    common: dict[str, Any] = {"account_id": entry.account_id, "known_from": at}
    if contract == "surveys":
        low, high = ANSWERS[entry.asks]
        return {
            **common,
            "answered_at": at,
            "kind": entry.asks,
            "scale": f"{low}-{high}",
            "score": None if entry.pulse is None else float(entry.pulse),
            "comment": entry.note or None,
        }
    if entry.kind in (PLAY, ANSWER):
        done = {"assigned_at": at, "done_at": at, "is_holdout": False}
        return {**common, "play": entry.play, "owner": entry.author, **done}
    pulse = None if entry.pulse is None else float(entry.pulse)
    return {
        **common,
        "author": entry.author,
        "noted_at": at,
        "pulse": pulse,
        "text": entry.note or None,
    }


def add_told(connection: Connection, source: StagedSource, told: Sequence[Told]) -> StagedSource:
    """The source with the rows that were told, in its table too; accounts that withhold consent
    are left out.
    """
    rows = told_rows(told, source.contract.table)
    filled = [name for name in source.columns if name in rows.columns and rows[name].notna().any()]
    connection.register("told_now", rows)
    values = []
    for name in filled:
        kind = DUCKDB_TYPES[source.columns[name].type]
        is_scaled = source.columns[name].type in ("number", "money")
        value = f"round(t.{name} * {source.unit(name)})" if is_scaled else f"t.{name}"
        values.append(f"cast({value} as {kind}) as {identifier(name)}")
    (before,) = row(connection, f"select count(*) from {source.table}")
    connection.execute(
        f"insert into {source.table} by name select {', '.join(values)},"
        " cast(t.known_from as timestamp) as known_from, '' as partition from told_now t"
        f" where {not_denied('t.account_id')}"
    )
    connection.unregister("told_now")
    (after,) = row(connection, f"select count(*) from {source.table}")
    added = int(after - before)
    if not added:
        return source
    newest = rows["known_from"].max().to_pydatetime()
    return replace(
        source,
        columns={
            name: replace(column, is_mapped=True) if name in filled else column
            for name, column in source.columns.items()
        },
        rows_read=source.rows_read + added,
        rows_staged=source.rows_staged + added,
        last_event=newest if source.last_event is None else max(source.last_event, newest),
        notes=(*source.notes, f"{added:,} rows were told on the dashboard."),
    )
