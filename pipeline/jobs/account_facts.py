"""What the sources say of one account as known on the run's date, and how fresh each of them is for
it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pandas as pd

from features.facts import as_known
from features.feeds import coverage
from features.naming import facts_table
from features.sources import CONTRACTS
from features.sql import literal
from features.windows import day_number, happened, is_covered, known, not_superseded
from models.pulse import NEVER
from pipeline.engine.duckdb import Connection, connected, row
from pipeline.engine.facts import feed_counts, put_table, source_facts
from pipeline.jobs.pulse import pulse_on
from pipeline.jobs.stage import load_staged
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace

USE_DAYS = 28
"""Daily active time is a mean over these days."""
_EPOCH = datetime(1970, 1, 1)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Freshness:
    """One source: when its newest row became known before the date, for this account and for any.

    `newest` None: no row of this account. `undated`: rows without any date of their own (attributes
    of today).
    """

    source: str
    rows: int
    newest: datetime | None
    newest_of_all: datetime | None
    undated: bool


@dataclass(frozen=True)
class RecentUse:
    """Use in the last 28 days; `covered` False: the feed was not there all that time, so nothing is
    claimed.

    `minutes` None: the source tells no length of visits. `people` None: it tells no users.
    """

    covered: bool
    active_days: int
    minutes: float | None
    people: int | None
    last_at: datetime | None


@dataclass(frozen=True)
class PulseFact:
    """The newest pulse: `status` as of `models.pulse`; null values where it is `never`."""

    status: str
    pulse: float
    author: str | None
    noted_at: datetime | None
    counts_until: datetime | None


@dataclass(frozen=True)
class NpsFact:
    """The newest NPS answer; `answered_at` None: none on record. `points`: 100 promoter, 0 passive,
    -100 detractor.
    """

    score: float
    points: float
    scale: str | None
    answered_at: datetime | None
    answers_182d: int


@dataclass(frozen=True)
class Tickets:
    """Open support tickets; `open` None: the source does not say when tickets close."""

    open: int | None
    oldest_opened_at: datetime | None
    last_opened_at: datetime | None


@dataclass(frozen=True)
class AccountFacts:
    """Facts of one account as known on `as_of`; None: the project has no such source."""

    as_of: datetime
    use: RecentUse | None
    pulse: PulseFact | None
    nps: NpsFact | None
    tickets: Tickets | None
    sources: tuple[Freshness, ...]
    absent: tuple[str, ...]
    """Tables that tenure can read and the project does not have."""


def account_facts(workspace: Workspace, account_id: str, as_of: datetime) -> AccountFacts:
    """Read the staged tables for one account; nothing that became known on or after `as_of`
    counts.
    """
    day = day_number(as_of.date())
    with connected() as connection:
        staged = load_staged(workspace, connection)
        put_table(
            connection, "asked", pd.DataFrame({"account_id": [account_id], "as_of_day": [day]})
        )
        by_table = {source.contract.table: source for source in reversed(staged.values())}
        return AccountFacts(
            as_of=as_of,
            use=_if(by_table.get("usage_events"), lambda s: _use(connection, s, account_id, day)),
            pulse=_if(
                by_table.get("csm_notes"), lambda s: _pulse(connection, s, account_id, as_of)
            ),
            nps=_if(by_table.get("surveys"), lambda s: _nps(connection, s)),
            tickets=_if(by_table.get("support_tickets"), lambda s: _tickets(connection, s)),
            sources=tuple(
                _freshness(connection, source, account_id, day) for source in staged.values()
            ),
            absent=tuple(
                table for table in CONTRACTS if table not in by_table and table != "outcomes"
            ),
        )


def _if(source: StagedSource | None, read: Callable[[StagedSource], _T]) -> _T | None:
    return None if source is None else read(source)


def _freshness(
    connection: Connection, source: StagedSource, account_id: str, day: int
) -> Freshness:
    table, mine = facts_table(source.name), f"account_id = {literal(account_id)}"
    counted = f"case when {mine} and {not_superseded('f', day)} then 1 end"
    newest, newest_of_all, rows = row(
        connection,
        f"select max(case when {mine} then known_from end), max(known_from), count({counted}) from"
        f" {table} f where known_from_day < {day}",
    )
    return Freshness(
        source.name, int(rows), _moment(newest), _moment(newest_of_all), undated=newest == 0
    )


def _use(connection: Connection, source: StagedSource, account_id: str, day: int) -> RecentUse:
    facts = source_facts(source, {})
    has_minutes = source.is_mapped("session_minutes")
    spent = (
        f"cast(sum(f.session_minutes) as double) / {source.unit('session_minutes')}.0"
        if has_minutes
        else "null"
    )
    people = "count(distinct f.user_id)" if "user_id" in facts.mapped else "null"
    seen = f"from {facts.table} f join asked s on s.account_id = f.account_id and {known('f', 's')}"
    (last,) = row(
        connection, f"select max(f.event_time) {seen} where f.event_time_day < s.as_of_day"
    )
    days, total, persons = row(
        connection,
        f"select count(distinct f.event_time_day), {spent}, {people} {seen} where f.event_time_day"
        f" < s.as_of_day and f.event_time_day >= s.as_of_day - {USE_DAYS}",
    )
    spent_minutes = None if not has_minutes else float(total or 0.0)
    return RecentUse(
        _is_covered(connection, source, account_id, day),
        int(days),
        spent_minutes,
        None if persons is None else int(persons),
        _moment(last),
    )


def _is_covered(connection: Connection, source: StagedSource, account_id: str, day: int) -> bool:
    """Whether the feed was there on all the days, as the cards ask it."""
    counts = feed_counts(connection, source)
    if source.has_feeds:
        feeds = connection.execute(
            f"select distinct partition_name from {facts_table(source.name)}"
            f" where account_id = {literal(account_id)}"
        ).df()["partition_name"]
        counts = counts[counts["partition_name"].isin(feeds)] if len(feeds) else counts
    begun, silent = coverage(counts, day, source.settings.silent_after_days)
    return is_covered(day, USE_DAYS, begun, silent.tolist())


def _pulse(
    connection: Connection, source: StagedSource, account_id: str, as_of: datetime
) -> PulseFact | None:
    if not source.is_mapped("pulse"):
        return None
    account = pd.DataFrame(
        {"account_id": [account_id], "as_of": pd.Series([as_of], dtype="datetime64[us]")}
    )
    pulse = pulse_on(connection, source, account).iloc[0]
    if pulse["status"] == NEVER:
        return PulseFact(NEVER, float("nan"), None, None, None)
    author = pulse["author"] if isinstance(pulse["author"], str) else None
    return PulseFact(
        str(pulse["status"]),
        float(pulse["pulse"]),
        author,
        pulse["noted_at"],
        pulse["counts_until"],
    )


def _nps(connection: Connection, source: StagedSource) -> NpsFact | None:
    facts = source_facts(source, {})
    if "kind" not in facts.mapped:
        return None
    scores, points = (facts.unit(name) for name in ("score", "nps_points"))
    rows = connection.execute(f"""
select cast(t.score as double) / {scores}.0 as score, cast(t.nps_points as double) / {points}.0
  as points, t.scale,
  t.answered_at, case when {happened("t", "answered_at", within_days=182)} then 1 else 0 end
    as is_recent
from ({as_known(facts, "asked")}) t
where {happened("t", "answered_at")} and t.kind = 'nps' and t.score is not null
order by t.answered_at desc, t.score desc""").df()
    if rows.empty:
        return NpsFact(float("nan"), float("nan"), None, None, 0)
    newest = rows.iloc[0]
    return NpsFact(
        float(newest["score"]),
        float(newest["points"]),
        newest["scale"] if isinstance(newest["scale"], str) else None,
        _moment(newest["answered_at"]),
        int(rows["is_recent"].sum()),
    )


def _tickets(connection: Connection, source: StagedSource) -> Tickets:
    facts = source_facts(source, {})
    is_open = f"{happened('t', 'opened_at')} and t.closed_at is null"
    count, oldest, last = row(
        connection,
        f"""
select count(case when {is_open} then 1 end), min(case when {is_open} then t.opened_at end),
  max(case when {happened("t", "opened_at")} then t.opened_at end)
from ({as_known(facts, "asked")}) t""",
    )
    tells = "closed_at" in facts.mapped
    return Tickets(int(count) if tells else None, _moment(oldest) if tells else None, _moment(last))


def _moment(microseconds: Any) -> datetime | None:
    """A time from microseconds since 1970; 0 stands for rows without a date."""
    if microseconds is None or pd.isna(microseconds) or not int(microseconds):
        return None
    return _EPOCH + timedelta(microseconds=int(microseconds))
