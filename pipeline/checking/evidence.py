"""What the questions are asked of: the staged facts, and one row per account with what became of
it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from features.naming import facts_table
from features.sources.subscriptions import is_paid
from features.windows import OPEN_END, US_PER_DAY, day_expression, day_number, is_latest
from models.labels import outcome_filter
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection, row, rows
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace, target_rule

EXAMPLES = 5
# Sources whose rows are signs of life; notes and plays are the vendor's doing, contracts run by
# themselves.
SIGNS_OF_LIFE = ("usage_events", "invoices", "support_tickets", "surveys", "touchpoints")
# An account without a contract that shows no sign of life for this long has probably left. Longer
# than a month, so that a monthly invoice or report does not make everybody look gone.
QUIET_DAYS = 60
# Conditions on the rows of a prepared view, which every query here names `f`.
LATEST = is_latest("f")
PAID = is_paid("f")


@dataclass(frozen=True)
class Evidence:
    """The prepared views of a connection, and what the project says of them."""

    workspace: Workspace
    connection: Connection
    staged: Mapping[str, StagedSource]
    target: Target
    end: date
    """First day no longer covered by any source."""

    @property
    def end_day(self) -> int:
        """`end` as a day number."""
        return day_number(self.end)

    def of(self, *contracts: str) -> Iterator[StagedSource]:
        """Sources that fill one of the contracts, in the file's order."""
        return (s for s in self.staged.values() if s.contract.table in contracts)

    def first(self, contract: str) -> StagedSource | None:
        """The first source of a contract, or None."""
        return next(self.of(contract), None)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return rows(self.connection, query)

    def row(self, query: str) -> tuple[Any, ...]:
        """The one row of an aggregate."""
        return row(self.connection, query)

    def count(
        self, relation: str, condition: str, id_column: str = "account_id"
    ) -> tuple[int, int, tuple[str, ...]]:
        """(rows that meet the condition, all rows, a few ids of the former)."""
        hits, total = self.row(f"select count(*) filter ({condition}), count(*) from {relation}")
        if not hits:
            return 0, total, ()
        ids = self.rows(
            f"select distinct cast({id_column} as varchar) as id from {relation} "
            f"where {condition} and {id_column} is not null order by 1 limit {EXAMPLES}"
        )
        return hits, total, tuple(each for (each,) in ids)


def view(source: StagedSource) -> str:
    """Name of the source's view."""
    return facts_table(source.name)


def is_mapped(source: StagedSource | None, column: str) -> bool:
    """Whether a source is there and fills the column."""
    return source is not None and source.is_mapped(column)


def make_accounts(evidence: Evidence) -> None:
    """Create `check_accounts`: one row per account id found anywhere.

    Columns: account_id; is_listed (in the accounts table); created_day; has_contract (has a paid
    subscription row); first_day, last_day (first and last sign of life); has_left (by the target's
    own log of outcomes, else by the end of all paid cover; null: cannot be said); could_leave (a
    paid term of it has ended, or it may leave any day: who is in a first fixed term stays by
    contract, which tells nothing); is_gone (has_left, else quiet for 60 days); left_day (the first
    day without it, null for those still there).
    """
    accounts = evidence.first("accounts")
    created = (
        "min(f.created_at_day)" if is_mapped(accounts, "created_at") else "cast(null as bigint)"
    )
    listed = (
        f"select f.account_id, {created} as created_day from {view(accounts)} f group by 1"
        if accounts
        else "select '' as account_id, 0 as created_day where false"
    )
    evidence.connection.execute(f"""
create or replace temp table check_accounts as
select i.account_id, l.account_id is not null as is_listed, l.created_day, c.account_id is not null
  as has_contract,
  s.first_day, s.last_day, {_has_left(evidence)} as has_left, {_could_leave(evidence)}
    as could_leave,
  coalesce({_has_left(evidence)}, s.last_day < {evidence.end_day - QUIET_DAYS}) as is_gone,
  {_left_day(evidence)} as left_day
from ({_ids(evidence)}) i
left join ({listed}) l using (account_id)
left join ({_cover(evidence)}) c using (account_id)
left join ({_outcomes(evidence)}) o using (account_id)
left join ({_signs_of_life(evidence)}) s using (account_id)""")


def _ids(evidence: Evidence) -> str:
    return " union ".join(
        f"select distinct account_id from {view(s)}" for s in evidence.staged.values()
    )


def _cover(evidence: Evidence) -> str:
    source = evidence.first("subscriptions")
    if source is None:
        return (
            "select '' as account_id, cast(0 as bigint) as covered_until, cast(0 as bigint) as"
            " first_end where false"
        )
    return (
        f"select f.account_id, max(coalesce(f.ends_at, {OPEN_END})) as covered_until,"
        f" min(f.ends_at) as first_end from {view(source)} f where {LATEST} and {PAID} group by 1"
    )


def _outcomes(evidence: Evidence) -> str:
    if evidence.target.kind != "event":
        return "select '' as account_id, cast(0 as bigint) as left_day where false"
    log = evidence.staged[str(evidence.target.source)]
    return (
        f"select f.account_id, min(f.{log.contract.event_time}_day) as left_day from {view(log)} f "
        f"where {LATEST} and {outcome_filter(target_rule(evidence.target))} group by 1"
    )


def _has_left(evidence: Evidence) -> str:
    """SQL: did the account leave? Cover that ended within the grace period is not leaving yet."""
    if evidence.target.kind == "event":
        return "o.account_id is not null"
    end_us = (evidence.end_day - evidence.target.grace_days) * US_PER_DAY
    return f"c.covered_until <= {end_us}"


def _could_leave(evidence: Evidence) -> str:
    """SQL: had the account a chance to leave before the data end?"""
    if evidence.target.kind == "event":
        return "true"
    return (
        f"coalesce(c.first_end <= {(evidence.end_day - evidence.target.grace_days) * US_PER_DAY},"
        " true)"
    )


def _left_day(evidence: Evidence) -> str:
    """SQL: the first day without the account, by what `_has_left` goes by, else the day after its
    last sign of life.
    """
    if evidence.target.kind == "event":
        return "o.left_day"
    end_us = (evidence.end_day - evidence.target.grace_days) * US_PER_DAY
    return (
        f"case when c.covered_until <= {end_us} then {day_expression('c.covered_until')} when"
        f" c.account_id is null and s.last_day < {evidence.end_day - QUIET_DAYS} then s.last_day +"
        " 1 end"
    )


def _signs_of_life(evidence: Evidence) -> str:
    queries = [
        f"select f.account_id, min(f.{s.contract.event_time}_day) as first_day, "
        f"max(f.{s.contract.event_time}_day) as last_day from {view(s)} f "
        f"where {LATEST} and f.{s.contract.event_time}_day <= {evidence.end_day} group by 1"
        for s in evidence.of(*SIGNS_OF_LIFE)
    ]
    if not queries:
        return (
            "select '' as account_id, cast(0 as bigint) as first_day, cast(0 as bigint) as last_day"
            " where false"
        )
    return (
        "select account_id, min(first_day) as first_day, max(last_day) as last_day "
        f"from ({' union all '.join(queries)}) group by 1"
    )
