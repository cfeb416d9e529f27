"""From staged tables to what feature SQL reads: whole-number times, calendars, choices."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from features.automatic import ACTIVITY
from features.build import FeaturePlan
from features.facts import SourceFacts
from features.feeds import coverage, daily_counts
from features.naming import facts_table, slug
from features.sources import word_among
from features.windows import NEVER, calendar, window_edges
from pipeline.engine.duckdb import Connection, literal, rows
from pipeline.engine.memory import cells_in_memory
from pipeline.staging.staged import StagedSource

# A kind of event rarer than this share of its source says little and costs columns.
RAREST_KIND = 0.002
# Attributes that contracts carry for people, ranking or joining; never signals.
NEVER_SIGNALS = frozenset(
    {
        "name",
        "owner",
        "account_id",
        "parent_account_id",
        "merged_into",
        "currency",
        "value_per_year",
        "cost_if_missed",
        "cost_of_contact",
        "consent",
        "subscription_id",
    }
)
MOST_CATEGORIES = 200
# Names of types that every engine knows.
_EMPTY_TYPES = {
    "time": "bigint",
    "money": "bigint",
    "number": "bigint",
    "text": "string",
    "flag": "boolean",
}
# 800 MB of doubles: what run_plan builds before it begins with the next accounts.
CELLS_AT_ONCE = 100_000_000
BYTES_OF_A_CELL = 64
"""Of a value of the result while it is built, with what lies between, as estimated."""


def prepare(connection: Connection, staged: StagedSource, relation: str) -> None:
    """Create the view `facts_<source>`: times as microseconds with a `_day` number beside each."""
    query = facts_query(
        staged,
        relation,
        lambda time: (f"epoch_us({time})", f"(cast({time} as date) - date '1970-01-01')"),
    )
    connection.execute(f"create or replace temp view {facts_table(staged.name)} as {query}")


def facts_query(
    staged: StagedSource, relation: str, counted: Callable[[str], tuple[str, str]]
) -> str:
    """SELECT of `facts_<source>` from a staged table; `counted` writes a time as microseconds and
    as days since 1970.

    How times become numbers is all that engines are told in different words.
    """
    chosen = []
    times = {name for name, column in staged.columns.items() if column.type == "time"} | {
        "known_from",
        "known_until",
    }
    for name in [*staged.columns, "known_from", "known_until"]:
        if name in ("partition", "row_key", "is_deleted", "known_at", "account_id"):
            continue
        if name not in times:
            chosen.append(f"r.{name}")
            continue
        us, day = counted(f"r.{name}")
        if name == "known_from":
            # Attributes without any date of their own have always been known.
            us, day = f"coalesce({us}, 0)", f"coalesce({day}, 0)"
        chosen += [f"{us} as {name}", f"{day} as {name}_day"]
    for column in staged.contract.columns:
        if column.name not in staged.columns:
            # The contract gained it since the source was staged.
            names = (column.name, f"{column.name}_day") if column.type == "time" else (column.name,)
            chosen += [f"cast(null as {_EMPTY_TYPES[column.type]}) as {name}" for name in names]
    return (
        f"select r.account_id, r.partition as partition_name, {', '.join(chosen)} from {relation} r"
    )


def source_facts(staged: StagedSource, choices: Mapping[str, Any]) -> SourceFacts:
    """What the feature builder must know of a source; `choices` are the frozen kinds and
    categories.
    """
    settings, contract = staged.settings, staged.contract
    mapped = frozenset(n for n, c in staged.columns.items() if c.is_mapped)
    extras = tuple(
        sorted(n for n, c in staged.columns.items() if c.is_extra and c.type in ("number", "money"))
    )
    clocks: dict[str, str | None] = {}
    if contract.table == "subscriptions" and settings.convention == "fixed_term":
        clocks["ends_at"] = None
    chosen = choices.get(staged.name, {})
    # A text with one value, or none seen by the training dates, separates nobody and is no number
    # either.
    attributes = tuple(
        n
        for n in _attributes(staged)
        if staged.columns[n].type in ("number", "money") or n in chosen.get("categories", {})
    )
    return SourceFacts(
        name=staged.name,
        contract=contract,
        mapped=mapped,
        decimals={n: c.decimals for n, c in staged.columns.items()},
        extra_numbers=extras if contract.table in ACTIVITY else (),
        clocks=clocks,
        is_versioned=staged.has_versions,
        kinds=tuple(chosen.get("kinds", ())),
        attributes=attributes,
        categories={k: tuple(v) for k, v in chosen.get("categories", {}).items()},
    )


def _attributes(staged: StagedSource) -> tuple[str, ...]:
    """Columns that may be read as of a date: they have history, or were declared immutable."""
    table, columns = staged.contract.table, staged.columns
    if table == "subscriptions":
        return ()
    if table != "accounts":
        return ()
    has_history = columns["valid_from"].is_mapped
    return tuple(
        n
        for n, c in columns.items()
        if c.is_mapped
        and n not in NEVER_SIGNALS
        and c.type in ("text", "number", "money", "flag")
        and (has_history or n in staged.settings.immutable)
        and n not in ("partition", "row_key", "is_deleted")
    )


def choose(
    connection: Connection, staged: StagedSource, before_day: int, max_kinds: int
) -> dict[str, Any]:
    """Kinds of event and categories of attributes, from what was known before a day; frozen in the
    model.
    """
    choices: dict[str, Any] = {}
    facts, event = facts_table(staged.name), staged.contract.event_time
    stream = next((s for s in staged.contract.streams if s.name == ""), None)
    if (
        staged.contract.table in ACTIVITY
        and stream
        and stream.kind
        and staged.is_mapped(stream.kind)
    ):
        choices["kinds"] = _commonest_kinds(
            connection, staged, facts, str(event), stream.kind, before_day, max_kinds
        )
    categories = {}
    for name in _attributes(staged):
        if staged.columns[name].type not in ("text", "flag"):
            continue
        counted = rows(
            connection,
            f"select cast({name} as varchar) as v, count(distinct account_id) as n from {facts} "
            f"where {name} is not null and known_from_day < {before_day} "
            f"group by 1 order by 2 desc, 1 limit {MOST_CATEGORIES}",
        )
        if len(counted) > 1:
            categories[name] = [v for v, _ in counted]
    return {**choices, "categories": categories}


def _commonest_kinds(
    connection: Connection,
    staged: StagedSource,
    facts: str,
    event: str,
    kind: str,
    before_day: int,
    max_kinds: int,
) -> list[str]:
    if staged.settings.kinds:
        column = staged.contract.column(kind)
        words = column.words if column else ()
        return [word_among(each, words) for each in staged.settings.kinds]
    counted = rows(
        connection,
        f"select {kind}, count(*) from {facts} where {kind} is not null and {event}_day <"
        f" {before_day} and known_from_day < {before_day} group by 1 order by 2 desc, 1",
    )
    total = sum(n for _, n in counted)
    if len(counted) < 2:
        return []
    return [k for k, n in counted if n >= RAREST_KIND * total][:max_kinds]


def define_times(
    connection: Connection,
    plan: FeaturePlan,
    staged: Mapping[str, StagedSource],
    snapshot_days: pd.DataFrame,
) -> None:
    """Create `calendar` and one `dates_<source>` per source for the snapshots' dates.

    `snapshot_days` has the distinct pairs as_of_day, partition_name.
    """
    as_of_days = np.unique(snapshot_days["as_of_day"].to_numpy(dtype=np.int64))
    lengths = sorted({w for windows in plan.windows.values() for w in windows})
    counts = {name: feed_counts(connection, staged[name]) for name in plan.windows}
    first = min(
        (_first_day(connection, staged[name], counts[name]) for name in plan.windows),
        default=int(as_of_days[0]),
    )
    put_table(connection, "calendar", calendar(as_of_days, lengths, first, int(as_of_days[-1]) - 1))
    for name, windows in plan.windows.items():
        put_table(
            connection,
            f"dates_{slug(name)}",
            _dates(staged[name], counts[name], windows, snapshot_days),
        )


def feed_counts(connection: Connection, staged: StagedSource) -> pd.DataFrame:
    """Rows of a source per feed, event day and the day they became visible."""
    return connection.execute(
        daily_counts(facts_table(staged.name), str(staged.contract.event_time))
    ).df()


def _first_day(connection: Connection, staged: StagedSource, counts: pd.DataFrame) -> int:
    """A day before which no stream of the source has a fact."""
    # The counts have seen every event time; other streams of a row may be planned, or dated before
    # it.
    others = sorted(
        {str(s.event_time) for s in staged.contract.streams} - {str(staged.contract.event_time)}
    )
    lows = [int(counts["event_day"].min())] if len(counts) else []
    if others:
        firsts = rows(
            connection,
            f"select {', '.join(f'min({t}_day)' for t in others)} from {facts_table(staged.name)}",
        )[0]
        lows += [v for v in firsts if v is not None]
    return min(lows, default=NEVER)


def _dates(
    staged: StagedSource,
    counts: pd.DataFrame,
    windows: Collection[int],
    snapshot_days: pd.DataFrame,
) -> pd.DataFrame:
    """Window edges of one source per as_of and feed; a source without feeds of its own covers all
    alike.
    """
    own = staged.has_feeds
    pieces = []
    for feed, days in snapshot_days.groupby("partition_name", sort=True):
        mine = counts[counts["partition_name"] == feed] if own else counts
        for as_of_day in np.sort(days["as_of_day"].to_numpy(dtype=np.int64)):
            begun, silent = coverage(mine, int(as_of_day), int(staged.settings.silent_after_days))
            edges = window_edges([int(as_of_day)], windows, begun, silent.tolist())
            pieces.append(edges.assign(partition_name=feed))
    return pd.concat(pieces, ignore_index=True)


def put_table(connection: Connection, name: str, frame: pd.DataFrame) -> None:
    """Put a frame into the connection as a temporary table."""
    connection.register("incoming", frame)
    connection.execute(f"create or replace temp table {name} as select * from incoming")
    connection.unregister("incoming")


def run_plan(
    connection: Connection, plan: FeaturePlan, result: str, cells_at_once: int | None = None
) -> None:
    """Build the feature table of a plan as the temporary table `result`, dropping what it needed
    between.

    Large tables are built for some accounts after the others, so that what lies between stays
    bounded: at most about `cells_at_once` values of the result at a time.
    """
    at_once = cells_at_once or cells_in_memory(BYTES_OF_A_CELL, CELLS_AT_ONCE)
    ranges = account_ranges(connection, max(1, at_once // max(1, len(plan.signals))))
    if len(ranges) == 1:
        _run_steps(connection, plan)
        connection.execute(f"create or replace temp table {result} as {plan.query}")
        _drop_steps(connection, plan)
        return
    connection.execute("alter table snapshots rename to all_snapshots")
    try:
        for number, (first, beyond) in enumerate(ranges):
            below = "" if beyond is None else f" and account_id < {literal(beyond)}"
            connection.execute(
                "create or replace temp view snapshots as select * from all_snapshots "
                f"where account_id >= {literal(first)}{below}"
            )
            _run_steps(connection, plan)
            into = (
                f"create or replace temp table {result} as"
                if number == 0
                else f"insert into {result}"
            )
            connection.execute(f"{into} {plan.query}")
            _drop_steps(connection, plan)
    finally:
        connection.execute("drop view if exists snapshots")
        connection.execute("alter table all_snapshots rename to snapshots")


def account_ranges(connection: Connection, rows_at_once: int) -> list[tuple[str, str | None]]:
    """First account of each range and of the next, with about `rows_at_once` snapshots in each."""
    firsts = [
        r[0]
        for r in rows(
            connection,
            "select min(n.account_id) from (select account_id, count(*) over (order by account_id)"
            f" as position from snapshots) n group by (n.position - 1) // {rows_at_once} order"
            " by 1",
        )
    ]
    if len(firsts) < 2:
        return [("", None)]
    distinct = ["", *dict.fromkeys(firsts[1:])]
    return list(zip(distinct, [*distinct[1:], None], strict=True))


def _run_steps(connection: Connection, plan: FeaturePlan) -> None:
    for step in plan.steps:
        connection.execute(f"create or replace temp table {step.name} as {step.select}")


def _drop_steps(connection: Connection, plan: FeaturePlan) -> None:
    for step in plan.steps:
        connection.execute(f"drop table if exists {step.name}")
