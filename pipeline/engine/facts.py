"""From staged tables to what feature SQL reads: whole-number times, calendars, choices."""

import json
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from features.automatic import ACTIVITY
from features.build import FeaturePlan
from features.facts import SourceFacts
from features.feeds import coverage, daily_counts
from features.naming import slug
from features.windows import calendar, day_expression, window_edges
from pipeline.engine.duckdb import Connection, rows
from pipeline.engine.staged_facts import StagedFacts

# A kind of event rarer than this share of its source says little and costs columns.
RAREST_KIND = 0.002
# Attributes that contracts carry for people, ranking or joining; never signals.
NEVER_SIGNALS = frozenset({
    "name", "owner", "account_id", "parent_account_id", "currency", "value_per_year", "consent", "subscription_id",
})
MOST_CATEGORIES = 200


def prepare(connection: Connection, staged: StagedFacts, relation: str) -> None:
    """Create the view `facts_<source>`: times as microseconds with a `_day` number beside each."""
    chosen = []
    times = {name for name, column in staged.columns.items() if column["type"] == "time"} | {"known_from", "known_until"}
    for name in [*staged.columns, "known_from", "known_until"]:
        if name in ("partition", "row_key", "is_deleted", "known_at", "account_id"):
            continue
        if name not in times:
            chosen.append(f"r.{name}")
            continue
        # Attributes without any date of their own have always been known.
        us = f"coalesce(epoch_us(r.{name}), 0)" if name == "known_from" else f"epoch_us(r.{name})"
        chosen += [f"{us} as {name}", f"{day_expression(us)} as {name}_day"]
    connection.execute(
        f"create or replace temp view facts_{slug(staged.name)} as "
        f'select r.account_id, r."partition" as partition_name, {", ".join(chosen)} from {relation} r'
    )


def source_facts(staged: StagedFacts, choices: Mapping[str, Any]) -> SourceFacts:
    """What the feature builder must know of a source; `choices` are the frozen kinds and categories."""
    settings, contract = staged.settings, staged.contract
    mapped = frozenset(n for n, c in staged.columns.items() if c["is_mapped"])
    extras = tuple(sorted(n for n, c in staged.columns.items() if c["is_extra"] and c["type"] in ("number", "money")))
    clocks: dict[str, str | None] = {}
    if contract.table == "subscriptions" and settings.convention == "fixed_term":
        clocks["ends_at"] = None
    chosen = choices.get(staged.name, {})
    # A text with one value, or none seen by the training dates, separates nobody and is no number either.
    attributes = tuple(n for n in _attributes(staged)
                       if staged.columns[n]["type"] in ("number", "money") or n in chosen.get("categories", {}))
    return SourceFacts(
        name=staged.name, contract=contract, mapped=mapped,
        decimals={n: c["decimals"] for n, c in staged.columns.items()},
        extra_numbers=extras if contract.table in ACTIVITY else (),
        clocks=clocks, is_versioned=staged.has_versions, kinds=tuple(chosen.get("kinds", ())),
        attributes=attributes, categories={k: tuple(v) for k, v in chosen.get("categories", {}).items()},
    )


def _attributes(staged: StagedFacts) -> tuple[str, ...]:
    """Columns that may be read as of a date: they have history, or were declared immutable."""
    table, columns = staged.contract.table, staged.columns
    if table == "subscriptions":
        return ()
    if table != "accounts":
        return ()
    has_history = columns["valid_from"]["is_mapped"]
    return tuple(
        n for n, c in columns.items()
        if c["is_mapped"] and n not in NEVER_SIGNALS and c["type"] in ("text", "number", "money", "flag")
        and (has_history or n in staged.settings.immutable) and n not in ("partition", "row_key", "is_deleted")
    )


def choose(connection: Connection, staged: StagedFacts, before_day: int, max_kinds: int) -> dict[str, Any]:
    """Kinds of event and categories of attributes, from what was known before a day; frozen in the model."""
    found: dict[str, Any] = {}
    facts, event = f"facts_{slug(staged.name)}", staged.contract.event_time
    stream = next((s for s in staged.contract.streams if s.name == ""), None)
    if staged.contract.table in ACTIVITY and stream and stream.kind and staged.columns[stream.kind]["is_mapped"]:
        found["kinds"] = _commonest_kinds(connection, staged, facts, str(event), stream.kind, before_day, max_kinds)
    categories = {}
    for name in _attributes(staged):
        if staged.columns[name]["type"] not in ("text", "flag"):
            continue
        counted = rows(connection, f"select cast({name} as varchar) as v, count(distinct account_id) as n from {facts} "
                                   f"where {name} is not null and known_from_day < {before_day} "
                                   f"group by 1 order by 2 desc, 1 limit {MOST_CATEGORIES}")
        if len(counted) > 1:
            categories[name] = [v for v, _ in counted]
    return {**found, "categories": categories}


def _commonest_kinds(connection: Connection, staged: StagedFacts, facts: str, event: str, kind: str, before_day: int,
                     max_kinds: int) -> list[str]:
    if staged.settings.kinds:
        return list(staged.settings.kinds)
    counted = rows(connection, f"select {kind}, count(*) from {facts} where {kind} is not null and "
                               f"{event}_day < {before_day} and known_from_day < {before_day} group by 1 order by 2 desc, 1")
    total = sum(n for _, n in counted)
    if len(counted) < 2:
        return []
    return [k for k, n in counted if n >= RAREST_KIND * total][:max_kinds]


def define_times(
    connection: Connection, plan: FeaturePlan, staged: Mapping[str, StagedFacts], snapshot_days: pd.DataFrame
) -> None:
    """Create `calendar` and one `dates_<source>` per source for the snapshots' dates.

    `snapshot_days` has the distinct pairs as_of_day, partition_name.
    """
    as_of_days = np.unique(snapshot_days["as_of_day"].to_numpy(dtype=np.int64))
    lengths = sorted({w for windows in plan.windows.values() for w in windows})
    first = _first_day(connection, staged)
    days = calendar(as_of_days, lengths, first, int(as_of_days[-1]) - 1)
    put_table(connection, "calendar", days)
    for name, windows in plan.windows.items():
        put_table(connection, f"dates_{slug(name)}", _dates(connection, staged[name], windows, snapshot_days))


def _first_day(connection: Connection, staged: Mapping[str, StagedFacts]) -> int:
    first = 0
    for source in staged.values():
        event = source.contract.event_time
        # Every stream of a contract begins at or after its row's event, except planned times.
        times = {event, *(s.event_time for s in source.contract.streams)} - {None}
        lows = ", ".join(f"min({t}_day)" for t in sorted(str(t) for t in times))
        found = [v for v in rows(connection, f"select {lows} from facts_{slug(source.name)}")[0] if v is not None]
        first = min([first, *found])
    return first


def _dates(connection: Connection, staged: StagedFacts, windows: Collection[int], snapshot_days: pd.DataFrame) -> pd.DataFrame:
    """Window edges of one source per as_of and feed; a source without feeds of its own covers all alike."""
    event = str(staged.contract.event_time)
    counts = connection.execute(daily_counts(f"facts_{slug(staged.name)}", event)).df()
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


def run_plan(connection: Connection, plan: FeaturePlan, result: str) -> None:
    """Build the feature table of a plan as the temporary table `result`, dropping what it needed between."""
    for step in plan.steps:
        connection.execute(f"create or replace temp table {step.name} as {step.select}")
    connection.execute(f"create or replace temp table {result} as {plan.query}")
    for step in plan.steps:
        connection.execute(f"drop table if exists {step.name}")


def choices_to_json(choices: Mapping[str, Any]) -> str:
    """Frozen choices as stable JSON."""
    return json.dumps(choices, sort_keys=True)
