"""Questions about values: does one tell who left before anybody could have known?

Each is asked of raw columns, one by one, before a model can profit. "Left" is the target's own
event, or the end of cover.

    value-tells-outcome    the first value an account ever has, a horizon and more before anything
        happened, already
                           ranks those that left: it was written, or rewritten, afterwards
    only-leavers-have-it   a kind of event, category or rating that hardly anybody has but accounts
        about to leave:
                           an outcome logged as if it were activity, or an answer dated back
    identifier-mapped      an attribute that names accounts: a model learns ids by heart

A rating that foretells a departure weeks ahead is a good signal; one that did so in the account's
first month is a leak. So first values are taken, and only from accounts that were there for a
horizon afterwards.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.naming import facts_table
from features.windows import day_of
from models.leakage import LEAVERS_TO_AUDIT, LIMIT, LeakFinding, identifiers, proxies
from pipeline.checking.clocks import UNREAD, moment
from pipeline.checking.evidence import EXAMPLES, LATEST, Evidence, is_mapped, view
from pipeline.checking.report import Finding
from pipeline.engine.facts import NEVER_SIGNALS, source_facts
from pipeline.staging.staged import StagedSource

LEAVING = ("churn", "voluntary", "involuntary", "inactivity", "event")
"""Kinds of target that ask who goes; what tells of growth is left to the audit of signals."""
USUAL_HORIZON_DAYS = 90
MOST_VALUES = 40
"""Text with more different values is no category."""
FEW_NUMBERS = 12
"""A number with so few values is a rating or a code: each value may be a category of its own."""
NEARLY_ALL = 0.95
ACCOUNTS_WITH_VALUE = 8
BY_CHANCE = 1e-4
"""Probability that so many accounts with a value leave soon, did the value say nothing."""
NO_VALUES = NEVER_SIGNALS | {"parent_account_id", "partition", "row_key", "is_deleted", "known_at"}


@dataclass(frozen=True)
class _SignalColumn:
    """A column that signals may read, with the times of its rows."""

    source: StagedSource
    column: str
    type: str
    horizon: int

    @property
    def event(self) -> str:
        """Column that dates the rows; accounts without history are dated by their opening."""
        table, event = self.source.contract.table, str(self.source.contract.event_time)
        return (
            "created_at"
            if table == "accounts" and not is_mapped(self.source, "valid_from")
            else event
        )

    @property
    def seen_day(self) -> str:
        """SQL: the day from which both clocks let a row through."""
        return f"greatest(f.known_from_day, coalesce(f.{self.event}_day, f.known_from_day))"

    @property
    def clock(self) -> str:
        """The clock of the row, in the words of the project file."""
        if self.source.has_known_at:
            return "known_at"
        delay = self.source.settings.delay_days
        return (
            f"{self.event} + {delay:g} days (assumed)"
            if delay
            else f"{self.event} (assumed: no known_at)"
        )


def leak_findings(evidence: Evidence) -> Iterator[Finding]:
    """Findings about values that tell the outcome too early; needs `check_accounts`."""
    accounts = evidence.first("accounts")
    if accounts is not None:
        yield from _identifiers(evidence, accounts)
    if evidence.target.kind not in LEAVING:
        return
    for signal in _signal_columns(evidence):
        leaks = list(_only_leavers(evidence, signal))
        yield from leaks or _first_values(evidence, signal)


def _signal_columns(evidence: Evidence) -> Iterator[_SignalColumn]:
    """Every column that can become a signal and has no clock of its own."""
    horizon = evidence.target.horizon_days or USUAL_HORIZON_DAYS
    for source in evidence.staged.values():
        for name in unclocked_columns(source):
            yield _SignalColumn(source, name, source.columns[name].type, horizon)


def unclocked_columns(source: StagedSource) -> tuple[str, ...]:
    """Columns of a source that can become signals, and count from the clock of their row on."""
    if (
        source.contract.table in UNREAD
        or not source.settings.features
        or source.contract.event_time is None
    ):
        return ()
    facts = source_facts(source, {})
    is_list = source.contract.table == "accounts"
    readable = _attributes(source) if is_list else list(source.columns)
    columns = []
    for name in readable:
        column, declared = source.columns[name], source.contract.column(name)
        is_person = declared is not None and declared.is_personal
        is_id = name.endswith("_id") or name in NO_VALUES
        is_value = column.is_mapped and column.type != "time" and not is_person and not is_id
        if is_value and facts.clock(name) is None:
            columns.append(name)
    return tuple(columns)


def _attributes(accounts: StagedSource) -> list[str]:
    """Attributes that are read as of a date: they have history, or were declared never to
    change.
    """
    has_history = is_mapped(accounts, "valid_from")
    return [
        n
        for n, c in accounts.columns.items()
        if c.is_mapped
        and n not in NO_VALUES
        and c.type != "time"
        and (has_history or n in accounts.settings.immutable)
    ]


# --- values only leavers have
# -------------------------------------------------------------------------


def _only_leavers(evidence: Evidence, signal: _SignalColumn) -> Iterator[Finding]:
    """Values whose first appearance is followed (or was preceded) by the account's departure,
    nearly always.
    """
    facts, column = view(signal.source), signal.column
    if signal.source.contract.table in ("accounts", "subscriptions"):
        return
    most = FEW_NUMBERS if signal.type in ("number", "money") else MOST_VALUES
    if not 1 < evidence.row(f"select count(distinct f.{column}) from {facts} f")[0] <= most:
        return
    # What happens in the last horizon before the end of the data is not decided yet.
    values = evidence.rows(f"""
with firsts as (
  select f.{column} as v, f.account_id, min({signal.seen_day}) as day from {facts} f
  where {LATEST} and f.{column} is not null group by 1, 2),
decided as (
  select v, coalesce(a.left_day - day <= {signal.horizon}, false) as is_near
  from firsts join check_accounts a using (account_id)
    where day <= {evidence.end_day - signal.horizon}),
usual as (select avg(cast(is_near as integer)) as rate from decided)
select v, count(*) as n, count(*) filter (is_near) as near, any_value(rate)
from decided, usual group by 1 order by 1""")
    for value, n, near, usual in values:
        if n >= ACCOUNTS_WITH_VALUE and near >= NEARLY_ALL * n and usual**near < BY_CHANCE:
            yield _only_leavers_finding(evidence, signal, value, (near, n, usual))


def _only_leavers_finding(
    evidence: Evidence, signal: _SignalColumn, value: object, counts: tuple[int, int, float]
) -> Finding:
    near, n, usual = counts
    scale = signal.source.unit(signal.column) if isinstance(value, int) else 1
    shown = (
        f"{value / scale:g}"
        if isinstance(value, int) and not isinstance(value, bool)
        else f'"{value}"'
    )
    same = f"f.{signal.column} = " + (
        str(value) if isinstance(value, int | bool) else "'" + str(value).replace("'", "''") + "'"
    )
    return Finding(
        "only-leavers-have-it",
        "stop",
        signal.source.name,
        f"{signal.column} = {shown}: {near:,} of {n:,} accounts that have it were gone, or left"
        f" within {signal.horizon} days ({usual:.0%} for other values of {signal.column}): it"
        " records the departure, whatever its date says",
        f"Leave such rows out (drop), map the true {signal.event} or a known_at, or move them to a"
        " source of outcomes.",
        near,
        n,
        "accounts",
        _examples(evidence, signal, same),
        column=signal.column,
        clock=signal.clock,
    )


# --- first values
# -------------------------------------------------------------------------------------


def _first_values(evidence: Evidence, signal: _SignalColumn) -> Iterator[Finding]:
    """The first value of each account, and whether it has one in equal time, judged by who left in
    the end.
    """
    leaks = list(
        _telling_values(
            evidence,
            signal,
            _first_value_table(evidence, signal, is_equal=False).dropna(subset=["value"]),
        )
    )
    yield from leaks or _telling_values(
        evidence, signal, _first_value_table(evidence, signal, is_equal=True)
    )


def _telling_values(
    evidence: Evidence, signal: _SignalColumn, table: pd.DataFrame
) -> Iterator[Finding]:
    left = table["has_left"].to_numpy(dtype=np.int8)
    if int(left.sum()) < LEAVERS_TO_AUDIT or int((left == 0).sum()) < LEAVERS_TO_AUDIT:
        return
    values = table[["value"]].rename(columns={"value": signal.column})
    if values[signal.column].nunique(dropna=False) < 2:
        return
    for proxy in proxies(values, left, table["account_id"]):
        yield _first_value_finding(evidence, signal, proxy, table)


def _first_value_table(
    evidence: Evidence, signal: _SignalColumn, *, is_equal: bool
) -> pd.DataFrame:
    """account_id, value (null: none yet), has_left, of accounts that were there a horizon after the
    source began.

    Accounts still in a first term that binds them are no stayers: else long plans would "tell" who
    stays. Values count until a horizon before the account left, or the data ended. With `is_equal`
    every account is given one horizon to show a value: those that left had less time in all, so
    that "none yet" would tell of them however honest the source.
    """
    facts, horizon, end = view(signal.source), signal.horizon, evidence.end_day
    began = evidence.row(f"select coalesce(min({signal.seen_day}), {end}) from {facts} f")[0]
    # Flags and numbers as doubles; ties go to the row known first, then the smaller value.
    value = (
        f"cast(f.{signal.column} as double)"
        if signal.type in ("number", "money", "flag")
        else f"f.{signal.column}"
    )
    return evidence.connection.execute(f"""
with begun as (
  select a.account_id, coalesce(a.has_left, a.is_gone) as has_left, coalesce(a.left_day, {end})
    as gone_day,
    greatest(coalesce(a.created_day, a.first_day, {began}), {began}) as start_day
  from check_accounts a where coalesce(a.has_left, a.is_gone) is not null and a.could_leave),
there as (
  select account_id, has_left, {f"start_day + {horizon}" if is_equal else f"gone_day - {horizon}"}
    as until_day
  from begun where gone_day - {2 * horizon} >= start_day),
seen as (
  select f.account_id, {signal.seen_day} as day, f.known_from, {value} as value from {facts} f
    where f.{signal.column} is not null),
firsts as (
  select s.account_id, arg_min(s.value, (s.day, s.known_from, s.value)) as value
  from seen s join there t on t.account_id = s.account_id and s.day <= t.until_day group by 1)
select t.account_id, f.value, cast(t.has_left as tinyint) as has_left
from there t left join firsts f using (account_id) order by 1""").df()


def _first_value_finding(
    evidence: Evidence, signal: _SignalColumn, proxy: LeakFinding, table: pd.DataFrame
) -> Finding:
    said = {
        "value": (
            f"the first {signal.column} of an account ranks those that left with an AUC of"
            f" {proxy.figure:.3f}"
        ),
        "missing": (
            f"whether an account has any {signal.column} ranks those that left with an AUC of"
            f" {proxy.figure:.3f}"
        ),
        "filled": f"{proxy.figure:.1%} of the accounts with {signal.column} left",
        "empty": f"{proxy.figure:.1%} of the accounts without {signal.column} left",
    }[proxy.kind]
    left = int(table["has_left"].sum())
    return Finding(
        "value-tells-outcome",
        "stop",
        signal.source.name,
        f"{said}, {signal.horizon} days and more before they did (the limit is {LIMIT}): it was"
        " written, or rewritten, afterwards",
        f"Map known_at or the true history of {signal.column}, leave it out of the mapping, or"
        " switch the source's signals off (features = false).",
        left,
        len(table),
        "accounts that left",
        _examples(evidence, signal, f"f.{signal.column} is not null"),
        column=signal.column,
        clock=signal.clock,
    )


def _examples(evidence: Evidence, signal: _SignalColumn, condition: str) -> tuple[str, ...]:
    """Rows of accounts that left: value, both times, and when the account left."""
    decimals = (
        signal.source.columns[signal.column].decimals if signal.type in ("number", "money") else 0
    )
    shown = (
        f"cast(f.{signal.column} as double) / {10**decimals}" if decimals else f"f.{signal.column}"
    )
    happened = moment(f"f.{signal.event}") if signal.event in signal.source.columns else "'?'"
    accounts = evidence.rows(
        f"""
select f.account_id, cast({shown} as varchar), coalesce({happened}, 'empty'),
  {moment("f.known_from")}, a.left_day
from {view(signal.source)} f join check_accounts a using (account_id)
where {LATEST} and a.left_day is not null and {condition}
order by f.account_id, f.{signal.event}, 2 limit {EXAMPLES}"""
    )
    return tuple(
        f"account {account}: {signal.column} = {value}, {signal.event} {happened_at},"
        f" known {known}, left {day_of(left)}"
        for account, value, happened_at, known, left in accounts
    )


# --- identifiers
# --------------------------------------------------------------------------------------


def _identifiers(evidence: Evidence, accounts: StagedSource) -> Iterator[Finding]:
    """Attributes that have a value of their own for nearly every account."""
    names = [n for n in _attributes(accounts) if accounts.columns[n].type in ("text", "number")]
    if not names:
        return
    chosen = ", ".join(
        f"min(f.{n})"
        + (f" / {accounts.unit(n)}e0" if accounts.columns[n].type == "number" else "")
        + f" as {n}"
        for n in names
    )
    table = evidence.connection.execute(
        f"select {chosen} from {facts_table(accounts.name)} f where {LATEST} group by f.account_id"
        " order by f.account_id"
    ).df()
    for identifier in identifiers(table):
        examples = tuple(
            f"account {account}: {identifier.column} = {value}"
            for account, value in evidence.rows(
                f"select f.account_id, cast(min(f.{identifier.column}) as varchar)"
                f" from {view(accounts)} f where {LATEST} and f.{identifier.column} is not null"
                f" group by 1 order by 1 limit {EXAMPLES}"
            )
        )
        yield Finding(
            "identifier-mapped",
            "stop",
            accounts.name,
            f"{identifier.column} names accounts rather than describes them:"
            f" {identifier.figure:.0%} of its values are distinct",
            f"Leave {identifier.column} out of extra and immutable.",
            int(table[identifier.column].nunique()),
            len(table),
            "values",
            examples,
            column=identifier.column,
            clock="valid_from" if is_mapped(accounts, "valid_from") else "created_at",
        )
