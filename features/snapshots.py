"""Which accounts are asked about on a date, judged by what was known then.

Every query here reads the table `candidates` (account_id, as_of_day, partition_name) and returns
the rows of it that belong, with `state`:

    member   belongs to the population
    notice   a customer who has already given notice on everything that runs
    lapsed   cover ended, still within the grace period

Members are trained on and scored; the other two are published as band `leaving`. An account that
was merged into another is part of that one: from the merge on it is not asked about.
"""

from dataclasses import dataclass
from typing import Literal

from features.facts import SourceFacts, as_known
from features.sources.subscriptions import is_paid, is_running
from features.sql import literal
from features.windows import covers, ended_within, known, known_value, not_superseded

PopulationKind = Literal["customers", "active", "ever_active", "accounts", "trials"]
_PAID = is_paid("t")


@dataclass(frozen=True)
class PopulationRule:
    """Who counts; days and events as in the project file. `minimum` compares stored whole
    numbers.
    """

    kind: PopulationKind
    grace_days: int = 0
    event_names: tuple[str, ...] = ()
    minimum: tuple[tuple[str, int], ...] = ()
    active_within_days: int | None = None
    min_events: int = 1
    min_events_ever: int = 1
    min_age_days: int = 0
    max_age_days: int | None = None


def activity_filter(rule: PopulationRule) -> str:
    """Condition that an event counts as activity; `true` when all do."""
    conditions = [f"f.{column} > {value}" for column, value in rule.minimum]
    if rule.event_names:
        conditions.append(f"f.event_name in ({', '.join(literal(n) for n in rule.event_names)})")
    return " and ".join(conditions) or "true"


def population(
    rule: PopulationRule, source: SourceFacts, accounts: SourceFacts | None = None
) -> str:
    """SELECT of account_id, as_of_day, partition_name, state, age_days for one population rule.

    `accounts` says which accounts were merged into another; None: nobody was.
    """
    inner = {
        "customers": _customers,
        "trials": _trials,
        "active": _active,
        "ever_active": _active,
        "accounts": _accounts,
    }[rule.kind](rule, source)
    limits = [f"p.age_days >= {rule.min_age_days}"]
    if rule.max_age_days is not None:
        limits.append(f"p.age_days <= {rule.max_age_days}")
    if accounts is not None:
        limits.append(
            f"not exists (select 1 from {accounts.table} m where m.account_id = p.account_id and"
            f" {known('m', 'p')} and {known_value('m', 'merged_into', 'merged_at', 'p')} is not"
            " null)"
        )
    return f"select p.* from ({inner}) p where p.state is not null and {' and '.join(limits)}"


def _customers(rule: PopulationRule, source: SourceFacts) -> str:
    now = is_running("t")
    lapsed = (
        f"{_PAID} and {ended_within('t', 'ends_at', rule.grace_days)}"
        if rule.grace_days
        else "false"
    )
    return f"""
select t.account_id, t.as_of_day, c.partition_name,
  case when max(case when {now} and t.notice_at is null then 1 else 0 end) = 1 then 'member'
       when max(case when {now} then 1 else 0 end) = 1 then 'notice'
       when max(case when {lapsed} then 1 else 0 end) = 1 then 'lapsed' end as state,
  t.as_of_day - min(case when {_PAID} then t.starts_at_day end) as age_days
from ({as_known(source, "candidates")}) t
join candidates c on c.account_id = t.account_id and c.as_of_day = t.as_of_day
group by 1, 2, 3"""


def _trials(rule: PopulationRule, source: SourceFacts) -> str:
    now = covers("t", "starts_at", "ends_at")
    return f"""
select t.account_id, t.as_of_day, c.partition_name,
  case when max(case when {now} and not {_PAID} then 1 else 0 end) = 1
        and max(case when {_PAID} and t.starts_at_day < t.as_of_day then 1 else 0 end) = 0
          then 'member' end as state,
  t.as_of_day - min(t.starts_at_day) as age_days
from ({as_known(source, "candidates")}) t
join candidates c on c.account_id = t.account_id and c.as_of_day = t.as_of_day
group by 1, 2, 3"""


def _active(rule: PopulationRule, source: SourceFacts) -> str:
    recent = (
        "r.n"
        if rule.active_within_days is None
        else (f"case when r.event_day >= c.as_of_day - {rule.active_within_days} then r.n end")
    )
    until, superseded = "", ""
    if source.is_versioned:
        until, superseded = (
            ", f.known_until_day",
            f" and {not_superseded('r', 'c.as_of_day')}",
        )
    return f"""
select c.account_id, c.as_of_day, c.partition_name,
  case when sum({recent}) >= {rule.min_events} and sum(r.n) >= {rule.min_events_ever}
    then 'member' end as state,
  c.as_of_day - min(r.event_day) as age_days
from candidates c
join (
  select f.account_id, f.event_time_day as event_day,
    case when f.known_from_day > f.event_time_day then f.known_from_day else f.event_time_day end
      as seen_day{until},
    count(*) as n
  from {source.table} f where {activity_filter(rule)}
  group by 1, 2, 3{", 4" if until else ""}
) r on r.account_id = c.account_id and r.seen_day < c.as_of_day{superseded}
group by 1, 2, 3"""


def _accounts(rule: PopulationRule, source: SourceFacts) -> str:
    return f"""
select c.account_id, c.as_of_day, c.partition_name, 'member' as state,
  c.as_of_day - min(t.created_at_day) as age_days
from candidates c
join {source.table} t on t.account_id = c.account_id and t.created_at_day < c.as_of_day
  and {known("t", "c")}
group by 1, 2, 3"""
