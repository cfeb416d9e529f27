"""What the sources say of one account as known on the run's date, and how fresh each of them is for
it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

import pandas as pd

from features.facts import as_known
from features.feeds import coverage
from features.naming import facts_table
from features.sources import CONTRACTS
from features.windows import day_number, happened, is_covered, known, not_superseded
from models.pulse import NEVER
from pipeline.engine.duckdb import Connection, connected, row, rows
from pipeline.engine.facts import feed_counts, put_table, source_facts
from pipeline.jobs.pulse import pulse_on
from pipeline.jobs.stage import load_staged
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace

USE_DAYS = 28
"""Daily active time is a mean over these days."""
MOST_USE_DAYS, MOST_USERS = 91, 3
"""Days in which the busiest people are looked for, and how many of them are told."""
WEEKS = 26
"""Weeks of the small histories."""
ASKED_AT_ONCE = 500
"""Accounts whose facts are held at a time."""
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
class PowerUsers:
    """Who on the customer's side uses the product most in `MOST_USE_DAYS`: people with their share
    of the account's events, the busiest first, and how many people used it.
    """

    shares: tuple[tuple[str, float], ...]
    people: int


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
    power_users: PowerUsers | None = None


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
    """Facts of several accounts, for which large tables are read once.

    Every question is asked once for `ASKED_AT_ONCE` accounts, so accounts are best read in the
    order in which they were named.
    """
    day = day_number(as_of.date())
    blocks = [
        list(account_ids[start : start + ASKED_AT_ONCE])
        for start in range(0, len(account_ids), ASKED_AT_ONCE)
    ]
    place = {account: number for number, block in enumerate(blocks) for account in block}
    with connected() as connection:
        staged = load_staged(workspace, connection)
        put_table(connection, "wanted", pd.DataFrame({"account_id": list(account_ids)}))
        narrowed = [_narrowed(connection, source, day) for source in staged.values()]
        answered: dict[str, AccountFacts] = {}

        def read(account_id: str) -> AccountFacts:
            if account_id not in answered:
                answered.clear()
                answered.update(_facts(connection, narrowed, blocks[place[account_id]], as_of))
            return answered[account_id]

        yield read


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
    connection: Connection, narrowed: Sequence[_Narrowed], accounts: Sequence[str], as_of: datetime
) -> dict[str, AccountFacts]:
    day = day_number(as_of.date())
    put_table(connection, "asked", pd.DataFrame({"account_id": accounts, "as_of_day": day}))
    by_table = {each.source.contract.table: each for each in reversed(narrowed)}
    sources = {name: each.source for name, each in by_table.items()}
    use = _if(by_table.get("usage_events"), lambda n: _use(connection, n, accounts, day))
    busiest = _if(sources.get("usage_events"), lambda s: _power_users(connection, s))
    pulse = _if(sources.get("csm_notes"), lambda s: _pulse(connection, s, accounts, as_of))
    nps = _if(sources.get("surveys"), lambda s: _nps(connection, s))
    tickets = _if(sources.get("support_tickets"), lambda s: _tickets(connection, s))
    people = _if(sources.get("contacts"), lambda s: _people(connection, s))
    touches = _if(sources.get("touchpoints"), lambda s: _last_touch(connection, s))
    payments = _if(sources.get("invoices"), lambda s: _payments(connection, s))
    goals = _if(sources.get("goals"), lambda s: _goals(connection, s))
    freshness = [_freshness(connection, each, day) for each in narrowed]
    weekly = [
        _weekly(connection, sources[table], column, name)
        for table, column, name in _WEEKLY
        if table in sources
    ]
    absent = tuple(table for table in CONTRACTS if table not in by_table and table != "outcomes")
    return {
        account: AccountFacts(
            as_of=as_of,
            use=_of(use, account),
            pulse=_of(pulse, account),
            nps=_of(nps, account),
            tickets=_of(tickets, account),
            sources=tuple(each[account] for each in freshness),
            absent=absent,
            people=_of(people, account),
            last_touch=_of(touches, account),
            payments=_of(payments, account),
            goals=_of(goals, account),
            weekly=tuple(each[account] for each in weekly),
            power_users=_of(busiest, account),
        )
        for account in accounts
    }


class _Answers(dict[str, _T]):
    """Account -> fact; one of whom a source has no row gets what that means."""

    def __init__(self, of_nobody: _T, answers: Mapping[str, _T]) -> None:
        super().__init__(answers)
        self.of_nobody = of_nobody

    def __missing__(self, account: str) -> _T:
        return self.of_nobody


def _if(source: _S | None, read: Callable[[_S], _T]) -> _T | None:
    return None if source is None else read(source)


def _of(answers: Mapping[str, _T] | None, account: str) -> _T | None:
    return None if answers is None else answers[account]


def _freshness(connection: Connection, narrowed: _Narrowed, day: int) -> _Answers[Freshness]:
    source, newest_of_all = narrowed.source, _moment(narrowed.newest_of_all)
    newest_rows = rows(
        connection,
        f"""
select f.account_id, max(f.known_from), count(case when {not_superseded("f", day)} then 1 end)
from {facts_table(source.name)} f join asked s on s.account_id = f.account_id
where f.known_from_day < {day} group by 1""",
    )
    return _Answers(
        Freshness(source.name, 0, None, newest_of_all, undated=False),
        {
            account: Freshness(
                source.name, int(count), _moment(newest), newest_of_all, undated=newest == 0
            )
            for account, newest, count in newest_rows
        },
    )


def _use(
    connection: Connection, narrowed: _Narrowed, accounts: Sequence[str], day: int
) -> dict[str, RecentUse]:
    source = narrowed.source
    facts = source_facts(source, {})
    has_minutes, has_people = source.is_mapped("session_minutes"), "user_id" in facts.mapped
    is_recent = f"f.event_time_day < s.as_of_day and f.event_time_day >= s.as_of_day - {USE_DAYS}"
    spent = (
        f"cast(sum(case when {is_recent} then f.session_minutes end) as double)"
        f" / {source.unit('session_minutes')}.0"
        if has_minutes
        else "null"
    )
    persons = f"count(distinct case when {is_recent} then f.user_id end)" if has_people else "null"
    use_rows = rows(
        connection,
        f"""
select f.account_id, count(distinct case when {is_recent} then f.event_time_day end), {spent},
  {persons}, max(case when f.event_time_day < s.as_of_day then f.event_time end)
from {facts.table} f join asked s on s.account_id = f.account_id and {known("f", "s")}
group by 1""",
    )
    used = {account: values for account, *values in use_rows}
    unused = (0, None, 0 if has_people else None, None)
    covered = _covered(connection, narrowed, accounts, day)

    def of(account: str) -> RecentUse:
        days, minutes, people, last = used.get(account, unused)
        return RecentUse(
            covered[account],
            int(days),
            float(minutes or 0.0) if has_minutes else None,
            None if people is None else int(people),
            _moment(last),
        )

    return {account: of(account) for account in accounts}


def _covered(
    connection: Connection, narrowed: _Narrowed, accounts: Sequence[str], day: int
) -> dict[str, bool]:
    """Whether the feed was there on all the days, as the cards ask it."""
    source, counts = narrowed.source, narrowed.feed_counts
    assert counts is not None  # a source of use
    feeds: dict[str, set[str]] = {account: set() for account in accounts}
    if source.has_feeds:
        for account, feed in rows(
            connection,
            f"select distinct f.account_id, f.partition_name from {facts_table(source.name)} f"
            " join asked s on s.account_id = f.account_id",
        ):
            feeds[account].add(feed)

    @cache
    def is_there(mine: frozenset[str]) -> bool:
        seen = counts[counts["partition_name"].isin(mine)] if mine else counts
        begun, silent = coverage(seen, day, source.settings.silent_after_days)
        return is_covered(day, USE_DAYS, begun, silent.tolist())

    return {account: is_there(frozenset(mine)) for account, mine in feeds.items()}


def _power_users(connection: Connection, source: StagedSource) -> _Answers[PowerUsers] | None:
    facts = source_facts(source, {})
    if "user_id" not in facts.mapped:
        return None
    people_of: dict[str, list[tuple[str, float]]] = {}
    people: dict[str, int] = {}
    for account, person, share, count in rows(
        connection,
        f"""
select account_id, user_id, events / sum(events) over (partition by account_id) as share,
  count(*) over (partition by account_id) as people
from (
  select t.account_id, t.user_id, count(*) as events
  from ({as_known(facts, "asked")}) t
  where {happened("t", "event_time", within_days=MOST_USE_DAYS)} and t.user_id is not null
  group by 1, 2)
qualify row_number() over (partition by account_id order by events desc, user_id) <= {MOST_USERS}
order by account_id, share desc, user_id""",
    ):
        people_of.setdefault(account, []).append((str(person), float(share)))
        people[account] = int(count)
    return _Answers(
        PowerUsers((), 0),
        {account: PowerUsers(tuple(mine), people[account]) for account, mine in people_of.items()},
    )


def _pulse(
    connection: Connection, source: StagedSource, accounts: Sequence[str], as_of: datetime
) -> dict[str, PulseFact] | None:
    if not source.is_mapped("pulse"):
        return None
    asked = pd.DataFrame(
        {"account_id": accounts, "as_of": pd.Series(as_of, range(len(accounts)), "datetime64[us]")}
    )
    return {
        str(pulse["account_id"]): PulseFact(NEVER, float("nan"), None, None, None)
        if pulse["status"] == NEVER
        else PulseFact(
            str(pulse["status"]),
            float(pulse["pulse"]),
            pulse["author"] if isinstance(pulse["author"], str) else None,
            pulse["noted_at"],
            pulse["counts_until"],
        )
        for pulse in pulse_on(connection, source, asked).to_dict("records")
    }


def _nps(connection: Connection, source: StagedSource) -> _Answers[NpsFact] | None:
    facts = source_facts(source, {})
    if "kind" not in facts.mapped:
        return None
    scores, points = (facts.unit(name) for name in ("score", "nps_points"))
    answers = rows(
        connection,
        f"""
select account_id, cast(score as double) / {scores}.0, cast(nps_points as double) / {points}.0,
  scale, answered_at, recent
from (
  select t.*, count(case when {happened("t", "answered_at", within_days=182)} then 1 end)
      over (partition by t.account_id) as recent,
    row_number() over (partition by t.account_id order by t.answered_at desc, t.score desc)
      as position
  from ({as_known(facts, "asked")}) t
  where {happened("t", "answered_at")} and t.kind = 'nps' and t.score is not null)
where position = 1""",
    )
    nan = float("nan")
    return _Answers(
        NpsFact(nan, nan, None, None, 0),
        {
            account: NpsFact(
                float(score),
                nan if points is None else float(points),
                scale if isinstance(scale, str) else None,
                _moment(answered_at),
                int(recent),
            )
            for account, score, points, scale, answered_at, recent in answers
        },
    )


def _tickets(connection: Connection, source: StagedSource) -> _Answers[Tickets]:
    facts = source_facts(source, {})
    is_open = f"{happened('t', 'opened_at')} and t.closed_at is null"
    tells = "closed_at" in facts.mapped
    open_tickets = rows(
        connection,
        f"""
select t.account_id, count(case when {is_open} then 1 end),
  min(case when {is_open} then t.opened_at end),
  max(case when {happened("t", "opened_at")} then t.opened_at end)
from ({as_known(facts, "asked")}) t group by 1""",
    )
    return _Answers(
        Tickets(0 if tells else None, None, None),
        {
            account: Tickets(
                int(count) if tells else None, _moment(oldest) if tells else None, _moment(last)
            )
            for account, count, oldest, last in open_tickets
        },
    )


def _people(connection: Connection, source: StagedSource) -> _Answers[tuple[Person, ...]] | None:
    """Sponsors and champions, those still there first."""
    facts = source_facts(source, {})
    if "role" not in facts.mapped:
        return None
    people_of: dict[str, list[Person]] = {}
    for account, person, role, since, until in rows(
        connection,
        f"""
select t.account_id, t.person, t.role, t.valid_from,
  case when {happened("t", "valid_to")} then t.valid_to end as valid_to
from ({as_known(facts, "asked")}) t
where {happened("t", "valid_from")} and t.role in ('sponsor', 'champion')
order by valid_to is not null, valid_to desc, t.valid_from desc, t.person""",
    ):
        people_of.setdefault(account, []).append(
            Person(str(person), str(role), _moment(since), _moment(until))
        )
    return _Answers((), {account: tuple(people) for account, people in people_of.items()})


def _last_touch(connection: Connection, source: StagedSource) -> _Answers[LastTouch]:
    facts = source_facts(source, {})
    kind = "t.kind" if "kind" in facts.mapped else "''"
    touches = rows(
        connection,
        f"""
select account_id, event_time, how
from (
  select t.account_id, t.event_time, {kind} as how,
    row_number() over (partition by t.account_id order by t.event_time desc, {kind}) as position
  from ({as_known(facts, "asked")}) t
  where {happened("t", "event_time")} and {kind} not in ('mail_sent', 'mail_opened'))
where position = 1""",
    )
    return _Answers(
        LastTouch(None, ""),
        {account: LastTouch(_moment(at), str(how)) for account, at, how in touches},
    )


def _payments(connection: Connection, source: StagedSource) -> _Answers[Payments] | None:
    facts = source_facts(source, {})
    if not {"due_at", "paid_at"} <= facts.mapped:
        return None
    has_amount = "amount" in facts.mapped
    late = f"{happened('t', 'due_at')} and t.paid_at is null"
    late += " and t.amount > 0" if has_amount else ""
    owed = (
        f"cast(sum(case when {late} then t.amount end) as double) / {facts.unit('amount')}.0"
        if has_amount
        else "null"
    )
    failed = (
        f"max(case when {happened('t', 'failed_at', within_days=364)} then t.failed_at end)"
        if "failed_at" in facts.mapped
        else "null"
    )
    debts = rows(
        connection,
        f"""
select t.account_id, count(case when {late} then 1 end), {owed},
  min(case when {late} then t.due_at end), {failed}
from ({as_known(facts, "asked")}) t group by 1""",
    )
    return _Answers(
        Payments(0, None, None, None),
        {
            account: Payments(
                int(overdue),
                None if amount is None else float(amount),
                _moment(oldest),
                _moment(failed_at),
            )
            for account, overdue, amount, oldest, failed_at in debts
        },
    )


def _goals(connection: Connection, source: StagedSource) -> _Answers[Goals]:
    facts = source_facts(source, {})
    is_open = "t.met_at is null"
    overdue = (
        f"count(case when {is_open} and {happened('t', 'due_at')} then 1 end)"
        if "due_at" in facts.mapped
        else "0"
    )
    goals = rows(
        connection,
        f"""
select t.account_id, count(t.met_at), count(case when {is_open} then 1 end), {overdue}
from ({as_known(facts, "asked")}) t
where t.set_at is null or {happened("t", "set_at")} group by 1""",
    )
    return _Answers(
        Goals(0, 0, 0),
        {account: Goals(int(met), int(still), int(late)) for account, met, still, late in goals},
    )


def _weekly(
    connection: Connection, source: StagedSource, column: str, name: str
) -> _Answers[Weekly]:
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
    shown = f"{name}: people" if people else f"{name}: days" if days else name
    unit = "people" if people else "days" if days else ""
    weeks: dict[str, list[int]] = {}
    for account, back, number in rows(
        connection,
        f"""
select t.account_id, (t.as_of_day - 1 - t.{column}_day) // 7 as back, {counted} as counted
from ({as_known(facts, "asked")}) t
where {happened("t", column, within_days=7 * WEEKS)}
group by 1, 2""",
    ):
        weeks.setdefault(account, [0] * WEEKS)[WEEKS - 1 - int(back)] = int(number)
    return _Answers(
        Weekly(shown, unit, (0,) * WEEKS),
        {account: Weekly(shown, unit, tuple(values)) for account, values in weeks.items()},
    )


def _moment(microseconds: Any) -> datetime | None:
    """A time from microseconds since 1970; 0 stands for rows without a date."""
    if microseconds is None or pd.isna(microseconds) or not int(microseconds):
        return None
    return _EPOCH + timedelta(microseconds=int(microseconds))
