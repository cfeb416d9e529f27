"""Where people get stuck: which errors and given-up steps each account met lately, how often, and
how many of its people.
"""

from datetime import date

import pandas as pd

from features.dimensions.usage import STUCK_EVENTS
from features.feeds import coverage
from features.sql import literal
from features.windows import day_number, happened, is_covered, known
from pipeline.engine.duckdb import Connection
from pipeline.engine.facts import feed_counts, put_table, source_facts
from pipeline.staging.staged import StagedSource

DAYS = 28
COLUMNS = (
    "account_id",
    "as_of",
    "trouble",
    "times",
    "times_before",
    "people",
    "people_stuck",
    "last_seen",
)


def stuck(connection: Connection, usage: StagedSource, as_of: date) -> pd.DataFrame:
    """One row per account and kind of trouble met in the 28 days before `as_of` or the 28 before
    those.

    Only what was known before `as_of` counts.

    Returns
    -------
    DataFrame
        account_id; as_of; trouble: one of the source's `trouble_events`; times, times_before: how
        often in the 28 days, and in the 28 before; people: persons who met it in the 28 days;
        people_stuck: those who did so three times or more; null where the source names no persons;
        last_seen. Counts are null where the feed was not there all that time. The most people stuck
        first, then the most times.
    """
    facts, day = source_facts(usage, {}), day_number(as_of)
    put_table(connection, "covered", _covered(connection, usage, day))
    names = ", ".join(literal(name) for name in usage.settings.trouble_events)
    lately, earlier = (
        happened("t", "event_time", within_days=DAYS),
        happened("t", "event_time", within_days=2 * DAYS),
    )
    has_people = "user_id" in facts.mapped
    people = [
        (
            f"count(case when p.n >= {least} then p.user_id end)"
            if has_people
            else "cast(null as bigint)"
        )
        for least in (1, STUCK_EVENTS)
    ]
    accounts = connection.execute(
        f"""
with s as (select {day} as as_of_day),
t as (select s.as_of_day, f.account_id, f.partition_name, f.event_name, f.event_time,
  f.event_time_day,
        {"f.user_id" if has_people else "cast(null as varchar)"} as user_id
      from {facts.table} f, s where {known("f", "s")} and f.event_name in ({names})),
p as (select t.account_id, t.event_name, t.user_id, count(case when {lately} then 1 end) as n,
        count(case when not ({lately}) then 1 end) as n_before, max(t.event_time) as last_us,
        min(c.now) as now, min(c.before) as before
      from t join covered c on c.partition_name = t.partition_name where {earlier} group by 1, 2, 3)
select p.account_id, p.event_name as trouble, case when min(p.now) = 1 then sum(p.n) end as times,
  case when min(p.before) = 1 then sum(p.n_before) end as times_before,
  case when min(p.now) = 1 then {people[0]} end as people, case when min(p.now) = 1
    then {people[1]} end as people_stuck,
  make_timestamp(max(p.last_us)) as last_seen
from p group by 1, 2
order by people_stuck desc nulls last, times desc nulls last, times_before desc nulls last, 1, 2"""
    ).df()
    counts = dict.fromkeys(("times", "times_before", "people", "people_stuck"), "Int64")
    return accounts.assign(as_of=pd.Timestamp(as_of)).astype(counts)[list(COLUMNS)]


def _covered(connection: Connection, usage: StagedSource, day: int) -> pd.DataFrame:
    """Per feed, 1 where it was there in the 28 days, and in the 28 days before."""
    rows = []
    for feed, mine in feed_counts(connection, usage).groupby("partition_name", sort=True):
        begun, silent = coverage(mine, day, usage.settings.silent_after_days)
        now = is_covered(day, DAYS, begun, silent.tolist())
        before = is_covered(day - DAYS, DAYS, begun, silent.tolist())
        rows.append((feed, int(now), int(before)))
    return pd.DataFrame(rows, columns=["partition_name", "now", "before"]).astype(
        {"partition_name": "str"}
    )
