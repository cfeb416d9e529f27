"""Events in a log of use that say an account has left: told by their name, and by nothing coming
after them.
"""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.engine.duckdb import Connection, identifier, literal, rows
from pipeline.proposing.guess import ProposedSource

LEAVING_EVENT = (
    r"churn|cancel|unsubscrib|terminat|(clos|delet)\w*[ _-]*account|account[ _-]*(clos|delet)"
)
# A cancelled order is followed by other orders; a cancelled account by nothing, but for a few that
# come back.
FINAL_SHARE = 0.9
EVENTS_TO_SHARE = 10
"""Accounts with the event from which on its share says something."""


def with_leaving_events(
    connection: Connection, sources: Sequence[ProposedSource]
) -> list[ProposedSource]:
    """The sources and, where a log of use holds them, a source of outcomes made of the events that
    end an account's history.

    Such events are no signals: they are dropped from the log itself. Nothing changes where a table
    of outcomes or of subscriptions says who left.
    """
    if any(s.contract in ("outcomes", "subscriptions") for s in sources):
        return list(sources)
    completed: list[ProposedSource] = []
    for source in sources:
        events = final_events(connection, source) if source.contract == "usage_events" else []
        named = source.raw("event_name")
        if not events or named is None:
            completed.append(source)
            continue
        completed.append(
            replace(source, settings={**source.settings, "drop": {named.name: events}})
        )
        columns = {
            "account_id": source.columns["account_id"],
            "event_time": source.columns["event_time"],
            "kind": source.columns["event_name"],
        }
        completed.append(
            ProposedSource(
                f"{source.name}_left",
                "outcomes",
                source.members,
                columns,
                lookups=source.lookups,
                settings={**source.settings, "keep": {named.name: events}},
                comments=(
                    (
                        f"After {' or '.join(events)} in `{named.name}` accounts do nothing more:"
                        " taken for leaving, and no signal."
                    ),
                ),
            )
        )
    return completed


def final_events(connection: Connection, source: ProposedSource) -> list[str]:
    """Values of the event's name that speak of leaving and are the last thing that nearly all
    accounts with them did.
    """
    name, event, account = (source.raw(c) for c in ("event_name", "event_time", "account_id"))
    if name is None or event is None or account is None or len(source.members) > 1:
        return []
    events = rows(
        connection,
        f"""
with events as (select {identifier(account.name)} as a, cast({identifier(name.name)} as varchar)
  as v, max({event.time_sql}) as t
                from {source.table.relation} where {identifier(account.name)} is not null
                  group by 1, 2),
ends as (select a, max(t) as t from events group by 1)
select v from events join ends using (a) where regexp_matches(v, {literal(LEAVING_EVENT)}, 'i')
  group by v
having count(*) >= {EVENTS_TO_SHARE} and count(*) filter (ends.t <= events.t + interval 1 day)
  >= {FINAL_SHARE} * count(*) order by v""",
    )
    return [value for (value,) in events]
