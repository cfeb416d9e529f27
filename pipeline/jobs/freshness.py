"""Are the feeds fresh enough to score on? Asked before anything is computed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np
import pandas as pd

from features.automatic import ACTIVITY
from features.naming import facts_table
from features.windows import day_number, day_of
from pipeline.engine.duckdb import Connection
from pipeline.staging.staged import StagedSource

# Same weekday over this many weeks is "usual".
USUAL_WEEKS = 8
USUAL_SHARE = 0.5
# Below this many rows a weekday's count says nothing.
FEWEST_USUAL = 20


@dataclass(frozen=True)
class SourceState:
    """How fresh one source was at as_of; `problem` is empty when it is fresh enough."""

    source: str
    newest_known: datetime | None
    rows: int
    age_days: float | None
    problem: str


def freshness(
    connection: Connection, staged: Mapping[str, StagedSource], as_of: date
) -> tuple[SourceState, ...]:
    """State of every source as it was known at as_of."""
    return tuple(_state(connection, source, as_of) for source in staged.values())


def covered_shares(
    connection: Connection, staged: Mapping[str, StagedSource], as_of: date
) -> dict[str, float]:
    """Share (0-1) of the accounts scored on a date that have any row in a source, as known then."""
    day = day_number(as_of)
    total = connection.execute(
        f"select count(*) from snapshots where as_of_day = {day}"
    ).fetchall()[0][0]
    shares = {}
    for name in staged:
        covered = connection.execute(
            f"select count(*) from snapshots s where s.as_of_day = {day} and exists ("
            f"select 1 from {facts_table(name)} f"
            f" where f.account_id = s.account_id and f.known_from_day < {day})"
        ).fetchall()[0][0]
        shares[name] = covered / total if total else float("nan")
    return shares


def _state(connection: Connection, source: StagedSource, as_of: date) -> SourceState:
    table, day = facts_table(source.name), day_number(as_of)
    newest, rows = connection.execute(
        f"select max(known_from), count(*) from {table} where known_from_day < {day}"
    ).fetchall()[0]
    known = None if not newest else datetime(1970, 1, 1) + timedelta(microseconds=int(newest))
    age = None if known is None else (datetime.combine(as_of, time()) - known) / timedelta(days=1)
    problems = [
        p for p in (_too_old(source, known, age, as_of), _too_few(connection, source, day)) if p
    ]
    return SourceState(source.name, known, int(rows), age, " ".join(problems))


def _too_old(source: StagedSource, known: datetime | None, age: float | None, as_of: date) -> str:
    limit = source.settings.max_age_days
    if source.rows_staged and (known is None or age is None):
        return f"{source.name} has no row known before {as_of}." if limit is not None else ""
    if limit is not None and age is not None and age > limit:
        return (
            f"{source.name}: the newest row became known {known:%Y-%m-%d %H:%M}, {age:.1f} days"
            f" before {as_of}; max_age_days = {limit:g}."
        )
    return ""


def _too_few(connection: Connection, source: StagedSource, day: int) -> str:
    """Rows of the last day against the same weekday of the eight weeks before."""
    if source.contract.table not in ACTIVITY or not source.settings.check_volume:
        return ""
    event = f"{source.contract.event_time}_day"
    counts = (
        connection.execute(
            f"select {event} as event_day, count(*) as n from {facts_table(source.name)} where"
            f" known_from_day < {day} and {event} < {day} and {event} >="
            f" {day - 7 * USUAL_WEEKS - 7} group by 1"
        )
        .df()
        .set_index("event_day")["n"]
    )
    # Late rows make yesterday look thin everywhere, so the day is compared with others at the same
    # age only by halves.
    last = day - 1
    usual = pd.Series(
        [counts.get(last - 7 * week, 0) for week in range(1, USUAL_WEEKS + 1)], dtype="float64"
    )
    expected, rows = float(np.median(usual)), int(counts.get(last, 0))
    if expected >= FEWEST_USUAL and rows < USUAL_SHARE * expected:
        return (
            f"{source.name}: {rows:,} rows on {day_of(last)}, under half of the {expected:,.0f}"
            f" usual on a {day_of(last):%A}."
        )
    return ""
