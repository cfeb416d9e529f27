"""What the sources say of one account as known on the run's date, and how fresh each of them is for
it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
WEEKS = 26
"""Weeks of the small histories."""
_WEEKLY = (
    ("usage_events", "event_time", "Active each week"),
    ("support_tickets", "opened_at", "Tickets opened each week"),
    ("touchpoints", "event_time", "Contacts each week"),
)
_EPOCH = datetime(1970, 1, 1)
_S = TypeVar("_S")
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
class Person:
    """Somebody on the customer's side; `until` None: still there."""

    person: str
    role: str
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True)
class LastTouch:
    """When somebody last talked to them, and how; `at` None: never so far."""

    at: datetime | None
    kind: str


@dataclass(frozen=True)
class Payments:
    """Invoices past due and not paid, what they sum to, and the last failed payment of a year."""

    overdue: int
    amount: float | None
    oldest_due_at: datetime | None
    failed_at: datetime | None


@dataclass(frozen=True)
class Goals:
    """Goals that were met, are open, and are open past their date."""

    met: int
    open: int
    overdue: int


@dataclass(frozen=True)
class Weekly:
    """A number for each of the last `WEEKS` weeks, the oldest first; the last one ends at the
    date.
    """

    name: str
    unit: str
    values: tuple[int, ...]


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
    people: tuple[Person, ...] | None = None
    last_touch: LastTouch | None = None
    payments: Payments | None = None
    goals: Goals | None = None
    weekly: tuple[Weekly, ...] = ()


def account_facts(workspace: Workspace, account_id: str, as_of: datetime) -> AccountFacts:
    """Read the staged tables for one account; nothing that became known on or after `as_of`
    counts.
    """
    with facts_reader(workspace, [account_id], as_of) as read:
        return read(account_id)


@contextmanager
def facts_reader(
    workspace: Workspace, account_ids: Sequence[str], as_of: datetime
) -> Iterator[Callable[[str], AccountFacts]]:
    """Facts of several accounts, for which large tables are read once."""
    day = day_number(as_of.date())
    with connected() as connection:
        staged = load_staged(workspace, connection)
        put_table(connection, "wanted", pd.DataFrame({"account_id": list(account_ids)}))
        narrowed = {name: _narrowed(connection, source, day) for name, source in staged.items()}
        yield lambda account_id: _facts(connection, list(narrowed.values()), account_id, as_of)


@dataclass(frozen=True)
class _Narrowed:
    """A source of which only the wanted accounts' rows are left, and what was true of all."""

    source: StagedSource
    newest_of_all: Any
    feed_counts: pd.DataFrame | None


def _narrowed(connection: Connection, source: StagedSource, day: int) -> _Narrowed:
    table = facts_table(source.name)
    (newest,) = row(connection, f"select max(known_from) from {table} where known_from_day < {day}")
    counts = feed_counts(connection, source) if source.contract.table == "usage_events" else None
    connection.execute(
        f"create temp table mine_{table} as select * from {table} where account_id in (select"
        " account_id from wanted)"
    )
    connection.execute(f"create or replace temp view {table} as select * from mine_{table}")
    return _Narrowed(source, newest, counts)


def _facts(
    connection: Connection, narrowed: Sequence[_Narrowed], account_id: str, as_of: datetime
) -> AccountFacts:
    day = day_number(as_of.date())
    put_table(connection, "asked", pd.DataFrame({"account_id": [account_id], "as_of_day": [day]}))
    by_table = {each.source.contract.table: each for each in reversed(narrowed)}
    sources = {name: each.source for name, each in by_table.items()}
    return AccountFacts(
        as_of=as_of,
        use=_if(by_table.get("usage_events"), lambda n: _use(connection, n, account_id, day)),
        pulse=_if(sources.get("csm_notes"), lambda s: _pulse(connection, s, account_id, as_of)),
        nps=_if(sources.get("surveys"), lambda s: _nps(connection, s)),
        tickets=_if(sources.get("support_tickets"), lambda s: _tickets(connection, s)),
        sources=tuple(_freshness(connection, each, account_id, day) for each in narrowed),
        absent=tuple(table for table in CONTRACTS if table not in by_table and table != "outcomes"),
        people=_if(sources.get("contacts"), lambda s: _people(connection, s)),
        last_touch=_if(sources.get("touchpoints"), lambda s: _last_touch(connection, s)),
        payments=_if(sources.get("invoices"), lambda s: _payments(connection, s)),
        goals=_if(sources.get("goals"), lambda s: _goals(connection, s)),
        weekly=tuple(
            _weekly(connection, sources[table], column, name)
            for table, column, name in _WEEKLY
            if table in sources
        ),
    )


def _if(source: _S | None, read: Callable[[_S], _T]) -> _T | None:
    return None if source is None else read(source)


def _freshness(connection: Connection, narrowed: _Narrowed, account_id: str, day: int) -> Freshness:
    source = narrowed.source
    table, mine = facts_table(source.name), f"account_id = {literal(account_id)}"
    counted = f"case when {mine} and {not_superseded('f', day)} then 1 end"
    newest, rows = row(
        connection,
        f"select max(case when {mine} then known_from end), count({counted}) from"
        f" {table} f where known_from_day < {day}",
    )
    return Freshness(
        source.name,
        int(rows),
        _moment(newest),
        _moment(narrowed.newest_of_all),
        undated=newest == 0,
    )


def _use(connection: Connection, narrowed: _Narrowed, account_id: str, day: int) -> RecentUse:
    source = narrowed.source
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
        _is_covered(connection, narrowed, account_id, day),
        int(days),
        spent_minutes,
        None if persons is None else int(persons),
        _moment(last),
    )


def _is_covered(connection: Connection, narrowed: _Narrowed, account_id: str, day: int) -> bool:
    """Whether the feed was there on all the days, as the cards ask it."""
    source, counts = narrowed.source, narrowed.feed_counts
    assert counts is not None  # a source of use
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


def _people(connection: Connection, source: StagedSource) -> tuple[Person, ...] | None:
    """Sponsors and champions, those still there first."""
    facts = source_facts(source, {})
    if "role" not in facts.mapped:
        return None
    rows = connection.execute(f"""
select t.person, t.role, t.valid_from, case when {happened("t", "valid_to")} then t.valid_to end
  as valid_to
from ({as_known(facts, "asked")}) t
where {happened("t", "valid_from")} and t.role in ('sponsor', 'champion')
order by valid_to is not null, valid_to desc, t.valid_from desc, t.person""").fetchall()
    return tuple(
        Person(str(person), str(role), _moment(since), _moment(until))
        for person, role, since, until in rows
    )


def _last_touch(connection: Connection, source: StagedSource) -> LastTouch:
    facts = source_facts(source, {})
    kind = "t.kind" if "kind" in facts.mapped else "''"
    rows = connection.execute(f"""
select t.event_time, {kind} as kind
from ({as_known(facts, "asked")}) t
where {happened("t", "event_time")} and {kind} not in ('mail_sent', 'mail_opened')
order by t.event_time desc, kind limit 1""").fetchall()
    return LastTouch(_moment(rows[0][0]), str(rows[0][1])) if rows else LastTouch(None, "")


def _payments(connection: Connection, source: StagedSource) -> Payments | None:
    facts = source_facts(source, {})
    if not {"due_at", "paid_at"} <= facts.mapped:
        return None
    amount = (
        f"cast(sum(case when {{late}} then t.amount end) as double) / {facts.unit('amount')}.0"
        if "amount" in facts.mapped
        else "null"
    )
    late = f"{happened('t', 'due_at')} and t.paid_at is null"
    late += " and t.amount > 0" if "amount" in facts.mapped else ""
    failed = (
        f"max(case when {happened('t', 'failed_at', within_days=364)} then t.failed_at end)"
        if "failed_at" in facts.mapped
        else "null"
    )
    overdue, owed, oldest, failed_at = row(
        connection,
        f"""
select count(case when {late} then 1 end), {amount.format(late=late)},
  min(case when {late} then t.due_at end), {failed}
from ({as_known(facts, "asked")}) t""",
    )
    return Payments(
        int(overdue), None if owed is None else float(owed), _moment(oldest), _moment(failed_at)
    )


def _goals(connection: Connection, source: StagedSource) -> Goals:
    facts = source_facts(source, {})
    is_open = "t.met_at is null"
    overdue = (
        f"count(case when {is_open} and {happened('t', 'due_at')} then 1 end)"
        if "due_at" in facts.mapped
        else "0"
    )
    met, still_open, late = row(
        connection,
        f"""
select count(t.met_at), count(case when {is_open} then 1 end), {overdue}
from ({as_known(facts, "asked")}) t
where t.set_at is null or {happened("t", "set_at")}""",
    )
    return Goals(int(met), int(still_open), int(late))


def _weekly(connection: Connection, source: StagedSource, column: str, name: str) -> Weekly:
    """People active in each week where the source names them, else rows."""
    facts = source_facts(source, {})
    people = source.contract.table == "usage_events" and "user_id" in facts.mapped
    days = source.contract.table == "usage_events" and not people
    counted = (
        "count(distinct t.user_id)"
        if people
        else f"count(distinct t.{column}_day)"
        if days
        else "count(*)"
    )
    rows = connection.execute(f"""
select (t.as_of_day - 1 - t.{column}_day) // 7 as back, {counted} as counted
from ({as_known(facts, "asked")}) t
where {happened("t", column, within_days=7 * WEEKS)}
group by 1""").fetchall()
    by_week = {int(back): int(number) for back, number in rows}
    shown = f"{name}: people" if people else f"{name}: days" if days else name
    unit = "people" if people else "days" if days else ""
    return Weekly(shown, unit, tuple(by_week.get(back, 0) for back in range(WEEKS - 1, -1, -1)))


def _moment(microseconds: Any) -> datetime | None:
    """A time from microseconds since 1970; 0 stands for rows without a date."""
    if microseconds is None or pd.isna(microseconds) or not int(microseconds):
        return None
    return _EPOCH + timedelta(microseconds=int(microseconds))
