"""The strongest question about signals: does one change when everything that became known later is
deleted?

A signal at T may depend on nothing that became known at or after T. So the staged tables are read
twice: as they are, and with rows known at or after T removed and values blanked whose clock strikes
then. Signals at and before T must be equal to the bit; one that is not has seen the future,
whatever its card says.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.build import FeaturePlan, plan_features
from features.definition import Signal
from features.windows import day_of
from pipeline.checking.evidence import EXAMPLES, Evidence
from pipeline.checking.report import Finding
from pipeline.engine.duckdb import Connection, connected, literal
from pipeline.engine.facts import choose, define_times, prepare, put_table, run_plan, source_facts
from pipeline.staging.staged import StagedSource

REBUILT = 100
"""Snapshots rebuilt: a signal that reads the future moves for nearly every account."""
UNREAD = ("outcomes", "interventions")


@dataclass(frozen=True)
class Difference:
    """One signal of one account that the deleted future moves."""

    signal: Signal
    account_id: str
    as_of_day: int
    with_future: float
    without: float


def deletion_findings(evidence: Evidence) -> Iterator[Finding]:
    """A finding per signal that changes when the future is deleted; needs `snapshots`, as
    `count_leavers` leaves them.
    """
    snapshots = _sample(evidence)
    if snapshots.empty:
        return
    day = int(snapshots["as_of_day"].max())
    differences = future_differences(evidence, snapshots, day)
    for column in dict.fromkeys(each.signal.column for each in differences):
        mine = [each for each in differences if each.signal.column == column]
        yield _finding(evidence, mine, len(snapshots), day)


def _sample(evidence: Evidence) -> pd.DataFrame:
    """Up to `REBUILT` training snapshots, those nearest before the middle date: history
    behind them, future ahead.
    """
    tables = evidence.row(
        "select count(*) from information_schema.tables where table_name = 'snapshots'"
    )
    if not tables[0]:
        return pd.DataFrame()
    return evidence.connection.execute(f"""
select s.account_id, s.as_of_day, s.partition_name from snapshots s
where not s.is_test and s.as_of_day <= (select quantile_disc(as_of_day, 0.5) from snapshots
  where not is_test)
order by s.as_of_day desc, hash(s.account_id), s.account_id limit {REBUILT}""").df()


def future_differences(
    evidence: Evidence, snapshots: pd.DataFrame, day: int
) -> tuple[Difference, ...]:
    """Values that differ between the signals as they are built and as they would be without the
    future.

    Parameters
    ----------
    snapshots
        account_id, as_of_day, partition_name; no as_of_day after `day`.
    day
        T: rows known at or after it are deleted, values whose clock strikes then are blanked.
    """
    sources = {
        n: s
        for n, s in evidence.staged.items()
        if s.contract.table not in UNREAD and s.settings.features
    }
    relations = {name: _relation(evidence, name) for name in sources}
    full, signals = _built(evidence, sources, relations, snapshots, day)
    cut, _ = _built(
        evidence,
        sources,
        {n: _without_future(s, relations[n], day) for n, s in sources.items()},
        snapshots,
        day,
    )
    return _compared(full, cut, signals)


def _relation(evidence: Evidence, name: str) -> str:
    files = ", ".join(literal(file) for file in evidence.workspace.store.files(f"staged_{name}"))
    return f"read_parquet([{files}])"


def _without_future(source: StagedSource, relation: str, day: int) -> str:
    """The staged rows as they would stand had the world ended at T."""
    end = f"TIMESTAMP '{day_of(day)} 00:00:00'"
    facts = source_facts(source, {})
    blanked = {"known_until": f"case when r.known_until < {end} then r.known_until end"}
    for column in source.contract.columns:
        clock = facts.clock(column.name)
        if clock is not None and column.name in source.columns and clock in source.columns:
            blanked[column.name] = f"case when r.{clock} < {end} then r.{column.name} end"
    blanks = ", ".join(f"{expression} as {name}" for name, expression in blanked.items())
    return (
        f"(select * replace ({blanks}) from {relation} r"
        f" where r.known_from is null or r.known_from < {end})"
    )


def _built(
    evidence: Evidence,
    sources: Mapping[str, StagedSource],
    relations: Mapping[str, str],
    snapshots: pd.DataFrame,
    day: int,
) -> tuple[pd.DataFrame, tuple[Signal, ...]]:
    """Signals of the snapshots from tables as given, in a connection of their own, by the code that
    builds all others.
    """
    settings = evidence.workspace.project.features
    signals: list[Signal] = []
    table = snapshots[["account_id", "as_of_day"]]
    with connected() as connection:
        put_table(connection, "snapshots", snapshots)
        # Source by source: planning one query over the tables of all takes longer than running all
        # of these.
        for name, source in sources.items():
            prepare(connection, source, relations[name])
            choices = {name: choose(connection, source, day, settings.max_kinds)}
            plan = plan_features(
                [source_facts(source, choices)],
                window_days=settings.window_days,
                off=frozenset(settings.off),
            )
            if plan.signals:
                table = table.merge(
                    _run(connection, plan, source, snapshots), on=["account_id", "as_of_day"]
                )
                signals += plan.signals
    return table.sort_values(["account_id", "as_of_day"], ignore_index=True), tuple(signals)


def _run(
    connection: Connection, plan: FeaturePlan, source: StagedSource, snapshots: pd.DataFrame
) -> pd.DataFrame:
    define_times(
        connection,
        plan,
        {name: source for name in plan.windows},
        snapshots[["as_of_day", "partition_name"]].drop_duplicates(),
    )
    run_plan(connection, plan, "features")
    return connection.execute("select * from features order by account_id, as_of_day").df()


def _compared(
    full: pd.DataFrame, cut: pd.DataFrame, signals: tuple[Signal, ...]
) -> tuple[Difference, ...]:
    differences = []
    for signal in signals:
        # A kind of event chosen because of its future has no column in the other table.
        now = full[signal.column].to_numpy(dtype=np.float64)
        then = (
            cut[signal.column].to_numpy(dtype=np.float64)
            if signal.column in cut
            else np.full(len(now), np.nan)
        )
        for row in np.flatnonzero(~((now == then) | (np.isnan(now) & np.isnan(then)))):
            differences.append(
                Difference(
                    signal,
                    str(full["account_id"].iloc[row]),
                    int(full["as_of_day"].iloc[row]),
                    float(now[row]),
                    float(then[row]),
                )
            )
    return tuple(differences)


def _finding(evidence: Evidence, mine: list[Difference], snapshots: int, day: int) -> Finding:
    signal = mine[0].signal
    source = evidence.staged.get(signal.source)
    event = str(source.contract.event_time) if source is not None else "its date"
    clock = "known_at" if source is not None and source.has_known_at else event
    examples = tuple(
        f"account {each.account_id} on {day_of(each.as_of_day)}: {each.with_future:g} as built,"
        f" {each.without:g} without what {clock} says became known from {day_of(day)} on"
        for each in mine[:EXAMPLES]
    )
    return Finding(
        "future-moves-a-signal",
        "stop",
        signal.source,
        f"{signal.column} changes when rows and values known from {day_of(day)} on are deleted: it"
        " reads the future",
        f'Leave it out ([features] off = ["{signal.column}"]) and correct its card.',
        len(mine),
        snapshots,
        "snapshots",
        examples,
        column=signal.column,
        clock=clock,
    )
