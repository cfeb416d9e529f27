"""Visits from events: how long each lasted, where the project states the gap that ends one.

A visit is a run of one person's events without a gap longer than `session_gap_minutes`. It is made
of events that came into sight on the same day (UTC): an event that arrives late begins a visit of
its own and changes none that was counted before, so what a date sees of a visit never depends on
later rows.
"""

from dataclasses import replace

from pipeline.engine.duckdb import Connection, row
from pipeline.staging.staged import StagedColumn, StagedSource

COLUMN = "session_minutes"
SHORTER_BY = 0.02
"""Share of their mean length by which visits read shorter from which it is said."""
_SEEN = "greatest(CAST(event_time AS DATE), CAST(coalesce(known_from, event_time) AS DATE))"
_HAPPENED = "CAST(event_time AS DATE)"


def add_sessions(connection: Connection, source: StagedSource) -> StagedSource:
    """Fill `session_minutes`: the visit's length in whole minutes on its first event, NULL on the
    others.

    Nothing is done without `session_gap_minutes`, or where the user's table has the column. Without
    `user_id` the account is one visitor.
    """
    gap = source.settings.session_gap_minutes
    if source.contract.table != "usage_events" or gap is None or source.is_mapped(COLUMN):
        return source
    notes = _of_late_events(connection, source.table, gap) if source.has_known_at else ()
    connection.execute(f"""
CREATE OR REPLACE TABLE {source.table} AS
SELECT staged.* REPLACE (visits.minutes AS {COLUMN}) FROM {source.table} AS staged
LEFT JOIN ({_visits(source.table, gap)}) AS visits ON visits.id = staged.rowid""")
    return replace(
        source,
        columns={**source.columns, COLUMN: StagedColumn("number", is_mapped=True)},
        notes=(*source.notes, *notes),
    )


def _of_late_events(connection: Connection, table: str, gap: int) -> tuple[str, ...]:
    """What events that arrive late do to the length of visits, in words; nothing where it is
    little.
    """
    (mean_seen, mean_whole), (late,) = (
        row(
            connection,
            f"SELECT (SELECT avg(minutes) FROM ({_visits(table, gap)})),"
            f" (SELECT avg(minutes) FROM ({_visits(table, gap, _HAPPENED)}))",
        ),
        row(connection, f"SELECT avg(CAST({_SEEN} > {_HAPPENED} AS DOUBLE)) FROM {table}"),
    )
    if not mean_whole or 1.0 - mean_seen / mean_whole < SHORTER_BY:
        return ()
    return (
        f"{late:.1%} of events became known on a later day than they happened, and a date counts"
        f" them as visits of their own: visits read {1.0 - mean_seen / mean_whole:.0%} shorter"
        f" ({mean_seen:.1f} minutes on average, {mean_whole:.1f} had all events come in time). Map"
        " session_minutes if your table has the length of visits.",
    )


def _visits(table: str, gap: int, seen: str = _SEEN) -> str:
    """SELECT of (id of the first event, minutes) per visit; events of a visit share the day
    `seen`.
    """
    # Rows that were superseded on the day they came into sight were never seen by any date.
    events = (
        f"SELECT rowid AS id, account_id, user_id, event_time, event_name, known_until, {seen} AS"
        f" seen FROM {table} WHERE known_until IS NULL OR CAST(known_until AS DATE) > {seen}"
    )
    visitor = "PARTITION BY account_id, user_id, seen ORDER BY event_time, event_name, known_until"
    waited = f"event_time - lag(event_time) OVER ({visitor})"
    begins = f"SELECT *, coalesce({waited} > to_minutes({gap}), true) AS begins FROM ({events})"
    numbered = (
        f"SELECT *, sum(CAST(begins AS BIGINT)) OVER ({visitor} ROWS UNBOUNDED PRECEDING) AS visit "
        f"FROM ({begins})"
    )
    return (
        "SELECT max(id) FILTER (WHERE begins) AS id, date_diff('second', min(event_time),"
        f" max(event_time)) // 60 AS minutes FROM ({numbered}) GROUP BY account_id, user_id, seen,"
        " visit"
    )
